//! Spending on a model within limits, together with all other workers: what a call may take at most is held before it, and settled
//! to what it took after it.

use super::lease::Leased;
use super::quota::{ROUNDS, crowded};
use super::{Healer, ScanRequest, trail};
use crate::detect::redact::redact;
use crate::model::{CaseId, Notice, NoticeKind, Repository, UnixMillis};
use crate::ports::{ErrorKind, PortError, PortResult};
use crate::report::markdown::text;
use crate::report::time::{dollars, instant};
use crate::state::quota::replace;
use crate::state::spend::{self, Allowance, Amount, Hold, Spent};
use crate::state::{Key, keys};

/// Times that one and the same call is paid for again, because its worker died before it was recorded.
const AGAIN: u32 = 20;
const DAY_MS: UnixMillis = 24 * 60 * 60 * 1000;

/// A branch, and the commit that was pushed to it.
type Pushed<'a> = (&'a str, &'a str);

/// What may be spent within one window; nothing said, no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limit {
    pub tokens: Option<u64>,
    /// Millionths of a dollar.
    pub micros: Option<u64>,
}

/// What may be spent on models.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budgets {
    /// For one case, however often it is healed.
    pub case: Limit,
    /// For the cases of one push.
    pub push: Limit,
    /// In one repository, a day.
    pub repository: Limit,
    /// Altogether, a day.
    pub day: Limit,
    /// Altogether, in thirty days.
    pub month: Limit,
}

/// Whose spending it is: a call of one step of one run.
#[derive(Debug, Clone)]
pub(super) struct Spender {
    /// Of the run's next event: the same until it is recorded.
    step: String,
    allowances: Vec<Allowance>,
}

/// Why a call may not be made.
pub(super) enum Short {
    /// Not before the time, where one is known.
    Spent {
        reason: String,
        until: Option<UnixMillis>,
    },
    Failed(PortError),
}

impl From<PortError> for Short {
    fn from(error: PortError) -> Self {
        Self::Failed(error)
    }
}

/// Why nothing is held: an allowance with too little left, by its index, or the store.
enum Refused {
    Full(usize),
    Failed(PortError),
}

impl From<PortError> for Refused {
    fn from(error: PortError) -> Self {
        Self::Failed(error)
    }
}

impl Budgets {
    /// Of a call for a push, which is of a case where one is given.
    fn allowances(&self, case: Option<&CaseId>, (repository, push): (&Repository, Pushed<'_>)) -> Vec<Allowance> {
        let (reference, commit) = push;
        let push = format!("model-push#{}#{reference}#{commit}", repository.id);
        let of_case = if case.is_some() { self.case } else { Limit::default() };
        let case = case.map_or("", CaseId::as_str);
        let all = [
            (of_case, format!("model-case#{case}"), "this case".to_owned(), None, false),
            (self.push, push, "one push".to_owned(), None, false),
            (
                self.repository,
                format!("model-repository#{}", repository.id),
                format!("a day in {}", repository.name),
                Some(DAY_MS),
                true,
            ),
            (self.day, "model-day".to_owned(), "a day".to_owned(), Some(DAY_MS), true),
            (self.month, "model-month".to_owned(), "thirty days".to_owned(), Some(30 * DAY_MS), true),
        ];
        all.into_iter()
            .filter(|(limit, ..)| limit.tokens.is_some() || limit.micros.is_some())
            .map(|(limit, scope, what, window_ms, told)| Allowance {
                scope,
                what,
                window_ms,
                tokens: limit.tokens,
                micros: limit.micros,
                told,
            })
            .collect()
    }
}

impl Healer {
    /// Who spends in the next step of a run that is pinned to `commit`.
    pub(super) fn spender(&self, leased: &Leased, commit: &str) -> Spender {
        let step = format!("{}-g{}-{:08}", leased.head.case, leased.head.generation.0, leased.events.len());
        let (head, summary) = (&leased.head, &leased.head.summary);
        let push = (&summary.repository, (summary.reference.as_str(), commit));
        Spender { step, allowances: self.policy.model.budgets.allowances(Some(&head.case), push) }
    }

    /// Who spends for a push before there is any case: on the question `identity`, however often it has to be begun.
    pub(super) fn spender_of_push(&self, request: &ScanRequest, identity: &str) -> Spender {
        let push = (&request.repository, (request.reference.as_str(), request.head.as_str()));
        let step = format!("look-{}-{identity}", request.repository.id);
        Spender { step, allowances: self.policy.model.budgets.allowances(None, push) }
    }

    /// Holds what call number `call` of a step may take at most. `None` when nothing limits it. Asking again for what is held
    /// and not settled gives the same hold.
    pub(super) async fn hold(&self, who: &Spender, call: usize, amount: Amount) -> Result<Option<Key>, Short> {
        if who.allowances.is_empty() {
            return Ok(None);
        }
        for again in 0..AGAIN {
            let key = keys::hold(&who.step, call, again);
            match self.holds(who, &key, amount).await {
                Ok(false) => {}
                Ok(true) => {
                    self.tell(&who.allowances, None).await;
                    return Ok(Some(key));
                }
                Err(Refused::Full(index)) => {
                    // Too little left for one more call is spent, whatever the number says.
                    self.tell(&who.allowances, Some(index)).await;
                    return Err(short(&who.allowances, index, self.ports.clock.now()));
                }
                Err(Refused::Failed(error)) => return Err(error.into()),
            }
        }
        Err(crowded("hold a part of a budget").into())
    }

