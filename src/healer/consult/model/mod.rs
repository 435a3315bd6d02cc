//! Asking the model: one bounded question a finding, several answers drawn, each read as a rewritten region and checked. When
//! all fail the checks, one more question tells why; when the model abstains, a larger one is asked.

pub(in crate::healer) mod call;
mod council;
mod material;

use self::call::{Asking, Endpoint};
use self::material::Material;
use super::{Answer, Question};
use crate::fix::verify::{self, VerifyInput};
use crate::healer::Healer;
use crate::model::{Candidate, Completion, Edit, Evidence, Finding, RuleOrigin, TrackRecord};
use crate::ports::{ErrorKind, PortError};
use crate::recall::samples::{Group, Samples, normalised};
use crate::recall::{plain, prompt, reply};

/// Findings of one case that are asked about; the rest waits for a person.
const QUESTIONS: usize = 5;

/// What is asked about one finding.
struct Inquiry<'a> {
    question: &'a Question<'a>,
    finding: &'a Finding,
    material: Material,
}

/// What one round of answers gave for one finding.
struct Round {
    samples: Samples,
    /// The model that answered.
    model: String,
    /// Reasons why answers were not used.
    refused: Vec<String>,
    truncated: bool,
}

impl Healer {
    pub(super) async fn ask_model(&self, question: &Question<'_>) -> Result<Answer, PortError> {
        let asked = question.findings.len().min(QUESTIONS);
        let mut answer = Answer { question: format!("a rewrite of {asked} region(s)"), ..Answer::default() };
        for finding in question.findings.iter().take(QUESTIONS) {
            match self.ask_about(question, finding, &mut answer).await {
                Ok(()) => {}
                // What fails however often it is tried is an answer, too: asking again would only cost again.
                Err(error) if matches!(error.kind, ErrorKind::Malformed) => {
                    answer.answers.push(format!("{}: not usable, {}", finding.fingerprint.short(), error.chain()));
                }
                // What was paid for is kept.
                Err(error) if !answer.candidates.is_empty() => {
                    answer.answers.push(format!("{}: not asked about, {}", finding.fingerprint.short(), error.chain()));
                    return Ok(answer);
                }
                Err(error) => return Err(error),
            }
        }
        if question.findings.len() > asked {
            let more = question.findings.len() - asked;
            answer.answers.push(format!("{more} further finding(s) were not asked about: at most {QUESTIONS} are"));
        }
        Ok(answer)
    }

    /// Asks the model; once more with the reasons when nothing passed the checks; then the larger model when there is one.
    async fn ask_about(
        &self,
        question: &Question<'_>,
        finding: &Finding,
        answer: &mut Answer,
    ) -> Result<(), PortError> {
        let inquiry = Inquiry { question, finding, material: self.material(question, finding).await };
        let place = finding.fingerprint.short();
        answer.answers.extend(inquiry.material.missing.iter().map(|why| format!("{place}: {why}")));
        for endpoint in self.endpoints(question, finding) {
            let mut refused = Vec::new();
            for revision in 0..=self.policy.model.revisions {
                let asking = Asking { endpoint, revision, refused: &refused };
                let round = self.round(&inquiry, &asking, answer).await?;
                let proposed = !round.samples.groups.is_empty();
                let record = self.earlier(&inquiry, &round).await?;
                let (passed, mut failed) = self.candidates_of((question, finding), (&round, record), answer);
                if !passed.is_empty() {
                    let vetoes = self.council(question, finding, &passed, answer).await?;
                    if vetoes.len() < passed.len() {
                        return Ok(());
                    }
                    failed.extend(vetoes);
                }
                if !proposed && round.refused.iter().all(|why| *why == reply::Refusal::Cannot.to_string()) {
                    break; // It abstains: telling it why would not help.
                }
                refused = round.refused.into_iter().chain(failed).collect();
            }
        }
        Ok(())
    }

