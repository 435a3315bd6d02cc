//! The trail of a push: what happened before there was any case, chained like the trail of a case.

use super::{HealError, Healer, trail};
use crate::model::{CommitId, RepositoryId};
use crate::ports::ErrorKind;
use crate::state::chain::{PushEvent, PushEventKind, PushHead, seal_push};
use crate::state::run::fields;
use crate::state::{Condition, Item, Key, QueryOf, Transaction, Write, keys};

/// A push: where, and the commit it ended with.
pub(super) type PushedTo<'a> = (&'a RepositoryId, &'a str, &'a CommitId);

impl Healer {
    /// Adds an event to the chain of a push, with further writes that belong to it, all or none. Two workers on the same push take
    /// turns.
    pub(super) async fn record_push(
        &self,
        (repository, reference, after): PushedTo<'_>,
        kind: PushEventKind,
        further: Vec<Write>,
    ) -> Result<(), HealError> {
        let state = &*self.ports.state;
        let partition = keys::push_partition(repository, reference, after);
        loop {
            let of = QueryOf::Partition { pk: partition.clone(), prefix: keys::PUSH_EVENTS.to_owned() };
            let last: Option<PushEvent> = trail::all(state, of).await?.last().map(trail::parse).transpose()?;
            if last.as_ref().is_some_and(|last| last.kind == kind && matches!(kind, PushEventKind::Refused { .. })) {
                return Ok(()); // refused for the same reason as last time
            }
            let event = seal_push(PushEvent {
                partition: partition.clone(),
                sequence: last.as_ref().map_or(0, |e| e.sequence + 1),
                at: self.ports.clock.now(),
                kind: kind.clone(),
                previous: last.map(|e| e.hash).unwrap_or_default(),
                hash: String::new(),
            });
            let head = PushHead {
                partition: partition.clone(),
                sequence: event.sequence + 1,
                head_hash: event.hash.clone(),
                updated_at: event.at,
            };
            let item = |key: Key, fields| Item { key, fields, indexes: Vec::new(), expires: None };
            let key = keys::push_event(&partition, event.sequence);
            let head_key = keys::push_head(repository, reference, after);
            let mut writes = vec![
                Write::Put { item: item(key, fields(&event)), when: vec![Condition::Absent] },
                Write::Put { item: item(head_key, fields(&head)), when: Vec::new() },
            ];
            writes.extend(further.iter().cloned());
            match trail::commit(state, &Transaction { writes, token: None }).await {
                Err(error) if error.kind == ErrorKind::Conflict => {}
                other => return Ok(other?),
            }
        }
    }
}
