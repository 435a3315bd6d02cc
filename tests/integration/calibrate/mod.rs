//! `codehealer calibrate`: every decision meets what people made of it, on both stores and through the program.

use std::collections::BTreeSet;

use codehealer::healer::audit::{self, Filter};
use codehealer::model::{RuleId, Thresholds};
use codehealer::report::calibration::{Calibration, Fate, svg};

use crate::support::stores::{Storage, on_both_stores};
use crate::support::world::{BAD, GOOD, UNKNOWN, World};

mod program;

on_both_stores! {
    every_decision_meets_its_outcome,
    ignoring_a_finding_takes_back_nothing_of_what_was_said_of_its_edit,
}

/// Pushes a file and waits until it was dealt with; returns the branch of its newest run.
async fn dealt_with(world: &World, file: &str, text: &str) -> String {
    world.pushed(file, text).await;
    world.settle().await;
    let runs = world.runs().await;
    let run = runs.iter().rev().find(|run| run.summary.path.as_str() == file).unwrap();
    run.case.branch(&run.summary.rule, run.generation)
}

async fn every_decision_meets_its_outcome(at: Storage) {
    let world = at.world().await;
    let merged = dealt_with(&world, "merged.py", BAD).await;
    world.git.merge(&merged, "develop");
    world.settle().await;
    let amended = dealt_with(&world, "amended.py", BAD).await;
    world.git.on(&amended).file("amended.py", GOOD.replace("safe_load(f)", "safe_load(f) or {}")).commit("or nothing");
    world.git.merge(&amended, "develop");
    world.settle().await;
    let closed = dealt_with(&world, "closed.py", BAD).await;
    world.git.delete_branch(&closed);
    world.settle().await;
    let reverted = dealt_with(&world, "reverted.py", BAD).await;
    world.git.merge(&reverted, "develop");
    world.settle().await;
    dealt_with(&world, "reverted.py", BAD).await;
    dealt_with(&world, "open.py", BAD).await;
    dealt_with(&world, "told.py", UNKNOWN).await;

    let judged = audit::judged(&*world.state, &Filter::default()).await.unwrap();
    let told: BTreeSet<_> = judged.iter().map(|of| (of.path.as_str(), of.generation.0, of.fate)).collect();
    let expected = BTreeSet::from([
        ("merged.py", 1, Fate::Merged),
        ("amended.py", 1, Fate::Amended),
        ("closed.py", 1, Fate::Closed),
        ("reverted.py", 1, Fate::Reverted),
        // What was undone is not proposed again: a person is told.
        ("reverted.py", 2, Fate::Escalated),
        ("open.py", 1, Fate::Open),
        ("told.py", 1, Fate::Escalated),
    ]);
    assert_eq!((told, judged.len()), (expected, 7));

    let calibration = Calibration::of(&judged, false);
    assert_eq!((calibration.all.outcomes, calibration.all.right, calibration.without_outcome()), (4, 2, 3));
    assert_eq!(Calibration::of(&judged, true).all.right, 1);
    assert!(!calibration.sound, "four outcomes are not many");
    assert_eq!(calibration.by_repository.keys().collect::<Vec<_>>(), ["acme/shop"]);
    let picture = svg::picture(&calibration, Thresholds::default());
    assert!(picture.contains("2 of 4 judged proposals were merged"), "{picture}");

    let rule = |id: &str| Filter { rule: Some(RuleId::new(id).unwrap()), ..Filter::default() };
    let of_rule = audit::judged(&*world.state, &rule("py-yaml-unsafe-load")).await.unwrap();
    assert_eq!(of_rule.len(), 6, "a filter holds");
}

async fn ignoring_a_finding_takes_back_nothing_of_what_was_said_of_its_edit(at: Storage) {
    let world = at.world().await;
    let branch = dealt_with(&world, "a.py", BAD).await;
    let fate = async || {
        let judged = audit::judged(&*world.state, &Filter::default()).await.unwrap();
        judged.iter().map(|of| of.fate).collect::<Vec<_>>()
    };
    assert_eq!(fate().await, [Fate::Open]);
    world.git.delete_branch(&branch);
    world.settle().await;
    assert_eq!(fate().await, [Fate::Closed]);
    let run = world.run().await;
    let ignored = world.process().worker.healer().ignore(&run.case, None, "ann", "generated").await.unwrap();
    assert_eq!((ignored, fate().await), (1, vec![Fate::Closed]));
}