    /// Who is asked, in order: the small model first, and the larger one when it abstains. What is too long to be rewritten as a whole
    /// goes to the larger one at once.
    fn endpoints(&self, question: &Question<'_>, finding: &Finding) -> Vec<Endpoint> {
        if self.ports.large_model.is_none() {
            return vec![Endpoint::First];
        }
        let base = question.base;
        match prompt::region(base.language, &base.text, finding).form {
            prompt::Form::Whole => vec![Endpoint::First, Endpoint::Large],
            prompt::Form::Blocks => vec![Endpoint::Large],
        }
    }

    /// Has the candidates that passed the checks looked at again, where a model found what they mend, and reviewed, where that is
    /// wanted; those that are vetoed, or that not everybody could review, are no candidates any more. Returns the vetoes.
    async fn council(
        &self,
        question: &Question<'_>,
        finding: &Finding,
        passed: &[Candidate],
        answer: &mut Answer,
    ) -> Result<Vec<String>, PortError> {
        let mut vetoes = Vec::new();
        let without = |answer: &mut Answer, edits: &[Edit]| {
            answer.candidates.retain(|(of, one)| *of != finding.fingerprint || one.edits != edits);
        };
        for candidate in passed {
            let vetoed = match self.still_claimed(question, finding, candidate, answer).await {
                Ok(None) if self.policy.model.council => self.reviewed(question, finding, candidate, answer).await,
                other => other,
            };
            match vetoed {
                Ok(None) => {}
                Ok(Some(veto)) => {
                    answer.answers.push(format!("{}: {veto}", finding.fingerprint.short()));
                    without(answer, &candidate.edits);
                    vetoes.push(veto);
                }
                Err(error) => {
                    passed.iter().for_each(|one| without(answer, &one.edits));
                    return Err(error);
                }
            }
        }
        Ok(vetoes)
    }

    /// One question and the answers to it.
    async fn round(&self, inquiry: &Inquiry<'_>, asking: &Asking<'_>, answer: &mut Answer) -> Result<Round, PortError> {
        let (question, finding, material) = (inquiry.question, inquiry.finding, &inquiry.material);
        let base = question.base;
        let region = prompt::region(base.language, &base.text, finding);
        let asked = prompt::build(&prompt::Inputs {
            finding,
            path: &base.path,
            text: &base.text,
            region: &region,
            flow: &material.flow,
            pairs: &material.pairs,
            context: &question.context,
            conventions: material.conventions.as_ref().map(|(name, text)| (name.as_str(), text.as_str())),
            refused: asking.refused,
            budget: self.policy.model.question_tokens,
        });
        let place = finding.fingerprint.short();
        answer.answers.extend(asked.left_out.iter().map(|what| format!("{place}: left out for want of room: {what}")));
        let about = reply::About {
            rule: &finding.rule,
            path: &base.path,
            language: base.language,
            text: &base.text,
            region: &region,
            key: &asked.key,
        };
        let mut round = Round {
            samples: Samples::default(),
            model: String::new(),
            refused: Vec::new(),
            truncated: asked.truncated,
        };
        let wanted = self.policy.model.samples.max(1);
        while round.samples.read < u32::from(wanted) && !round.samples.is_settled() {
            let drawn = match self.draw(inquiry, asking, (&asked, &round.samples), answer).await {
                Ok(drawn) => drawn,
                Err(error) if round.samples.groups.is_empty() => return Err(error),
                Err(error) => {
                    answer.answers.push(format!("{place}: no further answer: {}", error.chain()));
                    break;
                }
            };
            let read = u32::try_from(drawn.len()).unwrap_or(u32::MAX);
            drawn.into_iter().for_each(|one| read_one(&mut round, &about, &base.text, one));
            if read == 0 || self.has_no_time_for_more() {
                break;
            }
        }
        answer.answers.extend(round.refused.iter().map(|why| format!("{place}: refused, {why}")));
        Ok(round)
    }

    /// What people did with the model's earlier proposals for the rule. It lowers a number as it raises one, so that unread is not
    /// as good as none.
    async fn earlier(&self, inquiry: &Inquiry<'_>, round: &Round) -> Result<TrackRecord, PortError> {
        if round.samples.groups.is_empty() {
            return Ok(TrackRecord::default());
        }
        let organisation = &inquiry.question.base.repository.organisation;
        self.record_of(organisation, &round.model, &inquiry.finding.rule.id).await
    }

