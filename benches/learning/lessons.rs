//! What each pair teaches.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use codehealer::detect::{Detector, Limits, RuleSet};
use codehealer::fix::learn::{self, LearnInput, Learned, Origin};
use codehealer::fix::verify;
use codehealer::model::{
    AuthorKind, Finding, FixId, Language, PastFix, Provenance, RepoPath, RepositoryId, sha256_hex,
};
use codehealer::recall::embedding::{EMBEDDER, embed};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::checker::Checker;
use super::pairs::Pair;
use super::processor::Began;

/// A pair, its finding as the product sees it, and what was learned.
pub struct Lesson {
    pub pair: Pair,
    pub path: RepoPath,
    pub language: Language,
    pub repository: RepositoryId,
    pub finding: Finding,
    /// Every finding of the file before, our own rules' included.
    pub before: Vec<Finding>,
    pub taught: Taught,
}

/// What is kept of learning.
#[derive(Clone, Serialize, Deserialize)]
pub struct Taught {
    pub fix: Option<PastFix>,
    /// The file with the smallest part of the developer's change that heals.
    pub minimal: Option<String>,
    pub refused: Option<String>,
    /// The checker's time is not in it.
    pub milliseconds: f64,
}

pub struct Lessons {
    pub all: Vec<Lesson>,
    /// Pairs whose finding the checker does not report.
    unseen: usize,
}

thread_local! {
    /// Milliseconds that this thread was busy with the checker's reports.
    static READING: std::cell::Cell<f64> = const { std::cell::Cell::new(0.0) };
}

impl Lessons {
    pub fn learn(pairs: Vec<Pair>, checker: &Checker, kept: Option<&Path>) -> Self {
        let texts: Vec<(&str, &str)> =
            pairs.iter().flat_map(|p| [(p.path.as_str(), p.before.as_str()), (&p.path, &p.after_hunk)]).collect();
        checker.ask(&texts);
        let known: BTreeMap<String, Taught> = kept
            .and_then(|path| std::fs::read_to_string(path).ok())
            .map(|text| text.lines().map(|line| serde_json::from_str(line).expect("a lesson a line")).collect())
            .unwrap_or_default();
        let (done, count) = (AtomicUsize::new(0), pairs.len());
        let detector = detector();
        let lessons: Vec<Option<Lesson>> = pairs
            .into_par_iter()
            .map(|pair| {
                let done = done.fetch_add(1, Ordering::Relaxed);
                if done.is_multiple_of(100) {
                    eprintln!("learning: {done} of {count}");
                }
                let taught = known.get(&pair.id).cloned();
                lesson(pair, checker, &detector, taught)
            })
            .collect();
        let all: Vec<Lesson> = lessons.into_iter().flatten().collect();
        if let Some(path) = kept.filter(|_| known.is_empty()) {
            let lines = all.iter().map(|l| serde_json::to_string(&(&l.pair.id, &l.taught)).unwrap() + "\n");
            std::fs::write(path, lines.collect::<String>()).expect("the lessons can be kept");
        }
        Self { unseen: count - all.len(), all }
    }

    pub fn report(&self) {
        let learned = self.all.iter().filter(|l| l.taught.minimal.is_some()).count();
        let fixes: Vec<&PastFix> = self.all.iter().filter_map(|l| l.taught.fix.as_ref()).collect();
        let reproduced = fixes.iter().filter(|fix| fix.round_trips).count();
        println!("{} findings not reported by the checker, {} to learn", self.unseen, self.all.len());
        println!(
            "learned {learned}; {reproduced} reproduce their own fix ({:.1} %)",
            100.0 * reproduced as f64 / learned.max(1) as f64
        );
        let mut refused: BTreeMap<&str, usize> = BTreeMap::new();
        for reason in self.all.iter().filter_map(|l| l.taught.refused.as_deref()) {
            *refused.entry(reason).or_default() += 1;
        }
        refused.iter().for_each(|(reason, count)| println!("  refused {count}: {reason}"));
        let mut times: Vec<f64> = self.all.iter().map(|l| l.taught.milliseconds).collect();
        times.sort_by(f64::total_cmp);
        let mean = times.iter().sum::<f64>() / times.len().max(1) as f64;
        println!(
            "a fix is learned in {mean:.1} ms on average, median {:.1} ms",
            times.get(times.len() / 2).copied().unwrap_or(0.0)
        );
    }
}

pub fn detector() -> Detector {
    Detector::new(RuleSet::built_in(), Limits::default())
}

/// What the product looks at after an edit of another scanner's finding: that scanner's findings and its own.
pub fn findings(
    checker: &Checker,
    detector: &Detector,
    (repository, path): (&RepositoryId, &RepoPath),
    text: &str,
) -> Vec<Finding> {
    let own = own_findings(detector, (repository, path), text);
    own.into_iter().chain(checker.findings(repository, path, text)).collect()
}

/// What our own rules find.
pub fn own_findings(detector: &Detector, (repository, path): (&RepositoryId, &RepoPath), text: &str) -> Vec<Finding> {
    verify::all_findings(detector.scan(repository, path, text.as_bytes())).unwrap_or_default()
}

fn lesson(pair: Pair, checker: &Checker, detector: &Detector, known: Option<Taught>) -> Option<Lesson> {
    let path = RepoPath::new(&pair.path).ok()?;
    let language = Language::of(&path)?;
    let repository = RepositoryId(pair.repo.clone());
    let before = findings(checker, detector, (&repository, &path), &pair.before);
    let named = |finding: &&Finding| finding.rule.id.as_str().rsplit('/').next() == Some(pair.rule.as_str());
    let here = |finding: &&Finding| finding.start.line == pair.row;
    let finding = before
        .iter()
        .filter(|finding| named(finding) && here(finding))
        .min_by_key(|finding| finding.span.start.abs_diff(pair.start_byte))?
        .clone();
    let taught = known.unwrap_or_else(|| {
        READING.set(0.0);
        let began = Began::now();
        let silent = |text: &str| {
            let mut after = own_findings(detector, (&repository, &path), text);
            let asked = Began::now();
            after.extend(checker.findings(&repository, &path, text));
            READING.set(READING.get() + asked.milliseconds());
            learn::is_healed(&finding, &before, &after)
        };
        let input = LearnInput {
            language,
            before: &pair.before,
            after: &pair.after_hunk,
            finding: finding.span,
            silent: &silent,
        };
        let learned = learn::learn(&input);
        let milliseconds = (began.milliseconds() - READING.get()).max(0.0);
        match learned {
            Ok(learned) => Taught {
                minimal: Some(learned.patched.clone()),
                fix: Some(remembered(&pair, (&path, language), &finding, learned)),
                refused: None,
                milliseconds,
            },
            Err(refusal) => Taught { fix: None, minimal: None, refused: Some(refusal.to_string()), milliseconds },
        }
    });
    Some(Lesson { path, language, repository, finding, before, taught, pair })
}

/// The fix as mining a history stores it.
fn remembered(pair: &Pair, (path, language): (&RepoPath, Language), finding: &Finding, learned: Learned) -> PastFix {
    let origin = Origin {
        organisation: "bench",
        repository: &pair.repo,
        private: false,
        path,
        provenance: Provenance::Mined { commit: pair.commit.clone() },
        author: AuthorKind::Unknown,
        created: pair.time.unsigned_abs() * 1000,
    };
    let vector = embed(language, &learned.scope_before, learned.finding_in_scope);
    let id = FixId(sha256_hex(&[b"bench", pair.id.as_bytes()]));
    PastFix { vector, embedder: EMBEDDER.to_owned(), ..learned.remembered(id, language, finding, &origin) }
}
