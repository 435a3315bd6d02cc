//! Asking one source: raw material through its port, candidates by pure code, and what it cost.

pub(super) mod model;
mod past_fix;
mod policy;
pub(super) mod refused;
mod team;

use super::heal::replay;
use super::judge::Base;
use super::lease::Leased;
use super::look::again;
use super::spend::Spender;
use super::{HealError, Healer};
use crate::detect::redact::{redact, secrets_in};
use crate::fix::edit;
use crate::model::{
    Candidate, CommitId, ConsultOutcome, Consultation, Edit, EventKind, Finding, Fingerprint, ModelCall, Review, Source,
};

pub use policy::{ModelPolicy, Prices};

/// What asking a source brought, before it is recorded.
#[derive(Default)]
pub(super) struct Answer {
    pub question: String,
    pub answers: Vec<String>,
    pub candidates: Vec<(Fingerprint, Candidate)>,
    pub context: Vec<String>,
    /// Calls of a model, in order.
    pub calls: Vec<ModelCall>,
    /// What reviewers said.
    pub reviews: Vec<Review>,
    /// Calls that were begun, also those that failed.
    pub begun: usize,
}

/// What a source is asked about.
pub(super) struct Question<'a> {
    pub base: &'a Base,
    pub findings: Vec<&'a Finding>,
    /// Text that earlier sources found.
    pub context: Vec<&'a str>,
    /// What earlier sources proposed.
    pub proposed: Vec<&'a (Fingerprint, Candidate)>,
    /// The commit that the run is pinned to.
    pub commit: &'a CommitId,
    /// Whose spending it is.
    pub spender: Spender,
}

impl Healer {
    /// Asks a source about findings. A source that cannot be asked is an answer too, and is recorded as such.
    pub(super) async fn consult(
        &self,
        leased: &Leased,
        source: Source,
        findings: &[Fingerprint],
    ) -> Result<EventKind, HealError> {
        if !self.is_configured(source) {
            return Ok(EventKind::Consulted(skipped(source)));
        }
        let walk = replay(leased)?;
        let base = self.base(leased, &walk).await?;
        let question = Question {
            base: &base,
            findings: walk.findings.iter().filter(|f| findings.contains(&f.fingerprint)).collect(),
            context: walk.consulted.iter().flat_map(|c| c.context.iter().map(String::as_str)).collect(),
            proposed: walk.consulted.iter().flat_map(|c| &c.candidates).collect(),
            commit: walk.commit,
            spender: self.spender(leased, walk.commit.as_str()),
        };
        let begun = self.ports.clock.now();
        let asked = match source {
            Source::TeamKnowledge => self.guarded("team knowledge", self.ask_team(&question)).await,
            Source::PastFix => self.guarded("memory", self.ask_past_fixes(&question)).await,
            // Guarded call by call: each endpoint has a breaker of its own.
            Source::Model => self.ask_model(&question).await,
        };
        // What a model found, only a model can look for again.
        let asked = match asked {
            Ok(mut answer) if !again::looks_itself(source) => {
                self.look_at_candidates(&question, &mut answer).await.map(|()| answer)
            }
            other => other,
        };
        let millis = self.ports.clock.now().saturating_sub(begun);
        Ok(EventKind::Consulted(match asked {
            Ok(answer) => answered(source, without_secrets(answer, &base.text), millis),
            Err(error) => Consultation {
                outcome: ConsultOutcome::Unavailable { error: redact(&error.chain()).into_owned() },
                millis,
                ..skipped(source)
            },
        }))
    }

    fn is_configured(&self, source: Source) -> bool {
        match source {
            Source::TeamKnowledge => self.ports.team.is_some(),
            Source::PastFix => true,
            Source::Model => self.ports.model.is_some(),
        }
    }
}

fn skipped(source: Source) -> Consultation {
    Consultation {
        source,
        outcome: ConsultOutcome::NotConfigured,
        question: String::new(),
        answers: Vec::new(),
        candidates: Vec::new(),
        context: Vec::new(),
        millis: 0,
        input_tokens: 0,
        output_tokens: 0,
        calls: Vec::new(),
        reviews: Vec::new(),
    }
}

/// A candidate whose edits would carry a secret into the trail is dropped. Edits that only pass one by are cut down to what
/// they change.
fn without_secrets(mut answer: Answer, text: &str) -> Answer {
    let quotes = |candidate: &Candidate| candidate.edits.iter().any(|edit| !secrets_in(&edit.text).is_empty());
    let mut kept = Vec::with_capacity(answer.candidates.len());
    for (finding, mut candidate) in answer.candidates {
        if quotes(&candidate) {
            candidate.edits = cut_down(text, &candidate.edits);
        }
        candidate.title = redact(&candidate.title).into_owned();
        if quotes(&candidate) {
            answer.answers.push(format!("{}: a proposal with a secret in it was dropped", finding.short()));
        } else {
            kept.push((finding, candidate));
        }
    }
    answer.candidates = kept;
    answer
}

/// The same change in the fewest bytes; edits that do not apply stay as they are, for verification to refuse.
fn cut_down(text: &str, edits: &[Edit]) -> Vec<Edit> {
    let [first, rest @ ..] = edits else { return Vec::new() };
    let one_file = rest.iter().all(|edit| edit.path == first.path);
    match edit::apply(text, edits) {
        Ok(patched) if one_file => edit::minimal(text, &patched, &first.path),
        _ => edits.to_vec(),
    }
}

/// Everything a source said is hostile: secrets go before it is recorded.
fn answered(source: Source, answer: Answer, millis: u64) -> Consultation {
    let outcome = if answer.candidates.is_empty() { ConsultOutcome::NothingFound } else { ConsultOutcome::Answered };
    let clean = |text: String| redact(&text).into_owned();
    Consultation {
        source,
        outcome,
        question: clean(answer.question),
        answers: answer.answers.into_iter().map(clean).collect(),
        candidates: answer.candidates,
        context: answer.context.into_iter().map(clean).collect(),
        millis,
        input_tokens: answer.calls.iter().map(|call| call.input_tokens).sum(),
        output_tokens: answer.calls.iter().map(|call| call.output_tokens).sum(),
        calls: answer.calls,
        reviews: answer
            .reviews
            .into_iter()
            .map(|review| Review { reason: redact(&review.reason).into_owned(), ..review })
            .collect(),
    }
}
