//! One question to a memory: what it proposes for a finding, and what the product believes of it.

use codehealer::decide::best_by_finding;
use codehealer::detect::Detector;
use codehealer::fix::edit;
use codehealer::fix::pattern::{self, Request, propose, rule_record};
use codehealer::fix::score::{CaseFacts, at_best, score};
use codehealer::fix::verify::{self, Known, NewPackages, VerifiedCandidate, VerifyInput};
use codehealer::local::memory::LocalMemory;
use codehealer::model::{Candidate, CandidateJudged, Evidence, Rejection, Verdict};
use codehealer::ports::{FixMemory, FixQuery};
use codehealer::recall::embedding::{EMBEDDER, embed};

use super::checker::Checker;
use super::lessons::{Lesson, own_findings};
use super::processor::Began;
use super::trials::Told;

/// As the healer asks.
const NEIGHBOURS: usize = 40;

/// A look-up whose patches wait for the external scanner.
pub struct Pending<'a> {
    lesson: &'a Lesson,
    known: usize,
    candidates: Vec<Candidate>,
    milliseconds: f64,
}

impl<'a> Pending<'a> {
    pub fn begin(memory: &LocalMemory, runtime: &tokio::runtime::Handle, lesson: &'a Lesson) -> Self {
        let began = Began::now();
        let (text, finding) = (lesson.pair.before.as_str(), &lesson.finding);
        let query = FixQuery {
            organisation: "bench".to_owned(),
            private: false,
            repository: lesson.pair.repo.clone(),
            language: lesson.language,
            rule: finding.rule.id.clone(),
            vector: embed(lesson.language, text, finding.span),
            embedder: EMBEDDER.to_owned(),
            limit: NEIGHBOURS,
        };
        let near = runtime.block_on(memory.nearest(&query)).expect("the memory answers");
        let request = Request {
            language: lesson.language,
            text,
            finding: finding.span,
            repository: &lesson.pair.repo,
            similar: &near,
        };
        let record = rule_record(&near, &finding.rule.id);
        let candidates = propose(&request).into_iter().map(|proposal| {
            let edits = proposal.edits(lesson.language, &lesson.path, text);
            Candidate { title: String::new(), edits, evidence: proposal.evidence(String::new(), record) }
        });
        let candidates = candidates.collect();
        Self { lesson, known: near.len(), candidates, milliseconds: began.milliseconds() }
    }

    /// Texts that the external scanner may have to see.
    pub fn texts(&self) -> Vec<(&str, String)> {
        let made = |candidate: &Candidate| edit::apply(&self.lesson.pair.before, &candidate.edits).ok();
        self.candidates.iter().filter_map(|one| Some((self.lesson.path.as_str(), made(one)?))).collect()
    }

    pub fn finish(self, checker: &Checker, detector: &Detector) -> Told {
        let lesson = self.lesson;
        let facts = CaseFacts::of(&lesson.finding);
        let (mut texts, mut judged, mut milliseconds) = (Vec::new(), Vec::<CandidateJudged>::new(), self.milliseconds);
        let (known, proposed) = (Known::default(), self.candidates.len());
        for candidate in self.candidates {
            // As the healer does: what cannot be chosen any more is not checked.
            let reached = judged.iter().filter_map(|one| one.scored.as_ref()).map(|scored| scored.confidence).max();
            if reached.is_some_and(|reached| at_best(&candidate.evidence, &facts) <= reached) {
                continue;
            }
            let verified = check((lesson, &known), &candidate, (checker, detector), &mut milliseconds);
            let scored = verified.as_ref().ok().map(|verified| score(&candidate.evidence, verified, &facts));
            texts.push(verified.as_ref().ok().map(|verified| verified.text().to_owned()));
            let verdict = verified.map_or_else(Verdict::Rejected, |verified| verified.verdict());
            judged.push(CandidateJudged { finding: lesson.finding.fingerprint.clone(), candidate, verdict, scored });
        }
        let best = best_by_finding(judged.iter()).into_values().next();
        let place = best.and_then(|best| judged.iter().position(|judged| std::ptr::eq(judged, best)));
        let text = place.and_then(|place| texts[place].clone());
        let evidence = place.map(|place| &judged[place].candidate.evidence);
        let (supports, contradictions) = match evidence {
            Some(Evidence::PastFix { supports, contradictions, .. }) => (*supports, *contradictions),
            _ => (0.0, 0.0),
        };
        let same = |text: &String, other: &String| pattern::same_code(lesson.language, text, other);
        let hunk = text.as_ref().is_some_and(|text| same(text, &lesson.pair.after_hunk));
        let developer = lesson.taught.minimal.as_ref().unwrap_or(&lesson.pair.after_hunk);
        let shape = |text: &String| pattern::shape(lesson.language, &lesson.pair.before, text);
        Told {
            id: lesson.pair.id.clone(),
            repo: lesson.pair.repo.clone(),
            rule: lesson.pair.rule.clone(),
            known: self.known,
            proposed,
            confidence: best.and_then(|best| best.scored.as_ref()).map(|scored| scored.confidence.percent()),
            scored: best.and_then(|b| b.scored.as_ref()).map(|s| s.lines.iter().map(|l| l.reason.clone()).collect()),
            supports,
            contradictions,
            exact: hunk || text.as_ref().is_some_and(|text| same(text, developer)),
            exact_hunk: hunk,
            same_shape: hunk
                || text.as_ref().is_some_and(|text| shape(text).is_some() && shape(text) == shape(developer)),
            any_exact: texts.iter().flatten().any(|text| same(text, developer) || same(text, &lesson.pair.after_hunk)),
            rejected: judged
                .iter()
                .filter_map(|j| match &j.verdict {
                    Verdict::Rejected(rejection) => Some(format!("{:?}: {}", rejection.check, rejection.detail)),
                    Verdict::Verified(_) => None,
                })
                .collect(),
            developer: developer.clone(),
            chosen: text,
            before: lesson.pair.before.clone(),
            milliseconds,
            ..Told::default()
        }
    }
}

/// Every check of one candidate, as the product makes them; the external scanner's time is not counted.
fn check(
    (lesson, known): (&Lesson, &Known),
    candidate: &Candidate,
    (checker, detector): (&Checker, &Detector),
    milliseconds: &mut f64,
) -> Result<VerifiedCandidate, Rejection> {
    let began = Began::now();
    let targets = std::slice::from_ref(&lesson.finding);
    let input = VerifyInput {
        new_packages: NewPackages::by(&candidate.evidence),
        known: Some(known),
        ..VerifyInput::new(&lesson.path, &lesson.pair.before, targets, &candidate.edits)
    };
    let checked = verify::check_edits(&input);
    *milliseconds += began.milliseconds();
    let patched = checked?;
    let place = (&lesson.repository, &lesson.path);
    let began = Began::now();
    let mut after = own_findings(detector, place, patched.text());
    *milliseconds += began.milliseconds();
    after.extend(checker.findings(place.0, place.1, patched.text()));
    let began = Began::now();
    let verified = verify::check_findings(patched, &lesson.before, &after);
    *milliseconds += began.milliseconds();
    verified
}
