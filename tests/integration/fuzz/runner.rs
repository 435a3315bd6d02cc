//! Runs a subject on one input after the other and notices what it does wrong: it refuses, it panics, it does not come to an end.
//!
//! Before an input is tried it is written to a file, so that even one that ends the whole process is at hand afterwards. A file that
//! fails keeps its place and is named together with the command that tries it again.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use codehealer::model::RepoPath;

use super::corpus::Corpus;
use super::mutate;
use super::pipeline::{Input, Tally};
use super::random::Random;

/// Room for the deepest recursion that a thread of the product has.
const STACK: usize = 16 << 20;
/// Ends the name of a folder that holds one input at its own path.
const CASE: &str = ".case";

/// Does something with an input; the error is what must not happen and did.
pub type Subject = dyn Fn(&Input) -> Result<Tally, String> + Send + Sync;

/// How long inputs are made.
#[derive(Clone, Copy)]
pub enum Until {
    Inputs(u64),
    Elapsed(Duration),
}

/// One run over one language.
pub struct Plan {
    pub seed: u64,
    pub until: Until,
    /// Where inputs are kept.
    pub folder: PathBuf,
    /// An input that takes longer hangs.
    pub patience: Duration,
}

/// What went wrong, and the file that shows it.
#[derive(Debug)]
pub struct Failure {
    pub what: String,
    pub file: PathBuf,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let file = self.file.display();
        write!(f, "{}\n  input: {file}\n  again: make fuzz INPUT={file}", self.what)
    }
}

/// The input that is tried now.
#[derive(Default)]
struct Current(Mutex<Option<(Instant, u64, PathBuf)>>);

impl Current {
    fn set(&self, to: Option<(Instant, u64, PathBuf)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }

    fn overdue(&self, patience: Duration) -> Option<(u64, PathBuf)> {
        let current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        current
            .as_ref()
            .filter(|(since, ..)| since.elapsed() > patience)
            .map(|(_, number, file)| (*number, file.clone()))
    }
}

/// Tries inputs of the corpus until the plan is done or something goes wrong.
///
/// # Errors
/// The first thing that went wrong.
pub fn run(corpus: Arc<Corpus>, plan: &Plan, subject: Arc<Subject>) -> Result<Tally, Failure> {
    let name = format!("fuzz {} {}", corpus.language, plan.seed);
    let (current, (seed, until, folder)) = (Arc::new(Current::default()), (plan.seed, plan.until, plan.folder.clone()));
    let (done, result) = channel();
    let shared = Arc::clone(&current);
    let work = move || drop(done.send(all(&corpus, (seed, until, &folder), &subject, &shared)));
    let thread = std::thread::Builder::new().name(name).stack_size(STACK).spawn(work);
    thread.expect("a thread can be had");
    supervised(&result, &current, plan)
}

fn supervised(result: &Receiver<Result<Tally, Failure>>, current: &Current, plan: &Plan) -> Result<Tally, Failure> {
    loop {
        match result.recv_timeout(Duration::from_millis(100)) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Disconnected) => panic!("the thread that tries inputs ended without a word"),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some((number, file)) = current.overdue(plan.patience) {
            let what = format!("input {number} of seed {} takes longer than {:?}", plan.seed, plan.patience);
            return Err(Failure { what, file });
        }
    }
}

fn all(
    corpus: &Corpus,
    (seed, until, folder): (u64, Until, &Path),
    subject: &Arc<Subject>,
    current: &Current,
) -> Result<Tally, Failure> {
    let (mut tally, begun) = (Tally::default(), Instant::now());
    let language = corpus.language.to_string();
    for number in 0.. {
        match until {
            Until::Inputs(count) if number >= count => break,
            Until::Elapsed(time) if begun.elapsed() >= time => break,
            _ => {}
        }
        let (path, bytes) = mutate::input(corpus, &mut Random::new(seed, &language, number));
        let Ok(path) = RepoPath::new(path) else { continue };
        let case = folder.join(format!("{language}-{seed}-{number}{CASE}"));
        let file = keep(&case, &path, &bytes);
        current.set(Some((Instant::now(), number, file.clone())));
        let tried = one(subject, &Input { number, path, bytes });
        current.set(None);
        match tried {
            Ok(one) => tally.add(one),
            Err(what) => return Err(Failure { what: format!("input {number} of seed {seed}: {what}"), file }),
        }
        drop(std::fs::remove_dir_all(&case));
    }
    Ok(tally)
}

/// Writes an input where it can be found when nothing else is left.
fn keep(case: &Path, path: &RepoPath, bytes: &[u8]) -> PathBuf {
    let file = case.join(path.as_str());
    let folder = file.parent().unwrap_or(case);
    std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&file, bytes)).expect("inputs can be kept");
    file
}

/// Tries one input. A panic is an error, also one that the product catches itself.
///
/// # Errors
/// What must not happen and did.
pub fn one(subject: &Arc<Subject>, input: &Input) -> Result<Tally, String> {
    hear_panics();
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    let result = catch_unwind(AssertUnwindSafe(|| subject(input)));
    let heard = panics().lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
    match (result, heard) {
        (_, Some(heard)) => Err(format!("panic: {heard}")),
        (Err(panic), None) => Err(format!("panic: {}", message(&*panic))),
        (Ok(result), None) => result,
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// The first panic on a thread of each name since it was last asked for.
fn panics() -> &'static Mutex<BTreeMap<String, String>> {
    static PANICS: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    &PANICS
}

/// The product runs deep work on threads that have the name of their parent, and ends it gracefully when it panics. That is not
/// graceful enough here. Panics of other threads are told as ever.
fn hear_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let thread = std::thread::current();
            match thread.name().filter(|name| name.starts_with("fuzz ")) {
                Some(name) => {
                    let mut heard = panics().lock().unwrap_or_else(PoisonError::into_inner);
                    heard.entry(name.to_owned()).or_insert_with(|| panic.to_string());
                }
                None => usual(panic),
            }
        }));
    });
}

/// The input of a file that was kept: its path is what stands behind the folder of the case, else its name.
pub fn kept(file: &Path) -> std::io::Result<Input> {
    let parts: Vec<String> = file.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let case = parts.iter().position(|part| part.ends_with(CASE)).map_or(parts.len() - 1, |at| at + 1);
    let path = parts.get(case..).unwrap_or_default().join("/");
    let path = RepoPath::new(path).map_err(|error| std::io::Error::other(error.reason))?;
    Ok(Input { number: 0, path, bytes: std::fs::read(file)? })
}
