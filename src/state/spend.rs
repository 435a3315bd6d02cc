//! What all workers together may spend on a model: tokens and dollars within windows of time, held before a call and settled
//! after it. Pure.
//!
//! A hold and the counts that it is taken from are written in one transaction, so that it is granted once however often it is
//! asked for, and taken back once. Each count is written under the condition that it is still what was read.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::quota::Versioned;
use super::run::fields;
use super::{Condition, Item, Key, Transaction, Write, keys};
use crate::model::UnixMillis;

/// Shares of an allowance, percent, at which people are told.
pub const LEVELS: [u8; 4] = [50, 75, 90, 100];

/// Tokens and millionths of a dollar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    pub tokens: u64,
    pub micros: u64,
}

impl Amount {
    fn plus(self, other: Self) -> Self {
        Self { tokens: self.tokens.saturating_add(other.tokens), micros: self.micros.saturating_add(other.micros) }
    }

    fn minus(self, other: Self) -> Self {
        Self { tokens: self.tokens.saturating_sub(other.tokens), micros: self.micros.saturating_sub(other.micros) }
    }
}

/// How much may be spent on something within a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// What is counted, and for whom: `model-day`, `model-case#…`.
    pub scope: String,
    /// For people: `a day`.
    pub what: String,
    /// Length of a window, milliseconds; windows begin at whole multiples of it since the epoch. `None`: one window for good.
    pub window_ms: Option<UnixMillis>,
    pub tokens: Option<u64>,
    pub micros: Option<u64>,
    /// Whether people are told when much of it is spent.
    pub told: bool,
}

/// What is spent of an allowance in one window, holds included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Grows with every write.
    pub version: u64,
    pub spent: Amount,
    /// The highest of [`LEVELS`] that people were told of; 0 before.
    pub told: u8,
}

impl Versioned for Spent {
    fn version(&self) -> u64 {
        self.version
    }
}

/// Part of all allowances that one call holds, or took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// When it was taken: decides which windows it counts for.
    pub at: UnixMillis,
    pub amount: Amount,
    /// Whether the call was made and `amount` is what it took.
    pub settled: bool,
}

impl Allowance {
    fn window(&self, now: UnixMillis) -> UnixMillis {
        self.window_ms.map_or(0, |length| now / length.max(1))
    }

    /// When the next window begins; `None` when there is none.
    #[must_use]
    pub fn next_window(&self, now: UnixMillis) -> Option<UnixMillis> {
        self.window_ms.map(|length| (self.window(now) + 1).saturating_mul(length.max(1)))
    }

    /// Where the count of the window at `now` is kept.
    #[must_use]
    pub fn count(&self, now: UnixMillis) -> Key {
        keys::budget(&self.scope, self.window(now))
    }

    /// Whether so much fits.
    #[must_use]
    pub fn has_room(&self, spent: Amount, more: Amount) -> bool {
        let total = spent.plus(more);
        self.tokens.is_none_or(|limit| total.tokens <= limit) && self.micros.is_none_or(|limit| total.micros <= limit)
    }

    /// The highest of [`LEVELS`] that is reached; 0 below all of them.
    #[must_use]
    pub fn level(&self, spent: Amount) -> u8 {
        let share = |spent: u64, limit: Option<u64>| match limit {
            None => 0,
            Some(0) => 100,
            Some(limit) => u8::try_from((u128::from(spent) * 100 / u128::from(limit)).min(100)).unwrap_or(100),
        };
        let share = share(spent.tokens, self.tokens).max(share(spent.micros, self.micros));
        LEVELS.into_iter().rfind(|level| *level <= share).unwrap_or(0)
    }

    fn expires(&self, now: UnixMillis) -> Option<u64> {
        // Kept for a window longer than needed, so that a clock that is late finds it.
        let (next, length) = (self.next_window(now)?, self.window_ms?);
        Some(next.saturating_add(length) / 1000 + 1)
    }
}

/// Takes `amount` from every allowance at once and notes that `hold` has it. `spent` are the counts as they were read, in the
/// order of the allowances; `None` for one that is not there yet.
///
/// # Errors
/// The index of the first allowance with too little left.
pub fn hold(
    allowances: &[Allowance],
    spent: &[Option<Spent>],
    hold: &Key,
    amount: Amount,
    now: UnixMillis,
) -> Result<Transaction, usize> {
    let before = |index: usize| spent.get(index).cloned().flatten().unwrap_or_default();
    let full = allowances.iter().enumerate().find(|(index, one)| !one.has_room(before(*index).spent, amount));
    if let Some((index, _)) = full {
        return Err(index);
    }
    let mut writes = counts(allowances, spent, now, |spent| spent.plus(amount));
    let record = Hold { at: now, amount, settled: false };
    writes.push(Write::Put { item: hold_item(allowances, hold, &record), when: vec![Condition::Absent] });
    Ok(Transaction { writes, token: None })
}

