//! One call of one endpoint: in time, under its breaker, with what it took on record.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Inquiry;
use crate::detect::redact::redact;
use crate::healer::consult::Answer;
use crate::healer::spend::{Short, Spender};
use crate::healer::{Healer, trail};
use crate::model::{Completion, ModelCall, Sampling};
use crate::ports::{ErrorKind, Model, PortError};
use crate::recall::prompt::Asked;
use crate::recall::samples::Samples;
use crate::state::spend::Amount;

/// Which endpoint is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::healer) enum Endpoint {
    First,
    Large,
}

/// One call.
pub(in crate::healer) struct Call<'a> {
    /// What it is for.
    pub purpose: &'static str,
    pub asked: &'a Asked,
    pub sampling: Sampling,
}

/// Why a call brought nothing.
enum Failed {
    /// It was not made: nothing else may be asked instead.
    Budget(PortError),
    Endpoint(PortError),
}

impl Failed {
    fn into_error(self) -> PortError {
        match self {
            Self::Budget(error) | Self::Endpoint(error) => error,
        }
    }
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
    /// Who judges: the larger model where there is one.
    pub(in crate::healer) fn largest(&self) -> Endpoint {
        if self.ports.large_model.is_some() { Endpoint::Large } else { Endpoint::First }
    }

    /// Draws further answers to a question.
    pub(super) async fn draw(
        &self,
        inquiry: &Inquiry<'_>,
        asking: &Asking<'_>,
        (asked, so_far): (&Asked, &Samples),
        answer: &mut Answer,
    ) -> Result<Vec<Completion>, PortError> {
        let policy = &self.policy.model;
        let wanted = u32::from(policy.samples.max(1)).saturating_sub(so_far.read);
        let count = u8::try_from(wanted).unwrap_or(u8::MAX).max(1);
        // One answer alone is the likeliest; several are drawn.
        let temperature = if policy.samples > 1 { policy.temperature } else { 0.0 };
        let sampling = Sampling { count, temperature, seed: u64::from(so_far.read) + 1 };
        let purpose = if asking.revision == 0 { "fix" } else { "revision" };
        self.call(&inquiry.question.spender, asking.endpoint, &Call { purpose, asked, sampling }, answer).await
    }

