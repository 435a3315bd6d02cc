//! Staying within limits together with all other workers: budgets, open pull requests, pacing, circuit breakers, pauses.

use std::time::Duration;

use serde::Deserialize;

use super::heal::error_chain;
use super::lease::Leased;
use super::{HealError, Healer, trail};
use crate::detect::redact::redact;
use crate::model::{BRANCH_PREFIX, Repository, RepositoryId, UnixMillis};
use crate::ports::{ErrorKind, PortError, PortResult};
use crate::state::quota::{Admission, Breaker, Budget, Pace, Pause, Slots, Used, Versioned, replace};
use crate::state::{Item, Key, keys};

/// Rounds after which workers who get into each other's way give up for now.
pub(super) const ROUNDS: usize = 100;
/// A place that was taken this long ago without a pull request to show for it is free.
const UNDER_WAY_MS: UnixMillis = 10 * 60 * 1000;
/// Our turn may be waited for this long; beyond, the task is given back.
const TURN: Duration = Duration::from_secs(5);

/// Bounds on what people get to see of us in one repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Pull requests opened in an hour, drafts included.
    pub per_hour: u64,
    /// Pull requests open at a time, drafts included.
    pub open: usize,
    /// Cases of one push that are healed at once; the rest follow in later hours.
    pub cases_a_push: usize,
    /// Between two things that show: pull requests, comments, labels.
    pub pause: Duration,
}

impl Default for Caps {
    fn default() -> Self {
        Self { per_hour: 2, open: 5, cases_a_push: 10, pause: Duration::from_secs(1) }
    }
}

/// What becomes of a shared record that was read.
enum Change<T, A> {
    /// It stays as it is.
    Keep(A),
    /// This one, of the next version, takes its place.
    Write(T, A),
}

/// Why something has to wait, and until when.
pub(super) struct Wait {
    pub reason: String,
    pub until: UnixMillis,
}

/// When a dependency counts as down, and for how long it is left alone then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Failures in a row.
    pub threshold: u32,
    pub cool_down: Duration,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self { threshold: 5, cool_down: Duration::from_secs(60) }
    }
}

impl Healer {
    /// Whether the pull request of a run has to wait. Asking again once it was granted grants it again.
    pub(super) async fn over_caps(&self, leased: &Leased) -> Result<Option<Wait>, HealError> {
        let Some(caps) = self.policy.caps else { return Ok(None) };
        let repository = &leased.head.summary.repository;
        let branch = leased.head.case.branch(&leased.head.summary.rule, leased.head.generation);
        let budget =
            Budget { scope: format!("pull-requests#{}", repository.id), window_ms: HOUR_MS, limit: caps.per_hour };
        let now = self.ports.clock.now();
        if !self.take_slot(repository, &branch, caps.open).await? {
            let reason = format!("{} pull requests of ours are open in {} already", caps.open, repository.name);
            return Ok(Some(Wait { reason, until: budget.next_window(now) }));
        }
        if !self.reserve(&budget, &branch).await? {
            let reason = format!("{} pull requests were opened in {} within this hour", caps.per_hour, repository.name);
            return Ok(Some(Wait { reason, until: budget.next_window(now) }));
        }
        Ok(None)
    }

