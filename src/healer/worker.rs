//! One task from the inbox at a time: scan a push, heal a run, look what people did. What fails for now is given back.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::heal::error_chain;
use super::{Directory, HealError, Healer, ScanReport, ScanRequest, trail};
use crate::detect::redact::redact;
use crate::model::{
    CaseId, Command, CommandTask, CommitId, Decision, EventKind, Generation, PushTask, Repository, RepositoryId,
    RunState, Task, UnixMillis,
};
use crate::ports::{ErrorKind, Inbox, PortError, PortResult, Taken};
use crate::state::chain::PushEventKind;
use crate::state::run::RunHead;

/// A task that was taken this often without success is put aside.
const MAX_ATTEMPTS: u32 = 8;
/// Pause before a task that failed for now is taken again; grows with the attempts.
const PAUSE: Duration = Duration::from_secs(5);

/// Stands for the delivery of a push that no webhook told of.
const RECONCILED: &str = "reconciled";

/// Takes tasks and works on them with a healer.
#[derive(Clone)]
pub struct Worker {
    healer: Healer,
    inbox: Arc<dyn Inbox>,
    directory: Directory,
    observer: Observer,
}

/// What a worker did, for counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    Scanned {
        files: usize,
        findings: usize,
    },
    Healed {
        state: RunState,
        decision: Option<Decision>,
        /// Work spent on it this time, milliseconds.
        millis: u64,
        input_tokens: u64,
        output_tokens: u64,
    },
    /// A task ended.
    Done,
    /// A model was asked while a push was scanned.
    Looked {
        input_tokens: u64,
        output_tokens: u64,
    },
    /// A task failed for now.
    Retried,
    /// A task cannot be worked on.
    PutAside,
}

/// What became of a task that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It was worked on and is removed from the inbox.
    Done,
    /// It will be taken again later.
    GivenBack,
    /// It cannot be worked on and lies with its reason where people look.
    PutAside,
}

/// Told of everything that a worker does.
pub type Observer = Arc<dyn Fn(&Observation) + Send + Sync>;

impl Worker {
    #[must_use]
    pub fn new(healer: Healer, inbox: Arc<dyn Inbox>, directory: Directory) -> Self {
        Self { healer, inbox, directory, observer: Arc::new(|_| {}) }
    }

    /// The same worker, watched.
    #[must_use]
    pub fn observed_by(self, observer: Observer) -> Self {
        Self { observer, ..self }
    }

    /// The same worker, which lays its work down in time: see [`Healer::until`].
    #[must_use]
    pub fn until(self, deadline: UnixMillis) -> Self {
        Self { healer: self.healer.until(deadline), ..self }
    }

    #[must_use]
    pub fn healer(&self) -> &Healer {
        &self.healer
    }

    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    async fn repository(&self, id: &RepositoryId, name: &str) -> PortResult<Option<Repository>> {
        let ports = &self.healer.ports;
        self.directory.get(&*ports.forge, (id, name), ports.clock.now()).await
    }

    /// Takes up to `limit` tasks and works on each; returns how many were taken.
    ///
    /// # Errors
    /// When the inbox cannot be asked.
    pub async fn work(&self, limit: usize) -> PortResult<usize> {
        for done in 0..limit {
            let taken = self.inbox.take(1, self.healer.policy.lease).await?;
            let Some(taken) = taken.first() else { return Ok(done) };
            self.settle(taken).await?;
        }
        Ok(limit)
    }

