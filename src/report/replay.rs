//! A replayed history in figures: what was proposed in the shadow beside what people later did to the same places.

use std::collections::BTreeMap;

use serde::Serialize;

use super::calibration::wilson;
use super::calibration::words::figure;
use super::line::{Line, Tone};
use super::table::Table;
use super::time::{duration, instant};
use crate::model::{CommitId, Confidence, Decision, Evidence, RepoPath, RuleId, UnixMillis};

/// Proposals that are named one by one; all are in the JSON.
const NAMED: usize = 15;
/// Below this many places that people later changed a precision is mostly chance.
const ENOUGH: usize = 10;

/// What became of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Later {
    /// People made the same edit there, white space aside.
    Same,
    /// People changed these lines in another way, and the problem was gone.
    Differently,
    /// The problem went with something else: its code was removed, or what made it a problem changed elsewhere.
    Elsewhere,
    /// It is still there.
    Standing,
}

/// Where a proposal came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    Team,
    /// Learned from the history before the push.
    Memory,
    /// Shipped with the rule.
    Curated,
    Model,
}

impl Origin {
    #[must_use]
    pub fn of(evidence: &Evidence) -> Self {
        match evidence {
            Evidence::TeamKnowledge { .. } => Self::Team,
            Evidence::PastFix { .. } if evidence.is_curated() => Self::Curated,
            Evidence::PastFix { .. } => Self::Memory,
            Evidence::Model { .. } => Self::Model,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Team => "team knowledge",
            Self::Memory => "memory of earlier fixes",
            Self::Curated => "curated with the rule",
            Self::Model => "model",
        }
    }
}

/// One finding that there was an edit for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proposal {
    /// The commit at which the finding came in.
    pub push: CommitId,
    pub path: RepoPath,
    /// From 1, at that commit.
    pub line: usize,
    pub rule: RuleId,
    pub decision: Decision,
    /// Of the edit for this finding.
    pub confidence: Confidence,
    pub origin: Origin,
    /// Unified, without secrets.
    pub diff: String,
    pub later: Later,
    /// The commit that ended it.
    pub by: Option<CommitId>,
}

/// Proposals of one kind, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Tally {
    pub proposals: usize,
    pub same: usize,
    pub differently: usize,
    pub elsewhere: usize,
    pub standing: usize,
    /// `same` of `same` and `differently`, 0 to 1; `None` while people changed none of the places.
    pub precision: Option<f64>,
    /// Its 95 % interval.
    pub interval: Option<(f64, f64)>,
}

impl Tally {
    fn add(&mut self, later: Later) {
        self.proposals += 1;
        match later {
            Later::Same => self.same += 1,
            Later::Differently => self.differently += 1,
            Later::Elsewhere => self.elsewhere += 1,
            Later::Standing => self.standing += 1,
        }
        let judged = self.same + self.differently;
        self.precision = (judged > 0).then(|| self.same as f64 / judged as f64);
        self.interval = wilson(self.same, judged);
    }
}

/// How findings were answered, and what that spares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Saved {
    /// Findings answered from memory, sure enough for a pull request: no model is asked.
    pub by_memory: usize,
    pub by_curated: usize,
    pub by_team: usize,
    /// Findings about which the model was asked, or would have been.
    pub need_a_model: usize,
    /// Questions that the model was really asked.
    pub model_calls: usize,
    pub input_tokens: u64,
    pub output_tokens: u64,
}

/// Everything that a replay found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Replay {
    pub repository: String,
    pub branch: String,
    /// Pushes that were to be replayed.
    pub asked: usize,
    pub pushes: usize,
    /// Of these, merges.
    pub merges: usize,
    /// Pushes that could not be replayed, with the reason.
    pub failed: Vec<(CommitId, String)>,
    pub first: Option<CommitId>,
    pub last: Option<CommitId>,
    /// When they were committed.
    pub from: Option<UnixMillis>,
    pub to: Option<UnixMillis>,
    /// Whether what stood in the branch before the first push was healed too.
    pub standing: bool,
    /// Fixes learned from the history before the first push, and on the way.
    pub learned_before: usize,
    pub learned_on_the_way: usize,
    /// Commits looked at for that.
    pub commits: usize,
    pub findings: usize,
    pub cases: usize,
    /// `open`, `draft`, `escalate`.
    pub tiers: BTreeMap<String, Tally>,
    pub origins: BTreeMap<Origin, Tally>,
    pub rules: BTreeMap<RuleId, Tally>,
    pub saved: Saved,
    pub seconds_learning: f64,
    pub seconds: f64,
    /// Whether everything was replayed.
    pub finished: bool,
    pub proposals: Vec<Proposal>,
}

