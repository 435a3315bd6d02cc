//! A run under our lease: what was read, and the only way to add to it.

use crate::decide;
use crate::model::{AuditEvent, CaseId, CaseOutcome, Decision, EventKind, Feedback, Generation, RunState, UnixMillis};
use crate::ports::ErrorKind;
use crate::state::run::{CaseHead, FindingRecord, RunHead};
use crate::state::{Transaction, Write, chain, limits, run};

use super::{HealError, Healer, trail};

/// Writes that a step's transaction holds beside the head, its event and the case's record.
const BESIDE: usize = limits::WRITES - 3;

/// A run that this worker owns until its lease ends.
pub(super) struct Leased {
    pub head: RunHead,
    pub events: Vec<AuditEvent>,
    /// When the work since the last event began; what the run's execution time is made of.
    pub since: UnixMillis,
}

/// What came of asking for the lease.
pub(super) enum LeaseOutcome {
    Taken(Box<Leased>),
    /// Another worker holds it until this time.
    Busy {
        until: UnixMillis,
    },
}

impl Healer {
    /// Takes the lease of a run and reads its events.
    pub(super) async fn lease(&self, case: &CaseId, generation: Generation) -> Result<LeaseOutcome, HealError> {
        let state = &*self.ports.state;
        let now = self.ports.clock.now();
        let head = trail::run_head(state, case, generation).await?;
        let head = head.ok_or_else(|| HealError::UnknownCase(case.clone()))?;
        if head.lease_until >= now {
            return Ok(LeaseOutcome::Busy { until: head.lease_until });
        }
        let until = now + trail::millis(self.policy.lease);
        let (leased, transaction) = run::lease(&head, &self.next_owner(), now, until);
        match trail::commit(state, &transaction).await {
            Ok(()) => {}
            Err(error) if error.kind == ErrorKind::Conflict => return Ok(LeaseOutcome::Busy { until }),
            Err(error) => return Err(error.into()),
        }
        let events = trail::events(state, case, generation).await?;
        Ok(LeaseOutcome::Taken(Box::new(Leased { head: leased, events, since: now })))
    }

    /// Records one event and moves the run. The lease is prolonged with it.
    ///
    /// # Errors
    /// `TakenOver` when our fence is no longer the run's: another worker has gone on, and our step does not count.
    pub(super) async fn append(&self, leased: &mut Leased, kind: EventKind) -> Result<(), HealError> {
        self.append_with(leased, kind, Vec::new()).await
    }

    pub(super) async fn append_with(
        &self,
        leased: &mut Leased,
        kind: EventKind,
        further: Vec<Write>,
    ) -> Result<(), HealError> {
        let now = self.ports.clock.now();
        let event = chain::seal(AuditEvent {
            case: leased.head.case.clone(),
            generation: leased.head.generation,
            sequence: leased.head.sequence,
            at: now,
            kind,
            previous: leased.head.head_hash.clone(),
            hash: String::new(),
        });
        let mut to = leased.head.clone();
        to.state = decide::after(Some(leased.head.state), &event.kind)?;
        to.sequence += 1;
        // Attempts count since the last progress.
        to.attempts = 0;
        to.head_hash.clone_from(&event.hash);
        to.updated_at = now;
        to.lease_until = now + trail::millis(self.policy.lease);
        // A superseded run stays due until its findings are judged anew.
        let ended = to.state.is_terminal() && to.state != RunState::Superseded;
        to.due = if ended { None } else { Some(to.lease_until) };
        to.summary.execution_ms += now.saturating_sub(leased.since);
        summarise(&mut to, &event.kind);

        let mut further = self.write_beside(leased, further).await?;
        if to.summary.outcome != leased.head.summary.outcome {
            let current = CaseHead { generation: to.generation, outcome: to.summary.outcome };
            further.push(Write::Put { item: run::case_item(&to.case, &current), when: Vec::new() });
        }
        let item = trail::event_item(&*self.ports.state, &event).await?;
        let transaction = run::step(&leased.head, &to, item, further);
        self.commit_ours(leased, &transaction).await?;
        leased.head = to;
        leased.events.push(event);
        leased.since = now;
        Ok(())
    }