/// Makes what was held what was really taken. `spent` are the counts of the windows at `held.at`.
#[must_use]
pub fn settle(
    allowances: &[Allowance],
    spent: &[Option<Spent>],
    hold: &Key,
    held: &Hold,
    taken: Amount,
) -> Transaction {
    let mut writes = counts(allowances, spent, held.at, |spent| spent.minus(held.amount).plus(taken));
    let record = Hold { amount: taken, settled: true, ..held.clone() };
    let when = vec![Condition::Equals("settled", json!(false))];
    writes.push(Write::Put { item: hold_item(allowances, hold, &record), when });
    Transaction { writes, token: None }
}

fn counts(
    allowances: &[Allowance],
    spent: &[Option<Spent>],
    at: UnixMillis,
    change: impl Fn(Amount) -> Amount,
) -> Vec<Write> {
    let one = |(index, allowance): (usize, &Allowance)| {
        let read = spent.get(index).and_then(Option::as_ref);
        let before = read.cloned().unwrap_or_default();
        let after = Spent { version: before.version + 1, spent: change(before.spent), told: before.told };
        let when = match read {
            None => Condition::Absent,
            Some(before) => Condition::Equals("version", json!(before.version)),
        };
        let item = Item {
            key: allowance.count(at),
            fields: fields(&after),
            indexes: Vec::new(),
            expires: allowance.expires(at),
        };
        Write::Put { item, when: vec![when] }
    };
    allowances.iter().enumerate().map(one).collect()
}

fn hold_item(allowances: &[Allowance], key: &Key, hold: &Hold) -> Item {
    let longest = allowances.iter().filter_map(|allowance| allowance.expires(hold.at)).max();
    Item { key: key.clone(), fields: fields(hold), indexes: Vec::new(), expires: longest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowance(tokens: Option<u64>, micros: Option<u64>) -> Allowance {
        Allowance {
            scope: "model-day".to_owned(),
            what: "a day".to_owned(),
            window_ms: Some(1000),
            tokens,
            micros,
            told: true,
        }
    }

    fn amount(tokens: u64, micros: u64) -> Amount {
        Amount { tokens, micros }
    }

    fn key() -> Key {
        Key { pk: "CASE#1".to_owned(), sk: "HOLD#1".to_owned() }
    }

    #[test]
    fn what_fits_is_held_and_what_does_not_names_the_allowance() {
        let all = [allowance(None, Some(500)), allowance(Some(100), None)];
        let spent = [None, Some(Spent { version: 3, spent: amount(60, 0), told: 0 })];
        let granted = hold(&all, &spent, &key(), amount(40, 500), 1).unwrap();
        assert_eq!(granted.writes.len(), 3);
        assert_eq!(hold(&all, &spent, &key(), amount(41, 0), 1), Err(1));
        assert_eq!(hold(&all, &spent, &key(), amount(1, 501), 1), Err(0));
    }

    #[test]
    fn levels_are_those_of_the_scarcer_of_the_two() {
        let one = allowance(Some(100), Some(1000));
        for (spent, level) in [
            (amount(0, 0), 0),
            (amount(49, 499), 0),
            (amount(50, 0), 50),
            (amount(0, 755), 75),
            (amount(90, 100), 90),
            (amount(100, 0), 100),
            (amount(900, 0), 100),
        ] {
            assert_eq!(one.level(spent), level, "{spent:?}");
        }
        assert_eq!(allowance(Some(0), None).level(amount(0, 0)), 100);
        assert_eq!(allowance(None, None).level(amount(u64::MAX, u64::MAX)), 0);
    }

    #[test]
    fn what_was_not_used_is_given_back_once() {
        let all = [allowance(Some(100), None)];
        let held = Hold { at: 1, amount: amount(80, 0), settled: false };
        let spent = [Some(Spent { version: 7, spent: amount(90, 0), told: 50 })];
        let settled = settle(&all, &spent, &key(), &held, amount(30, 0));
        let [Write::Put { item, .. }, Write::Put { when, .. }] = settled.writes.as_slice() else {
            panic!("two writes")
        };
        assert_eq!((&item.fields["spent"]["tokens"], &item.fields["told"]), (&json!(40), &json!(50)));
        assert_eq!(when, &[Condition::Equals("settled", json!(false))]);
    }

    #[test]
    fn one_that_has_no_window_never_begins_anew() {
        let for_good = Allowance { window_ms: None, ..allowance(Some(1), None) };
        assert_eq!((for_good.next_window(5_000), for_good.count(1)), (None, for_good.count(9_999_999)));
        assert_ne!(allowance(None, None).count(999), allowance(None, None).count(1000));
    }
}
