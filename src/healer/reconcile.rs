//! What time alone asks for: runs whose lease ran out, deferred ones that are due, heads that moved without a webhook.

use super::{HealError, Healer, trail};
use crate::model::{CaseId, CommitId, Generation, PushTask, Repository};
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
    /// Nothing was scanned yet: the branch stood there when it was first seen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sighted: bool,
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
        Ok(self.known(repository, reference).await?.map(|position| position.last_scanned))
    }

    pub(super) async fn known(&self, repository: &Repository, reference: &str) -> Result<Option<Position>, HealError> {
        trail::load(&*self.ports.state, &keys::position(&repository.id, reference)).await
    }

    /// Where the range of a push may begin, the likeliest first; one that is gone makes room for the next. Empty for a branch that is
    /// new to the push and to us. What was scanned last
    /// goes before what the push says it replaced, unless nothing was scanned yet and the push was part of what was seen first.
    pub(super) async fn bases(
        &self,
        repository: &Repository,
        push: &PushTask,
        known: Option<&Position>,
    ) -> Result<Vec<CommitId>, HealError> {
        let (stood, before) = (known.map(|known| &known.last_scanned), push.before.as_ref());
        let first_seen = stood.filter(|_| known.is_some_and(|known| known.sighted));
        let was_on_its_way = match (first_seen, before) {
            (Some(seen), Some(before)) if before != seen => self.is_part_of(repository, &push.after, seen).await?,
            _ => false,
        };
        let (first, second) = if was_on_its_way { (before, stood) } else { (stood, before) };
        let mut bases: Vec<CommitId> = first.into_iter().chain(second).cloned().collect();
        bases.dedup();
        Ok(bases)
    }

    /// Whether a commit brings nothing that the other has not.
    async fn is_part_of(&self, repository: &Repository, commit: &CommitId, of: &CommitId) -> Result<bool, HealError> {
        if commit == of {
            return Ok(true);
        }
        match self.ports.forge.changed_files(repository, Some(of), commit).await {
            Ok(changes) => Ok(changes.files.is_empty() && changes.skipped.is_empty()),
            // Gone with a force push: it is part of nothing.
            Err(error) if error.kind == ErrorKind::Missing => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Records where a branch stands that nobody looked at before.
    pub(super) async fn sight(&self, repository: &Repository, reference: &str, at: &CommitId) -> Result<(), HealError> {
        let position = Position { last_scanned: at.clone(), sighted: true };
        self.put_position(repository, reference, (&position, vec![Condition::Absent])).await.map(drop)
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
        let when = match from {
            None => vec![Condition::Absent],
            Some(from) => vec![Condition::Equals("last_scanned", serde_json::json!(from))],
        };
        let position = Position { last_scanned: to.clone(), sighted: false };
        self.put_position(repository, reference, (&position, when)).await
    }

    /// False when a condition does not hold.
    async fn put_position(
        &self,
        repository: &Repository,
        reference: &str,
        (position, when): (&Position, Vec<Condition>),
    ) -> Result<bool, HealError> {
        let key = keys::position(&repository.id, reference);
        let item = Item { key, fields: fields(position), indexes: Vec::new(), expires: None };
        let transaction = Transaction { writes: vec![Write::Put { item, when }], token: None };
        match trail::commit(&*self.ports.state, &transaction).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind == ErrorKind::Conflict => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
