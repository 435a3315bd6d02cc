//! `codehealer audit`.

use super::World;

#[test]
fn a_list_is_a_table_and_says_when_there_is_nothing() {
    let world = World::new();
    let empty = world.run(&["audit", "list"]).ended(0);
    assert!(empty.contains("codehealer heal"), "{empty}");
    assert!(!world.state.path().join("codehealer.db").exists(), "asking makes no file");

    let world = World::healed();
    insta::assert_snapshot!(world.redacted(&world.run(&["audit", "list"]).ended(0)));
}

#[test]
fn filters_narrow_the_list() {
    let world = World::healed();
    let count = |filter: &[&str]| {
        let args = [&["audit", "list", "--format", "json"], filter].concat();
        world.run(&args).json()["runs"].as_array().unwrap().len()
    };
    assert_eq!(count(&[]), 2);
    for (filter, expected) in [
        (["--decision", "open"], 1),
        (["--decision", "escalate"], 1),
        (["--decision", "draft"], 0),
        (["--outcome", "escalated"], 1),
        (["--issue-type", "unsafe_deserialization"], 1),
        (["--source", "past-fix"], 1),
        (["--source", "team"], 0),
        (["--repo", "acme/shop"], 2),
        (["--repo", "acme/other"], 0),
        (["--rule", "py-yaml-unsafe-load"], 1),
        (["--since", "1h"], 2),
        (["--since", "2999-01-01"], 0),
        (["--until", "1h"], 0),
        (["--limit", "1"], 1),
    ] {
        assert_eq!(count(&filter), expected, "{filter:?}");
    }
    assert_eq!(count(&["--repo", "acme/shop", "--outcome", "escalated", "--since", "1h"]), 1);
    assert!(world.run(&["audit", "list", "--limit", "1"]).ended(0).contains("there are more"));
    let wrong = world.run(&["audit", "list", "--since", "yesterday"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("7d"), "{}", wrong.err);
}

#[test]
fn the_walk_of_a_proposal_is_told_in_full() {
    let world = World::healed();
    let case = world.case("py-yaml-unsafe-load");
    let told = world.run(&["audit", "show", &case[..8]]).ended(0);
    insta::assert_snapshot!(world.redacted(&told));
    // The branch's name leads to the same.
    let branch = format!("codehealer/py-yaml-unsafe-load-{}-g1", &case[..12]);
    assert_eq!(world.run(&["audit", "show", &branch]).ended(0), told);
}

#[test]
fn the_walk_is_json_for_machines() {
    let world = World::healed();
    let case = world.case("py-yaml-unsafe-load");
    let shown = world.run(&["audit", "show", &case, "--format", "json"]).json();
    let events: Vec<&str> =
        shown["events"].as_array().unwrap().iter().map(|e| e["kind"]["event"].as_str().unwrap()).collect();
    assert_eq!(events.first(), Some(&"detected"));
    assert!(events.contains(&"decided") && events.contains(&"proposed"), "{events:?}");
    assert_eq!(shown["run"]["summary"]["decision"], "open");
    assert_eq!(shown["broken"].as_array().unwrap().len(), 0);
}

#[test]
fn an_unknown_case_or_generation_is_the_callers_mistake() {
    let world = World::healed();
    let case = world.case("py-yaml-unsafe-load");
    for (args, word) in [
        (vec!["audit", "show", "ffffff"], "no case"),
        (vec!["audit", "show", "fff"], "first 6"),
        (vec!["audit", "show", &case, "--generation", "7"], "no generation 7"),
    ] {
        let ran = world.run(&args);
        assert_eq!(ran.code, 2, "{args:?}");
        assert!(ran.err.contains(word), "{}", ran.err);
    }
}

#[test]
fn stats_count_what_the_list_shows() {
    let world = World::healed();
    let stats = world.run(&["audit", "stats", "--format", "json"]).json();
    assert_eq!(stats["runs"], 2);
    assert_eq!(stats["decisions"]["open"], 1);
    assert_eq!(stats["decisions"]["escalate"], 1);
    assert_eq!(stats["rules"]["py-yaml-unsafe-load"], 1);
    insta::assert_snapshot!(world.redacted(&world.run(&["audit", "stats"]).ended(0)));
}

#[test]
fn an_export_has_every_event_with_its_hash() {
    let world = World::healed();
    let lines = world.run(&["audit", "export"]).ended(0);
    let events: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let listed = world.run(&["audit", "list", "--format", "json"]).json();
    let expected: u64 = listed["runs"].as_array().unwrap().iter().map(|run| run["sequence"].as_u64().unwrap()).sum();
    assert_eq!(events.len() as u64, expected);
    assert!(events.iter().all(|event| event["hash"].as_str().unwrap().len() == 64));
    let csv = world.run(&["audit", "export", "--format", "csv"]).ended(0);
    let rows = csv::Reader::from_reader(csv.as_bytes()).records().map(Result::unwrap).count();
    assert_eq!(rows as u64, expected);
    let csv = world.run(&["audit", "list", "--format", "csv"]).ended(0);
    assert_eq!(csv::Reader::from_reader(csv.as_bytes()).records().map(Result::unwrap).count(), 2);
}

#[test]
fn what_is_ignored_is_never_proposed_again_and_the_reason_stays() {
    let world = World::healed();
    let case = world.case("py-yaml-unsafe-load");
    let missing = world.run(&["audit", "ignore", &case, "--finding", "000000000000", "--reason", "x"]);
    assert_eq!(missing.code, 2, "{}", missing.err);
    let ignored = world.run(&["audit", "ignore", &case[..6], "--reason", "only\u{1b}[2J trusted files", "--by", "ann"]);
    assert!(ignored.ended(0).starts_with("1 finding(s)"));
    let told = world.run(&["audit", "show", &case]).ended(0);
    assert!(told.contains("by ann: only [2J trusted files"), "{told}");
    assert!(!told.contains('\u{1b}'));
    world.repo.write("app.py", format!("{}\n# moved on\n", super::APP));
    let again = world.run(&["heal", "--all"]).ended(0);
    assert!(again.contains("only [2J trusted files (ann)"), "{again}");
    assert!(world.run(&["audit", "verify"]).ended(0).contains("as written"));
}

#[test]
fn a_case_with_more_findings_than_one_transaction_holds_is_healed_and_ignored_like_any_other() {
    let world = World::new();
    let functions =
        |body: &str| -> String { (0..40).map(|n| format!("def f{n}(f):\n    return {body}\n\n\n")).collect() };
    world.repo.write("many.py", functions("exec(f)"));
    world.repo.write("load.py", format!("import yaml\n\n\n{}", functions("yaml.load(f)")));
    world.run(&["heal", "--all"]).ended(0);
    let listed = world.run(&["audit", "list", "--format", "json"]).json();
    let states: Vec<&str> = listed["runs"].as_array().unwrap().iter().map(|r| r["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["DONE", "DONE"]);
    let ignored = world.run(&["audit", "ignore", &world.case("py-eval"), "--reason", "generated"]).ended(0);
    assert!(ignored.starts_with("40 finding(s)"), "{ignored}");
    world.run(&["audit", "verify"]).ended(0);
}

#[test]
fn ignoring_one_finding_of_a_case_that_waits_leaves_the_others_to_be_healed() {
    let world = World::new();
    world.repo.write("two.py", "def a(f):\n    return exec(f)\n\n\ndef b(g):\n    return exec(g)\n");
    // Nothing listens on the discard port: the model is down, so the case waits for it.
    world.run(&["heal", "--all", "--model-url", "http://127.0.0.1:9/v1"]).ended(4);
    let case = world.case("py-eval");
    let shown = world.run(&["audit", "show", &case, "--format", "json"]).json();
    let first = shown["findings"][0]["fingerprint"].as_str().unwrap();
    let ignored = world.run(&["audit", "ignore", &case, "--finding", &first[..12], "--reason", "known"]).ended(0);
    assert!(ignored.starts_with("1 finding(s)"), "{ignored}");
    world.run(&["heal", "--all"]).ended(0);
    let shown = world.run(&["audit", "show", &case, "--format", "json"]).json();
    assert_eq!(shown["run"]["generation"], 2);
    let statuses = |of: &str| {
        let findings = shown["findings"].as_array().unwrap();
        findings.iter().filter(|finding| finding["status"] == of).count()
    };
    assert_eq!((statuses("suppressed"), statuses("escalated")), (1, 1), "{shown}");
}

#[test]
fn colours_are_for_terminals_and_for_those_who_ask() {
    let world = World::healed();
    assert!(!world.run(&["audit", "list"]).ended(0).contains('\u{1b}'));
    assert!(world.run(&["audit", "list", "--color", "always"]).ended(0).contains('\u{1b}'));
}

#[test]
fn only_runs_that_failed_begin_anew() {
    let world = World::healed();
    let case = world.case("py-yaml-unsafe-load");
    for args in [vec!["audit", "retry", &case], vec!["audit", "retry", "--failed"]] {
        assert!(world.run(&args).ended(0).contains("no run failed"), "{args:?}");
    }
    for (args, code) in [
        (vec!["audit", "retry"], 2),
        (vec!["audit", "retry", &case, "--failed"], 2),
        (vec!["audit", "retry", &case, "--repo", "x"], 2),
        (vec!["audit", "retry", "ffffff"], 2),
    ] {
        assert_eq!(world.run(&args).code, code, "{args:?}");
    }
    assert!(world.run(&["audit", "verify"]).ended(0).contains("as written"));
}