    /// Makes as many of the writes as the step's own transaction would not hold, and returns the rest. They come first: if
    /// the step fails it is taken again, and its writes with it.
    async fn write_beside(&self, leased: &Leased, mut further: Vec<Write>) -> Result<Vec<Write>, HealError> {
        let inside = further.split_off(further.len().saturating_sub(BESIDE));
        let mut rest = further.into_iter();
        loop {
            let part: Vec<Write> = rest.by_ref().take(limits::WRITES - 1).collect();
            if part.is_empty() {
                return Ok(inside);
            }
            self.commit_ours(leased, &run::beside(&leased.head, part)).await?;
        }
    }

    async fn commit_ours(&self, leased: &Leased, transaction: &Transaction) -> Result<(), HealError> {
        trail::commit(&*self.ports.state, transaction).await.map_err(|error| match error.kind {
            ErrorKind::Conflict => HealError::TakenOver(leased.head.case.clone()),
            _ => HealError::Port(error),
        })
    }

    /// Gives the lease back; the run is next due at `due`. Losing the race against a rival is fine: it has the run then.
    pub(super) async fn release(&self, leased: &Leased, due: Option<UnixMillis>) -> Result<(), HealError> {
        let (_, transaction) = run::prolong(&leased.head, 0, due);
        match trail::commit(&*self.ports.state, &transaction).await {
            Err(error) if error.kind != ErrorKind::Conflict => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Makes sure that the run is still ours before something is done that shows outside: a worker that slept through its lease
    /// stops here.
    pub(super) async fn still_ours(&self, leased: &Leased) -> Result<(), HealError> {
        let soon = self.ports.clock.now() + trail::millis(self.policy.lease / 2);
        if leased.head.lease_until > soon { Ok(()) } else { self.prolong(&leased.head).await }
    }

    /// Keeps the lease alive during a long step. The fence stays, so the step's own write needs no newer head.
    pub(super) async fn prolong(&self, head: &RunHead) -> Result<(), HealError> {
        let until = self.ports.clock.now() + trail::millis(self.policy.lease);
        let (_, transaction) = run::prolong(head, until, Some(until));
        trail::commit(&*self.ports.state, &transaction).await.map_err(|error| match error.kind {
            ErrorKind::Conflict => HealError::TakenOver(head.case.clone()),
            _ => HealError::Port(error),
        })
    }

    /// Writes that give every finding of a case its new status.
    pub(super) fn finding_writes(case: &CaseId, records: &[FindingRecord]) -> Vec<Write> {
        records.iter().map(|r| Write::Put { item: run::finding_item(case, r), when: Vec::new() }).collect()
    }
}

/// Carries what people ask for from an event into the run's head.
pub(super) fn summarise(head: &mut RunHead, kind: &EventKind) {
    let summary = &mut head.summary;
    match kind {
        EventKind::Consulted(consultation) => {
            summary.input_tokens += consultation.input_tokens;
            summary.output_tokens += consultation.output_tokens;
        }
        EventKind::Decided(decided) => {
            summary.decision = Some(decided.decision);
            summary.confidence = Some(decided.confidence);
            summary.source = decided.chosen.first().map(|c| c.candidate.evidence.source());
            if decided.decision == Decision::Escalate {
                summary.outcome = CaseOutcome::Escalated;
            }
        }
        EventKind::BranchRefused { .. } => summary.outcome = CaseOutcome::Escalated,
        EventKind::Branched { .. } => summary.fix_applied = true,
        EventKind::Proposed { url, .. } => summary.pull_request = Some(url.clone()),
        EventKind::Learned { fix, .. } => summary.fix.clone_from(fix),
        EventKind::Failed { .. } => summary.outcome = CaseOutcome::Failed,
        EventKind::Suppressed { .. } => summary.outcome = CaseOutcome::Suppressed,
        EventKind::Feedback(feedback) => {
            summary.outcome = match feedback {
                Feedback::Merged { .. } => CaseOutcome::Merged,
                Feedback::Closed | Feedback::Retried { .. } => CaseOutcome::Closed,
                Feedback::Reverted { .. } => summary.outcome,
                Feedback::Ignored { .. } => CaseOutcome::Suppressed,
            };
        }
        _ => {}
    }
}
