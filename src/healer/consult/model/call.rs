//! One call of one endpoint: in time, under its breaker, with what it took on record.

use crate::healer::consult::Answer;
use crate::healer::{Healer, trail};
use crate::model::{Completion, ModelCall, Sampling};
use crate::ports::{ErrorKind, Model, PortError};
use crate::recall::prompt::Asked;
use crate::recall::samples::Samples;

/// Which endpoint is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    First,
    Large,
}

/// A question within its rounds.
pub(super) struct Asking<'a> {
    pub endpoint: Endpoint,
    /// 0 is the first question.
    pub revision: u8,
    /// Why earlier answers were refused.
    pub refused: &'a [String],
}

impl Healer {
    /// Draws further answers to a question.
    pub(super) async fn draw(
        &self,
        asking: &Asking<'_>,
        asked: &Asked,
        so_far: &Samples,
        answer: &mut Answer,
    ) -> Result<Vec<Completion>, PortError> {
        let policy = &self.policy.model;
        let wanted = u32::from(policy.samples.max(1)).saturating_sub(so_far.read);
        let count = u8::try_from(wanted).unwrap_or(u8::MAX).max(1);
        // One answer alone is the likeliest; several are drawn.
        let temperature = if policy.samples > 1 { policy.temperature } else { 0.0 };
        let sampling = Sampling { count, temperature, seed: u64::from(so_far.read) + 1 };
        let purpose = if asking.revision == 0 { "fix" } else { "revision" };
        self.call((asking.endpoint, purpose), asked, &sampling, answer).await
    }

    /// Calls the endpoint; where it cannot be reached, the one that stands in for it.
    async fn call(
        &self,
        (endpoint, purpose): (Endpoint, &'static str),
        asked: &Asked,
        sampling: &Sampling,
        answer: &mut Answer,
    ) -> Result<Vec<Completion>, PortError> {
        let (model, name) = match endpoint {
            Endpoint::First => (&self.ports.model, "model"),
            Endpoint::Large => (&self.ports.large_model, "large model"),
        };
        let Some(model) = model else { return Ok(Vec::new()) };
        let failed = match self.timed((&**model, name, purpose), asked, sampling, answer).await {
            Err(error) if matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Throttled(_)) => error,
            outcome => return outcome,
        };
        let Some(fallback) = &self.ports.fallback_model else { return Err(failed) };
        answer.answers.push(format!("the {name} could not be asked, so another was: {}", failed.chain()));
        self.timed((&**fallback, "fallback model", purpose), asked, sampling, answer).await
    }

    async fn timed(
        &self,
        (model, name, purpose): (&dyn Model, &'static str, &'static str),
        asked: &Asked,
        sampling: &Sampling,
        answer: &mut Answer,
    ) -> Result<Vec<Completion>, PortError> {
        let timeout = self.policy.model_timeout;
        let begun = self.ports.clock.now();
        let drawn = async {
            let drawn = if sampling.count == 1 && sampling.temperature == 0.0 {
                tokio::time::timeout(timeout, async { model.complete(&asked.prompt).await.map(|one| vec![one]) }).await
            } else {
                tokio::time::timeout(timeout, model.draw(&asked.prompt, sampling)).await
            };
            drawn.map_err(|_| {
                PortError::new("model", format!("get an answer within {timeout:?}"), ErrorKind::Unavailable)
            })?
        };
        let drawn = self.guarded(name, drawn).await?;
        let millis = self.ports.clock.now().saturating_sub(begun);
        answer.calls.push(self.on_record(purpose, asked, &drawn, millis));
        Ok(drawn)
    }

    fn on_record(&self, purpose: &str, asked: &Asked, drawn: &[Completion], millis: u64) -> ModelCall {
        let input_tokens = drawn.iter().map(|one| one.input_tokens).sum();
        let output_tokens = drawn.iter().map(|one| one.output_tokens).sum();
        ModelCall {
            purpose: purpose.to_owned(),
            model: drawn.first().map(|one| one.model.chars().take(120).collect()).unwrap_or_default(),
            answers: u32::try_from(drawn.len()).unwrap_or(u32::MAX),
            millis,
            expected_tokens: asked.tokens,
            input_tokens,
            output_tokens,
            estimated: drawn.iter().any(|one| one.estimated),
            cost_micros: self.policy.model.prices.of(input_tokens, output_tokens),
        }
    }

    /// Whether the time that is left is too short for another call.
    pub(super) fn has_no_time_for_more(&self) -> bool {
        let enough = self.ports.clock.now().saturating_add(trail::millis(self.policy.model_timeout));
        self.deadline.is_some_and(|deadline| enough >= deadline)
    }
}
