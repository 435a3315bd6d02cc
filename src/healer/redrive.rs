//! Runs that failed for something that a person has mended since: begun anew, when somebody asks for it.
//!
//! What the sources answered stays recorded and is not paid for again; only what could not be asked is asked now.

use super::lease::LeaseOutcome;
use super::{HealError, Healer, trail};
use crate::model::{CaseId, EventKind, Generation, RunState};

impl Healer {
    /// Lets the last run of a case begin anew if it failed, and says which one that is; `None` when it did not fail. It is due at
    /// once. `by` is who asks.
    ///
    /// # Errors
    /// When the case is not known, is being worked on, or the store cannot be asked.
    pub async fn redrive(&self, case: &CaseId, by: &str) -> Result<Option<Generation>, HealError> {
        let head = trail::case_head(&*self.ports.state, case).await?;
        let generation = head.map(|head| head.generation).ok_or_else(|| HealError::UnknownCase(case.clone()))?;
        let LeaseOutcome::Taken(mut leased) = self.lease(case, generation).await? else {
            return Err(HealError::TakenOver(case.clone()));
        };
        let failed = leased.head.state == RunState::Failed;
        let reason = redrive_reason(by);
        let done = if failed { self.append(&mut leased, EventKind::Redriven { reason }).await } else { Ok(()) };
        let due = if failed { Some(self.ports.clock.now()) } else { self.due(&leased) };
        self.release(&leased, due).await?;
        done.map(|()| failed.then_some(generation))
    }
}

/// What stands in the trail of a run that somebody let begin anew.
pub(super) fn redrive_reason(by: &str) -> String {
    format!("{by} asked for it")
}
