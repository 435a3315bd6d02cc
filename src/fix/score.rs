//! From evidence and checks to a confidence, each step told.
//!
//! The priors and weights were measured on fixes of public repositories. Agreement among past fixes predicts that a person
//! would merge a change; the similarity of two findings does not, so it moves nothing here. What a model
//! claims of itself can lower its number and never lifts it above a cap. Caps come last.

use crate::model::{
    AuthorKind, Check, Confidence, Evidence, Finding, Provenance, RuleOrigin, ScoreLine, Scored, TrackRecord,
};

use super::verify::VerifiedCandidate;

/// What is known of the case beside the candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseFacts {
    pub rule: RuleOrigin,
    /// Whether the rule is unknown to us and the operator, as one that the repository brings.
    pub rule_from_repository: bool,
    /// Whether a security finding stands in test code, where a weak setting is often the point.
    pub test_code: bool,
    /// Reviewed outcomes of earlier fixes of this rule from the same source; for sources whose evidence has no record of its own.
    pub record: TrackRecord,
}

impl CaseFacts {
    /// Of a finding whose rule comes from us, the operator or the operator's scanner, and without outcomes.
    #[must_use]
    pub fn of(finding: &Finding) -> Self {
        Self {
            rule: finding.rule.origin.clone(),
            rule_from_repository: false,
            test_code: finding.path.is_test_code() && is_security(finding),
            record: TrackRecord::default(),
        }
    }
}

/// Bugs are bugs in tests too.
fn is_security(finding: &Finding) -> bool {
    let bugs = ["LINTING", "LOGIC", "TYPE_ERROR", "IMPORT", "SYNTAX", "INDENTATION", "RESOURCE_LEAK"];
    !bugs.contains(&finding.rule.issue_type.as_str())
}

/// The top of the tier below a draft.
const BELOW_DRAFT: u8 = 59;

/// Where an answer or fix that somebody reviewed and confirmed starts.
const REVIEWED_PRIOR: f64 = 0.90;
const UNCONFIRMED_PRIOR: f64 = 0.70;
/// For a model that says nothing of itself.
const SILENT_MODEL_PRIOR: f64 = 0.60;

/// How many reviews each prior is worth.
const PAST_FIX_WEIGHT: f64 = 4.0;
const CURATED_WEIGHT: f64 = 10.0;
const TEAM_WEIGHT: f64 = 4.0;
const MODEL_WEIGHT: f64 = 10.0;

/// How much a file speaks against an edit by not importing what the edit needs: as much as a rejection.
const NEW_IMPORTS: f64 = 2.0;

/// Reviewed outcomes after which a model's record speaks for itself.
const MODEL_RECORD: u32 = 30;

/// How sure we are that a person would merge this verified candidate.
#[must_use]
pub fn score(evidence: &Evidence, verified: &VerifiedCandidate, facts: &CaseFacts) -> Scored {
    of_checks(evidence, verified.checks(), facts)
}

/// The most that a candidate can score, whatever the checks say: what it rests on, before anything that only lowers it. A
/// candidate whose best is no more than what an earlier one of its source has reached need not be checked, since of equals
/// the one named first is chosen.
#[must_use]
pub fn at_best(evidence: &Evidence, facts: &CaseFacts) -> Confidence {
    Confidence::from_probability(tallied(evidence, facts).p)
}

fn tallied(evidence: &Evidence, facts: &CaseFacts) -> Tally {
    let mut tally = Tally { p: 0.0, lines: Vec::new() };
    match evidence {
        Evidence::TeamKnowledge { confirmed, .. } => team(&mut tally, *confirmed, facts.record),
        Evidence::PastFix { provenance: Provenance::Curated, supports, contradictions, record, .. } => {
            curated(&mut tally, (*supports, *contradictions), *record);
        }
        Evidence::PastFix { supports, contradictions, record, new_imports, .. } => {
            past_fix(&mut tally, (*supports, *contradictions), *new_imports, *record);
        }
        Evidence::Model { claimed, record, .. } => model(&mut tally, *claimed, agrees(evidence), *record),
    }
    tally
}

