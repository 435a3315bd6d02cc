//! The track record of models: what people did with what each proposed, by model and rule. It corrects what a model says of itself.
//!
//! One outcome a run, under a key that the run alone makes, written in the transaction of the feedback: it counts once, however often
//! it is taken in.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::lease::Leased;
use super::{HealError, Healer, trail};
use crate::decide::Walk;
use crate::model::{Evidence, RuleId, TrackRecord};
use crate::ports::PortResult;
use crate::state::run::fields;
use crate::state::{Item, Key, Query, QueryOf, Write, keys};

/// Outcomes that are looked at, the newest: what a model was like years ago says little.
const NEWEST: usize = 200;

/// What became of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// Merged, as it was or amended.
    Accepted,
    /// Closed unmerged.
    Rejected,
    /// Merged and undone.
    Reverted,
}

/// One outcome, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// As the server names itself.
    model: String,
    outcome: Outcome,
}

impl Healer {
    /// What people did with what a model proposed for a rule: the newest outcomes.
    ///
    /// # Errors
    /// When the store cannot be asked, or an outcome cannot be understood.
    pub(super) async fn record_of(&self, organisation: &str, model: &str, rule: &RuleId) -> PortResult<TrackRecord> {
        let of = QueryOf::Partition { pk: keys::outcomes(organisation, model, rule), prefix: String::new() };
        let query = Query { of, descending: true, limit: NEWEST, cursor: None };
        let mut record = TrackRecord::default();
        for item in self.ports.state.query(&query).await?.items {
            let read: Result<Kept, HealError> = trail::parse(&item);
            let kept = read.map_err(|error| error.into_port("read what became of a model's proposals"))?;
            match kept.outcome {
                Outcome::Accepted => record.accepted += 1,
                Outcome::Rejected => record.rejected += 1,
                Outcome::Reverted => record.reverted += 1,
            }
        }
        Ok(record)
    }

    /// Writes that put on record what became of a run's proposal for each model that had a part in it; `None` takes it back.
    pub(super) fn outcome_writes(leased: &Leased, walk: &Walk<'_>, outcome: Option<Outcome>) -> Vec<Write> {
        let write = |model: &str| {
            let key = key_of(leased, model);
            match outcome {
                None => Write::Delete { key, when: Vec::new() },
                Some(outcome) => {
                    let fields = fields(&Kept { model: model.to_owned(), outcome });
                    Write::Put { item: Item { key, fields, indexes: Vec::new(), expires: None }, when: Vec::new() }
                }
            }
        };
        models(walk).into_iter().map(write).collect()
    }
}

/// The models whose proposals are in the run's change.
fn models<'a>(walk: &Walk<'a>) -> BTreeSet<&'a str> {
    let chosen = walk.decided.map(|decided| decided.chosen.as_slice()).unwrap_or_default();
    let model = |judged: &'a crate::model::CandidateJudged| match &judged.candidate.evidence {
        Evidence::Model { model, .. } => Some(model.as_str()),
        _ => None,
    };
    chosen.iter().filter_map(model).collect()
}

fn key_of(leased: &Leased, model: &str) -> Key {
    let (head, summary) = (&leased.head, &leased.head.summary);
    let pk = keys::outcomes(&summary.repository.organisation, model, &summary.rule);
    // By time, so that the newest are found first; the time is the run's own and never another.
    let sk = format!("{}#{}#{:06}", keys::time(head.detected_at), head.case, head.generation.0);
    Key { pk, sk }
}
