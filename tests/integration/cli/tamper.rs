//! What `audit verify` finds when somebody writes into the state file by hand.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::Value;

use super::{World, run_in};

/// A case whose first event is too large to stand in its own row.
fn world() -> World {
    let world = World::new();
    let lines: String =
        (0..900).map(|line| format!("line {line:04} of a document that somebody pasted here\n")).collect();
    world.repo.write("big.py", format!("import yaml\n\nDATA = yaml.load(HEAD + \"\"\"\n{lines}\"\"\")\n"));
    world.repo.write("app.py", super::APP);
    world.run(&["heal", "--all"]).ended(0);
    world
}

/// Alters a copy of the state file with SQL and asks `audit verify` about it.
fn after(world: &World, sql: &str) -> (i32, String) {
    let copy = tempfile::tempdir().unwrap();
    let file: PathBuf = copy.path().join("codehealer.db");
    std::fs::copy(world.state.path().join("codehealer.db"), &file).unwrap();
    let changed = Connection::open(&file).unwrap().execute(sql, []).unwrap();
    assert!(changed > 0, "the test itself changed nothing: {sql}");
    verify(world, copy.path())
}

fn verify(world: &World, state: &Path) -> (i32, String) {
    let ran = run_in(world.repo.path(), state, &["audit", "verify", "--format", "json"], &[]);
    let found: Value = ran.json();
    let problems = found["broken"].as_array().unwrap().iter().map(|trail| {
        let problems: Vec<&str> = trail["problems"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
        format!("{}: {}", trail["trail"].as_str().unwrap(), problems.join("; "))
    });
    (ran.code, problems.collect::<Vec<_>>().join("\n"))
}

/// The row of an event of a case.
fn row(case: &str, sequence: &str) -> String {
    format!("pk = 'CASE#{case}' AND sk = 'G000001#EVT#{sequence}'")
}

#[test]
fn a_record_that_nobody_touched_is_whole() {
    let world = world();
    assert_eq!(verify(&world, world.state.path()), (0, String::new()));
}

#[test]
fn an_altered_event_is_named() {
    let world = world();
    let case = world.case("py-yaml-unsafe-load");
    let app = row(&case, "00000002");
    for sql in [
        format!("UPDATE items SET fields = json_set(fields, '$.at', 12345) WHERE {app}"),
        format!("UPDATE items SET fields = json_set(fields, '$.kind.millis', 999999) WHERE {app}"),
        format!("UPDATE items SET fields = json_set(fields, '$.sequence', 3) WHERE {app}"),
        format!("UPDATE items SET fields = '{{}}' WHERE {app}"),
    ] {
        let (code, problems) = after(&world, &sql);
        assert_eq!(code, 1, "{sql}");
        assert!(problems.contains(&format!("case {case} generation 1: event 2")), "{sql}: {problems}");
        assert_eq!(problems.lines().count(), 1, "{problems}");
    }
}

#[test]
fn a_removed_event_is_named_also_the_last_one() {
    let world = world();
    let case = world.case("py-yaml-unsafe-load");
    let listed = world.run(&["audit", "show", &case, "--format", "json"]).json();
    let last = listed["run"]["sequence"].as_u64().unwrap() - 1;
    for sequence in [0, 3, last] {
        let (code, problems) =
            after(&world, &format!("DELETE FROM items WHERE {}", row(&case, &format!("{sequence:08}"))));
        assert_eq!(code, 1);
        assert!(problems.contains(&format!("case {case} generation 1: event {sequence} is missing")), "{problems}");
    }
}

#[test]
fn a_detail_that_was_altered_or_removed_is_named_with_its_event() {
    let world = world();
    let (code, problems) = after(&world, "DELETE FROM items WHERE sk LIKE 'DET#%'");
    assert_eq!(code, 1);
    assert!(problems.contains("cannot be believed: its detail"), "{problems}");
    let altered = "UPDATE items SET fields = replace(fields, 'line 0007', 'line 0008') WHERE sk LIKE 'DET#%'";
    let (code, problems) = after(&world, altered);
    assert_eq!(code, 1);
    assert!(problems.contains(" was altered: its content"), "{problems}");
}

#[test]
fn a_head_that_was_altered_or_removed_is_named() {
    let world = world();
    let case = world.case("py-yaml-unsafe-load");
    let head = format!("pk = 'CASE#{case}' AND sk = 'G000001#STATE'");
    for (sql, word) in [
        (format!("DELETE FROM items WHERE {head}"), "head STATE is missing"),
        (format!("UPDATE items SET fields = json_set(fields, '$.sequence', 4) WHERE {head}"), "the head was altered"),
        (format!("UPDATE items SET fields = json_set(fields, '$.head_hash', 'x') WHERE {head}"), "was altered"),
        (
            format!("UPDATE items SET fields = json_set(fields, '$.summary.decision', 'draft') WHERE {head}"),
            "its decision",
        ),
        (
            format!("UPDATE items SET fields = json_set(fields, '$.summary.outcome', 'merged') WHERE {head}"),
            "its outcome",
        ),
        (format!("UPDATE items SET fields = json_set(fields, '$.state', 'FAILED') WHERE {head}"), "its state"),
        (format!("DELETE FROM items WHERE pk = 'CASE#{case}' AND sk = 'CURRENT'"), "CURRENT is missing"),
    ] {
        let (code, problems) = after(&world, &sql);
        assert_eq!(code, 1, "{sql}");
        assert!(problems.contains(&case) && problems.contains(word), "{sql}: {problems}");
    }
}

#[test]
fn a_text_for_people_says_it_too() {
    let world = world();
    let case = world.case("py-yaml-unsafe-load");
    let file = world.state.path().join("codehealer.db");
    Connection::open(&file)
        .unwrap()
        .execute(&format!("DELETE FROM items WHERE {}", row(&case, "00000003")), [])
        .unwrap();
    let told = world.run(&["audit", "verify", &case[..6]]).ended(1);
    assert!(told.contains("event 3 is missing") && told.contains("1 trail(s) are NOT as written"), "{told}");
    let shown = world.run(&["audit", "show", &case]).ended(1);
    assert!(shown.contains("NOT AS WRITTEN"), "{shown}");
}
