//! Asking the model: one bounded question a finding, its answer read as a rewritten region.

use super::{Answer, Question};
use crate::healer::Healer;
use crate::model::{Candidate, Evidence, Finding, TrackRecord};
use crate::ports::{ErrorKind, Model, PortError};
use crate::recall::{prompt, reply};

/// Questions asked about one case; the rest of its findings wait for a person.
const QUESTIONS: usize = 5;

impl Healer {
    pub(super) async fn ask_model(&self, question: &Question<'_>) -> Result<Answer, PortError> {
        let Some(model) = &self.ports.model else { return Ok(Answer::default()) };
        let mut answer =
            Answer { question: format!("a rewrite of {} region(s)", question.findings.len()), ..Answer::default() };
        for finding in question.findings.iter().take(QUESTIONS) {
            self.ask_about(&**model, question, finding, &mut answer).await?;
        }
        Ok(answer)
    }

    async fn ask_about(
        &self,
        model: &dyn Model,
        question: &Question<'_>,
        finding: &Finding,
        answer: &mut Answer,
    ) -> Result<(), PortError> {
        let base = question.base;
        let region = prompt::region(base.language, &base.text, finding);
        let asked = prompt::build(&prompt::Inputs {
            finding,
            path: &base.path,
            text: &base.text,
            region: &region,
            context: &question.context,
        });
        let timeout = self.policy.model_timeout;
        let completion = tokio::time::timeout(timeout, model.complete(&asked.prompt)).await.map_err(|_| {
            PortError::new("model", format!("get an answer within {timeout:?}"), ErrorKind::Unavailable)
        })??;
        answer.input_tokens += completion.input_tokens;
        answer.output_tokens += completion.output_tokens;
        match reply::read(&completion, &base.path, &base.text, &region) {
            Ok(rewrite) => {
                answer.answers.push(format!(
                    "{}: {} rewrote the region",
                    finding.fingerprint.short(),
                    completion.model
                ));
                let evidence = Evidence::Model {
                    model: completion.model,
                    claimed: rewrite.claimed,
                    agreeing: 1,
                    samples: 1,
                    past_fix_agrees: false,
                    truncated: asked.truncated,
                    record: TrackRecord::default(),
                    input_tokens: completion.input_tokens,
                    output_tokens: completion.output_tokens,
                };
                let candidate = Candidate { title: finding.rule.hint.clone(), edits: rewrite.edits, evidence };
                answer.candidates.push((finding.fingerprint.clone(), candidate));
            }
            Err(refusal) => {
                answer.answers.push(format!("{}: refused, {refusal}", finding.fingerprint.short()));
            }
        }
        Ok(())
    }
}
