//! Which findings a change brought in.

use std::collections::{BTreeMap, BTreeSet};

use similar::{Algorithm, ChangeTag, TextDiff};

use super::syntax_rule;
use crate::model::{Finding, FlowStep};

/// Lines, from 1, that a change added or altered in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangedLines {
    lines: Vec<usize>,
}

/// Beyond this many differing lines on both sides together the middle counts as changed throughout: an exact difference
/// takes quadratic time on hostile texts.
const MAX_DIFF_LINES: usize = 4_000;

impl ChangedLines {
    /// The lines of `head` that `base` does not have at their place.
    #[must_use]
    pub fn between(base: &str, head: &str) -> Self {
        let old: Vec<&str> = base.lines().collect();
        let new: Vec<&str> = head.lines().collect();
        let same_start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
        let (old, new) = (old.get(same_start..).unwrap_or_default(), new.get(same_start..).unwrap_or_default());
        let same_end = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
        let old = old.get(..old.len() - same_end).unwrap_or_default();
        let new = new.get(..new.len() - same_end).unwrap_or_default();
        if old.len() + new.len() > MAX_DIFF_LINES {
            return Self { lines: (same_start + 1..=same_start + new.len()).collect() };
        }
        let diff = TextDiff::configure().algorithm(Algorithm::Myers).diff_slices(old, new);
        let added = diff.iter_all_changes().filter(|change| change.tag() == ChangeTag::Insert);
        Self { lines: added.filter_map(|change| change.new_index()).map(|index| same_start + index + 1).collect() }
    }

    fn touches(&self, finding: &Finding) -> bool {
        self.within(finding.start.line, finding.end.line) || self.cross(&finding.flow)
    }

    /// Whether a value's way leads over a changed line.
    fn cross(&self, flow: &[FlowStep]) -> bool {
        flow.iter().any(|step| self.within(step.start.line, step.end.line))
    }

    /// Whether one of the lines from `first` to `last`, both included, is among them.
    #[must_use]
    pub fn within(&self, first: usize, last: usize) -> bool {
        let from = self.lines.partition_point(|line| *line < first);
        self.lines.get(from).is_some_and(|line| *line <= last)
    }
}

/// The findings of `head` that `base` does not account for. Findings are told apart by rule and normalised code, so code
/// that moved, was re-indented or whose file was renamed is not new. Where the base has some but not all of equal
/// findings, those on changed lines are taken as new first, then the last ones. A file that did not parse before is not
/// newly broken. A value that comes by another way than any that the base knew, over a changed line, is new although it ends
/// in the same code.
#[must_use]
pub fn introduced(head: &[Finding], base: &[Finding], changed: Option<&ChangedLines>) -> Vec<Finding> {
    let mut known: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for finding in base {
        *known.entry(key(finding)).or_default() += 1;
    }
    let mut groups: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (index, finding) in head.iter().enumerate() {
        groups.entry(key(finding)).or_default().push(index);
    }
    let ways: BTreeSet<Way<'_>> = base.iter().map(way).collect();
    let elsewhere = |index: &usize| {
        let crossed = |finding: &Finding| changed.is_some_and(|changed| changed.cross(&finding.flow));
        head.get(*index).is_some_and(|finding| crossed(finding) && !ways.contains(&way(finding)))
    };
    let mut new = Vec::new();
    for (key, members) in groups {
        let (other_way, mut members): (Vec<usize>, Vec<usize>) = members.into_iter().partition(elsewhere);
        new.extend(other_way);
        let old = known.get(&key).copied().unwrap_or(0).min(members.len());
        let on_changed_line =
            |index: &usize| changed.zip(head.get(*index)).is_some_and(|(changed, finding)| changed.touches(finding));
        // Stable: those on unchanged lines come first and are the old ones.
        members.sort_by_key(on_changed_line);
        new.extend(members.split_off(old));
    }
    new.sort_unstable();
    new.into_iter().filter_map(|index| head.get(index).cloned()).collect()
}

type Way<'f> = ((&'f str, &'f str), Vec<&'f str>);

/// The code that a value goes through, wherever it stands.
fn way(finding: &Finding) -> Way<'_> {
    (key(finding), finding.flow.iter().map(|step| step.code.as_str()).collect())
}

fn key(finding: &Finding) -> (&str, &str) {
    if syntax_rule::is_own(&finding.rule.id) {
        return (syntax_rule::SYNTAX_ERROR, "");
    }
    (finding.rule.id.as_str(), &finding.normalised)
}
