//! R3: thousands of schedules, each drawn from its seed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use codehealer::aws::dynamodb::DynamoState;
use codehealer::ports::State;
use uuid::Uuid;

use super::play::{Outcome, play, play_on};
use super::stage::Removed;
use crate::aws::aws;
use crate::support::clock::VirtualClock;
use crate::support::servers;

/// Schedules that a plain test run plays.
const SCHEDULES: u64 = 200;

/// Schedules that a plain test run plays on DynamoDB, where each takes seconds.
const ON_DYNAMODB: u64 = 4;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// How to see one schedule again.
fn again(seed: u64) -> String {
    format!("CODEHEALER_SEED={seed} CODEHEALER_SCHEDULES=1 make test ARGS='--test integration schedules::seeds'")
}

fn fail(seed: u64, outcome: &Outcome) -> ! {
    let trace = outcome.trace.join("\n");
    panic!("{trace}\n\nseed {seed} ends wrong:\n{}\n\n{}", outcome.violations.join("\n"), again(seed));
}

/// Plays the seeds on as many threads as there are processors, and hands each outcome to `look`.
pub fn play_all(seeds: std::ops::Range<u64>, removed: Removed, look: impl Fn(u64, &Outcome) -> bool + Sync) {
    play_each(seeds, |seed| look(seed, &play(seed, removed)));
}

fn play_each(seeds: std::ops::Range<u64>, goes_on: impl Fn(u64) -> bool + Sync) {
    let next = AtomicU64::new(seeds.start);
    let threads = thread::available_parallelism().map_or(2, usize::from).min(8);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end || !goes_on(seed) {
                        next.store(seeds.end, Ordering::SeqCst);
                        return;
                    }
                }
            });
        }
    });
}

#[test]
fn whatever_strikes_nothing_is_lost_doubled_or_unaudited() {
    let first = number("CODEHEALER_SEED").unwrap_or(0);
    let count = number("CODEHEALER_SCHEDULES").unwrap_or(SCHEDULES);
    let wrong: Mutex<BTreeMap<u64, Outcome>> = Mutex::default();
    let kinds: Mutex<BTreeMap<String, usize>> = Mutex::default();
    let faults = AtomicU64::new(0);
    play_all(first..first + count, Removed::Nothing, |seed, outcome| {
        faults.fetch_add(outcome.faults as u64, Ordering::SeqCst);
        for (kind, times) in &outcome.kinds {
            *kinds.lock().unwrap().entry(kind.clone()).or_default() += times;
        }
        assert!(outcome.faults >= 2, "seed {seed}: only {} faults struck", outcome.faults);
        if !outcome.violations.is_empty() {
            wrong.lock().unwrap().insert(seed, play(seed, Removed::Nothing));
        }
        wrong.lock().unwrap().len() < 20
    });
    println!(
        "{count} schedules from seed {first}, {} faults: {:?}\nOne again: {}",
        faults.into_inner(),
        kinds.into_inner().unwrap(),
        again(first)
    );
    let wrong = wrong.into_inner().unwrap();
    for (seed, outcome) in &wrong {
        println!("seed {seed}: {}", outcome.violations.join(" | "));
    }
    if let Some((seed, outcome)) = wrong.first_key_value() {
        fail(*seed, outcome);
    }
}

#[test]
fn the_same_seed_plays_the_same_schedule() {
    for seed in 0..12 {
        let (one, other) = (play(seed, Removed::Nothing), play(seed, Removed::Nothing));
        assert!(one.trace.len() > 50, "seed {seed} is hardly a schedule: {:?}", one.trace);
        for (line, (a, b)) in one.trace.iter().zip(&other.trace).enumerate() {
            assert_eq!(a, b, "seed {seed}, line {line}");
        }
        assert_eq!(one.trace.len(), other.trace.len(), "seed {seed}");
    }
    assert_ne!(play(0, Removed::Nothing).trace, play(1, Removed::Nothing).trace);
}

/// The same schedules while the state is in DynamoDB. Its server has a time of its own, so they do not repeat to the letter.
#[test]
fn whatever_strikes_dynamodb_holds_it_too() {
    let first = number("CODEHEALER_SEED").unwrap_or(0);
    let count = number("CODEHEALER_SCHEDULES_ON_DYNAMODB").unwrap_or(ON_DYNAMODB);
    play_each(first..first + count, |seed| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let outcome = runtime.block_on(async {
            let (clock, name) = (VirtualClock::new(), format!("codehealer-{}", Uuid::new_v4().simple()));
            let table = DynamoState::new(aws(&servers::dynamodb().await), name, clock.clone());
            table.create_table().await.unwrap();
            play_on(seed, Removed::Nothing, clock, Some(Arc::new(table) as Arc<dyn State>)).await
        });
        assert!(outcome.faults >= 2, "seed {seed}: only {} faults struck", outcome.faults);
        if !outcome.violations.is_empty() {
            fail(seed, &outcome);
        }
        true
    });
    println!("{count} schedules on DynamoDB from seed {first}");
}