    /// Works on a task that was taken, then removes it from the inbox, gives it back, or puts it aside.
    ///
    /// # Errors
    /// When the inbox cannot be told; the task is seen again then, which is harmless.
    pub async fn settle(&self, taken: &Taken) -> PortResult<Settled> {
        let task: Task = match serde_json::from_str(&taken.body) {
            Ok(task) => task,
            Err(error) => return self.put_aside(taken, &format!("not a task of ours: {error}")).await,
        };
        // A run counts those who died at it by itself.
        if taken.attempts > MAX_ATTEMPTS && !matches!(task, Task::Heal { .. }) {
            let reason = format!("{MAX_ATTEMPTS} workers took it and none came back");
            return self.put_aside(taken, &reason).await;
        }
        match self.handle_held(taken, &task).await {
            Ok(None) => {
                (self.observer)(&Observation::Done);
                self.inbox.done(&taken.receipt).await.map(|()| Settled::Done)
            }
            Ok(Some(delay)) => self.inbox.retry(&taken.receipt, delay).await.map(|()| Settled::GivenBack),
            Err(error) if error.is_transient() && taken.attempts < MAX_ATTEMPTS => {
                let why = redact(&error_chain(&error)).into_owned();
                tracing::warn!(attempt = taken.attempts, error = why, "a task is tried again later");
                (self.observer)(&Observation::Retried);
                let pause = pause(&error, taken.attempts);
                self.inbox.retry(&taken.receipt, pause).await.map(|()| Settled::GivenBack)
            }
            // Whatever broke down at it: the run counts those who died, and ends when there were too many.
            Err(error @ HealError::Panicked(_)) if matches!(task, Task::Heal { .. }) => {
                let why = redact(&error_chain(&error)).into_owned();
                tracing::error!(attempt = taken.attempts, error = why, "the work on a run broke down");
                (self.observer)(&Observation::Retried);
                let pause = self.healer.policy.lease;
                self.inbox.retry(&taken.receipt, pause).await.map(|()| Settled::GivenBack)
            }
            // The index of due work brings an unfinished run back.
            Err(error) if error.is_transient() && matches!(task, Task::Heal { .. }) => {
                let why = redact(&error_chain(&error)).into_owned();
                tracing::warn!(attempt = taken.attempts, error = why, "a run waits until it is due");
                (self.observer)(&Observation::Retried);
                self.inbox.done(&taken.receipt).await.map(|()| Settled::Done)
            }
            Err(error) => {
                let why = redact(&error_chain(&error)).into_owned();
                tracing::error!(attempt = taken.attempts, error = why, "a task is put aside");
                self.put_aside(taken, &why).await
            }
        }
    }

    async fn put_aside(&self, taken: &Taken, reason: &str) -> PortResult<Settled> {
        (self.observer)(&Observation::PutAside);
        self.inbox.bury(&taken.receipt, reason).await.map(|()| Settled::PutAside)
    }

