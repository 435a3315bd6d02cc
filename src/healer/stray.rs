//! Branches that nobody recorded: made by a worker that slept through its lease, after another one had ended the run.
//!
//! No forge knows our fence, so a request that was under way may arrive at any later time. A run that ends without a branch although
//! somebody else may be about to make it is watched for a day, and a branch that appears is added to its trail.

use super::lease::{LeaseOutcome, Leased};
use super::{HealError, Healer, trail};
use crate::model::{CaseId, CommitId, Decision, EventKind, Generation, Repository, RunState, UnixMillis};
use crate::state::run::fields;
use crate::state::{Item, QueryOf, Transaction, Write, keys};

/// How long a branch may come late, milliseconds: far longer than a function may run, or a machine usually sleeps.
const WATCHED_MS: u64 = 24 * 3600 * 1000;

/// A run whose branch may still appear.
#[derive(serde::Serialize, serde::Deserialize)]
struct Watch {
    case: CaseId,
    generation: Generation,
    branch: String,
    until: UnixMillis,
}

impl Healer {
    /// The mark that a run's branch may still appear, when the run ends so with the steps that are about to be stored.
    pub(super) fn watch_for_stray(&self, leased: &Leased) -> Option<Write> {
        let head = &leased.head;
        let ends =
            matches!(head.state, RunState::Superseded | RunState::Failed) && !leased.stored().state.is_terminal();
        let shared = head.fence > 1;
        let delivers = matches!(head.summary.decision, Some(Decision::Open | Decision::Draft));
        if !ends || !shared || !delivers || has_branch(leased) {
            return None;
        }
        let watch = Watch {
            case: head.case.clone(),
            generation: head.generation,
            branch: head.case.branch(&head.summary.rule, head.generation),
            until: self.ports.clock.now().saturating_add(WATCHED_MS),
        };
        let key = keys::stray(&head.summary.repository.id, &head.case, head.generation);
        Some(Write::Put {
            item: Item { key, fields: fields(&watch), indexes: Vec::new(), expires: None },
            when: Vec::new(),
        })
    }

    /// Adds branches that appeared after their run had ended to its trail.
    ///
    /// # Errors
    /// When the forge or the store cannot be asked.
    pub async fn record_strays(&self, repository: &Repository) -> Result<(), HealError> {
        let state = &*self.ports.state;
        let of = QueryOf::Partition { pk: keys::stray_partition(&repository.id), prefix: String::new() };
        for mark in trail::all(state, of).await? {
            let watch: Watch = trail::parse(&mark)?;
            let tip = self.ports.forge.head(repository, &format!("refs/heads/{}", watch.branch)).await?;
            let done = match tip {
                Some(tip) => self.record_stray(&watch, tip).await?,
                None => self.ports.clock.now() > watch.until,
            };
            if done {
                let delete = Write::Delete { key: mark.key.clone(), when: Vec::new() };
                trail::commit(state, &Transaction { writes: vec![delete], token: None }).await?;
            }
        }
        Ok(())
    }

    /// False while another worker has the run.
    async fn record_stray(&self, watch: &Watch, commit: CommitId) -> Result<bool, HealError> {
        let LeaseOutcome::Taken(mut leased) = self.lease(&watch.case, watch.generation).await? else {
            return Ok(false);
        };
        let ended = matches!(leased.head.state, RunState::Superseded | RunState::Failed);
        let outcome = if ended && !has_branch(&leased) {
            tracing::warn!(
                branch = watch.branch,
                case = watch.case.short(),
                "a branch appeared after its run had ended"
            );
            let kind = EventKind::Branched { branch: watch.branch.clone(), commit, adopted: true };
            self.append(&mut leased, kind).await
        } else {
            Ok(())
        };
        self.release(&leased, None).await?;
        match outcome {
            Ok(()) => Ok(true),
            Err(HealError::TakenOver(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn has_branch(leased: &Leased) -> bool {
    leased.events.iter().any(|event| matches!(event.kind, EventKind::Branched { .. }))
}
