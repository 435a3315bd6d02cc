//! Calibration: whether confidences were worth their numbers, held against what people did.
//!
//! A confidence is an estimate of the probability that a person would merge the change. Here each decided case meets its outcome,
//! and the figures say how far the estimates can be believed: as a whole, by source, by rule and by repository.

pub mod backtest;
pub mod chart;
mod figures;
pub mod svg;
pub mod words;

use std::collections::BTreeMap;

use serde::Serialize;

pub use figures::{BINS, Bin, Figures, bins, wilson};

use crate::model::{CaseId, Confidence, Decision, Generation, RepoPath, RuleId, Source, UnixMillis};

/// Below this many outcomes the figures are mostly chance: the 95 % interval of a share of one half is then wider than 0.34.
pub const ENOUGH: usize = 30;

/// What became of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// People merged it as it was.
    Merged,
    /// People changed it and merged that.
    Amended,
    /// People closed it unmerged.
    Closed,
    /// People merged it and undid it.
    Reverted,
    /// It waits for people.
    Open,
    /// It was never proposed: people were told instead.
    Escalated,
    /// A person said that the finding is to be ignored, which says nothing about the edit.
    Ignored,
    /// A person asked for another attempt.
    TakenBack,
    /// It ended before people could judge it.
    Ended,
}

impl Fate {
    /// Whether the proposal proved right; `None` while, or because, nobody judged it. `strict` holds a merge that people had to
    /// amend for a miss.
    #[must_use]
    pub fn proved_right(self, strict: bool) -> Option<bool> {
        match self {
            Self::Merged => Some(true),
            Self::Amended => Some(!strict),
            Self::Closed | Self::Reverted => Some(false),
            Self::Open | Self::Escalated | Self::Ignored | Self::TakenBack | Self::Ended => None,
        }
    }

    /// For people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Merged => "merged",
            Self::Amended => "merged, amended",
            Self::Closed => "closed",
            Self::Reverted => "reverted",
            Self::Open => "open",
            Self::Escalated => "not proposed",
            Self::Ignored => "ignored",
            Self::TakenBack => "taken back",
            Self::Ended => "ended before",
        }
    }
}

/// A decided case with what people made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judged {
    pub case: CaseId,
    pub generation: Generation,
    pub repository: String,
    pub rule: RuleId,
    pub path: RepoPath,
    /// Where the proposal came from; `None` when there was none.
    pub source: Option<Source>,
    pub confidence: Confidence,
    /// What was decided then.
    pub decision: Decision,
    pub fate: Fate,
    pub detected_at: UnixMillis,
}

/// One probability beside what happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// Percent.
    pub confidence: Confidence,
    pub right: bool,
}

/// What the trail says of our confidences. Shares, probabilities and scores lie between 0 and 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// Decided cases by what became of them.
    pub fates: BTreeMap<Fate, usize>,
    /// Whether a merge that people had to amend counts as a miss.
    pub strict: bool,
    /// Outcomes below which the figures mean little.
    pub enough: usize,
    /// Whether there are that many.
    pub sound: bool,
    pub all: Figures,
    /// Ten bins of equal width.
    pub bins: Vec<Bin>,
    pub by_source: BTreeMap<String, Figures>,
    pub by_rule: BTreeMap<String, Figures>,
    pub by_repository: BTreeMap<String, Figures>,
}

impl Calibration {
    /// The figures over every case that has an outcome; the others are counted in `fates`.
    #[must_use]
    pub fn of(cases: &[Judged], strict: bool) -> Self {
        let mut fates = BTreeMap::new();
        let mut groups: [BTreeMap<String, Vec<Forecast>>; 3] = Default::default();
        let mut all = Vec::new();
        for case in cases {
            *fates.entry(case.fate).or_default() += 1;
            let Some(right) = case.fate.proved_right(strict) else { continue };
            let forecast = Forecast { confidence: case.confidence, right };
            all.push(forecast);
            let source = case.source.map_or_else(|| "none".to_owned(), |source| source.to_string());
            for (group, key) in groups.iter_mut().zip([source, case.rule.to_string(), case.repository.clone()]) {
                group.entry(key).or_default().push(forecast);
            }
        }
        let [by_source, by_rule, by_repository] =
            groups.map(|group| group.into_iter().map(|(key, of)| (key, Figures::of(&of))).collect());
        let sound = all.len() >= ENOUGH;
        let (figures, bins) = (Figures::of(&all), bins(&all));
        Self { fates, strict, enough: ENOUGH, sound, all: figures, bins, by_source, by_rule, by_repository }
    }

    /// Cases that are left out because nobody judged them.
    #[must_use]
    pub fn without_outcome(&self) -> usize {
        self.fates.iter().filter(|(fate, _)| fate.proved_right(self.strict).is_none()).map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests;
