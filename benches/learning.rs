//! How well learned fixes fit places that they have not seen: `cargo bench --bench learning -- --pairs FILE --checker COMMAND`.
//!
//! The pairs are fixes that developers made, one a line (see [`pairs`]); they are other people's code and stay outside the
//! project. The checker is any command that scans the folder it is started in and prints SARIF 2.1.0, as `--verify-command`
//! takes it. A memory of N older fixes meets places that were fixed later in other commits; what it proposes is what the
//! product proposes, verifies and scores: nothing of that is done here. `scripts/bench_learning.py` runs all of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[path = "learning/checker.rs"]
mod checker;
#[path = "learning/figures.rs"]
mod figures;
#[path = "learning/lessons.rs"]
mod lessons;
#[path = "learning/look_up.rs"]
mod look_up;
#[path = "learning/pairs.rs"]
mod pairs;
#[path = "learning/processor.rs"]
mod processor;
#[path = "learning/trials.rs"]
mod trials;

use std::path::PathBuf;

use checker::Checker;
use lessons::Lessons;

/// What the command line says.
pub struct Options {
    pub pairs: PathBuf,
    pub checker: String,
    /// What the checker said of each text, kept between runs.
    pub cache: PathBuf,
    /// What was learned, kept between runs; only sound while the learning code stays as it is.
    pub lessons: Option<PathBuf>,
    /// Where each look-up is told in full.
    pub told: Option<PathBuf>,
    pub sizes: Vec<usize>,
    pub seeds: u64,
    /// Look-ups of one memory at most.
    pub tests: usize,
    /// Repositories in which look-ups are made.
    pub half: trials::Half,
}

impl Options {
    fn read() -> Self {
        let given: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
        let value = |name: &str| given.iter().position(|a| a == name).and_then(|at| given.get(at + 1)).cloned();
        let needed = |name: &str| value(name).unwrap_or_else(|| panic!("{name} is missing"));
        let sizes = value("--sizes").unwrap_or_else(|| "10,30,100,300,1000".to_owned());
        Self {
            pairs: needed("--pairs").into(),
            checker: needed("--checker"),
            cache: needed("--cache").into(),
            lessons: value("--lessons").map(PathBuf::from),
            told: value("--told").map(PathBuf::from),
            sizes: sizes.split(',').map(|size| size.parse().expect("a size is a number")).collect(),
            seeds: value("--seeds").map_or(3, |n| n.parse().expect("--seeds is a number")),
            tests: value("--tests").map_or(150, |n| n.parse().expect("--tests is a number")),
            half: trials::Half::named(&value("--half").unwrap_or_else(|| "all".to_owned())),
        }
    }
}

fn main() {
    let options = Options::read();
    let pairs = pairs::read(&options.pairs);
    println!("{} pairs of {} repositories", pairs.len(), pairs::repositories(&pairs).len());
    let checker = Checker::new(&options.checker, &options.cache);
    let lessons = Lessons::learn(pairs, &checker, options.lessons.as_deref());
    lessons.report();
    let told = trials::run(&lessons, &checker, &options);
    figures::report(&told);
    checker.report();
    if let Some(path) = &options.told {
        trials::tell(&told, path);
    }
}