fn of_checks(evidence: &Evidence, checks: &[Check], facts: &CaseFacts) -> Scored {
    let mut tally = tallied(evidence, facts);
    let mut confidence = Confidence::from_probability(tally.p);
    for (cap, reason) in caps(evidence, checks, facts) {
        confidence = confidence.at_most(cap);
        tally.lines.push(ScoreLine {
            reason: format!("at most {cap}: {reason}"),
            percent: f64::from(confidence.percent()).min(tally.p * 100.0),
        });
    }
    Scored { confidence, lines: tally.lines }
}

struct Tally {
    /// Probability, 0 to 1.
    p: f64,
    lines: Vec<ScoreLine>,
}

impl Tally {
    fn set(&mut self, p: f64, reason: impl Into<String>) {
        self.p = if p.is_finite() { p.clamp(0.0, 1.0) } else { 0.0 };
        self.lines.push(ScoreLine { reason: reason.into(), percent: self.p * 100.0 });
    }

    /// Moves towards what became of earlier proposals: the prior counts as `weight` reviews (a Beta posterior's mean).
    fn correct(&mut self, weight: f64, record: TrackRecord, what: &str) {
        let reviewed = f64::from(record.accepted) + f64::from(record.rejected) + f64::from(record.reverted);
        if reviewed > 0.0 {
            let p = (weight * self.p + f64::from(record.accepted)) / (weight + reviewed);
            self.set(p, format!("of {reviewed} reviewed proposals {what}, {} were merged", record.accepted));
        }
    }
}

fn team(tally: &mut Tally, confirmed: bool, record: TrackRecord) {
    let (prior, reason) = match confirmed {
        true => (REVIEWED_PRIOR, "a teammate confirmed the answer"),
        false => (UNCONFIRMED_PRIOR, "nobody confirmed the answer"),
    };
    tally.set(prior, reason);
    tally.correct(TEAM_WEIGHT, record, "from team answers for this rule");
}

fn curated(tally: &mut Tally, (supports, contradictions): (f64, f64), record: TrackRecord) {
    let (supports, contradictions) = (count(supports), count(contradictions));
    tally.set(REVIEWED_PRIOR, "the fix is curated with the rule");
    if supports + contradictions > 0.0 {
        let p = (CURATED_WEIGHT * tally.p + supports) / (CURATED_WEIGHT + supports + contradictions);
        tally.set(p, agreement(supports, contradictions));
    }
    // The prior and what past fixes say of it together weigh what they are made of.
    tally.correct(CURATED_WEIGHT + supports + contradictions, record, "for this rule");
}

fn past_fix(tally: &mut Tally, (supports, contradictions): (f64, f64), new_imports: u32, record: TrackRecord) {
    let (supports, contradictions) = (count(supports), count(contradictions));
    let mean = |against: f64| (supports + 0.3) / (supports + against + 1.2);
    tally.set(mean(contradictions), agreement(supports, contradictions));
    if new_imports > 0 {
        let reason = "the file does not import what the edit needs, as if it had another way";
        tally.set(mean(contradictions + NEW_IMPORTS), reason);
    }
    tally.correct(PAST_FIX_WEIGHT, record, "for this rule");
}

fn model(tally: &mut Tally, claimed: Option<u8>, agreed: bool, record: TrackRecord) {
    match claimed {
        Some(claimed) => tally.set(f64::from(claimed) / 100.0, format!("the model claims {claimed} %")),
        None => tally.set(SILENT_MODEL_PRIOR, "the model gives no number"),
    }
    // Even with an independent agreement a claim is worth no more than an answer that a person confirmed.
    let ceiling = if agreed { REVIEWED_PRIOR } else { f64::from(Confidence::UNPROVEN_CAP) / 100.0 };
    if tally.p > ceiling {
        tally.set(ceiling, "a model's own number counts no further than this");
    }
    tally.correct(MODEL_WEIGHT, record, "by this model for this rule");
}

