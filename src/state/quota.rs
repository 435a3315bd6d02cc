//! What workers share so that together they stay within limits: budgets by window, slots, circuit breakers, pacing. Pure.
//!
//! Each record is written under the condition that it is still what was read, so of two workers one goes first and the other
//! reads again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::run::fields;
use super::{Condition, Item, Key, Transaction, Write, keys};
use crate::model::UnixMillis;

/// A number of things that may be done within a window of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// What is counted, and for whom: `pull-requests#42`.
    pub scope: String,
    /// Length of a window, milliseconds. Windows begin at whole multiples of it since the epoch.
    pub window_ms: UnixMillis,
    /// Things in one window.
    pub limit: u64,
}

/// How much of a budget is used in one window.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    pub n: u64,
}

impl Budget {
    fn window(&self, now: UnixMillis) -> UnixMillis {
        now / self.window_ms.max(1)
    }

    /// When the next window begins.
    #[must_use]
    pub fn next_window(&self, now: UnixMillis) -> UnixMillis {
        (self.window(now) + 1).saturating_mul(self.window_ms.max(1))
    }

    /// Where the count of the window at `now` is kept.
    #[must_use]
    pub fn count(&self, now: UnixMillis) -> Key {
        keys::budget(&self.scope, self.window(now))
    }

    /// Where it is kept that `who` was granted a part.
    #[must_use]
    pub fn reservation(&self, now: UnixMillis, who: &str) -> Key {
        keys::reservation(&self.scope, self.window(now), who)
    }

    /// Grants `who` one part, in one transaction with the count; `None` when nothing is left. `used` is the count as read.
    #[must_use]
    pub fn reserve(&self, now: UnixMillis, who: &str, used: Option<&Used>) -> Option<Transaction> {
        let before = used.map_or(0, |used| used.n);
        if before >= self.limit {
            return None;
        }
        // Kept for a window longer than needed, so that a clock that is late finds it.
        let expires = Some(self.next_window(now).saturating_add(self.window_ms) / 1000 + 1);
        let count =
            Item { key: self.count(now), fields: fields(&Used { n: before + 1 }), indexes: Vec::new(), expires };
        let when = match used {
            None => Condition::Absent,
            Some(used) => Condition::Equals("n", json!(used.n)),
        };
        let granted = Item {
            key: self.reservation(now, who),
            fields: fields(&json!({ "at": now })),
            indexes: Vec::new(),
            expires,
        };
        let writes = vec![
            Write::Put { item: count, when: vec![when] },
            Write::Put { item: granted, when: vec![Condition::Absent] },
        ];
        Some(Transaction { writes, token: None })
    }
}

/// Who holds the limited places of a scope, and since when: the open pull requests of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slots {
    /// Grows with every write.
    pub version: u64,
    pub held: BTreeMap<String, UnixMillis>,
}

impl Slots {
    /// Takes a place for `who`; false when all `limit` are held by others.
    pub fn take(&mut self, who: &str, limit: usize, now: UnixMillis) -> bool {
        if self.held.contains_key(who) {
            return true;
        }
        if self.held.len() >= limit {
            return false;
        }
        self.held.insert(who.to_owned(), now);
        true
    }

    /// Brings the places in line with who really holds one. Places taken less than `grace` milliseconds ago stay: what they
    /// were taken for may be under way.
    pub fn reconcile(&mut self, holders: impl IntoIterator<Item = String>, now: UnixMillis, grace: UnixMillis) {
        let mut held: BTreeMap<String, UnixMillis> = holders.into_iter().map(|who| (who, 0)).collect();
        for (who, since) in std::mem::take(&mut self.held) {
            if held.contains_key(&who) || now.saturating_sub(since) < grace {
                held.insert(who, since);
            }
        }
        self.held = held;
    }
}

/// A dependency's circuit breaker, shared by all workers.
///
/// After the pattern of M. Nygard, "Release It!": closed while calls succeed; open, answering for the dependency, once
/// `failures` in a row reached a threshold; after a cool-down one worker probes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    /// Grows with every write.
    pub version: u64,
    /// Failures since the last success.
    pub failures: u32,
    /// Nobody asks before this time; 0 while closed.
    pub open_until: UnixMillis,
    /// Why it opened, for people.
    pub reason: String,
}

/// What a breaker says to one who wants to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Call.
    Closed,
    /// Call as the only one, once the record was written as given.
    Probe(Breaker),
    /// Do not call.
    Open { until: UnixMillis },
}

impl Breaker {
    /// Whether a call may be made at `now`. A probe keeps the others out for `cool_down_ms`.
    #[must_use]
    pub fn admit(&self, now: UnixMillis, cool_down_ms: UnixMillis) -> Admission {
        if self.open_until == 0 {
            return Admission::Closed;
        }
        if now < self.open_until {
            return Admission::Open { until: self.open_until };
        }
        Admission::Probe(Self { version: self.version + 1, open_until: now + cool_down_ms, ..self.clone() })
    }

