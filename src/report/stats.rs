//! Runs counted: what was decided, what came of it, what it cost.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::state::run::RunHead;

/// Counts over runs. A key is as people write it in filters.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    pub runs: usize,
    /// `open`, `draft`, `escalate`; `none` while undecided.
    pub decisions: BTreeMap<String, usize>,
    pub outcomes: BTreeMap<String, usize>,
    /// Where the chosen fix came from; `none` where nothing was proposed.
    pub sources: BTreeMap<String, usize>,
    pub issue_types: BTreeMap<String, usize>,
    pub rules: BTreeMap<String, usize>,
    /// Work spent on a run, milliseconds: half of the runs took at most this.
    pub median_execution_ms: u64,
    /// 95 of 100 runs took at most this.
    pub p95_execution_ms: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// Millionths of a dollar.
    pub cost_micros: u64,
}

impl Stats {
    #[must_use]
    pub fn of(runs: &[RunHead]) -> Self {
        let mut stats = Self { runs: runs.len(), ..Self::default() };
        let count = |counts: &mut BTreeMap<String, usize>, key: String| *counts.entry(key).or_default() += 1;
        let none = || "none".to_owned();
        for summary in runs.iter().map(|run| &run.summary) {
            count(&mut stats.decisions, summary.decision.map_or_else(none, |d| d.to_string()));
            count(&mut stats.outcomes, summary.outcome.to_string());
            count(&mut stats.sources, summary.source.map_or_else(none, |s| s.to_string()));
            count(&mut stats.issue_types, summary.issue_type.to_string());
            count(&mut stats.rules, summary.rule.to_string());
            stats.input_tokens += summary.input_tokens;
            stats.output_tokens += summary.output_tokens;
            stats.cost_micros += summary.cost_micros;
        }
        let mut times: Vec<u64> = runs.iter().map(|run| run.summary.execution_ms).collect();
        times.sort_unstable();
        stats.median_execution_ms = percentile(&times, 50);
        stats.p95_execution_ms = percentile(&times, 95);
        stats
    }
}

/// The least value that `percent` of the sorted values do not exceed (nearest rank); 0 of nothing.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<u64> = (1..=20).collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 95)), (10, 19));
        assert_eq!((percentile(&[7], 50), percentile(&[7], 95), percentile(&[], 95)), (7, 7, 0));
    }
}
