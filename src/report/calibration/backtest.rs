//! What other thresholds would have done with the cases that were decided.

use serde::Serialize;

use super::{Fate, Judged};
use crate::model::{CaseId, Confidence, Decision, Generation, RuleId, Thresholds};

/// What the cases of one tier came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tier {
    pub cases: usize,
    /// Of these, merged as they were or amended.
    pub merged: usize,
    /// Closed, or merged and reverted.
    pub refused: usize,
    /// Nobody judged them: they wait, or were never proposed.
    pub unknown: usize,
}

/// The cases under one pair of thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Split {
    pub thresholds: Thresholds,
    /// Pull requests.
    pub open: Tier,
    pub draft: Tier,
    /// Only told to a person.
    pub escalate: Tier,
}

/// A case that other thresholds would have treated otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moved {
    pub case: CaseId,
    pub generation: Generation,
    pub repository: String,
    pub rule: RuleId,
    pub confidence: Confidence,
    pub from: Decision,
    pub to: Decision,
    pub fate: Fate,
}

/// Today's thresholds beside others, over the same cases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Backtest {
    pub today: Split,
    pub tried: Split,
    /// In the order of the cases.
    pub moved: Vec<Moved>,
}

impl Tier {
    /// Of the judged ones, how many were merged, 0 to 1.
    #[must_use]
    pub fn merged_share(self) -> Option<f64> {
        let judged = self.merged + self.refused;
        (judged > 0).then(|| self.merged as f64 / judged as f64)
    }

    fn add(&mut self, fate: Fate) {
        self.cases += 1;
        match fate.proved_right(false) {
            Some(true) => self.merged += 1,
            Some(false) => self.refused += 1,
            None => self.unknown += 1,
        }
    }
}

impl Backtest {
    /// Sorts the cases by both pairs of thresholds. A case without a verified proposal has confidence 0 and is told to a person
    /// under any thresholds.
    #[must_use]
    pub fn of(cases: &[Judged], today: Thresholds, tried: Thresholds) -> Self {
        let moved = cases.iter().filter_map(|case| {
            let (from, to) = (tier(case, today), tier(case, tried));
            (from != to).then(|| Moved {
                case: case.case.clone(),
                generation: case.generation,
                repository: case.repository.clone(),
                rule: case.rule.clone(),
                confidence: case.confidence,
                from,
                to,
                fate: case.fate,
            })
        });
        Self { today: split(cases, today), tried: split(cases, tried), moved: moved.collect() }
    }
}

/// Whatever the thresholds say, there must be something to propose.
fn tier(case: &Judged, thresholds: Thresholds) -> Decision {
    if case.source.is_none() { Decision::Escalate } else { thresholds.decide(case.confidence) }
}

fn split(cases: &[Judged], thresholds: Thresholds) -> Split {
    let none = Tier::default();
    let mut split = Split { thresholds, open: none, draft: none, escalate: none };
    for case in cases {
        match tier(case, thresholds) {
            Decision::Open => split.open.add(case.fate),
            Decision::Draft => split.draft.add(case.fate),
            Decision::Escalate => split.escalate.add(case.fate),
        }
    }
    split
}

/// Reads `open=80,draft=55`. What is not named is as today.
///
/// # Errors
/// When a name is unknown or there twice, a number is no percentage, or a draft would need more than a pull request.
pub fn read(text: &str, today: Thresholds) -> Result<Thresholds, String> {
    let mut read = [("open", None), ("draft", None)];
    for part in text.split(',') {
        let (name, number) = part.split_once('=').ok_or_else(|| format!("write open=80,draft=55, not {part:?}"))?;
        let percent = number.trim().parse::<u8>().ok().and_then(|percent| Confidence::new(percent).ok());
        let percent = percent.ok_or_else(|| format!("{number:?} is no percentage; use 0 to 100"))?;
        let known = read.iter_mut().find(|(known, _)| *known == name.trim());
        let (_, place) = known.ok_or_else(|| format!("there is no threshold {name:?}; use open and draft"))?;
        if place.replace(percent).is_some() {
            return Err(format!("{} is there twice", name.trim()));
        }
    }
    let [(_, open), (_, draft)] = read;
    let tried = Thresholds { open: open.unwrap_or(today.open), draft: draft.unwrap_or(today.draft) };
    if tried.draft > tried.open {
        let Thresholds { open, draft } = tried;
        return Err(format!("a draft cannot need more than a pull request: open is {open} and draft {draft}"));
    }
    Ok(tried)
}
