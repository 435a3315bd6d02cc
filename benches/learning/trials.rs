//! Memories of older fixes, and the places that were fixed after them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use codehealer::fix::diff;
use codehealer::local::clock::SystemClock;
use codehealer::local::store::{Options as StoreOptions, Store};
use codehealer::model::{RepoPath, sha256_hex};
use codehealer::ports::FixMemory;
use serde_json::json;

use super::Options;
use super::checker::Checker;
use super::lessons::{Lesson, Lessons, detector};
use super::look_up::Pending;

/// Whether a memory may hold fixes of the repository that asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Split {
    /// Older fixes of any repository.
    #[default]
    Time,
    /// Older fixes, of repositories that never ask.
    Repository,
}

/// Repositories in which look-ups are made: what is tuned on one half is told of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    All,
    Development,
    HeldOut,
}

impl Half {
    pub fn named(name: &str) -> Self {
        match name {
            "all" => Self::All,
            "development" => Self::Development,
            "held-out" => Self::HeldOut,
            other => panic!("--half is all, development or held-out, not {other}"),
        }
    }

    fn holds(self, repo: &str) -> bool {
        let held_out = number(&["half", repo]).is_multiple_of(2);
        self == Self::All || held_out == (self == Self::HeldOut)
    }
}

/// What came of one look-up.
#[derive(Debug, Clone, Default)]
pub struct Told {
    pub split: Split,
    pub size: usize,
    pub seed: u64,
    pub id: String,
    pub repo: String,
    pub rule: String,
    /// Remembered fixes of the rule.
    pub known: usize,
    pub proposed: usize,
    /// Of the best verified patch, percent.
    pub confidence: Option<u8>,
    pub scored: Option<Vec<String>>,
    pub supports: f64,
    pub contradictions: f64,
    /// The best patch is the developer's change, or the smallest part of it that heals.
    pub exact: bool,
    pub exact_hunk: bool,
    pub same_shape: bool,
    /// Some verified patch, not necessarily the best, is.
    pub any_exact: bool,
    pub rejected: Vec<String>,
    pub before: String,
    pub developer: String,
    pub chosen: Option<String>,
    /// Embedding, nearest fixes, proposals, and every check of them; not the external scanner.
    pub milliseconds: f64,
}

/// A number that depends on the words alone.
fn number(words: &[&str]) -> u64 {
    let bytes: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    u64::from_str_radix(&sha256_hex(&bytes)[..15], 16).unwrap()
}

pub fn run(lessons: &Lessons, checker: &Checker, options: &Options) -> Vec<Told> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut told = Vec::new();
    for split in [Split::Time, Split::Repository] {
        for size in &options.sizes {
            for seed in 1..=options.seeds {
                let Some((memory, tests)) = choose(&lessons.all, (split, *size, seed), options) else {
                    println!("{split:?} {size}: too few pairs");
                    break;
                };
                eprintln!("{split:?} {size} seed {seed}: {} look-ups", tests.len());
                let store = Store::in_memory(StoreOptions::new(Arc::new(SystemClock))).unwrap().memory();
                for fix in memory.iter().filter_map(|lesson| lesson.taught.fix.as_ref()) {
                    runtime.block_on(store.remember(fix)).expect("the memory takes the fix");
                }
                let pending: Vec<Pending<'_>> =
                    tests.iter().map(|lesson| Pending::begin(&store, runtime.handle(), lesson)).collect();
                let texts: Vec<(&str, String)> = pending.iter().flat_map(Pending::texts).collect();
                checker.ask(&texts.iter().map(|(path, text)| (*path, text.as_str())).collect::<Vec<_>>());
                let detector = detector();
                for one in pending {
                    told.push(Told { split, size: *size, seed, ..one.finish(checker, &detector) });
                }
            }
        }
    }
    told
}

/// The memory and the places: all of the memory is older than every place, and of other commits.
fn choose<'a>(
    lessons: &'a [Lesson],
    (split, size, seed): (Split, usize, u64),
    options: &Options,
) -> Option<(Vec<&'a Lesson>, Vec<&'a Lesson>)> {
    let seed = seed.to_string();
    let asks =
        |lesson: &&&Lesson| split == Split::Time || number(&["side", &seed, &lesson.pair.repo]).is_multiple_of(4);
    let (mut older, rest): (Vec<&Lesson>, Vec<&Lesson>) = match split {
        Split::Time => (lessons.iter().collect(), lessons.iter().collect()),
        Split::Repository => lessons.iter().partition(|lesson| !asks(&lesson)),
    };
    // The memory is drawn from the older three fifths, or from as many as it takes.
    let cut = (older.len() * 3 / 5).max(size);
    let last = older.get(cut.checked_sub(1)?)?.pair.time;
    older.truncate(cut);
    let mut memory = older;
    memory.sort_by_key(|lesson| number(&["memory", &seed, &lesson.pair.id]));
    memory.truncate(size);
    let commits: BTreeSet<&str> = memory.iter().map(|lesson| lesson.pair.commit.as_str()).collect();
    let mut tests: Vec<&Lesson> = rest
        .into_iter()
        .filter(|lesson| lesson.pair.time > last && !commits.contains(lesson.pair.commit.as_str()))
        .filter(|lesson| options.half.holds(&lesson.pair.repo))
        .collect();
    tests.sort_by_key(|lesson| number(&["test", &seed, &lesson.pair.id]));
    tests.truncate(options.tests);
    (memory.len() == size && tests.len() >= 20).then_some((memory, tests))
}

/// Writes every look-up, with the developer's change and the chosen one.
pub fn tell(told: &[Told], path: &Path) {
    let file = RepoPath::new("file").unwrap();
    let mut lines = String::new();
    for one in told {
        let change = |text: &str| diff::unified(&file, &one.before, text);
        let fields: BTreeMap<&str, serde_json::Value> = BTreeMap::from([
            ("split", json!(format!("{:?}", one.split))),
            ("size", json!(one.size)),
            ("seed", json!(one.seed)),
            ("id", json!(one.id)),
            ("repo", json!(one.repo)),
            ("rule", json!(one.rule)),
            ("known", json!(one.known)),
            ("proposed", json!(one.proposed)),
            ("confidence", json!(one.confidence)),
            ("scored", json!(one.scored)),
            ("supports", json!(one.supports)),
            ("contradictions", json!(one.contradictions)),
            ("exact", json!(one.exact)),
            ("any_exact", json!(one.any_exact)),
            ("same_shape", json!(one.same_shape)),
            ("rejected", json!(one.rejected)),
            ("developer", json!(change(&one.developer))),
            ("chosen", json!(one.chosen.as_deref().map(change))),
            ("milliseconds", json!(one.milliseconds)),
        ]);
        lines.push_str(&serde_json::to_string(&fields).unwrap());
        lines.push('\n');
    }
    std::fs::write(path, lines).expect("the look-ups can be told");
}
