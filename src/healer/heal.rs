//! Healing one case: take its lease, replay, do the next step, record it, until nothing remains.

use std::time::Duration;

use super::lease::{LeaseOutcome, Leased};
use super::{HealError, Healer, trail};
use crate::decide::{DEFER_AT_MOST_MS, Step, Walk};
use crate::detect::redact::redact;
use crate::fix::diff;
use crate::model::{CaseId, Decided, EventKind, Generation, RepoPath, RunState, Source, UnixMillis};
use crate::state::run::{RunHead, Summary};

/// What is kept of the time before a deadline to save the state of the work.
const RESERVE: Duration = Duration::from_secs(6);

/// How a run stands after it was worked on.
#[derive(Debug, Clone)]
pub struct CaseReport {
    pub case: CaseId,
    pub generation: Generation,
    pub state: RunState,
    pub summary: Summary,
    pub decided: Option<Decided>,
    /// The decided change as a unified diff, for people: without secrets.
    pub diff: Option<String>,
    /// The runs in which a superseded run's findings are judged anew; of other cases when its file was moved.
    pub anew: Vec<(CaseId, Generation)>,
    /// Set when another worker holds the lease: nothing was done here.
    pub busy_until: Option<UnixMillis>,
}

/// Told of each step as it begins; for progress on a terminal.
pub type Progress<'a> = &'a (dyn Fn(&Step) + Send + Sync);

impl Healer {
    /// Works on a run until it ends, waits for something, or belongs to another worker. Doing it again does nothing twice.
    ///
    /// # Errors
    /// When a port fails; what was recorded stays, and the next call goes on from there.
    pub async fn heal(
        &self,
        case: &CaseId,
        generation: Generation,
        progress: Progress<'_>,
    ) -> Result<CaseReport, HealError> {
        let mut leased = match self.lease(case, generation).await? {
            LeaseOutcome::Taken(leased) => leased,
            LeaseOutcome::Busy { until } => return self.busy(case, generation, until).await,
        };
        let ended = leased.head.state.is_terminal();
        let outcome = if leased.head.attempts > self.policy.max_attempts && !ended {
            Err(HealError::TooManyAttempts(leased.head.attempts - 1))
        } else {
            self.walk(&mut leased, progress).await
        };
        let outcome = match outcome {
            Err(error) if self.is_final(&leased.head, &error) => self.fail(&mut leased, &error).await,
            other => other,
        };
        if matches!(outcome, Err(HealError::TakenOver(_))) {
            return outcome.and_then(|()| Err(HealError::TakenOver(case.clone())));
        }
        // Steps that were taken before a failure are kept.
        let outcome = match outcome {
            Err(error) => self.store(&mut leased).await.and(Err(error)),
            Ok(()) => Ok(()),
        };
        let anew = match (&outcome, leased.head.state) {
            (Ok(()), RunState::Superseded) => self.judge_anew(&leased).await,
            _ => Ok(Vec::new()),
        };
        let due = match (&anew, &outcome) {
            (Err(_), _) | (_, Err(HealError::OutOfTime)) => Some(self.ports.clock.now()),
            // Its findings were judged anew just now.
            (Ok(_), Ok(())) if leased.head.state == RunState::Superseded => None,
            _ => self.due(&leased),
        };
        self.release(&leased, due).await?;
        outcome?;
        let diff = self.diff(&leased).await?;
        Ok(CaseReport { anew: anew?, diff, ..report(&leased) })
    }

    async fn walk(&self, leased: &mut Leased, progress: Progress<'_>) -> Result<(), HealError> {
        loop {
            let walk = replay(leased)?;
            let step = walk.next(&self.policy.thresholds, self.ports.clock.now());
            if step == Step::Done || (self.preview && step.has_effects()) {
                return self.store(leased).await;
            }
            progress(&step);
            if step.is_seen() {
                self.store(leased).await?;
            }
            if step.has_effects() {
                self.still_ours(leased).await?;
            }
            self.take_step(leased, &step).await?;
            if leased.head.state == RunState::Deferred {
                return self.store(leased).await;
            }
        }
    }

