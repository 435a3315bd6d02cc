//! Fuzzing, from the parser to findings, curated and learned fixes and their verification: no panic, no hang, and no edit outside of
//! the finding's surroundings, whatever a file holds.
//!
//! `make fuzz` runs it for minutes a language. A short run of fixed inputs is part of every test run. All inputs follow from a seed:
//! the same seed tries the same inputs, and each input can be tried alone.

mod corpus;
mod mutate;
mod pipeline;
mod random;
mod runner;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use codehealer::detect::{Detector, Limits, RuleSet};
use codehealer::model::{Edit, Finding, Language, RepoPath, RepositoryId, Span};

use corpus::Corpus;
use pipeline::{Input, Pipeline, Tally};
use runner::{Failure, Plan, Subject, Until};

/// Inputs of each language in a test run.
const A_FEW: u64 = 24;
/// A busy machine must not look like a hang.
const PATIENCE: Duration = Duration::from_secs(300);

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fuzz").join(name)
}

fn subject() -> Arc<Subject> {
    let pipeline = Pipeline::new();
    Arc::new(move |input: &Input| pipeline.run(input))
}

fn corpus(language: Language) -> Arc<Corpus> {
    Arc::new(Corpus::of(language, &RuleSet::built_in()))
}

#[test]
fn a_few_inputs_of_each_language_end_without_a_panic_and_edit_only_where_something_was_found() {
    let (subject, mut all) = (subject(), Tally::default());
    for language in Language::ALL {
        let plan = Plan { seed: 1, until: Until::Inputs(A_FEW), folder: folder("few"), patience: PATIENCE };
        let tally = runner::run(corpus(language), &plan, Arc::clone(&subject));
        let tally = tally.unwrap_or_else(|failure| panic!("{language}: {failure}"));
        assert_eq!(tally.inputs, A_FEW, "{language}");
        assert!(tally.findings > 0, "{language}: nothing is found in what is made of its cases");
        all.add(tally);
    }
    assert!(all.curated_verified > 20 && all.learned > 5, "too little comes to be verified: {all:?}");
}

/// The long run of `make fuzz`; what it does is told by the environment.
#[test]
#[ignore = "takes minutes a language: make fuzz"]
fn fuzz() {
    let told = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let subject = subject();
    if let Some(file) = told("FUZZ_INPUT") {
        let input = runner::kept(&PathBuf::from(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let name = format!("fuzz {}", input.path);
        let again = move || runner::one(&subject, &input);
        let thread = std::thread::Builder::new().name(name).spawn(again).expect("a thread can be had");
        println!("{:?}", thread.join().expect("panics are caught").unwrap_or_else(|what| panic!("{file}: {what}")));
        return;
    }
    let number = |name: &str, usual: u64| told(name).map_or(usual, |value| value.parse().expect("a number"));
    let (seed, minutes) = (number("FUZZ_SEED", 1), number("FUZZ_MINUTES", 10));
    let named = told("FUZZ_LANGUAGES");
    let wanted = |language: &Language| {
        named.as_ref().is_none_or(|named| named.split(',').any(|name| name.trim() == language.to_string()))
    };
    let languages: Vec<Language> = Language::ALL.into_iter().filter(wanted).collect();
    assert!(!languages.is_empty(), "{named:?} names none of {:?}", Language::ALL.map(|one| one.to_string()));
    let failures = in_parallel(&languages, (seed, Duration::from_secs(60 * minutes)), &subject);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// One language a processor; gives back what went wrong.
#[allow(clippy::print_stdout)] // Somebody waits for it.
fn in_parallel(languages: &[Language], (seed, time): (u64, Duration), subject: &Arc<Subject>) -> Vec<String> {
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(languages.len());
    println!("seed {seed}, {} languages, {} s each, {threads} at a time", languages.len(), time.as_secs());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(language) = languages.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let plan = Plan { seed, until: Until::Elapsed(time), folder: folder("long"), patience: PATIENCE };
                    let begun = Instant::now();
                    match runner::run(corpus(*language), &plan, Arc::clone(subject)) {
                        Ok(tally) => println!("{language:10} {:5} s  {tally:?}", begun.elapsed().as_secs()),
                        Err(failure) => {
                            println!("{language:10} FAILED: {failure}");
                            failures.lock().expect("nobody panics here").push(format!("{language}: {failure}"));
                        }
                    }
                }
            });
        }
    });
    failures.into_inner().expect("nobody panics here")
}