    /// Works on a task and keeps it hidden from others meanwhile. When this worker dies it is soon seen again.
    async fn handle_held(&self, taken: &Taken, task: &Task) -> Result<Option<Duration>, HealError> {
        let lease = self.healer.policy.lease;
        let work = self.handle_apart(task);
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(lease / 3) => {
                    if let Err(error) = self.inbox.retry(&taken.receipt, lease).await {
                        tracing::warn!(error = error.chain(), "a task could not be held; another worker may take it");
                    }
                }
            }
        }
    }

    /// Works on a task so that a panic ends only this task.
    async fn handle_apart(&self, task: &Task) -> Result<Option<Duration>, HealError> {
        let (worker, task) = (self.clone(), task.clone());
        let handle = tokio::spawn(async move { worker.handle(&task).await }.in_current_span());
        // Nobody waits for what is dropped: it must not go on unseen.
        AbortOnDropHandle::new(handle).await.unwrap_or_else(|panic| Err(HealError::Panicked(panic.to_string())))
    }

    /// Works on one task. `Some` says when it should be looked at again.
    ///
    /// # Errors
    /// When a port fails; doing the task again is harmless.
    pub async fn handle(&self, task: &Task) -> Result<Option<Duration>, HealError> {
        match task {
            Task::Push(push) => self.push_audited(push).await.map(|()| None),
            Task::Heal { case, generation } => self.heal(case, *generation).await,
            Task::FollowUp { repository, name } => {
                let work = async {
                    match self.repository(repository, name).await? {
                        Some(repository) => self.follow_up(&repository).await,
                        None => Ok(()),
                    }
                };
                self.minding(name, work).await.map(|()| None)
            }
            Task::Command(command) => {
                let work = async {
                    match self.repository(&command.repository, &command.name).await? {
                        Some(repository) => self.obey(command, &repository).await,
                        None => Ok(()),
                    }
                };
                self.minding(&command.name, work).await.map(|()| None)
            }
            Task::Reconcile => self.reconcile().await.map(|()| None),
        }
    }

    async fn obey(&self, command: &CommandTask, repository: &Repository) -> Result<(), HealError> {
        let runs = self.healer.obey(command, repository).await?;
        self.enqueue(&runs).await?;
        // What was pushed while it was paused.
        if Command::parse(&command.text) == Command::Resume {
            self.put(&Task::Reconcile, Some("reconcile")).await?;
        }
        Ok(())
    }

    /// Works in a repository, `owner/name`, unless its forge asked to be left alone, and remembers for all workers when it does.
    async fn minding<T>(
        &self,
        repository: &str,
        work: impl Future<Output = Result<T, HealError>>,
    ) -> Result<T, HealError> {
        if self.healer.policy.caps.is_none() {
            return work.await;
        }
        if let Some(wait) = self.healer.held_back(repository).await? {
            return Err(PortError::new("forge", "work: it asked to be left alone", ErrorKind::Throttled(wait)).into());
        }
        let outcome = work.await;
        if let Err(HealError::Port(PortError { port: "forge", kind: ErrorKind::Throttled(wait), .. })) = &outcome {
            self.healer.hold_back(repository, *wait).await?;
        }
        outcome
    }

    async fn heal(&self, case: &CaseId, generation: Generation) -> Result<Option<Duration>, HealError> {
        let healer = &self.healer;
        let head = trail::run_head(&*healer.ports.state, case, generation).await?;
        let head = head.ok_or_else(|| HealError::UnknownCase(case.clone()))?;
        // A run that waits comes back through the index of due work; asking its source earlier helps nobody.
        if head.state == RunState::Deferred && head.due > Some(healer.ports.clock.now()) {
            return Ok(None);
        }
        let repository = head.summary.repository.clone();
        if let Some(pause) = healer.paused(&repository.id).await? {
            tracing::info!(
                case = case.short(),
                by = pause.by,
                "the repository is paused; the run waits until it is resumed"
            );
            return Ok(None);
        }
        self.minding(&repository.name, self.heal_run(&head)).await
    }

    async fn heal_run(&self, head: &RunHead) -> Result<Option<Duration>, HealError> {
        let healer = &self.healer;
        let (case, generation) = (&head.case, head.generation);
        let events = trail::events(&*healer.ports.state, case, generation).await?;
        let commit = events.iter().find_map(|e| match &e.kind {
            EventKind::Detected { commit, .. } => Some(commit.clone()),
            _ => None,
        });
        let healer = match commit {
            Some(commit) => match healer.under_policy_of(&head.summary.repository, &commit).await {
                Err(why) if healer.is_final(head, &why) => {
                    return healer.give_up(case, generation, &why).await.map(|()| None);
                }
                other => other?,
            },
            None => healer.clone(),
        };
        let report = healer.heal(case, generation, &|_| {}).await?;
        let (before, after) = (&head.summary, &report.summary);
        (self.observer)(&Observation::Healed {
            state: report.state,
            decision: after.decision,
            millis: after.execution_ms.saturating_sub(before.execution_ms),
            input_tokens: after.input_tokens.saturating_sub(before.input_tokens),
            output_tokens: after.output_tokens.saturating_sub(before.output_tokens),
        });
        let now = healer.ports.clock.now();
        let wait = |until: u64| Duration::from_millis(until.saturating_sub(now) + 1);
        if let Some(until) = report.busy_until {
            return Ok(Some(wait(until)));
        }
        // A deferred run comes back through the index of due work.
        self.enqueue(&report.anew).await?;
        Ok(None)
    }

    /// A push that can never be scanned is refused, with the reason in its trail.
    async fn push_audited(&self, push: &PushTask) -> Result<(), HealError> {
        if let Some(pause) = self.healer.paused(&push.repository).await? {
            let reason =
                format!("{} paused this repository; what was pushed is looked at when it is resumed", pause.by);
            return self.record_push(push, PushEventKind::Refused { reason }).await;
        }
        match self.push_in_time(push).await {
            Err(error) if !error.is_transient() => {
                let reason = redact(&error_chain(&error)).into_owned();
                self.record_push(push, PushEventKind::Refused { reason }).await?;
                Err(error)
            }
            other => other,
        }
    }

    async fn push_in_time(&self, push: &PushTask) -> Result<(), HealError> {
        tokio::select! {
            done = self.push(push) => done,
            () = self.healer.time_runs_out() => Err(HealError::OutOfTime),
        }
    }

    /// Scans what a branch holds beyond its last scanned commit, whatever the delivery said: a lost, doubled or reordered
    /// webhook changes nothing.
    async fn push(&self, push: &PushTask) -> Result<(), HealError> {
        let work = async {
            match self.repository(&push.repository, &push.name).await? {
                Some(repository) => self.push_to(push, &repository).await,
                None => {
                    let reason = format!("{} is not watched under this name, or cannot be seen", push.name);
                    self.record_push(push, PushEventKind::Refused { reason }).await
                }
            }
        };
        self.minding(&push.name, work).await
    }

    async fn push_to(&self, push: &PushTask, repository: &Repository) -> Result<(), HealError> {
        if push.delivery != RECONCILED {
            self.record_push(push, received(push)).await?;
        }
        let Some(head) = self.healer.ports.forge.head(repository, &push.reference).await? else {
            return self.record_push(push, PushEventKind::Refused { reason: "the branch is gone".into() }).await;
        };
        let begun = self.healer.ports.clock.now();
        let known = self.healer.known(repository, &push.reference).await?;
        let position = known.as_ref().map(|known| known.last_scanned.clone());
        let mut bases = self.healer.bases(repository, push, known.as_ref()).await?.into_iter();
        let mut base = bases.next().unwrap_or_else(|| head.clone());
        let mut scanned = self.scan(push, repository, (&base, &head)).await;
        // A force push took it away: the next one is what the push says it replaced, or where the branch stood.
        while let (true, Some(other)) = (scanned.as_ref().is_err_and(is_gone), bases.next()) {
            scanned = self.scan(push, repository, (&other, &head)).await;
            base = other;
        }
        let report = match scanned {
            Err(error) if is_gone(&error) => {
                return self.begin_anew(push, repository, (position.as_ref(), &head), &error).await;
            }
            // Until its configuration can be read again, nothing else of the repository is.
            Err(HealError::Policy(why)) => {
                let reason = redact(&error_chain(&why)).into_owned();
                return self.record_push(push, PushEventKind::Refused { reason }).await;
            }
            other => other?,
        };
        // While a branch stands where it was first seen, further pushes may have been on their way.
        if !known.is_some_and(|known| known.sighted && known.last_scanned == head) {
            self.healer.advance(repository, &push.reference, position.as_ref(), &head).await?;
        }
        let millis = self.healer.ports.clock.now().saturating_sub(begun);
        self.record_push(push, scanned_event((&base, &head), &report, millis)).await
    }

    /// Nothing here says what the branch held before. What it holds now counts as known once a push arrives; the reconciler
    /// waits for one, which may say more.
    async fn begin_anew(
        &self,
        push: &PushTask,
        repository: &Repository,
        (position, head): (Option<&CommitId>, &CommitId),
        why: &HealError,
    ) -> Result<(), HealError> {
        // Nothing is gone of a repository that can be seen no more: the error says so, and the branch stays where it is known.
        if self.healer.ports.forge.head(repository, &push.reference).await?.is_none() {
            return self.record_push(push, PushEventKind::Refused { reason: "the branch is gone".into() }).await;
        }
        let reason = format!("what was there before counts as known: {}", redact(&error_chain(why)));
        self.record_push(push, PushEventKind::Refused { reason }).await?;
        if push.delivery != RECONCILED {
            self.healer.advance(repository, &push.reference, position, head).await?;
        }
        Ok(())
    }

    async fn scan(
        &self,
        push: &PushTask,
        repository: &Repository,
        (base, head): (&CommitId, &CommitId),
    ) -> Result<ScanReport, HealError> {
        let healer = match self.healer.under_policy_of(repository, base).await {
            // What is broken where the range begins may be mended where it ends.
            Err(HealError::Policy(_)) => self.healer.under_policy_of(repository, head).await?,
            other => other?,
        };
        let request = ScanRequest {
            repository: repository.clone(),
            reference: push.reference.clone(),
            base: Some(base.clone()),
            head: head.clone(),
            pusher: push.pusher.clone(),
            external: Vec::new(),
        };
        let report = healer.scan(&request).await?;
        let ScanReport { input_tokens, output_tokens, .. } = report;
        if input_tokens + output_tokens > 0 {
            (self.observer)(&Observation::Looked { input_tokens, output_tokens });
        }
        let at_once = healer.policy.caps.map_or(usize::MAX, |caps| caps.cases_a_push).min(report.runs.len());
        let (now, later) = report.runs.split_at(at_once);
        self.enqueue(now).await?;
        healer.postpone(&request.repository, (&push.reference, &push.after), later).await?;
        (self.observer)(&Observation::Scanned { files: report.files, findings: report.findings.len() });
        Ok(report)
    }

    /// Puts runs into the inbox, each once.
    ///
    /// # Errors
    /// When the inbox cannot be asked.
    pub async fn enqueue(&self, runs: &[(CaseId, Generation)]) -> PortResult<()> {
        for (case, generation) in runs {
            let task = Task::Heal { case: case.clone(), generation: *generation };
            self.put(&task, Some(&format!("heal/{case}/{}", generation.0))).await?;
        }
        Ok(())
    }

    async fn put(&self, task: &Task, dedupe: Option<&str>) -> PortResult<()> {
        let body = serde_json::to_string(task)
            .map_err(|e| PortError::new("inbox", "write a task", ErrorKind::Malformed).caused_by(e))?;
        match self.inbox.enqueue(&body, dedupe, Duration::ZERO).await {
            // Perhaps it was stored and only the answer was lost: a message that comes twice does no harm.
            Err(error) if error.kind == ErrorKind::Unavailable => {
                self.inbox.enqueue(&body, dedupe, Duration::ZERO).await
            }
            other => other,
        }
    }

    /// What time alone asks for: heads that moved without a webhook, runs that are due, pull requests that people ended.
    ///
    /// # Errors
    /// The first failure of a port; what could be done without it is done, and the next reconciliation does the rest.
    pub async fn reconcile(&self) -> Result<(), HealError> {
        let mut outcome = Ok(());
        for (name, references) in self.directory.watched() {
            outcome = outcome.and(self.reconcile_repository(name, references).await);
        }
        let due = self.healer.due_runs().await?.due;
        self.enqueue(&due).await?;
        if let Some(team) = &self.healer.ports.team {
            outcome = outcome.and(team.refresh().await.map_err(HealError::Port));
        }
        outcome
    }

    async fn reconcile_repository(&self, name: &str, references: &[String]) -> Result<(), HealError> {
        self.minding(name, self.reconcile_named(name, references)).await
    }

    async fn reconcile_named(&self, name: &str, references: &[String]) -> Result<(), HealError> {
        let ports = &self.healer.ports;
        let Some(repository) = self.directory.by_name(&*ports.forge, name, ports.clock.now()).await? else {
            tracing::warn!(repository = name, "a watched repository does not exist, or we may not see it");
            return Ok(());
        };
        if self.healer.paused(&repository.id).await?.is_some() {
            return Ok(());
        }
        let mut outcome = Ok(());
        for reference in references {
            outcome = outcome.and(self.catch_up(&repository, reference).await);
        }
        outcome.and(self.follow_up(&repository).await)
    }

    /// Takes in what people did, and opens runs for findings that waited for it.
    async fn follow_up(&self, repository: &Repository) -> Result<(), HealError> {
        let taken_in = match self.healer.follow_up(repository).await {
            Err(HealError::Port(error)) if error.is_beside_the_case() => Err(error.into()),
            Err(error) => return Err(error),
            Ok(_) => Ok(()),
        };
        self.healer.record_strays(repository).await?;
        let opened = self.healer.open_waiting(repository).await?;
        self.enqueue(&opened).await?;
        taken_in
    }

    /// Scans a branch whose head moved without a webhook. The first sight of a branch records where it stands.
    async fn catch_up(&self, repository: &Repository, reference: &str) -> Result<(), HealError> {
        let Some(head) = self.healer.ports.forge.head(repository, reference).await? else { return Ok(()) };
        let position = self.healer.position(repository, reference).await?;
        let Some(base) = position.clone() else {
            return self.healer.sight(repository, reference, &head).await;
        };
        if base == head {
            return Ok(());
        }
        let push = PushTask {
            repository: repository.id.clone(),
            name: repository.name.clone(),
            reference: reference.to_owned(),
            before: Some(base),
            after: head.clone(),
            delivery: RECONCILED.to_owned(),
            body_sha: String::new(),
            pusher: None,
        };
        self.push_to(&push, repository).await
    }

    /// Adds an event to the chain of a push.
    async fn record_push(&self, push: &PushTask, kind: PushEventKind) -> Result<(), HealError> {
        self.healer.record_push((&push.repository, push.reference.as_str(), &push.after), kind, Vec::new()).await
    }
}

/// Whether the range cannot be compared because one of its ends, or all that they share, is gone.
fn is_gone(error: &HealError) -> bool {
    matches!(error, HealError::Port(PortError { kind: ErrorKind::Missing, port: "forge", .. }))
}

fn received(push: &PushTask) -> PushEventKind {
    PushEventKind::Received {
        delivery: push.delivery.clone(),
        body_sha: push.body_sha.clone(),
        before: push.before.as_ref().map(ToString::to_string).unwrap_or_default(),
        pusher: push.pusher.clone(),
    }
}

fn scanned_event((base, head): (&CommitId, &CommitId), report: &ScanReport, millis: u64) -> PushEventKind {
    PushEventKind::Scanned {
        base: Some(base.to_string()),
        head: head.to_string(),
        files: report.files,
        findings: report.findings.len(),
        cases: report.runs.iter().map(|(case, _)| case.to_string()).collect(),
        skipped: report.skipped.iter().take(100).map(|(path, why)| format!("{path}: {why}")).collect(),
        millis,
    }
}

fn pause(error: &HealError, attempts: u32) -> Duration {
    match error {
        HealError::Port(PortError { kind: ErrorKind::Throttled(wait), .. }) => *wait,
        _ => PAUSE * attempts.min(60),
    }
}
