//! Doing what a person wrote in a comment on one of our pull requests, once, and answering there.

use super::feedback::mark;
use super::heal::replay;
use super::lease::LeaseOutcome;
use super::redrive::redrive_reason;
use super::{HealError, Healer, audit, trail};
use crate::model::{CaseId, CaseOutcome, Command, CommandTask, EventKind, Feedback, Generation, Repository, RunState};
use crate::ports::Permission;
use crate::report::reply;
use crate::report::trail::Run;
use crate::state::quota::Pause;
use crate::state::run::{self, FindingStatus, RunHead, fields};
use crate::state::{Item, Transaction, Write, keys};

/// How long it is remembered that a command was done: GitHub keeps deliveries for redelivery a few days.
const REMEMBERED_SECONDS: u64 = 90 * 24 * 60 * 60;

/// What came of a command.
struct Outcome {
    answer: String,
    runs: Vec<(CaseId, Generation)>,
}

impl Outcome {
    fn said(answer: String) -> Self {
        Self { answer, runs: Vec::new() }
    }
}

impl Healer {
    /// Does what a command says if its author may push to the repository, and answers in a comment. Others get no answer: who
    /// cannot push shall not be able to make us talk. Returns the runs that wait for work now.
    ///
    /// # Errors
    /// When a port fails; doing the command again is harmless.
    pub async fn obey(
        &self,
        task: &CommandTask,
        repository: &Repository,
    ) -> Result<Vec<(CaseId, Generation)>, HealError> {
        let state = &*self.ports.state;
        let key = keys::command(&repository.id, task.comment, &task.updated_at);
        if state.get(&key).await?.is_some() {
            return Ok(Vec::new());
        }
        let allowed = self.ports.forge.permission(repository, &task.login).await? >= Permission::Write;
        let outcome = if allowed { Some(self.carry_out(task, repository).await?) } else { None };
        if let Some(outcome) = &outcome {
            self.our_turn(repository).await?;
            let about = format!("command-{}-{}", task.comment, task.updated_at);
            self.ports.forge.ensure_comment(repository, task.number, &about, &outcome.answer).await?;
        } else {
            tracing::warn!(login = task.login, "a command of somebody without write access was not obeyed");
        }
        let now = self.ports.clock.now();
        let record = serde_json::json!({
            "at": now, "by": task.login, "pull_request": task.number, "text": task.text, "obeyed": allowed,
        });
        let expires = Some(now / 1000 + REMEMBERED_SECONDS);
        trail::put(state, Item { key, fields: fields(&record), indexes: Vec::new(), expires }).await?;
        Ok(outcome.map(|outcome| outcome.runs).unwrap_or_default())
    }

    async fn carry_out(&self, task: &CommandTask, repository: &Repository) -> Result<Outcome, HealError> {
        let command = Command::parse(&task.text);
        match &command {
            Command::Unknown { word } => return Ok(Outcome::said(reply::unknown(word))),
            Command::Pause => return self.pause(repository, &task.login).await,
            Command::Resume => return self.resume(repository).await,
            Command::Ignore { .. } | Command::Retry | Command::Explain => {}
        }
        let Some(head) = self.run_behind(repository, task.number).await? else {
            return Ok(Outcome::said(reply::no_case()));
        };
        match command {
            Command::Ignore { reason } => self.ignore_by_comment(&head, &task.login, &reason).await,
            Command::Retry => self.retry(repository, &head, task).await,
            _ => self.explain(&head).await,
        }
    }