    /// Does a step. While it lasts the lease is kept alive, so that no rival does the same. An answer that was paid for is
    /// recorded at once; what costs nothing to do again is recorded with the next step that needs it.
    async fn take_step(&self, leased: &mut Leased, step: &Step) -> Result<(), HealError> {
        // Both are polled all the time: work that is not polled may hold its turn at the store, for which the other then waits.
        let kind = tokio::select! {
            done = self.perform(leased, step) => done?,
            lost = self.keep_alive(leased.stored()) => return Err(lost),
            () = self.time_runs_out() => return Err(HealError::OutOfTime),
        };
        let further = self.finding_updates(leased, &kind)?;
        let paid = matches!(step, Step::Consult { source: Source::Model, .. })
            || matches!(&kind, EventKind::Consulted(asked) if !asked.calls.is_empty());
        self.stage(leased, kind, further).await?;
        if paid { self.store(leased).await } else { Ok(()) }
    }

    /// Ends when so little time is left that what is under way has to be laid down. A step that was broken off is taken again:
    /// each can be done twice.
    pub(super) async fn time_runs_out(&self) {
        let Some(deadline) = self.deadline else { return std::future::pending().await };
        let left = deadline.saturating_sub(self.ports.clock.now()).saturating_sub(trail::millis(RESERVE));
        tokio::time::sleep(Duration::from_millis(left)).await;
    }

    /// Prolongs the lease again and again. Ends only when it is lost.
    async fn keep_alive(&self, head: &RunHead) -> HealError {
        loop {
            tokio::time::sleep(self.policy.lease / 3).await;
            match self.prolong(head).await {
                Ok(()) => {}
                Err(error @ HealError::TakenOver(_)) => return error,
                Err(error) => {
                    let why = redact(&error_chain(&error)).into_owned();
                    tracing::warn!(case = head.case.short(), error = why, "the lease could not be prolonged");
                }
            }
        }
    }

    /// Does what a step says and tells what is to be recorded. Doing it again finds what was done.
    async fn perform(&self, leased: &Leased, step: &Step) -> Result<EventKind, HealError> {
        match step {
            Step::Consult { source, findings } => self.consult(leased, *source, findings).await,
            Step::Judge(source) => self.judge(leased, *source).await,
            Step::Decide => self.decide(leased).await,
            Step::Defer => Ok(self.deferral(leased)),
            Step::Redrive | Step::Done => {
                Ok(EventKind::Redriven { reason: "its time to be tried again has come".to_owned() })
            }
            Step::Branch => self.branch(leased).await,
            Step::Propose => self.propose(leased).await,
            Step::PrepareNotice => Ok(EventKind::Notifying),
            Step::Notify => self.notify(leased).await,
            Step::Learn => self.remember_proposal(leased).await,
        }
    }

    async fn diff(&self, leased: &Leased) -> Result<Option<String>, HealError> {
        let walk = replay(leased)?;
        let Some(decided) = walk.decided.filter(|d| !d.edits.is_empty()) else { return Ok(None) };
        let changes = self.file_changes(leased, &walk, &decided.edits).await?;
        let shown = |(path, (before, after)): (&RepoPath, &(String, String))| {
            diff::unified(path, &redact(before), &redact(after))
        };
        Ok(Some(changes.iter().map(shown).collect()))
    }

    fn deferral(&self, leased: &Leased) -> EventKind {
        let down: Vec<String> = Source::ORDER
            .iter()
            .filter(|source| {
                leased.events.iter().any(|e| match &e.kind {
                    EventKind::Consulted(c) => c.source == **source && c.is_unavailable(),
                    _ => false,
                })
            })
            .map(ToString::to_string)
            .collect();
        EventKind::Deferred {
            reason: format!(
                "{} could not be asked, and without it this would only be an escalation",
                down.join(" and ")
            ),
            until: self.ports.clock.now() + trail::millis(self.policy.defer),
        }
    }

