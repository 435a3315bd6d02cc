//! `codehealer replay`: a made-up history whose every end is known, run through the program.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cli::World;

fn code(function: &str, call: &str) -> String {
    format!("import json\n\nimport yaml\n\n\ndef {function}(f):\n    return {call}(f)\n")
}

/// Fixes of before, then seven pushes: four problems come in, three of them are ended by people in different ways.
fn world() -> World {
    let world = World::new();
    let write = |file: &str, call: &str| world.repo.write(file, code(file.strip_suffix(".py").unwrap(), call));
    write("old.py", "yaml.load");
    write("old.py", "yaml.safe_load");
    write("same.py", "yaml.load");
    write("same.py", "yaml.safe_load");
    write("other.py", "yaml.load");
    write("other.py", "json.load");
    write("gone.py", "yaml.load");
    world.repo.on("main").remove("gone.py").commit("move on");
    write("stands.py", "yaml.load");
    world
}

fn ends(told: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    told["proposals"].as_array().unwrap().iter().map(|p| (text(&p["path"]), text(&p["later"]))).collect()
}

fn expected(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(path, later)| ((*path).to_owned(), (*later).to_owned())).collect()
}

#[test]
fn each_proposal_meets_what_people_later_did_to_its_place() {
    let world = world();
    let told = world.run(&["replay", "--last", "7", "--json"]).json();
    let all = [("same.py", "same"), ("other.py", "differently"), ("gone.py", "elsewhere"), ("stands.py", "standing")];
    assert_eq!(ends(&told), expected(&all), "{told:#}");
    let open = &told["tiers"]["open"];
    assert_eq!((&open["proposals"], &open["precision"]), (&4.into(), &0.5.into()), "{open}");
    assert_eq!((&told["pushes"], &told["merges"], &told["finished"]), (&7.into(), &0.into(), &true.into()));
    assert_eq!((&told["saved"]["by_curated"], &told["saved"]["model_calls"]), (&4.into(), &0.into()));
    let diff = told["proposals"][0]["diff"].as_str().unwrap();
    assert!(diff.contains("-    return yaml.load(f)\n+    return yaml.safe_load(f)\n"), "{diff}");
    // What happens before the window is not replayed, and is what memory begins with.
    assert_eq!(told["learned_before"], 1);
    assert!(told["learned_on_the_way"].as_u64().unwrap() >= 1, "{told:#}");
    let text = world.run(&["replay", "--last", "7"]).ended(0);
    assert!(
        text.contains("7 push(es) to main of acme/shop") && text.contains("people did something else here"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "no colours where nobody sees them");
}

#[test]
fn what_stood_before_is_healed_too_when_asked() {
    let world = world();
    let told = world.run(&["replay", "--last", "6", "--json"]).json();
    let later = [("other.py", "differently"), ("gone.py", "elsewhere"), ("stands.py", "standing")];
    assert_eq!(ends(&told), expected(&later), "{told:#}");
    let told = world.run(&["replay", "--last", "6", "--standing", "--json"]).json();
    let with = [&later[..], &[("same.py", "same")]].concat();
    assert_eq!(ends(&told), expected(&with), "{told:#}");
}

#[test]
fn nothing_is_written_anywhere() {
    let world = world();
    let before = world.repo.references();
    world.run(&["replay", "--last", "9", "--standing"]).ended(0);
    assert_eq!(world.repo.references(), before);
    let left: Vec<_> = std::fs::read_dir(world.state.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
    // Nor is anything of it remembered where there is a state already.
    world.run(&["memory", "learn", "--limit-commits", "1"]).ended(0);
    let remembered = world.run(&["memory", "list", "--format", "json"]).ended(0);
    world.run(&["replay", "--last", "7"]).ended(0);
    assert_eq!(world.run(&["memory", "list", "--format", "json"]).ended(0), remembered);
    assert!(world.run(&["audit", "list"]).ended(0).contains("no run is recorded"));
}

#[test]
fn a_merge_is_one_push_with_all_that_it_brought() {
    let world = World::new();
    world.repo.write("README.md", "a shop\n");
    let begin = world.repo.tip("main").unwrap();
    world.repo.point("feature", &begin);
    world.repo.on("feature").file("a.py", code("a", "yaml.load")).commit("one");
    world.repo.on("feature").file("b.py", code("b", "yaml.load")).commit("two");
    world.repo.merge("feature", "main");
    let told = world.run(&["replay", "--last", "5", "--json"]).json();
    assert_eq!((&told["pushes"], &told["merges"], &told["asked"]), (&1.into(), &1.into(), &1.into()), "{told:#}");
    assert_eq!(ends(&told), expected(&[("a.py", "standing"), ("b.py", "standing")]));
    let of_branch = world.run(&["replay", "--branch", "feature", "--last", "1", "--json"]).json();
    assert_eq!(ends(&of_branch), expected(&[("b.py", "standing")]), "{of_branch:#}");
}

#[test]
fn what_cannot_be_replayed_says_what_to_do() {
    let world = World::new();
    let empty = world.run(&["replay"]);
    assert!(empty.code == 2 && empty.err.contains("no commit yet"), "{}", empty.err);
    world.repo.write("README.md", "a shop\n");
    let one = world.run(&["replay"]);
    assert!(one.code == 2 && one.err.contains("only one commit"), "{}", one.err);
    let unknown = world.run(&["replay", "--branch", "no-such"]);
    assert!(unknown.code == 2 && unknown.err.contains("git branch"), "{}", unknown.err);
    assert_eq!(world.run(&["replay", "--last", "0"]).code, 2);
}
