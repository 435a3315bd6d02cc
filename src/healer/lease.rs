//! A run under our lease: what was read, and the only way to add to it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::decide;
use crate::model::{
    AuditEvent, CaseId, CaseOutcome, Decision, EventKind, Feedback, Generation, RepoPath, RunState, UnixMillis,
};
use crate::ports::ErrorKind;
use crate::state::run::{CaseHead, FindingRecord, RunHead};
use crate::state::{Item, Transaction, Write, chain, limits, run};

use super::{HealError, Healer, trail};

/// Writes that a transaction holds beside the head, the case's record and the watch for a branch that comes late.
const BESIDE: usize = limits::WRITES - 3;

/// A run that this worker owns until its lease ends.
pub(super) struct Leased {
    /// With every step that was taken.
    pub head: RunHead,
    pub events: Vec<AuditEvent>,
    /// When the work since the last event began; what the run's execution time is made of.
    pub since: UnixMillis,
    /// The head as it is stored: without the steps that were taken since.
    stored: RunHead,
    /// Those steps, to be stored in one transaction before anything shows outside.
    staged: Vec<Item>,
    further: Vec<Write>,
    /// Files at the pinned commit that were read already.
    files: Mutex<BTreeMap<RepoPath, String>>,
}

impl Leased {
    fn new(head: RunHead, events: Vec<AuditEvent>, since: UnixMillis) -> Self {
        let (staged, further, files) = (Vec::new(), Vec::new(), Mutex::default());
        Self { stored: head.clone(), head, events, since, staged, further, files }
    }

    /// A file at the pinned commit, if it was read already.
    pub fn kept(&self, path: &RepoPath) -> Option<String> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }

    pub fn keep(&self, path: &RepoPath, text: &str) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone(), text.to_owned());
    }

    /// The head as it is stored.
    pub fn stored(&self) -> &RunHead {
        &self.stored
    }
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
        Ok(LeaseOutcome::Taken(Box::new(Leased::new(leased, events, now))))
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
        self.stage(leased, kind, further).await?;
        self.store(leased).await
    }

    /// Takes a step without storing it yet: it is stored with the next ones, at the latest before something is done that shows
    /// outside. Only for steps that can be taken again at no cost.
    pub(super) async fn stage(
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
        let to = self.moved(leased, &event)?;
        leased.staged.push(trail::event_item(&*self.ports.state, &event).await?);
        leased.further.extend(further);
        leased.head = to;
        leased.events.push(event);
        leased.since = now;
        Ok(())
    }

    /// The head after an event.
    fn moved(&self, leased: &Leased, event: &AuditEvent) -> Result<RunHead, HealError> {
        let now = event.at;
        let lease = trail::millis(self.policy.lease);
        let mut to = leased.head.clone();
        to.state = decide::after(Some(leased.head.state), &event.kind)?;
        to.sequence += 1;
        // Attempts count since the last progress.
        to.attempts = 0;
        to.head_hash.clone_from(&event.hash);
        to.updated_at = now;
        // While it is long enough it stays, and with it the run's place in the index of due work: two writes less a step.
        if to.lease_until < now + lease / 2 {
            to.lease_until = now + lease;
        }
        // A superseded run stays due until its findings are judged anew.
        let ended = to.state.is_terminal() && to.state != RunState::Superseded;
        to.due = if ended { None } else { Some(to.lease_until) };
        to.summary.execution_ms += now.saturating_sub(leased.since);
        summarise(&mut to, &event.kind);
        Ok(to)
    }

    /// Stores the steps that were taken, all or none.
    ///
    /// # Errors
    /// As [`Healer::append`].
    pub(super) async fn store(&self, leased: &mut Leased) -> Result<(), HealError> {
        if leased.staged.is_empty() {
            return Ok(());
        }
        let beside = BESIDE.saturating_sub(leased.staged.len());
        let mut further = self.write_beside(leased, leased.further.clone(), beside).await?;
        let outcome = leased.head.summary.outcome;
        if outcome != leased.stored.summary.outcome {
            let current = CaseHead { generation: leased.head.generation, outcome };
            further.push(Write::Put { item: run::case_item(&leased.head.case, &current), when: Vec::new() });
        }
        further.extend(self.watch_for_stray(leased));
        let transaction = run::step(&leased.stored, &leased.head, leased.staged.clone(), further);
        self.commit_ours(leased, &transaction).await?;
        leased.stored = leased.head.clone();
        leased.staged.clear();
        leased.further.clear();
        Ok(())
    }

    /// Makes as many of the writes as the step's own transaction would not hold, and returns the rest. They come first: if
    /// the step fails it is taken again, and its writes with it.
    async fn write_beside(
        &self,
        leased: &Leased,
        mut further: Vec<Write>,
        room: usize,
    ) -> Result<Vec<Write>, HealError> {
        let inside = further.split_off(further.len().saturating_sub(room));
        let mut rest = further.into_iter();
        loop {
            let part: Vec<Write> = rest.by_ref().take(limits::WRITES - 1).collect();
            if part.is_empty() {
                return Ok(inside);
            }
            self.commit_ours(leased, &run::beside(&leased.stored, part)).await?;
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
        let (_, transaction) = run::prolong(&leased.stored, 0, due);
        match trail::commit(&*self.ports.state, &transaction).await {
            Err(error) if error.kind != ErrorKind::Conflict => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Makes sure that the run is still ours before something is done that shows outside: a worker that slept through its lease
    /// stops here.
    pub(super) async fn still_ours(&self, leased: &Leased) -> Result<(), HealError> {
        let soon = self.ports.clock.now() + trail::millis(self.policy.lease / 2);
        if leased.stored.lease_until > soon { Ok(()) } else { self.prolong(&leased.stored).await }
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
            summary.cost_micros = summary.cost_micros.saturating_add(consultation.cost_micros());
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
        EventKind::Redriven { .. } if summary.outcome == CaseOutcome::Failed => summary.outcome = CaseOutcome::Open,
        EventKind::Suppressed { .. } => summary.outcome = CaseOutcome::Suppressed,
        EventKind::Feedback(feedback) => {
            summary.outcome = match feedback {
                Feedback::Merged { .. } => CaseOutcome::Merged,
                Feedback::Closed | Feedback::Retried { .. } => CaseOutcome::Closed,
                Feedback::Reopened => CaseOutcome::Open,
                Feedback::Reverted { .. } => summary.outcome,
                Feedback::Ignored { .. } => CaseOutcome::Suppressed,
            };
        }
        _ => {}
    }
}
