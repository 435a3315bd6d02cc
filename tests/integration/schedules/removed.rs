//! R4: each safeguard is taken away in turn, by decorators and by how the test is wired. Some schedule then goes wrong: the checks
//! see what the safeguard is for.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::play::play;
use super::seeds::play_all;
use super::stage::Removed;

/// Schedules that are tried at most.
const SCHEDULES: u64 = 400;

/// Plays until one goes wrong, and says what went wrong. The same schedule goes well with everything in place.
fn caught(removed: Removed) -> String {
    let wrong: Mutex<BTreeMap<u64, String>> = Mutex::default();
    play_all(0..SCHEDULES, removed, |seed, outcome| {
        let first = outcome.violations.first();
        if let Some(violation) = first {
            wrong.lock().unwrap().insert(seed, violation.clone());
        }
        first.is_none()
    });
    let wrong = wrong.into_inner().unwrap();
    let (seed, violation) = wrong.first_key_value().unwrap_or_else(|| panic!("{removed:?} is missed by nobody"));
    let whole = play(*seed, Removed::Nothing);
    assert_eq!(whole.violations, Vec::<String>::new(), "seed {seed} goes wrong with everything in place");
    format!("without {removed:?}, seed {seed}: {violation}")
}

#[test]
fn without_the_fence_a_stale_worker_is_caught() {
    println!("{}", caught(Removed::Fence));
}

#[test]
fn without_the_reconciler_what_was_lost_stays_lost() {
    let violation = caught(Removed::Reconciler);
    println!("{violation}");
    assert!(!violation.contains("twice"), "{violation}");
}

#[test]
fn without_the_level_trigger_a_lost_delivery_loses_its_bugs() {
    println!("{}", caught(Removed::LevelTrigger));
}

#[test]
fn without_the_natural_name_a_branch_is_made_twice() {
    let violation = caught(Removed::NaturalName);
    println!("{violation}");
    assert!(violation.contains("branch"), "{violation}");
}
