//! `codehealer memory`.

use super::World;

const UNSAFE: &str = "import yaml\n\n\ndef settings(f):\n    return yaml.load(f)\n";
const SAFE: &str = "import yaml\n\n\ndef settings(f):\n    return yaml.safe_load(f)\n";

/// A history in which two files were fixed.
fn world() -> World {
    let world = World::new();
    world.repo.write("a.py", UNSAFE);
    world.repo.write("b.py", UNSAFE.replace("settings", "options"));
    world.repo.write("a.py", SAFE);
    world.repo.write("b.py", SAFE.replace("settings", "options"));
    world
}

fn learned(world: &World, args: &[&str]) -> (u64, u64, bool) {
    let args = [&["memory", "learn", "--format", "json"], args].concat();
    let told = world.run(&args).json();
    let fixes = told["learned"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    (told["commits"].as_u64().unwrap(), fixes, told["finished"].as_bool().unwrap())
}

fn count(world: &World, args: &[&str]) -> usize {
    let args = [&["memory", "list", "--format", "json"], args].concat();
    world.run(&args).json().as_array().unwrap().len()
}

#[test]
fn a_second_run_looks_only_at_what_is_new() {
    let world = world();
    assert_eq!(learned(&world, &[]), (4, 2, true));
    assert_eq!(learned(&world, &[]), (0, 0, true));
    world.repo.write("c.py", UNSAFE.replace("settings", "choices"));
    world.repo.write("c.py", SAFE.replace("settings", "choices"));
    assert_eq!(learned(&world, &[]), (2, 1, true));
    assert_eq!(count(&world, &[]), 3);
    assert_eq!(learned(&world, &["--again"]), (6, 3, true));
    assert_eq!(count(&world, &[]), 3, "learning twice changes nothing");
}

#[test]
fn a_limit_is_continued_from_where_it_ended() {
    let world = world();
    assert_eq!(learned(&world, &["--limit-commits", "1"]), (1, 1, false));
    assert_eq!(learned(&world, &["--limit-commits", "1"]), (1, 1, false));
    // What was committed meanwhile is looked at too.
    world.repo.write("c.py", UNSAFE.replace("settings", "choices"));
    world.repo.write("c.py", SAFE.replace("settings", "choices"));
    assert_eq!(learned(&world, &[]), (4, 1, true));
    assert_eq!((count(&world, &[]), learned(&world, &[])), (3, (0, 0, true)));
}

#[test]
fn the_history_can_be_cut_by_revision_and_by_date() {
    let world = world();
    assert_eq!(learned(&world, &["--since", "main~1"]), (1, 1, true));
    // The commits of these tests are of 2023.
    let (_, fixes, _) = learned(&world, &["--again", "--since", "2024-01-01"]);
    assert_eq!(fixes, 0);
    let unknown = world.run(&["memory", "learn", "--since", "no-such-branch"]);
    assert_eq!(unknown.code, 2, "{}", unknown.err);
}

#[test]
fn what_was_learned_is_told_by_rule() {
    let world = world();
    let told = world.run(&["memory", "learn"]).ended(0);
    insta::assert_snapshot!(world.redacted(&told));
    assert_eq!(count(&world, &["--rule", "py-yaml-unsafe-load", "--language", "python", "--provenance", "mined"]), 2);
    assert_eq!(count(&world, &["--provenance", "imported"]), 0);
    assert_eq!(count(&world, &["--language", "go"]), 0);
    assert_eq!(count(&world, &["--repo", "acme/shop"]), 2);
}

#[test]
fn one_fix_shows_its_change_and_can_be_forgotten() {
    let world = world();
    world.run(&["memory", "learn", "--limit-commits", "1"]).ended(0);
    let listed = world.run(&["memory", "list", "--format", "json"]).json();
    let id = listed[0]["id"].as_str().unwrap().to_owned();
    insta::assert_snapshot!(world.redacted(&world.run(&["memory", "show", &id[..8]]).ended(0)));
    assert_eq!(world.run(&["memory", "show", "ffffffff"]).code, 2);
    world.run(&["memory", "forget", &id[..8]]).ended(0);
    assert_eq!(count(&world, &[]), 0);
    assert_eq!(world.run(&["memory", "forget", &id]).code, 2);
}

#[test]
fn an_export_can_be_imported_elsewhere_but_counts_for_nothing_there() {
    let world = world();
    world.run(&["memory", "learn"]).ended(0);
    let export = world.run(&["memory", "list", "--format", "json"]).ended(0);
    let elsewhere = World::new();
    let file = elsewhere.state.path().join("fixes.json");
    // A broken line and one of a later version among good ones.
    let broken = export.replacen("[\n", "[\n{\"id\": 1},\n{\"schema\": 99},\n", 1);
    std::fs::write(&file, broken).unwrap();
    let ran = elsewhere.run(&["memory", "import", &file.to_string_lossy()]);
    assert!(ran.err.contains("line 2: ") && ran.err.contains("line 3: it has schema 99"), "{}", ran.err);
    assert_eq!(ran.ended(1), "2 fix(es) imported, 0 known already, 2 refused\n");
    let listed = elsewhere.run(&["memory", "list", "--format", "json"]).json();
    assert!(listed.as_array().unwrap().iter().all(|fix| fix["provenance"]["kind"] == "imported"), "{listed}");
    // What was learned here is not replaced by what a file says of it.
    std::fs::write(&file, export).unwrap();
    let back = world.run(&["memory", "import", &file.to_string_lossy()]).ended(0);
    assert_eq!(back, "0 fix(es) imported, 2 known already, 0 refused\n");
}

#[test]
fn a_folder_that_is_no_repository_and_one_without_commits_say_what_to_do() {
    let world = World::new();
    let empty = world.run(&["memory", "learn"]);
    assert_eq!(empty.code, 2);
    assert!(empty.err.contains("no commit yet"), "{}", empty.err);
    let nowhere = world.run(&["memory", "learn", &world.state.path().to_string_lossy()]);
    assert_eq!(nowhere.code, 2);
    assert!(nowhere.err.contains("not inside a git repository"), "{}", nowhere.err);
}