    /// The record after a call that succeeded; `None` when nothing changes.
    #[must_use]
    pub fn succeeded(&self) -> Option<Self> {
        let clean = self.failures == 0 && self.open_until == 0;
        (!clean).then(|| Self { version: self.version + 1, ..Self::default() })
    }

    /// The record after a call that failed for `reason`; open from `threshold` failures in a row on, for `open_ms`.
    #[must_use]
    pub fn failed(&self, now: UnixMillis, threshold: u32, open_ms: UnixMillis, reason: &str) -> Self {
        let failures = self.failures.saturating_add(1);
        let open_until = if failures >= threshold { now.saturating_add(open_ms) } else { self.open_until };
        Self { version: self.version + 1, failures, open_until, reason: reason.chars().take(300).collect() }
    }
}

/// When the next write of its kind may be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Grows with every write.
    pub version: u64,
    pub next_at: UnixMillis,
    /// Until then the forge wants to be asked for nothing at all.
    #[serde(default)]
    pub held_until: UnixMillis,
}

/// A switch that stops all work in its scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub by: String,
    pub at: UnixMillis,
}

/// A record that is replaced only while it is what was read.
pub trait Versioned: Serialize {
    fn version(&self) -> u64;
}

macro_rules! versioned {
    ($($name:ty),*) => { $(impl Versioned for $name {
        fn version(&self) -> u64 {
            self.version
        }
    })* };
}

versioned!(Slots, Breaker, Pace);

/// Writes `record`, whose version is one above that of the record that was read; version 1 is the first.
#[must_use]
pub fn replace<T: Versioned>(key: Key, record: &T) -> Transaction {
    let when = match record.version() {
        0 | 1 => Condition::Absent,
        version => Condition::Equals("version", json!(version - 1)),
    };
    let item = Item { key, fields: fields(record), indexes: Vec::new(), expires: None };
    Transaction { writes: vec![Write::Put { item, when: vec![when] }], token: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: fn() -> Budget = || Budget { scope: "s".to_owned(), window_ms: 1000, limit: 2 };

    #[test]
    fn a_budget_ends_at_its_limit_and_returns_with_the_window() {
        let budget = BUDGET();
        assert!(budget.reserve(500, "a", None).is_some());
        assert!(budget.reserve(500, "a", Some(&Used { n: 1 })).is_some());
        assert!(budget.reserve(500, "a", Some(&Used { n: 2 })).is_none());
        assert_eq!(budget.next_window(500), 1000);
        assert_ne!(budget.count(999), budget.count(1000));
    }

    #[test]
    fn a_reservation_outlives_its_window_only_a_little() {
        let transaction = BUDGET().reserve(500, "a", None).unwrap();
        for write in transaction.writes {
            let Write::Put { item, .. } = write else { panic!("only puts") };
            assert_eq!(item.expires, Some(3));
        }
    }

    #[test]
    fn who_holds_a_place_keeps_it_and_strangers_wait() {
        let mut slots = Slots::default();
        assert!(slots.take("a", 1, 5) && slots.take("a", 1, 6) && !slots.take("b", 1, 6));
    }

    #[test]
    fn places_follow_what_is_there_but_not_what_is_under_way() {
        let mut slots = Slots::default();
        for who in ["gone", "new", "there"] {
            slots.take(who, 9, if who == "new" { 95 } else { 0 });
        }
        slots.reconcile(["there".to_owned(), "unknown".to_owned()], 100, 10);
        let held: Vec<&str> = slots.held.keys().map(String::as_str).collect();
        assert_eq!(held, ["new", "there", "unknown"]);
    }

    #[test]
    fn a_breaker_opens_after_failures_in_a_row_and_lets_one_probe() {
        let mut breaker = Breaker::default();
        for _ in 0..2 {
            breaker = breaker.failed(100, 3, 50, "down");
            assert_eq!(breaker.admit(100, 50), Admission::Closed);
        }
        breaker = breaker.failed(100, 3, 50, "down");
        assert_eq!(breaker.admit(149, 50), Admission::Open { until: 150 });
        let Admission::Probe(probing) = breaker.admit(150, 50) else { panic!("no probe") };
        // Who comes after the probe has begun waits for its outcome.
        assert_eq!(probing.admit(150, 50), Admission::Open { until: 200 });
        assert_eq!(probing.succeeded().unwrap().admit(151, 50), Admission::Closed);
    }

    #[test]
    fn a_success_that_changes_nothing_is_not_written() {
        assert_eq!(Breaker::default().succeeded(), None);
    }
}
