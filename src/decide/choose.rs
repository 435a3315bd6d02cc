//! From judged candidates to the ones that make the case's change.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::model::{CandidateJudged, Confidence, Fingerprint, Thresholds};

/// What the case's change is made of, and what is left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice<'a> {
    /// In the order in which they are laid upon each other; the surest first.
    pub chosen: Vec<&'a CandidateJudged>,
    /// The best candidates that are too weak to stand beside the chosen ones.
    pub left_out: Vec<&'a CandidateJudged>,
}

fn confidence(judged: &CandidateJudged) -> Option<Confidence> {
    judged.verdict.is_verified().then_some(())?;
    judged.scored.as_ref().map(|s| s.confidence)
}

/// The best verified candidate of each finding: highest confidence, then the earlier source, then the smaller edit.
pub fn best_by_finding<'a>(
    candidates: impl Iterator<Item = &'a CandidateJudged>,
) -> BTreeMap<&'a Fingerprint, &'a CandidateJudged> {
    let mut best: BTreeMap<&Fingerprint, &CandidateJudged> = BTreeMap::new();
    for judged in candidates.filter(|c| confidence(c).is_some()) {
        let slot = best.entry(&judged.finding).or_insert(judged);
        if rank(judged) < rank(slot) {
            *slot = judged;
        }
    }
    best
}

fn rank(judged: &CandidateJudged) -> impl Ord {
    let size: usize = judged.candidate.edits.iter().map(|e| e.text.len() + (e.span.end - e.span.start)).sum();
    (Reverse(confidence(judged)), judged.candidate.evidence.source(), size)
}

/// Which of the best candidates make the change. A weak candidate never drags a strong one down: when at least one reaches
/// the draft tier, those below it are left out and listed; when none does, all are kept as the unproven proposal of an escalation.
#[must_use]
pub fn order_for_union<'a>(
    best: &BTreeMap<&'a Fingerprint, &'a CandidateJudged>,
    thresholds: &Thresholds,
) -> Choice<'a> {
    let mut all: Vec<&CandidateJudged> = best.values().copied().collect();
    all.sort_by_key(|judged| (Reverse(confidence(judged)), judged.finding.clone()));
    let strong = all.iter().filter(|c| confidence(c) >= Some(thresholds.draft)).count();
    let left_out = if strong == 0 { Vec::new() } else { all.split_off(strong) };
    Choice { chosen: all, left_out }
}
