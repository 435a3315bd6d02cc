//! `memory learn` where one person changed many places alike, or the same code stands in many places.

use codehealer::healer::HistoricalChange;
use codehealer::model::TrackRecord;
use codehealer::ports::FixMemory as _;
use serde_json::Value;

use crate::cli;
use crate::support::git::path;
use crate::support::world::{BAD, GOOD, World};

fn code(function: &str, call: &str) -> String {
    format!("import yaml\n\n\ndef {function}(f):\n    return yaml.{call}(f)\n")
}

fn learned(world: &cli::World, args: &[&str]) -> Value {
    world.run(&[&["memory", "learn", "--format", "json"], args].concat()).json()
}

fn counts(told: &Value) -> (u64, Vec<(String, u64)>) {
    let rule = "py-yaml-unsafe-load";
    let refused = told["refused"][rule].as_object().cloned().unwrap_or_default();
    let refused = refused.into_iter().map(|(reason, count)| (reason, count.as_u64().unwrap())).collect();
    (told["learned"][rule].as_u64().unwrap_or(0), refused)
}

fn remembered(world: &cli::World) -> usize {
    world.run(&["memory", "list", "--format", "json"]).json().as_array().unwrap().len()
}

/// One commit that writes a function into each of some files.
fn commit(world: &cli::World, files: std::ops::Range<usize>, call: &str) {
    let mut change = world.repo.on("main");
    for number in files {
        change = change.file(&format!("f{number}.py"), code(&format!("load{number}"), call));
    }
    change.commit(call);
}

#[test]
fn a_campaign_of_one_commit_teaches_two_fixes_and_the_rest_is_told() {
    let world = cli::World::new();
    commit(&world, 0..7, "load");
    commit(&world, 0..7, "safe_load");
    let (learned, refused) = counts(&learned(&world, &[]));
    let [(reason, count)] = refused.as_slice() else { panic!("{refused:?}") };
    assert_eq!((learned, *count, remembered(&world)), (2, 5, 2));
    assert!(reason.contains("same commit"), "{reason}");
}

#[test]
fn an_author_teaches_five_like_fixes_also_over_several_calls() {
    let world = cli::World::new();
    commit(&world, 0..9, "load");
    for number in 0..4 {
        commit(&world, number..number + 1, "safe_load");
    }
    assert_eq!(counts(&learned(&world, &[])), (4, Vec::new()));
    for number in 4..9 {
        commit(&world, number..number + 1, "safe_load");
    }
    let (fixes, refused) = counts(&learned(&world, &[]));
    assert_eq!((fixes, remembered(&world)), (1, 5), "{refused:?}");
    assert!(refused.iter().all(|(reason, count)| reason.contains("same author") && *count == 4), "{refused:?}");
    // Looked at again, all are judged anew and none is there twice.
    let (fixes, _) = counts(&learned(&world, &["--again"]));
    assert_eq!((fixes, remembered(&world)), (5, 5));
}

#[test]
fn the_same_fix_of_copied_code_is_remembered_once() {
    let world = cli::World::new();
    for file in ["a.py", "copies/a.py", "old/a.py"] {
        world.repo.write(file, code("settings", "load"));
    }
    for file in ["a.py", "copies/a.py", "old/a.py"] {
        world.repo.write(file, code("settings", "safe_load"));
    }
    let (fixes, refused) = counts(&learned(&world, &[]));
    assert_eq!((fixes, remembered(&world)), (1, 1), "{refused:?}");
    assert!(refused.iter().any(|(reason, count)| reason.contains("another place") && *count == 2), "{refused:?}");
}

#[tokio::test]
async fn what_people_said_of_a_fix_survives_learning_it_again() {
    let world = World::new().await;
    let process = world.process();
    let (repository, file) = (world.repository(), path("a.py"));
    let commit = "c".repeat(40);
    let change =
        HistoricalChange { repository: &repository, path: &file, commit: &commit, at: 7, before: BAD, after: GOOD };
    let report = process.worker.healer().learn_change(&change).await.unwrap();
    let [(_, id)] = report.learned.as_slice() else { panic!("{report:?}") };
    let mut fix = world.store.memory().get(id).await.unwrap().unwrap();
    fix.record = TrackRecord { accepted: 2, rejected: 1, reverted: 0 };
    world.store.memory().remember(&fix).await.unwrap();
    process.worker.healer().learn_change(&change).await.unwrap();
    assert_eq!(world.store.memory().get(id).await.unwrap().unwrap().record, fix.record);
}