    /// Grants `who` one part of a budget, at most once in a window; false when nothing is left.
    pub(super) async fn reserve(&self, budget: &Budget, who: &str) -> Result<bool, HealError> {
        let state = &*self.ports.state;
        let now = self.ports.clock.now();
        for _ in 0..ROUNDS {
            if state.get(&budget.reservation(now, who)).await?.is_some() {
                return Ok(true);
            }
            let used: Option<Used> = trail::load(state, &budget.count(now)).await?;
            let Some(transaction) = budget.reserve(now, who, used.as_ref()) else { return Ok(false) };
            match state.commit(&transaction).await {
                Ok(()) => return Ok(true),
                // A rival was first, or the answer was lost: what is stored tells.
                Err(error) if matches!(error.kind, ErrorKind::Conflict | ErrorKind::Unavailable) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(crowded("reserve a part of a budget").into())
    }

    /// Takes one of the places for open pull requests; what the forge shows decides who holds one when they seem to run out.
    async fn take_slot(&self, repository: &Repository, branch: &str, limit: usize) -> Result<bool, HealError> {
        let key = keys::slots(&format!("pull-requests#{}", repository.id));
        let attempted = "take a place for a pull request";
        let take = |mut slots: Slots, now| {
            let held = slots.held.contains_key(branch);
            if held || !slots.take(branch, limit, now) {
                return Change::Keep(held);
            }
            slots.version += 1;
            Change::Write(slots, true)
        };
        if self.change(&key, attempted, take).await? {
            return Ok(true);
        }
        let open = self.ports.forge.open_pull_requests(repository, BRANCH_PREFIX).await?;
        let retake = |mut slots: Slots, now| {
            slots.reconcile(open.iter().map(|request| request.branch.clone()), now, UNDER_WAY_MS);
            take(slots, now)
        };
        self.change(&key, attempted, retake).await
    }

    /// Waits for our turn to do something that shows in a repository; a long queue gives the task back.
    pub(super) async fn our_turn(&self, repository: &Repository) -> Result<(), HealError> {
        let Some(caps) = self.policy.caps else { return Ok(()) };
        let attempted = "wait for our turn";
        let queue = |pace: Pace, now: UnixMillis| {
            let turn = pace.next_at.max(pace.held_until).max(now);
            let wait = Duration::from_millis(turn - now);
            let next = Pace { version: pace.version + 1, next_at: turn + trail::millis(caps.pause), ..pace };
            if wait > TURN { Change::Keep(wait) } else { Change::Write(next, wait) }
        };
        let wait = self.change(&keys::pace(owner(&repository.name)), attempted, queue).await?;
        if wait > TURN {
            return Err(PortError::new("forge", attempted, ErrorKind::Throttled(wait)).into());
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// Makes all workers wait when the forge told one of them to. `repository` is `owner/name`.
    pub(super) async fn hold_back(&self, repository: &str, wait: Duration) -> Result<(), HealError> {
        let wait = trail::millis(wait);
        let later = |pace: Pace, now: UnixMillis| match now.saturating_add(wait) {
            until if pace.held_until >= until => Change::Keep(()),
            until => Change::Write(Pace { version: pace.version + 1, held_until: until, ..pace }, ()),
        };
        self.change(&keys::pace(owner(repository)), "make other workers wait", later).await
    }

    /// Changes a record that all workers share: reads it, and writes what `change` makes of it while it still is what was read;
    /// reads again when somebody else was first.
    async fn change<T: Versioned + Default + for<'de> Deserialize<'de>, A>(
        &self,
        key: &Key,
        attempted: &str,
        change: impl Fn(T, UnixMillis) -> Change<T, A>,
    ) -> Result<A, HealError> {
        let state = &*self.ports.state;
        for _ in 0..ROUNDS {
            let read: T = trail::load(state, key).await?.unwrap_or_default();
            let (next, answer) = match change(read, self.ports.clock.now()) {
                Change::Keep(answer) => return Ok(answer),
                Change::Write(next, answer) => (next, answer),
            };
            if self.replaced(key, &next).await? {
                return Ok(answer);
            }
        }
        Err(crowded(attempted).into())
    }

    /// Writes a record over the one that was read; false when somebody else did so first.
    async fn replaced<T: Versioned>(&self, key: &Key, record: &T) -> PortResult<bool> {
        match trail::commit(&*self.ports.state, &replace(key.clone(), record)).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind == ErrorKind::Conflict => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// How long the forge wants to be left alone; `None` when it can be asked. `repository` is `owner/name`.
    pub(super) async fn held_back(&self, repository: &str) -> Result<Option<Duration>, HealError> {
        let pace: Pace = trail::load(&*self.ports.state, &keys::pace(owner(repository))).await?.unwrap_or_default();
        let wait = Duration::from_millis(pace.held_until.saturating_sub(self.ports.clock.now()));
        Ok((!wait.is_zero()).then_some(wait))
    }

    /// Asks a dependency under its breaker: one that is down is left alone, and one worker at a time tries whether it is back.
    pub(super) async fn guarded<T>(
        &self,
        dependency: &'static str,
        asked: impl Future<Output = PortResult<T>>,
    ) -> PortResult<T> {
        let key = keys::breaker(dependency);
        let cool_down = trail::millis(self.policy.breaker.cool_down);
        let now = self.ports.clock.now();
        let breaker = self.breaker(&key).await?;
        match breaker.admit(now, cool_down) {
            Admission::Closed => {}
            Admission::Open { until } => return Err(left_alone(dependency, &breaker, until - now)),
            Admission::Probe(probing) => {
                if !self.replaced(&key, &probing).await? {
                    return Err(left_alone(dependency, &breaker, cool_down));
                }
            }
        }
        let outcome = asked.await;
        let noted = match &outcome {
            Err(error) if is_down(&error.kind) => self.note_failure(&key, error).await,
            // Refused or not understood: the dependency answers.
            _ if breaker.succeeded().is_some() => self.note_success(&key).await,
            _ => Ok(()),
        };
        if let Err(error) = noted {
            let why = redact(&error_chain(&error)).into_owned();
            tracing::warn!(dependency, error = why, "the breaker could not be written");
        }
        outcome
    }

    async fn breaker(&self, key: &Key) -> PortResult<Breaker> {
        let item: Option<Item> = self.ports.state.get(key).await?;
        // A record that cannot be read must not keep anybody from asking.
        Ok(item.and_then(|item| crate::state::run::record(&item).ok()).unwrap_or_default())
    }

    async fn note_success(&self, key: &Key) -> Result<(), HealError> {
        let close = |breaker: Breaker, _| match breaker.succeeded() {
            Some(closed) => Change::Write(closed, ()),
            None => Change::Keep(()),
        };
        self.change(key, "close a circuit breaker", close).await
    }

    async fn note_failure(&self, key: &Key, error: &PortError) -> Result<(), HealError> {
        let policy = &self.policy.breaker;
        let open_for = trail::millis(match &error.kind {
            ErrorKind::Throttled(wait) => policy.cool_down.max(*wait),
            _ => policy.cool_down,
        });
        let reason = redact(&error.chain()).into_owned();
        let count = |breaker: Breaker, now| Change::Write(breaker.failed(now, policy.threshold, open_for, &reason), ());
        self.change(key, "count a failure", count).await
    }

    /// Who paused a repository, if anybody did.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn paused(&self, repository: &RepositoryId) -> Result<Option<Pause>, HealError> {
        trail::load(&*self.ports.state, &keys::pause(repository)).await
    }
}

const HOUR_MS: UnixMillis = 60 * 60 * 1000;

/// Whose limits count: a forge counts for each owner who installed us.
fn owner(repository: &str) -> &str {
    repository.split('/').next().unwrap_or(repository)
}

fn is_down(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unavailable | ErrorKind::Throttled(_))
}

fn left_alone(dependency: &'static str, breaker: &Breaker, wait_ms: UnixMillis) -> PortError {
    // The alarm `breaker-open` counts lines with these words (terraform/observability.tf).
    tracing::warn!(
        dependency,
        failures = breaker.failures,
        seconds = wait_ms.div_ceil(1000),
        "a circuit breaker is open"
    );
    let attempted = format!(
        "ask: its circuit breaker is open for another {} s after {} failures in a row, the last one: {}",
        wait_ms.div_ceil(1000),
        breaker.failures,
        breaker.reason
    );
    PortError::new(dependency, attempted, ErrorKind::Unavailable)
}

pub(super) fn crowded(attempted: &str) -> PortError {
    PortError::new("state", format!("{attempted}: too many workers at once"), ErrorKind::Unavailable)
}