fn planted(name: &str, patience: Duration, subject: Arc<Subject>) -> Failure {
    let plan = Plan { seed: 7, until: Until::Inputs(50), folder: folder(name), patience };
    runner::run(corpus(Language::Python), &plan, subject).expect_err("it is noticed")
}

#[test]
fn a_panic_is_noticed_also_on_a_thread_that_is_caught_and_its_input_kept() {
    let deep = |input: &Input| {
        // As the product does: the thread is named after its parent, and its panic goes no further.
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        let number = input.number;
        let work = move || assert!(number != 9, "planted");
        drop(std::thread::Builder::new().name(name).spawn(work).expect("a thread can be had").join());
        Ok(Tally::default())
    };
    let failure = planted("deep", PATIENCE, Arc::new(deep));
    assert!(failure.what.contains("input 9 of seed 7: panic") && failure.what.contains("planted"), "{failure}");
    let kept = runner::kept(&failure.file).expect("it was kept");
    assert_eq!(Language::of(&kept.path), Some(Language::Python));
    assert!(failure.to_string().contains("make fuzz INPUT="));

    let here = |input: &Input| if input.number == 3 { panic!("planted") } else { Ok(Tally::default()) };
    assert!(planted("here", PATIENCE, Arc::new(here)).what.contains("input 3 of seed 7: panic"));
}

#[test]
fn an_endless_loop_is_noticed_and_its_input_named() {
    let stop = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&stop);
    let hangs = move |input: &Input| {
        while input.number == 0 && !until.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Tally::default())
    };
    let failure = planted("endless", Duration::from_millis(200), Arc::new(hangs));
    stop.store(true, Ordering::Relaxed);
    assert!(failure.what.contains("input 0 of seed 7 takes longer"), "{failure}");
}

#[test]
fn the_same_seed_makes_the_same_inputs() {
    let corpus = corpus(Language::Go);
    let make = |seed: u64| -> Vec<(String, Vec<u8>)> {
        (0..40).map(|number| mutate::input(&corpus, &mut random::Random::new(seed, "go", number))).collect()
    };
    assert_eq!(make(5), make(5));
    assert_ne!(make(5), make(6));
    let distinct: std::collections::BTreeSet<_> = make(5).into_iter().collect();
    assert!(distinct.len() > 30, "only {} of 40 inputs differ", distinct.len());
}

#[test]
fn an_edit_outside_of_where_the_finding_stands_is_noticed() {
    let text = "import yaml\n\n\ndef first(f):\n    return yaml.load(f)\n\n\ndef second(f):\n    return f\n";
    let path = RepoPath::new("a.py").expect("a path");
    let detector = Detector::new(RuleSet::built_in(), Limits::default());
    let found = detector.scan(&RepositoryId("1".to_owned()), &path, text.as_bytes()).findings;
    let finding: &Finding = found.first().expect("yaml.load is found");
    let edit = |code: &str, by: &str| {
        let start = text.find(code).expect("it is there");
        Edit { path: path.clone(), span: Span::new(start, start + code.len()), text: by.to_owned() }
    };
    let why = |edits: &[Edit]| pipeline::misplaced(edits, finding, text);
    let inside = edit("yaml.load(f)", "yaml.safe_load(f)");
    assert_eq!(why(std::slice::from_ref(&inside)), None);
    let import = Edit { path: path.clone(), span: Span::new(12, 12), text: "import ast\n".to_owned() };
    assert_eq!(why(&[import.clone(), inside.clone()]), None);
    let code = Edit { span: Span::new(0, 0), text: "os.remove('x')\n".to_owned(), ..import };
    assert!(why(&[code, inside.clone()]).is_some_and(|why| why.contains("outside")));
    let elsewhere = Edit { path: RepoPath::new("b.py").expect("a path"), ..inside.clone() };
    assert!(why(&[elsewhere]).is_some_and(|why| why.contains("b.py")));
    assert!(why(&[inside, edit("return f\n", "return None\n")]).is_some_and(|why| why.contains("outside")));
    let behind = Edit { span: Span::new(text.len(), text.len() + 1), ..edit("return f\n", "") };
    assert!(why(&[behind]).is_some_and(|why| why.contains("no part of the file")));
}
