//! `codehealer scan`: its exit codes, what it shows and what it says it left out.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::{APP, World};

fn world() -> World {
    let world = World::new();
    fs::write(world.repo.path().join("app.py"), APP).unwrap();
    world
}

fn found(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|finding| finding["rule"]["id"].as_str().unwrap()).collect()
}

#[test]
fn what_is_found_is_shown_with_its_place_and_decides_the_exit_code() {
    let world = world();
    let text = world.run(&["scan"]).ended(1);
    let (load, exec) = ("app.py:6:12 HIGH UNSAFE_DESERIALIZATION", "app.py:10:12 CRITICAL CODE_INJECTION");
    assert!(text.contains(load) && text.contains("[py-yaml-unsafe-load]") && text.contains(exec), "{text}");
    assert!(text.ends_with("1 file(s), 2 finding(s)\n"), "{text}");
    assert_eq!(world.run(&["scan", "--exit-zero"]).ended(0), text);
    assert_eq!(world.run(&["scan", "app.py"]).ended(1), text, "a file is named by itself");
    let worst = world.run(&["scan", "--severity", "critical", "--format", "json"]).json();
    assert_eq!(found(&worst), ["py-eval"]);
    fs::write(world.repo.path().join("app.py"), "print(1)\n").unwrap();
    assert_eq!(world.run(&["scan"]).ended(0), "1 file(s), 0 finding(s)\n");
    let nowhere = world.run(&["scan", "nowhere"]);
    assert!(nowhere.code == 2 && nowhere.err.contains("nowhere: No such file"), "{}", nowhere.err);
}

#[test]
fn colours_are_for_terminals_or_who_asks_for_them() {
    let world = world();
    assert!(!world.run(&["scan"]).out.contains('\u{1b}'), "standard output is no terminal here");
    assert!(world.run(&["scan", "--color", "always"]).out.contains('\u{1b}'));
    assert!(!world.run_with(&["scan", "--color", "never"], &[("CLICOLOR_FORCE", "1")]).out.contains('\u{1b}'));
}

#[test]
fn what_is_left_out_is_told_and_a_long_list_is_cut() {
    let world = world();
    let at = |name: &str| world.repo.path().join(name);
    fs::create_dir(at("vendor")).unwrap();
    for number in 10..35 {
        fs::write(at(&format!("vendor/lib{number}.py")), APP).unwrap();
    }
    fs::write(at(".gitignore"), "build/\n").unwrap();
    fs::create_dir(at("build")).unwrap();
    fs::write(at("build/app.py"), APP).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", at("link.py")).unwrap();
    let text = world.run(&["scan"]).ended(1);
    assert_eq!(text.matches("skipped vendor/lib").count(), 20, "{text}");
    assert!(text.contains("… and 5 more; --format json lists them"), "{text}");
    assert!(!text.contains("link.py") && !text.contains("build/"), "{text}");
    let all = world.run(&["scan", "--no-ignore", "--format", "json"]).json();
    assert_eq!((all["skipped"].as_array().unwrap().len(), found(&all).len()), (25, 4), "{all:#}");
}

/// Who is allowed everything reads it nevertheless; then there is nothing to tell.
#[test]
fn a_folder_that_cannot_be_read_is_named() {
    let world = world();
    let locked = world.repo.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::write(locked.join("other.py"), APP).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    let readable = fs::read_dir(&locked).is_ok();
    let report = world.run(&["scan", "--format", "json"]).json();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o700)).unwrap();
    let skipped = &report["skipped"];
    if readable {
        assert_eq!((skipped.as_array().unwrap().len(), found(&report).len()), (0, 4), "{report:#}");
    } else {
        assert_eq!(skipped[0][0], "locked");
        assert!(skipped[0][1].as_str().unwrap().contains("ermission denied"), "{report:#}");
    }
}