/// A weighted count as evidence gives it; anything that is not a count is none.
fn count(value: f64) -> f64 {
    if value.is_finite() { value.max(0.0) } else { 0.0 }
}

fn agreement(supports: f64, contradictions: f64) -> String {
    format!("past fixes that agree weigh {supports}, that differ {contradictions}")
}

/// Whether something other than one answer of the model gave the same edit.
fn agrees(evidence: &Evidence) -> bool {
    let Evidence::Model { agreeing, samples, past_fix_agrees, of_its_own, .. } = evidence else { return false };
    // What sways a model sways all of its answers: they agree on what somebody wants in the code, too.
    *past_fix_agrees || (of_its_own.is_none() && *samples >= 3 && u64::from(*agreeing) * 3 >= u64::from(*samples) * 2)
}

/// Whether the model's proposal has more for it than the model's own word: an agreement, or a long record, which
/// has then moved the number wherever it belongs.
fn speaks_for_model(evidence: &Evidence) -> bool {
    let Evidence::Model { record, .. } = evidence else { return false };
    agrees(evidence) || record.reviewed() >= MODEL_RECORD
}

/// Every cap that holds, with the reason.
fn caps(evidence: &Evidence, checks: &[Check], facts: &CaseFacts) -> Vec<(u8, String)> {
    let draft = Confidence::UNPROVEN_CAP;
    let mut caps = Vec::new();
    let mut cap = |holds: bool, at: u8, reason: &str| {
        if holds {
            caps.push((at, reason.to_owned()));
        }
    };
    let checked = checks.contains(&Check::ParsesCleanly) && checks.contains(&Check::FindingGone);
    let unchecked = match facts.rule {
        RuleOrigin::External { .. } => "no machine check could look again for the finding of another scanner",
        RuleOrigin::BuiltIn | RuleOrigin::Operator => "no machine check could prove that the finding is gone",
        RuleOrigin::Model => "only a model says that the finding is gone",
    };
    cap(!checked, draft, unchecked);
    // Whatever speaks for the fix: that there is something to fix is a model's word.
    cap(facts.rule == RuleOrigin::Model, draft, "a model found it, and no rule can");
    cap(facts.test_code, draft, "in test code a weakness may be meant");
    cap(facts.rule_from_repository, draft, "the rule comes from the repository itself");
    match evidence {
        Evidence::TeamKnowledge { author, channel_configured, has_code, .. } => {
            cap(*author != AuthorKind::Member, draft, "the author is not a full member of the team");
            cap(!channel_configured, draft, "the channel is not a configured one");
            cap(!has_code, draft, "the answer has no diff or code block");
        }
        Evidence::PastFix { provenance, foreign_tokens, caution, .. } => {
            let reviewed = matches!(
                provenance,
                Provenance::Merged { .. } | Provenance::Mined { .. } | Provenance::Curated | Provenance::Starter
            );
            cap(!reviewed, draft, "the past fix was neither merged nor curated");
            if let Some(caution) = caution {
                cap(true, draft, caution);
            }
            let foreign = !foreign_tokens.is_empty() && !two_fixes(evidence);
            cap(foreign, BELOW_DRAFT, "it brings in names unknown here, and fewer than two fixes support them");
        }
        Evidence::Model { truncated, of_its_own, past_fix_agrees, .. } => {
            cap(!speaks_for_model(evidence), draft, "a model's word alone");
            if let Some(what) = of_its_own.as_ref().filter(|_| !past_fix_agrees) {
                cap(true, draft, &format!("{what}, which neither the code nor the rule has"));
            }
            cap(*truncated, draft, "the model did not see all of the context");
        }
    }
    caps
}

/// Whether at least two remembered fixes support the edit. One merged fix weighs three, so the weight alone does not
/// tell: a second fix is there when the weight is above the donor's own.
fn two_fixes(evidence: &Evidence) -> bool {
    let Evidence::PastFix { provenance, supports, donors, .. } = evidence else { return false };
    *donors >= 2 || count(*supports) > provenance.weight().max(1.0)
}

#[cfg(test)]
mod tests;
