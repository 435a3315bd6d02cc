//! What learning brought, by rule, and what it refused, by reason.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::healer::LearnReport;
use crate::local::git::history::Report;
use crate::model::RuleId;
use crate::report::line::{Line, Tone};
use crate::report::table::Table;

#[derive(Debug, Default, Serialize)]
pub struct Tally {
    /// Commits that were looked at.
    pub commits: usize,
    /// Changed files that were compared.
    pub files: usize,
    pub merges: usize,
    /// Commits that change too many files at once.
    pub bulk: usize,
    /// Files above the size limit.
    pub large_files: usize,
    /// Files that are not UTF-8 text.
    pub not_text: usize,
    /// Commits whose content is missing or damaged, as at the end of a shallow clone.
    pub unreadable: usize,
    pub learned: BTreeMap<RuleId, usize>,
    /// How often, by rule and reason.
    pub refused: BTreeMap<RuleId, BTreeMap<String, usize>>,
    pub seconds: f64,
    /// Whether everything up to the head was looked at; if not, the next call goes on.
    pub finished: bool,
}

impl Tally {
    pub fn add(&mut self, report: LearnReport) {
        self.files += 1;
        for (rule, _) in report.learned {
            *self.learned.entry(rule).or_default() += 1;
        }
        for (rule, reason) in report.refused {
            *self.refused.entry(rule).or_default().entry(reason).or_default() += 1;
        }
    }

    pub fn add_walk(&mut self, report: &Report) {
        self.commits += report.commits;
        self.merges += report.merges;
        self.bulk += report.bulk.len();
        self.large_files += report.large_files;
        self.unreadable += report.unreadable;
    }

    pub fn fixes(&self) -> usize {
        self.learned.values().sum()
    }

    fn refusals(&self) -> usize {
        self.refused.values().flat_map(BTreeMap::values).sum()
    }

    pub fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut rules = Table::new(&["learned", "refused", "rule"]);
        let none = BTreeMap::new();
        let ids: std::collections::BTreeSet<&RuleId> = self.learned.keys().chain(self.refused.keys()).collect();
        for rule in ids {
            let learned = self.learned.get(rule).copied().unwrap_or(0);
            let refused: usize = self.refused.get(rule).unwrap_or(&none).values().sum();
            rules.row(None, vec![learned.to_string(), refused.to_string(), rule.to_string()]);
        }
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for (reason, count) in self.refused.values().flatten() {
            *reasons.entry(reason).or_default() += count;
        }
        let mut sorted: Vec<_> = reasons.into_iter().collect();
        sorted.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        if self.fixes() + self.refusals() > 0 {
            lines.extend(rules.lines());
            lines.push(Line::empty());
        }
        let mut why = Table::new(&["times", "why it was not learned"]);
        for (reason, count) in &sorted {
            why.row(None, vec![count.to_string(), (*reason).to_owned()]);
        }
        if !sorted.is_empty() {
            lines.extend(why.lines());
            lines.push(Line::empty());
        }
        lines.push(Line::new(0, &self.passed_over()).toned(Tone::Quiet));
        let (fixes, seconds) = (self.fixes(), self.seconds);
        let end = format!("{fixes} fix(es) learned, {} refused, in {seconds:.1} s", self.refusals());
        lines.push(Line::new(0, &end).toned(Tone::Strong));
        if !self.finished {
            lines.push(Line::new(0, "there are more commits; the same command goes on from here"));
        }
        lines
    }

    fn passed_over(&self) -> String {
        let counts = [
            (self.merges, "merge(s)"),
            (self.bulk, "commit(s) that change too many files"),
            (self.large_files, "file(s) too large"),
            (self.not_text, "file(s) not UTF-8"),
            (self.unreadable, "unreadable commit(s)"),
        ];
        let passed: Vec<String> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        let looked = format!("{} commit(s), {} changed file(s) compared", self.commits, self.files);
        if passed.is_empty() { looked } else { format!("{looked}; passed over: {}", passed.join(", ")) }
    }
}