impl Replay {
    /// Counts the proposals, as they stand now.
    pub fn count(&mut self) {
        (self.tiers, self.origins, self.rules) = Default::default();
        for proposal in &self.proposals {
            let later = proposal.later;
            self.tiers.entry(proposal.decision.to_string()).or_default().add(later);
            self.origins.entry(proposal.origin).or_default().add(later);
            self.rules.entry(proposal.rule.clone()).or_default().add(later);
        }
    }

    /// For a terminal.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = self.head();
        if self.proposals.is_empty() {
            let say = "nothing was proposed: take more pushes with --last, or what stood before them with --standing";
            lines.push(Line::new(0, say));
        } else {
            lines.push(Line::empty());
            lines.extend(self.by_tier());
            lines.extend(meaning(self.tiers.get("open").copied().unwrap_or_default()));
            lines.push(Line::empty());
            lines.extend(self.by_origin());
            lines.push(Line::empty());
            lines.extend(self.by_rule());
            lines.extend(self.to_look_at());
        }
        lines.push(Line::empty());
        lines.extend(self.savings());
        lines
    }

    fn head(&self) -> Vec<Line> {
        let Self { pushes, asked, merges, branch, repository, .. } = self;
        let of = if pushes == asked { String::new() } else { format!(" of {asked}") };
        let what = format!("{pushes}{of} push(es) to {branch} of {repository} replayed in the shadow");
        let mut lines = vec![Line::new(0, &what).toned(Tone::Strong)];
        if let (Some(from), Some(to)) = (self.from, self.to) {
            let kind = format!("the commits of its first-parent line, {merges} of them merges");
            lines.push(Line::new(0, &format!("{kind}, {} to {}", instant(from), instant(to))).toned(Tone::Quiet));
        }
        let (before, way, commits) = (self.learned_before, self.learned_on_the_way, self.commits);
        let memory =
            format!("memory: {before} fix(es) of the history before, {way} more on the way, from {commits} commit(s)");
        lines.push(Line::new(0, &memory).toned(Tone::Quiet));
        if !self.finished {
            let say = "it was ended early: the figures are of what was replayed until then";
            lines.push(Line::new(0, say).toned(Tone::Careful));
        }
        for (commit, why) in self.failed.iter().take(NAMED) {
            lines.push(Line::new(0, &format!("not replayed: {}: {why}", commit.short())).toned(Tone::Careful));
        }
        let standing = if self.standing { ", with what stood before" } else { "" };
        let (findings, cases, proposals) = (self.findings, self.cases, self.proposals.len());
        let found = format!("{findings} finding(s) in {cases} case(s){standing}; an edit for {proposals} of them");
        lines.push(Line::new(0, &found));
        lines
    }

    fn by_tier(&self) -> Vec<Line> {
        let mut table = tallies("tier");
        for (name, key) in [("pull request", "open"), ("draft", "draft"), ("unproven, for a person", "escalate")] {
            if let Some(tally) = self.tiers.get(key) {
                table.row(None, cells(*tally, name));
            }
        }
        table.lines()
    }

    fn by_origin(&self) -> Vec<Line> {
        let mut table = tallies("from");
        for (origin, tally) in &self.origins {
            table.row(None, cells(*tally, origin.word()));
        }
        table.lines()
    }

    fn by_rule(&self) -> Vec<Line> {
        let mut table = tallies("rule");
        let mut sorted: Vec<(&RuleId, &Tally)> = self.rules.iter().collect();
        sorted.sort_by(|a, b| (b.1.proposals, a.0).cmp(&(a.1.proposals, b.0)));
        for (rule, tally) in sorted {
            table.row(None, cells(*tally, rule.as_str()));
        }
        table.lines()
    }

    /// What a person will want to read first: where people did something else.
    fn to_look_at(&self) -> Vec<Line> {
        let differ = |p: &&Proposal| p.later == Later::Differently && p.decision != Decision::Escalate;
        let all: Vec<&Proposal> = self.proposals.iter().filter(differ).collect();
        if all.is_empty() {
            return Vec::new();
        }
        let mut table = Table::new(&["confidence", "push", "changed by", "rule", "place"]);
        for p in all.iter().take(NAMED) {
            let by = p.by.as_ref().map_or("", |by| by.short()).to_owned();
            let place = format!("{} line {}", p.path, p.line);
            table.row(None, vec![p.confidence.to_string(), p.push.short().to_owned(), by, p.rule.to_string(), place]);
        }
        let mut lines = vec![Line::empty(), Line::new(0, "people did something else here").toned(Tone::Strong)];
        lines.extend(table.lines());
        if all.len() > NAMED {
            let more = format!("… and {} more; --json has all of them, with their diffs", all.len() - NAMED);
            lines.push(Line::new(0, &more).toned(Tone::Quiet));
        }
        lines
    }

    fn savings(&self) -> Vec<Line> {
        let Saved { by_memory, by_curated, by_team, need_a_model, model_calls, input_tokens, output_tokens } =
            self.saved;
        let spared = format!(
            "without a model: {by_memory} finding(s) by memory, {by_curated} by curated fixes, {by_team} by the team; {need_a_model} would need one"
        );
        let per_call = |tokens: u64| tokens / (model_calls as u64).max(1);
        let tokens = match model_calls {
            0 => "no model was asked: 0 tokens".to_owned(),
            calls => format!(
                "the model was asked {calls} time(s): {input_tokens} tokens in, {output_tokens} out; memory saved about {} in, {} out",
                per_call(input_tokens) * by_memory as u64,
                per_call(output_tokens) * by_memory as u64
            ),
        };
        let millis = |seconds: f64| duration((seconds.max(0.0) * 1000.0) as u64);
        let each = self.seconds / (self.pushes as f64).max(1.0);
        let time = format!(
            "{} to learn, {} to replay, {} a push",
            millis(self.seconds_learning),
            millis(self.seconds),
            millis(each)
        );
        vec![Line::new(0, &spared), Line::new(0, &tokens), Line::new(0, &time).toned(Tone::Quiet)]
    }
}