    /// When the run wants attention next: a deferred one at its time, an unfinished one after a pause, a superseded one until its
    /// findings were judged anew, an ended one never.
    pub(super) fn due(&self, leased: &Leased) -> Option<UnixMillis> {
        let now = self.ports.clock.now();
        match (leased.head.state, leased.events.last().map(|e| &e.kind)) {
            (RunState::Superseded, _) => leased.head.due.map(|_| now),
            (state, _) if state.is_terminal() => None,
            (_, Some(EventKind::Deferred { until, .. })) => Some(*until),
            _ => Some(now + trail::millis(self.policy.lease)),
        }
    }

    /// Errors that no waiting mends end the run; others do when a day brought no step. Once people were told of a pull request
    /// what is left is tried for as long as it takes, so that what they do with it is still taken in.
    pub(super) fn is_final(&self, head: &RunHead, error: &HealError) -> bool {
        let told = matches!(head.state, RunState::Notifying | RunState::Notified);
        match error {
            HealError::TakenOver(_) | HealError::OutOfTime | HealError::Replay { .. } => false,
            error if error.is_transient() => {
                !told && self.ports.clock.now() >= head.updated_at.saturating_add(DEFER_AT_MOST_MS)
            }
            // Only what follows a proposal is left.
            HealError::Port(_) if head.state == RunState::Notified => false,
            _ => !head.state.is_terminal(),
        }
    }

    /// People are told first: a worker that dies in between tells them again, which shows once.
    async fn fail(&self, leased: &mut Leased, error: &HealError) -> Result<(), HealError> {
        let reason = redact(&error_chain(error)).into_owned();
        self.notify_failure(leased, &reason).await?;
        self.append(leased, EventKind::Failed { reason }).await
    }

    /// Ends a run that cannot be worked on, for a reason outside of it.
    ///
    /// # Errors
    /// When another worker holds it, or a port fails.
    pub async fn give_up(&self, case: &CaseId, generation: Generation, why: &HealError) -> Result<(), HealError> {
        let LeaseOutcome::Taken(mut leased) = self.lease(case, generation).await? else {
            return Err(HealError::TakenOver(case.clone()));
        };
        let ended = leased.head.state.is_terminal();
        let done = if ended { Ok(()) } else { self.fail(&mut leased, why).await };
        self.release(&leased, self.due(&leased)).await?;
        done
    }

    async fn busy(&self, case: &CaseId, generation: Generation, until: UnixMillis) -> Result<CaseReport, HealError> {
        let head = trail::run_head(&*self.ports.state, case, generation).await?;
        let head = head.ok_or_else(|| HealError::UnknownCase(case.clone()))?;
        Ok(CaseReport { busy_until: Some(until), ..from_head(&head, None) })
    }
}

/// The walk of a leased run.
pub(super) fn replay(leased: &Leased) -> Result<Walk<'_>, HealError> {
    Walk::replay(&leased.events).map_err(|source| HealError::Replay { case: leased.head.case.clone(), source })
}

fn report(leased: &Leased) -> CaseReport {
    let decided = leased.events.iter().rev().find_map(|e| match &e.kind {
        EventKind::Decided(decided) => Some((**decided).clone()),
        _ => None,
    });
    from_head(&leased.head, decided)
}

fn from_head(head: &RunHead, decided: Option<Decided>) -> CaseReport {
    CaseReport {
        case: head.case.clone(),
        generation: head.generation,
        state: head.state,
        summary: head.summary.clone(),
        decided,
        diff: None,
        anew: Vec::new(),
        busy_until: None,
    }
}

/// An error and its causes in one line.
pub(super) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
