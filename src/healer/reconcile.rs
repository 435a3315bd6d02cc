//! What time alone asks for: runs whose lease ran out, deferred ones that are due, heads that moved without a webhook.

use super::{HealError, Healer, trail};
use crate::model::{CaseId, CommitId, Generation, Repository};
use crate::ports::ErrorKind;
use crate::state::run::{RunHead, fields};
use crate::state::{Condition, Index, Item, QueryOf, Transaction, Write, keys};

/// What a reconciliation found to do.
#[derive(Debug, Clone, Default)]
pub struct Reconciled {
    pub due: Vec<(CaseId, Generation)>,
}

/// How far a branch was scanned.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Position {
    pub last_scanned: CommitId,
}

impl Healer {
    /// Runs that are due now: unfinished and not leased.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn due_runs(&self) -> Result<Reconciled, HealError> {
        let now = self.ports.clock.now();
        let mut found = Reconciled::default();
        for shard in 0..keys::DUE_SHARDS {
            let of = QueryOf::Index {
                index: Index::Due,
                hash: format!("DUE#{shard}"),
                from: String::new(),
                to: format!("{}#{}", keys::time(now), keys::LAST),
            };
            for item in trail::all(&*self.ports.state, of).await? {
                let head: RunHead = trail::parse(&item)?;
                if head.lease_until < now {
                    found.due.push((head.case, head.generation));
                }
            }
        }
        Ok(found)
    }

    /// As [`Healer::due_runs`], of one repository, deferred ones included whatever their time: somebody asks now.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn due_runs_of(&self, repository: &Repository) -> Result<Vec<(CaseId, Generation)>, HealError> {
        let runs = self.runs_of(repository).await?;
        Ok(runs.into_iter().filter(|run| run.due.is_some()).map(|run| (run.case, run.generation)).collect())
    }

    /// The heads of all runs of a repository, oldest first.
    pub(super) async fn runs_of(&self, repository: &Repository) -> Result<Vec<RunHead>, HealError> {
        let of = QueryOf::Index {
            index: Index::Repository,
            hash: repository.id.0.clone(),
            from: String::new(),
            to: keys::LAST.to_owned(),
        };
        trail::all(&*self.ports.state, of).await?.iter().map(trail::parse).collect()
    }

    /// How far a branch was scanned; `None` before its first sight.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn position(&self, repository: &Repository, reference: &str) -> Result<Option<CommitId>, HealError> {
        let key = keys::position(&repository.id, reference);
        let position: Option<Position> = trail::load(&*self.ports.state, &key).await?;
        Ok(position.map(|p| p.last_scanned))
    }

    /// Moves the position from what was read to `to`; false when a rival moved it first.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn advance(
        &self,
        repository: &Repository,
        reference: &str,
        from: Option<&CommitId>,
        to: &CommitId,
    ) -> Result<bool, HealError> {
        let item = Item {
            key: keys::position(&repository.id, reference),
            fields: fields(&Position { last_scanned: to.clone() }),
            indexes: Vec::new(),
            expires: None,
        };
        let when = match from {
            None => vec![Condition::Absent],
            Some(from) => vec![Condition::Equals("last_scanned", serde_json::json!(from))],
        };
        let transaction = Transaction { writes: vec![Write::Put { item, when }], token: None };
        match trail::commit(&*self.ports.state, &transaction).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind == ErrorKind::Conflict => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
