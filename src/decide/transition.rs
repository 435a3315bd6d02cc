//! Which event may follow which state. Everything not listed here is refused.

use crate::model::{EventKind, Feedback, RunState};

/// A step that the run's state does not allow: two workers disagree, or the store was tampered with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a run in state {state} cannot take the step {event}")]
pub struct IllegalStep {
    pub state: RunState,
    pub event: &'static str,
}

/// The state after `event` happens in `state`; `state` is `None` before the first event.
///
/// # Errors
/// When the step is not legal there.
pub fn after(state: Option<RunState>, event: &EventKind) -> Result<RunState, IllegalStep> {
    use EventKind as E;
    use RunState as S;
    let Some(state) = state else {
        return match event {
            E::Detected { .. } => Ok(S::Detected),
            _ => Err(IllegalStep { state: S::Detected, event: event.name() }),
        };
    };
    let next = match (state, event) {
        (S::Detected, E::Consulted(_) | E::Judged { .. } | E::Redriven { .. }) => S::Detected,
        (S::Detected, E::Decided(_)) => S::Decided,
        // Before its decision for want of a source; after it, because of a limit on what people get to see.
        (S::Detected | S::Decided, E::Deferred { .. }) => S::Deferred,
        (S::Deferred, E::Redriven { .. }) => S::Detected,
        (S::Decided, E::BranchRefused { .. }) => S::Decided,
        (S::Decided, E::Branched { .. }) => S::Branched,
        // A worker that had lost the run made it late, or had made it and nobody heard: it is known, and changes nothing.
        (S::Failed | S::Superseded, E::Branched { adopted: true, .. }) => state,
        (S::Branched, E::Proposed { .. }) => S::Proposed,
        (S::Decided | S::Proposed, E::Notifying) => S::Notifying,
        (S::Notifying, E::Notified { .. }) => S::Notified,
        (S::Notified, E::Learned { .. }) => S::Done,
        (S::Detected | S::Decided | S::Deferred, E::Suppressed { .. }) => S::Suppressed,
        (S::Detected | S::Decided | S::Deferred | S::Branched, E::Superseded { .. }) => S::Superseded,
        (S::Failed, E::Redriven { .. }) => S::Detected,
        (state, E::Failed { .. }) if !state.is_terminal() => S::Failed,
        (S::Proposed | S::Notifying | S::Notified | S::Done, E::Feedback(_)) => state,
        // What could not be healed can still be ignored.
        (S::Failed | S::Superseded | S::Suppressed, E::Feedback(Feedback::Ignored { .. })) => state,
        _ => return Err(IllegalStep { state, event: event.name() }),
    };
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_begins_only_by_detection() {
        assert!(after(None, &EventKind::Notifying).is_err());
    }

    #[test]
    fn a_failed_run_can_be_ignored_but_not_merged() {
        let ignored = Feedback::Ignored { by: "ann".to_owned(), reason: "generated".to_owned() };
        assert_eq!(after(Some(RunState::Failed), &EventKind::Feedback(ignored)), Ok(RunState::Failed));
        assert!(after(Some(RunState::Failed), &EventKind::Feedback(Feedback::Closed)).is_err());
    }

    #[test]
    fn a_branch_that_comes_late_is_known_and_wakes_nothing() {
        let commit = crate::model::CommitId::new("a".repeat(40)).unwrap();
        let late = |adopted| EventKind::Branched { branch: "codehealer/x".to_owned(), commit: commit.clone(), adopted };
        for state in [RunState::Failed, RunState::Superseded] {
            assert_eq!(after(Some(state), &late(true)), Ok(state));
            assert!(after(Some(state), &late(false)).is_err());
        }
        assert!(after(Some(RunState::Done), &late(true)).is_err());
    }

    #[test]
    fn nothing_is_proposed_before_its_branch_exists() {
        let proposed = EventKind::Proposed { url: String::new(), number: 0, draft: false, adopted: false };
        assert!(after(Some(RunState::Decided), &proposed).is_err());
        assert_eq!(after(Some(RunState::Branched), &proposed), Ok(RunState::Proposed));
    }

    #[test]
    fn a_terminal_run_does_not_fail_afterwards() {
        let failed = EventKind::Failed { reason: String::new() };
        assert!(after(Some(RunState::Done), &failed).is_err());
        assert_eq!(after(Some(RunState::Branched), &failed), Ok(RunState::Failed));
    }
}