    /// Calls the endpoint; where it cannot be reached, the one that stands in for it. Gives nothing back when nothing may be
    /// spent any more, and no waiting would help.
    pub(in crate::healer) async fn call(
        &self,
        spender: &Spender,
        endpoint: Endpoint,
        call: &Call<'_>,
        answer: &mut Answer,
    ) -> Result<Vec<Completion>, PortError> {
        let (model, name) = match endpoint {
            Endpoint::First => (&self.ports.model, "model"),
            Endpoint::Large => (&self.ports.large_model, "large model"),
        };
        let Some(model) = model else { return Ok(Vec::new()) };
        let failed = match self.spend(spender, (&**model, name), call, answer).await {
            Err(Failed::Endpoint(error)) if matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Throttled(_)) => {
                error
            }
            outcome => return outcome.map_err(Failed::into_error),
        };
        let Some(fallback) = &self.ports.fallback_model else { return Err(failed) };
        answer.answers.push(format!("the {name} could not be asked, so another was: {}", failed.chain()));
        self.spend(spender, (&**fallback, "fallback model"), call, answer).await.map_err(Failed::into_error)
    }

    /// One call within the budgets: what it may take at most is held before it, and settled after it.
    async fn spend(
        &self,
        spender: &Spender,
        (model, name): (&dyn Model, &'static str),
        call: &Call<'_>,
        answer: &mut Answer,
    ) -> Result<Vec<Completion>, Failed> {
        let number = answer.begun;
        answer.begun += 1;
        let held = match self.hold(spender, number, self.at_most(call)).await {
            Ok(held) => held,
            Err(Short::Failed(error)) => return Err(Failed::Budget(error)),
            Err(Short::Spent { reason, until: None }) => {
                answer.answers.push(format!("not asked: {reason}"));
                return Ok(Vec::new());
            }
            Err(Short::Spent { reason, until: Some(until) }) => {
                let wait = Duration::from_millis(until.saturating_sub(self.ports.clock.now()));
                let error = PortError::new("model", format!("ask: {reason}"), ErrorKind::Throttled(wait));
                return Err(Failed::Budget(error));
            }
        };
        let begun = self.ports.clock.now();
        let sent = AtomicBool::new(false);
        let drawn = self.guarded(name, self.drawn(model, call, &sent)).await;
        if let Some(held) = held {
            let taken = self.taken(call, &drawn, sent.load(Ordering::Relaxed));
            if let Err(error) = self.settle(spender, &held, taken).await {
                // What is held and not settled counts as spent: the limit is kept, and the answer is too.
                let why = redact(&error.chain()).into_owned();
                tracing::warn!(error = why, "what a call took could not be settled");
            }
        }
        let drawn = drawn.map_err(Failed::Endpoint)?;
        let millis = self.ports.clock.now().saturating_sub(begun);
        answer.calls.push(self.on_record(call, &drawn, millis));
        Ok(drawn)
    }

    fn at_most(&self, call: &Call<'_>) -> Amount {
        let answers = u64::from(call.asked.prompt.max_tokens) * u64::from(call.sampling.count);
        self.amount(call.asked.tokens, answers)
    }

    fn taken(&self, call: &Call<'_>, drawn: &Result<Vec<Completion>, PortError>, sent: bool) -> Amount {
        match drawn {
            Ok(drawn) => self.amount(input_of(drawn), output_of(drawn)),
            // It may have worked on the question until it was given up.
            Err(error) if error.kind == ErrorKind::Unavailable && sent => self.amount(call.asked.tokens, 0),
            Err(_) => Amount::default(),
        }
    }

    fn amount(&self, input_tokens: u64, output_tokens: u64) -> Amount {
        let tokens = input_tokens.saturating_add(output_tokens);
        Amount { tokens, micros: self.policy.model.prices.of(input_tokens, output_tokens) }
    }

    async fn drawn(&self, model: &dyn Model, call: &Call<'_>, sent: &AtomicBool) -> Result<Vec<Completion>, PortError> {
        sent.store(true, Ordering::Relaxed);
        let (timeout, prompt, sampling) = (self.policy.model_timeout, &call.asked.prompt, &call.sampling);
        let drawn = if sampling.count == 1 && sampling.temperature == 0.0 {
            let one = async { model.complete(prompt).await.map(|one| vec![one]) };
            tokio::time::timeout(timeout, one).await
        } else {
            tokio::time::timeout(timeout, model.draw(prompt, sampling)).await
        };
        let late = |_| PortError::new("model", format!("get an answer within {timeout:?}"), ErrorKind::Unavailable);
        drawn.map_err(late)?
    }

    fn on_record(&self, call: &Call<'_>, drawn: &[Completion], millis: u64) -> ModelCall {
        let (input_tokens, output_tokens) = (input_of(drawn), output_of(drawn));
        ModelCall {
            purpose: call.purpose.to_owned(),
            model: drawn.first().map(|one| one.model.chars().take(120).collect()).unwrap_or_default(),
            answers: u32::try_from(drawn.len()).unwrap_or(u32::MAX),
            millis,
            expected_tokens: call.asked.tokens,
            input_tokens,
            output_tokens,
            estimated: drawn.iter().any(|one| one.estimated),
            cost_micros: self.policy.model.prices.of(input_tokens, output_tokens),
        }
    }

    /// Whether the time that is left is too short for another call.
    pub(in crate::healer) fn has_no_time_for_more(&self) -> bool {
        let enough = self.ports.clock.now().saturating_add(trail::millis(self.policy.model_timeout));
        self.deadline.is_some_and(|deadline| enough >= deadline)
    }
}

fn input_of(drawn: &[Completion]) -> u64 {
    drawn.iter().map(|one| one.input_tokens).fold(0, u64::saturating_add)
}

fn output_of(drawn: &[Completion]) -> u64 {
    drawn.iter().map(|one| one.output_tokens).fold(0, u64::saturating_add)
}