    /// Makes candidates of what was drawn, the one that most agree on first. Returns those that pass the checks, and why the
    /// others do not.
    fn candidates_of(
        &self,
        (question, finding): (&Question<'_>, &Finding),
        (round, record): (&Round, TrackRecord),
        answer: &mut Answer,
    ) -> (Vec<Candidate>, Vec<String>) {
        let (place, base) = (finding.fingerprint.short(), question.base);
        let mut groups: Vec<&Group> = round.samples.groups.iter().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.agreeing));
        let of = round.samples.of(self.policy.model.samples.max(1));
        let (mut passed, mut failed) = (Vec::new(), Vec::new());
        for group in groups {
            let Group { rewrite, agreeing, answers, .. } = group;
            answer.answers.push(format!(
                "{place}: {} rewrote the region; {answers} answer(s) give this edit, {agreeing} of {of} agree",
                round.model
            ));
            let evidence = Evidence::Model {
                model: round.model.clone(),
                claimed: rewrite.claimed,
                agreeing: *agreeing,
                samples: of,
                past_fix_agrees: past_fix_agrees(question, finding, rewrite),
                of_its_own: plain::of_its_own(base.language, &base.text, &rewrite.edits, &finding.rule),
                truncated: round.truncated,
                record,
                input_tokens: answer.calls.iter().map(|call| call.input_tokens).sum(),
                output_tokens: answer.calls.iter().map(|call| call.output_tokens).sum(),
            };
            let candidate = Candidate { title: finding.rule.hint.clone(), edits: rewrite.edits.clone(), evidence };
            match self.problem(question, finding, &candidate) {
                Some(why) => failed.push(why),
                None => passed.push(candidate.clone()),
            }
            let known = answer
                .candidates
                .iter()
                .any(|(of, other)| *of == finding.fingerprint && other.edits == candidate.edits);
            if !known {
                answer.candidates.push((finding.fingerprint.clone(), candidate));
            }
        }
        (passed, failed)
    }

    /// Why a candidate will not pass its checks. Only a look ahead: what is proposed is judged as any other.
    fn problem(&self, question: &Question<'_>, finding: &Finding, candidate: &Candidate) -> Option<String> {
        let base = question.base;
        let input = VerifyInput {
            limits: self.policy.limits,
            ..VerifyInput::new(&base.path, &base.text, std::slice::from_ref(finding), &candidate.edits)
        };
        let checked = if matches!(finding.rule.origin, RuleOrigin::External { .. }) {
            // Whether the finding is gone only its own scanner knows.
            verify::check_edits(&input).map(drop)
        } else {
            verify::with_detector(&input, &self.detector, &base.repository.id).map(drop)
        };
        checked.err().map(|rejection| rejection.detail)
    }
}

fn read_one(round: &mut Round, about: &reply::About<'_>, text: &str, completion: Completion) {
    round.model.clone_from(&completion.model);
    match reply::read(&completion, about) {
        Ok(rewrite) => round.samples.add(text, &completion.text, rewrite),
        Err(refusal) => {
            round.samples.refuse();
            let why = refusal.to_string();
            if !round.refused.contains(&why) {
                round.refused.push(why);
            }
        }
    }
}

/// Whether a reviewed fix of the memory makes the same of the file.
fn past_fix_agrees(question: &Question<'_>, finding: &Finding, rewrite: &reply::Rewrite) -> bool {
    let text = &question.base.text;
    let made = |edits| crate::fix::edit::apply(text, edits).ok().map(|patched| normalised(&patched));
    let Some(ours) = made(&rewrite.edits) else { return false };
    question.proposed.iter().any(|(of, candidate)| {
        let reviewed = match &candidate.evidence {
            Evidence::PastFix { provenance, .. } => provenance.weight() > 0.0,
            _ => false,
        };
        reviewed && *of == finding.fingerprint && made(&candidate.edits).as_ref() == Some(&ours)
    })
}
