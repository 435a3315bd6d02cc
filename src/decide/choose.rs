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

/// The best verified candidate of each finding: highest confidence, then the earlier source, then the one that its source
/// named first. Each source names its candidates in the order of its preference; the size of an edit says nothing.
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
    (Reverse(confidence(judged)), judged.candidate.evidence.source())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Candidate, Check, Edit, Evidence, FixId, Level, Provenance, RepoPath, RepositoryId, RuleId, Scored, Span,
        TrackRecord, Verdict,
    };

    fn curated(text: &str, percent: u8) -> CandidateJudged {
        let evidence = Evidence::PastFix {
            fix: FixId(text.to_owned()),
            origin: String::new(),
            provenance: Provenance::Curated,
            level: Level::Curated,
            similarity: 1.0,
            supports: 0.0,
            contradictions: 0.0,
            record: TrackRecord::default(),
            foreign_tokens: Vec::new(),
            donors: 1,
            new_imports: 0,
            caution: None,
        };
        let path = RepoPath::new("a.py").unwrap();
        let edits = vec![Edit { path: path.clone(), span: Span::new(0, 1), text: text.to_owned() }];
        CandidateJudged {
            finding: Fingerprint::of(&RepositoryId("r".into()), &RuleId::new("py-x").unwrap(), &path, "x", 0),
            candidate: Candidate { title: String::new(), edits, evidence },
            verdict: Verdict::Verified(vec![Check::ParsesCleanly]),
            scored: Some(Scored { confidence: Confidence::new(percent).unwrap(), lines: Vec::new() }),
        }
    }

    #[test]
    fn among_equals_the_one_named_first_wins_however_long_it_is() {
        let named = [curated("(name,)", 90), curated("(name)", 90)];
        let best = best_by_finding(named.iter());
        assert_eq!(best.values().next().unwrap().candidate.edits[0].text, "(name,)");
    }

    #[test]
    fn a_surer_one_wins_wherever_it_was_named() {
        let named = [curated("a", 80), curated("b", 90)];
        assert_eq!(best_by_finding(named.iter()).values().next().unwrap().candidate.edits[0].text, "b");
    }
}
