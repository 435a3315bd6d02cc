//! A fix for what a model found: no rule can say that it is gone, so the question that confirmed the claim is asked of the fixed
//! function, twice. Nothing but two plain answers that it is absent counts.

use crate::fix::edit;
use crate::healer::Healer;
use crate::healer::consult::{Answer, Question};
use crate::model::{
    Candidate, Consultation, Finding, Fingerprint, Language, Review, RuleOrigin, Sampling, Source, Vote,
};
use crate::ports::PortError;
use crate::recall::look::{self, Function, Seen};

/// How often the fixed function is looked at.
const LOOKS: usize = 2;
/// Proposals for one finding that are looked at, of sources that know fixes without a model.
const CANDIDATES: usize = 2;
/// How varied the second of the looks is at least: another answer, not the same one again.
const VARIED: f32 = 0.2;
/// What these reviews are about.
const CONCERN: &str = "second look";

impl Healer {
    /// Looks at a fixed function for what a model claimed of it; returns why the fix is refused, if it is. Findings of rules are
    /// not looked at: the rule itself tells.
    ///
    /// # Errors
    /// When nobody can be asked: without the looks nothing is proposed.
    pub(in crate::healer) async fn still_claimed(
        &self,
        question: &Question<'_>,
        finding: &Finding,
        candidate: &Candidate,
        answer: &mut Answer,
    ) -> Result<Option<String>, PortError> {
        if finding.rule.origin != RuleOrigin::Model {
            return Ok(None);
        }
        let Some(kind) = look::of_rule(&finding.rule.id) else {
            return Ok(Some(format!("{} is no kind of claim any more", finding.rule.id)));
        };
        let base = question.base;
        // An edit that does not apply is refused by its check.
        let Ok(after) = edit::apply(&base.text, &candidate.edits) else { return Ok(None) };
        let Some(function) = fixed(question, finding, &after) else {
            return Ok(Some("the function that it is about is gone, so nobody can look at it again".to_owned()));
        };
        let varied = Sampling { count: 1, temperature: self.policy.model.temperature.max(VARIED), seed: 2 };
        let looks: [Sampling; LOOKS] = [Sampling::ONE, varied];
        for sampling in looks {
            let place = (&base.path, after.as_str(), &function);
            match self.seen(&question.spender, kind, place, (sampling, &mut *answer)).await? {
                Ok(Seen::Absent) => {}
                Ok(Seen::Present(line)) => {
                    return Ok(Some(format!(
                        "a second look still sees {} in line {} of the function",
                        kind.id,
                        line + 1
                    )));
                }
                Err(why) => return Ok(Some(format!("a second look at the fixed function is unclear: {why}"))),
            }
        }
        answer.reviews.extend((0..LOOKS).map(|_| approval(finding, kind.id)));
        Ok(None)
    }

    /// Looks at the fixes that a source proposed which asks no model. Those that a look refuses are no candidates any more.
    ///
    /// # Errors
    /// As [`Healer::still_claimed`].
    pub(in crate::healer) async fn look_at_candidates(
        &self,
        question: &Question<'_>,
        answer: &mut Answer,
    ) -> Result<(), PortError> {
        let mut looked_at: Vec<Fingerprint> = Vec::new();
        for (of, candidate) in std::mem::take(&mut answer.candidates) {
            let finding = question.findings.iter().copied().find(|finding| finding.fingerprint == of);
            let Some(finding) = finding.filter(|finding| finding.rule.origin == RuleOrigin::Model) else {
                answer.candidates.push((of, candidate));
                continue;
            };
            let place = of.short().to_owned();
            if looked_at.iter().filter(|other| **other == of).count() >= CANDIDATES {
                answer.answers.push(format!("{place}: not proposed, as at most {CANDIDATES} are looked at"));
                continue;
            }
            looked_at.push(of.clone());
            match self.still_claimed(question, finding, &candidate, answer).await? {
                Some(why) => answer.answers.push(format!("{place}: refused, {why}")),
                None => answer.candidates.push((of, candidate)),
            }
        }
        Ok(())
    }
}

fn approval(finding: &Finding, kind: &str) -> Review {
    Review {
        finding: finding.fingerprint.clone(),
        concern: CONCERN.to_owned(),
        vote: Vote::Approve,
        reason: format!("the fixed function shows no {kind}"),
    }
}

/// The function of the finding in a fixed text.
fn fixed(question: &Question<'_>, finding: &Finding, after: &str) -> Option<Function> {
    let base = question.base;
    let language = Language::of(&base.path)?;
    let same = |function: &Function| {
        function.fingerprint(&base.repository.id, &finding.rule.id, &base.path) == finding.fingerprint
    };
    look::functions(language, after, None).into_iter().find(same)
}

/// Whether the looks at fixes of a finding are on record: a proposal for what a model found is not judged without them.
pub(in crate::healer) fn is_looked_at(asked: Option<&Consultation>, finding: &Finding) -> bool {
    if finding.rule.origin != RuleOrigin::Model {
        return true;
    }
    let approves = |review: &&Review| {
        review.finding == finding.fingerprint && review.concern == CONCERN && review.vote == Vote::Approve
    };
    asked.is_some_and(|asked| asked.reviews.iter().filter(approves).count() >= LOOKS)
}

/// Whether a source looks at its own proposals while it is asked.
pub(in crate::healer) fn looks_itself(source: Source) -> bool {
    source == Source::Model
}