    /// The run whose pull request has this number.
    async fn run_behind(&self, repository: &Repository, number: u64) -> Result<Option<RunHead>, HealError> {
        let Some(request) = self.ports.forge.pull_request(repository, number).await? else { return Ok(None) };
        let Some((short, generation)) = CaseId::of_branch(&request.branch) else { return Ok(None) };
        let state = &*self.ports.state;
        for case in audit::cases(state, short).await? {
            let head = trail::run_head(state, &case, generation).await?;
            let ours = |head: &RunHead| {
                let natural = head.case.branch(&head.summary.rule, head.generation);
                natural == request.branch && head.summary.repository.id == repository.id
            };
            if let Some(head) = head.filter(ours) {
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    async fn pause(&self, repository: &Repository, by: &str) -> Result<Outcome, HealError> {
        let pause = Pause { by: by.to_owned(), at: self.ports.clock.now() };
        let item =
            Item { key: keys::pause(&repository.id), fields: fields(&pause), indexes: Vec::new(), expires: None };
        trail::put(&*self.ports.state, item).await?;
        Ok(Outcome::said(reply::paused(by)))
    }

    async fn resume(&self, repository: &Repository) -> Result<Outcome, HealError> {
        let delete = Write::Delete { key: keys::pause(&repository.id), when: Vec::new() };
        trail::commit(&*self.ports.state, &Transaction { writes: vec![delete], token: None }).await?;
        Ok(Outcome { answer: reply::resumed(), runs: self.due_runs_of(repository).await? })
    }

    async fn ignore_by_comment(&self, head: &RunHead, by: &str, reason: &str) -> Result<Outcome, HealError> {
        let reason = if reason.is_empty() { "no reason was given" } else { reason };
        match self.ignore(&head.case, None, by, reason).await {
            Ok(findings) => Ok(Outcome::said(reply::ignored(findings, reason))),
            Err(error) => Err(error),
        }
    }

    async fn explain(&self, head: &RunHead) -> Result<Outcome, HealError> {
        let state = &*self.ports.state;
        let events = trail::events(state, &head.case, head.generation).await?;
        let findings = trail::findings(state, &head.case).await?;
        let current = trail::case_head(state, &head.case).await?;
        let generations = current.map_or(head.generation.0, |current| current.generation.0);
        Ok(Outcome::said(reply::explained(&Run { head, events: &events, findings: &findings, generations })))
    }

    /// Takes the proposal back first, in the trail, so that closing it is not taken for a person's judgement; then closes it and
    /// opens a run for its findings.
    async fn retry(&self, repository: &Repository, head: &RunHead, task: &CommandTask) -> Result<Outcome, HealError> {
        if let Some(outcome) = self.retry_failed(head, task).await? {
            return Ok(outcome);
        }
        if !self.take_back_proposal(head, &task.login).await? {
            return Ok(Outcome::said(reply::busy()));
        }
        self.ports.forge.close_pull_request(repository, task.number).await?;
        Ok(Outcome { answer: reply::retried(), runs: self.open_waiting(repository).await? })
    }

    /// Lets a run that failed go on: what it failed at may be mended. Its proposal stays where it is, also when this is done again
    /// because nobody heard of it; `None` when it did not fail.
    async fn retry_failed(&self, head: &RunHead, task: &CommandTask) -> Result<Option<Outcome>, HealError> {
        let by = format!("{}, in comment {} of {},", task.login, task.comment, task.updated_at);
        if head.state == RunState::Failed {
            self.redrive(&head.case, &by).await?;
        }
        let events = trail::events(&*self.ports.state, &head.case, head.generation).await?;
        let reason = redrive_reason(&by);
        let done = events.iter().any(|e| matches!(&e.kind, EventKind::Redriven { reason: said } if *said == reason));
        let runs = vec![(head.case.clone(), head.generation)];
        Ok(done.then(|| Outcome { answer: reply::redriven(), runs }))
    }

    async fn take_back_proposal(&self, head: &RunHead, by: &str) -> Result<bool, HealError> {
        let LeaseOutcome::Taken(mut leased) = self.lease(&head.case, head.generation).await? else { return Ok(false) };
        let outcome = leased.head.summary.outcome;
        let done = if leased.head.state != RunState::Done {
            Ok(false)
        } else if outcome != CaseOutcome::Open {
            Ok(true) // taken back already, or judged by people: what remains is to answer
        } else {
            let walk = replay(&leased)?;
            let reason = format!("{by} asked for another attempt");
            let wanted = walk.findings.iter().map(|f| {
                let record = self.finding_record(&leased, &walk, f, FindingStatus::Waiting);
                run::FindingRecord { reason: Some(reason.clone()), ..record }
            });
            let records: Vec<_> = wanted.collect();
            let mut writes = Self::finding_writes(&head.case, &records);
            writes.push(mark(&leased));
            let kind = EventKind::Feedback(Feedback::Retried { by: by.to_owned() });
            self.append_with(&mut leased, kind, writes).await.map(|()| true)
        };
        self.release(&leased, self.due(&leased)).await?;
        done
    }
}