    /// False when this hold was settled already: the call was made, and what came of it is lost.
    async fn holds(&self, who: &Spender, key: &Key, amount: Amount) -> Result<bool, Refused> {
        for _ in 0..ROUNDS {
            if let Some(held) = self.loaded::<Hold>(key).await? {
                return Ok(!held.settled);
            }
            let now = self.ports.clock.now();
            let spent = self.spent(&who.allowances, now).await?;
            let transaction = match spend::hold(&who.allowances, &spent, key, amount, now) {
                Ok(transaction) => transaction,
                Err(index) => return Err(Refused::Full(index)),
            };
            match self.ports.state.commit(&transaction).await {
                Ok(()) => return Ok(true),
                // A rival was first, or the answer was lost: what is stored tells.
                Err(error) if matches!(error.kind, ErrorKind::Conflict | ErrorKind::Unavailable) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(crowded("hold a part of a budget").into())
    }

    /// Makes what was held what was taken. Doing it again changes nothing.
    pub(super) async fn settle(&self, who: &Spender, key: &Key, taken: Amount) -> PortResult<()> {
        for _ in 0..ROUNDS {
            let Some(held) = self.loaded::<Hold>(key).await?.filter(|held| !held.settled) else { return Ok(()) };
            let spent = self.spent(&who.allowances, held.at).await?;
            match self.ports.state.commit(&spend::settle(&who.allowances, &spent, key, &held, taken)).await {
                Ok(()) => return Ok(()),
                Err(error) if matches!(error.kind, ErrorKind::Conflict | ErrorKind::Unavailable) => {}
                Err(error) => return Err(error),
            }
        }
        Err(crowded("settle what a call took"))
    }

    async fn spent(&self, allowances: &[Allowance], at: UnixMillis) -> PortResult<Vec<Option<Spent>>> {
        let mut all = Vec::with_capacity(allowances.len());
        for allowance in allowances {
            all.push(self.loaded(&allowance.count(at)).await?);
        }
        Ok(all)
    }

    async fn loaded<T: for<'de> serde::Deserialize<'de>>(&self, key: &Key) -> PortResult<Option<T>> {
        trail::load(&*self.ports.state, key).await.map_err(|error| error.into_port("read what was spent"))
    }

    /// Whoever cannot be told now is told with the next call: no call waits for it.
    async fn tell(&self, allowances: &[Allowance], full: Option<usize>) {
        if let Err(error) = self.tell_of_levels(allowances, full).await {
            let why = redact(&error.chain()).into_owned();
            tracing::warn!(error = why, "people could not be told what models have cost");
        }
    }

    /// Tells people once of each level that spending reached. Who comes later tells it for one who died before.
    async fn tell_of_levels(&self, allowances: &[Allowance], full: Option<usize>) -> PortResult<()> {
        let now = self.ports.clock.now();
        for (index, allowance) in allowances.iter().enumerate().filter(|(_, allowance)| allowance.told) {
            let key = allowance.count(now);
            for _ in 0..ROUNDS {
                let spent: Spent = self.loaded(&key).await?.unwrap_or_default();
                let level = if full == Some(index) { 100 } else { allowance.level(spent.spent) };
                if level <= spent.told {
                    break;
                }
                self.ports.notifier.ensure_notice(&notice(allowance, &key, level, &spent, now)).await?;
                let told = Spent { version: spent.version + 1, told: level, ..spent };
                match trail::commit(&*self.ports.state, &replace(key.clone(), &told)).await {
                    Ok(()) => break,
                    Err(error) if matches!(error.kind, ErrorKind::Conflict | ErrorKind::Unavailable) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

fn limits(allowance: &Allowance) -> String {
    let tokens = allowance.tokens.map(|tokens| format!("{tokens} tokens"));
    let money = allowance.micros.map(dollars);
    tokens.into_iter().chain(money).collect::<Vec<_>>().join(" and ")
}

fn short(allowances: &[Allowance], index: usize, now: UnixMillis) -> Short {
    let Some(allowance) = allowances.get(index) else { return crowded("read the budgets").into() };
    let until = allowance.next_window(now);
    let when = until.map_or_else(String::new, |until| format!("; it comes back at {}", instant(until)));
    let reason = format!(
        "the budget of {} for {} has too little left for one more call{when}",
        limits(allowance),
        allowance.what
    );
    Short::Spent { reason, until }
}

fn notice(allowance: &Allowance, key: &Key, level: u8, spent: &Spent, now: UnixMillis) -> Notice {
    let Amount { tokens, micros } = spent.spent;
    let back = allowance.next_window(now).map_or_else(String::new, |at| format!(" It comes back at {}.", instant(at)));
    let stops = if level == 100 { " No model is asked until then; what needs one waits." } else { "" };
    Notice {
        key: format!("{}-{level}", key.pk),
        kind: NoticeKind::Report,
        headline: format!("{level} % of what models may cost for {} is spent", allowance.what),
        body: format!(
            "{}\n\n{tokens} tokens and {} are spent or held, of {}.{back}{stops}\n",
            text(&format!("The budget for {}.", allowance.what)),
            dollars(micros),
            limits(allowance)
        ),
        repository: String::new(),
        link: None,
        for_senior: false,
        earlier: None,
        since: now,
    }
}