fn tallies(last: &'static str) -> Table {
    Table::new(&["edits", "same", "differently", "elsewhere", "standing", "precision", "95 % interval", last])
}

fn cells(tally: Tally, name: &str) -> Vec<String> {
    let Tally { proposals, same, differently, elsewhere, standing, precision, interval } = tally;
    let interval = interval.map_or_else(|| "–".to_owned(), |(low, high)| format!("{low:.2} – {high:.2}"));
    let counts = [proposals, same, differently, elsewhere, standing].map(|count| count.to_string());
    counts.into_iter().chain([figure(precision), interval, name.to_owned()]).collect()
}

fn meaning(open: Tally) -> Vec<Line> {
    let say = "same: people later made that very edit; differently: they changed the lines otherwise; elsewhere: the problem went with \
               other code; standing: it is still there. Precision is same of same and differently.";
    let mut lines = vec![Line::new(0, say).toned(Tone::Quiet)];
    if open.same + open.differently < ENOUGH {
        let few = format!(
            "people changed fewer than {ENOUGH} of the places of pull requests: the precision is mostly chance"
        );
        lines.push(Line::new(0, &few).toned(Tone::Careful));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposal(decision: Decision, later: Later) -> Proposal {
        Proposal {
            push: CommitId::new("a".repeat(40)).unwrap(),
            path: RepoPath::new("a.py").unwrap(),
            line: 1,
            rule: RuleId::new("py-x").unwrap(),
            decision,
            confidence: Confidence::new(90).unwrap(),
            origin: Origin::Memory,
            diff: String::new(),
            later,
            by: None,
        }
    }

    #[test]
    fn only_what_people_changed_counts_for_the_precision() {
        let all = [Later::Same, Later::Same, Later::Same, Later::Differently, Later::Elsewhere, Later::Standing];
        let proposals = all.into_iter().map(|later| proposal(Decision::Open, later)).collect();
        let mut replay = Replay { proposals, ..Replay::default() };
        replay.count();
        let open = replay.tiers["open"];
        assert_eq!((open.proposals, open.precision), (6, Some(0.75)));
        replay.count();
        assert_eq!(replay.tiers["open"], open, "counting again changes nothing");
        let text: Vec<String> = replay.lines().into_iter().map(|line| line.text).collect();
        assert!(text.iter().any(|line| line.contains("mostly chance")), "{text:#?}");
        assert!(text.iter().any(|line| line.contains("people did something else here")), "{text:#?}");
    }

    #[test]
    fn an_empty_replay_has_no_precision_and_divides_by_nothing() {
        let mut replay = Replay { proposals: vec![proposal(Decision::Open, Later::Standing)], ..Replay::default() };
        replay.count();
        assert_eq!(replay.tiers["open"].precision, None);
        let text = format!("{:?} {}", replay.lines(), serde_json::to_string(&replay).unwrap());
        assert!(!text.contains("NaN") && !text.contains("inf "), "{text}");
    }
}
