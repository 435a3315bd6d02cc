//! The text of a pull request and of its commit: what is wrong, what was changed, why it is believed, how to say no.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::markdown::{block, code, cut, text};
use crate::decide::Walk;
use crate::detect::redact::redact;
use crate::fix::diff;
use crate::model::{
    CandidateJudged, ConsultOutcome, Decided, Decision, Evidence, Finding, RepoPath, Source, Verdict, is_hidden,
};
use crate::state::run::RunHead;

/// GitHub refuses bodies above 65,536 characters.
const BODY_LIMIT: usize = 60_000;
const DIFF_LIMIT: usize = 30_000;
/// Longest title, bytes.
const TITLE_LIMIT: usize = 120;

/// How people steer us where they read the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steering {
    /// By comments on the pull request.
    Comments,
    /// By the command line, on the machine that healed.
    Commands,
}

/// Old and new content by file.
pub type FileChanges = BTreeMap<RepoPath, (String, String)>;

/// `Fix SQL_INJECTION in src/auth.py: use a parameterized query`.
#[must_use]
pub fn title(head: &RunHead, decided: &Decided) -> String {
    let summary = &head.summary;
    let fix = decided.chosen.first().map_or("", |c| c.candidate.title.as_str());
    let title = format!("Fix {} in {}: {}", summary.issue_type, summary.path, fix);
    cut(&line(&title), TITLE_LIMIT).to_owned()
}

/// One line of plain text: no secrets, nothing that does not show, nobody mentioned, no issue closed, no build skipped.
fn line(hostile: &str) -> String {
    let clean = redact(hostile);
    let plain: String = clean
        .chars()
        .map(|c| match c {
            '[' => '(',
            ']' => ')',
            c if is_hidden(c) || matches!(c, '@' | '#') => ' ',
            c => c,
        })
        .collect();
    // A commit's message closes issues by their address, and by `GH-1`.
    plain.replace("://", " ").replace("GH-", "GH ").replace("gh-", "gh ")
}

/// Subject, what and why, and the case it belongs to. No trailers that a forge would act on.
#[must_use]
pub fn commit_message(head: &RunHead, decided: &Decided) -> String {
    let summary = &head.summary;
    let note = decided.chosen.first().map(|c| line(&source_line(c))).unwrap_or_default();
    let subject = title(head, decided);
    format!(
        "{subject}\n\n{}\nSource: {note}. Confidence {} of 100.\n\nCodeHealer-Case: {}-g{}\n",
        line(&summary.headline),
        decided.confidence,
        head.case.short(),
        head.generation.0,
    )
}

/// The whole text, Markdown.
#[must_use]
pub fn body(head: &RunHead, walk: &Walk<'_>, decided: &Decided, changes: &FileChanges, steering: Steering) -> String {
    let mut out = String::new();
    headline(&mut out, walk, decided);
    why(&mut out, walk);
    flow(&mut out, walk.findings);
    change(&mut out, changes);
    sources(&mut out, walk);
    checks(&mut out, decided);
    reviews(&mut out, walk, decided);
    confidence(&mut out, decided);
    unhealed(&mut out, decided);
    footer(&mut out, head, steering);
    if out.len() <= BODY_LIMIT {
        return out;
    }
    format!("{}\n\n_…cut here; `codehealer audit show {}` has the rest._\n", cut(&out, BODY_LIMIT), head.case.short())
}

fn healed<'a>(walk: &Walk<'a>, decided: &Decided) -> Vec<&'a Finding> {
    walk.findings.iter().filter(|f| decided.chosen.iter().any(|c| c.finding == f.fingerprint)).collect()
}

fn headline(out: &mut String, walk: &Walk<'_>, decided: &Decided) {
    for finding in healed(walk, decided) {
        let line = format!("{} in {} line {}", finding.rule.issue_type, finding.path, finding.start.line);
        let _ = writeln!(out, "**{}** → Fix: {}\n", code(&line), text(&finding.rule.hint));
    }
    if let Some(first) = decided.chosen.first() {
        let _ = writeln!(out, "Confidence **{}** of 100 · {}\n", decided.confidence, linked_source(first));
    }
    if decided.decision == Decision::Draft {
        let _ = writeln!(
            out,
            "> **Draft: please look closely.** Every check passed, but the confidence of {} is below the {} that opens a \
             pull request by itself.\n",
            decided.confidence, decided.thresholds.open
        );
    }
}

fn why(out: &mut String, walk: &Walk<'_>) {
    let Some(finding) = walk.findings.first() else { return };
    let rule = &finding.rule;
    let _ = writeln!(out, "### Why it matters\n\n{}.\n", text(finding.message.trim_end_matches('.')));
    if !rule.note.trim().is_empty() {
        let _ = writeln!(out, "{}\n", rule.note.trim());
    }
    let cwes: Vec<String> =
        rule.cwes.iter().map(|cwe| format!("[{cwe}](https://cwe.mitre.org/data/definitions/{}.html)", cwe.0)).collect();
    let _ = write!(out, "Severity {}", rule.severity);
    if !cwes.is_empty() {
        let _ = write!(out, " · {}", cwes.join(", "));
    }
    let _ = writeln!(out, " · rule {}\n", code(rule.id.as_str()));
}

/// Findings whose way is told; more of them in one file are alike.
const SHOWN_FLOWS: usize = 5;

/// How untrusted values get to where they do harm, line by line.
pub(super) fn flow(out: &mut String, findings: &[Finding]) {
    let with_flow = findings.iter().filter(|finding| !finding.flow.is_empty());
    for (number, finding) in with_flow.take(SHOWN_FLOWS).enumerate() {
        if number == 0 {
            let _ = writeln!(out, "### How the value gets there\n");
        }
        for step in &finding.flow {
            let _ = writeln!(out, "- {} line {}: {}", step.role, step.start.line, code(&step.code));
        }
        out.push('\n');
    }
}

fn change(out: &mut String, changes: &FileChanges) {
    let _ = writeln!(out, "### The change\n");
    for (path, (before, after)) in changes {
        // Redacted as a whole: a hunk may show the end of a secret whose beginning gives it away.
        out.push_str(&block("diff", &diff::unified(path, &redact(before), &redact(after)), DIFF_LIMIT));
        out.push('\n');
    }
}

/// How the fix was found, one line a source.
pub(super) fn sources(out: &mut String, walk: &Walk<'_>) {
    let _ = writeln!(out, "### How it was found\n\n| source | asked | result |\n|---|---|---|");
    for source in Source::ORDER {
        let _ = match walk.consultation(source) {
            None => writeln!(out, "| {source} | – | not needed: an earlier source was sure enough |"),
            Some(asked) => {
                let result = match &asked.outcome {
                    ConsultOutcome::NotConfigured => "not configured".to_owned(),
                    ConsultOutcome::Unavailable { error } => format!("could not be asked: {}", text(cut(error, 300))),
                    ConsultOutcome::NothingFound => format!("nothing usable ({} ms)", asked.millis),
                    ConsultOutcome::Answered => judged(walk, source, asked.millis),
                };
                let question =
                    if asked.question.is_empty() { "–".to_owned() } else { text(cut(&asked.question, 300)) };
                writeln!(out, "| {source} | {question} | {result} |")
            }
        };
    }
    out.push('\n');
}

fn judged(walk: &Walk<'_>, source: Source, millis: u64) -> String {
    let all = walk.judged.get(&source).copied().unwrap_or_default();
    let verified = all.iter().filter(|c| c.verdict.is_verified()).count();
    format!("{} proposal(s), {verified} verified ({millis} ms)", all.len())
}

/// Where a candidate comes from, for people.
#[must_use]
pub fn source_line(judged: &CandidateJudged) -> String {
    match &judged.candidate.evidence {
        Evidence::TeamKnowledge { permalink, channel, confirmed, .. } => {
            let confirmed = if *confirmed { "confirmed" } else { "unconfirmed" };
            format!("team knowledge, {confirmed} answer in {channel} ({permalink})")
        }
        Evidence::PastFix { origin, .. } => format!("past fix, {origin}"),
        Evidence::Model { model, .. } => format!("model {model}"),
    }
}

/// As [`source_line`], in Markdown; an answer in Slack is a link to it.
fn linked_source(judged: &CandidateJudged) -> String {
    match &judged.candidate.evidence {
        Evidence::TeamKnowledge { permalink, channel, confirmed, .. } if is_slack_permalink(permalink) => {
            let confirmed = if *confirmed { "confirmed" } else { "unconfirmed" };
            format!("team knowledge, [{confirmed} answer in {}]({permalink})", text(channel))
        }
        _ => text(&source_line(judged)),
    }
}

/// Whether an address is one of a message in Slack, and can be nothing else: `https://acme.slack.com/archives/C1/p1771319640000200`,
/// perhaps with the thread it stands in.
fn is_slack_permalink(address: &str) -> bool {
    let Some((host, path)) = address.strip_prefix("https://").and_then(|rest| rest.split_once("/archives/")) else {
        return false;
    };
    let Some(workspace) = host.strip_suffix(".slack.com") else { return false };
    let plain = |text: &str, more: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let (message, thread) = path.split_once('?').unwrap_or((path, ""));
    let of_message = message.split_once("/p").is_some_and(|(channel, ts)| plain(channel, "") && plain(ts, ""));
    plain(workspace, "-.") && of_message && (thread.is_empty() || plain(thread, "_=.&"))
}

/// Folded away: they are the same for every proposal, and what failed one is never proposed.
fn checks(out: &mut String, decided: &Decided) {
    let Some(first) = decided.chosen.first() else { return };
    let Verdict::Verified(checks) = &first.verdict else { return };
    let _ = writeln!(out, "<details><summary>{} checks passed</summary>\n", checks.len());
    for check in checks {
        let _ = writeln!(out, "- [x] {check}");
    }
    let _ = writeln!(out, "\n</details>\n");
}

/// What reviewers said of the change, where it was reviewed. Their words are a model's: hostile.
fn reviews(out: &mut String, walk: &Walk<'_>, decided: &Decided) {
    let all = walk.consulted.iter().flat_map(|asked| &asked.reviews);
    let of_change: Vec<_> = all
        .filter(|review| {
            decided.chosen.iter().any(|c| c.finding == review.finding && c.candidate.evidence.source() == Source::Model)
        })
        .collect();
    if of_change.is_empty() {
        return;
    }
    let _ = writeln!(out, "### Reviews\n\n| concern | vote | reason |\n|---|---|---|");
    for review in of_change {
        let _ = writeln!(out, "| {} | {} | {} |", text(&review.concern), review.vote, text(cut(&review.reason, 300)));
    }
    out.push('\n');
}

fn confidence(out: &mut String, decided: &Decided) {
    let _ = writeln!(out, "### Confidence {} of 100\n", decided.confidence);
    for judged in &decided.chosen {
        let _ = writeln!(out, "From {}:\n", linked_source(judged));
        for line in judged.scored.iter().flat_map(|s| &s.lines) {
            let _ = writeln!(out, "- {} → {:.1}", text(&line.reason), line.percent);
        }
        out.push('\n');
    }
    if decided.chosen.len() > 1 {
        let _ = writeln!(out, "The whole is as sure as its least sure part.\n");
    }
}

fn unhealed(out: &mut String, decided: &Decided) {
    if decided.unhealed.is_empty() {
        return;
    }
    let _ = writeln!(out, "### Not healed here\n");
    for finding in &decided.unhealed {
        let _ = writeln!(out, "- {}: {}", text(&finding.headline), text(&finding.reason));
    }
    out.push('\n');
}

fn footer(out: &mut String, head: &RunHead, steering: Steering) {
    let (case, rule) = (head.case.short(), &head.summary.rule);
    let ignore = match steering {
        Steering::Comments => "comment `/codehealer ignore <reason>`".to_owned(),
        Steering::Commands => format!("run `codehealer audit ignore {case} --reason \"…\"`"),
    };
    let _ = writeln!(
        out,
        "---\n\nMerge it, change it, or close it: what you do is learned. A closed proposal never comes back. To ignore the \
         finding for good, {ignore}, or write `codehealer: ignore[{rule}] reason` in a comment on its line."
    );
    if steering == Steering::Comments {
        let _ = writeln!(
            out,
            "`/codehealer explain` tells the whole walk, `/codehealer retry` judges it anew, `/codehealer pause` stops all \
             proposals in this repository."
        );
    }
    let _ = writeln!(out, "\n<sub>case {case} · `codehealer audit show {case}`</sub>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::{Detector, Limits, RuleSet};
    use crate::model::RepositoryId;

    #[test]
    fn the_way_of_a_value_is_told_line_by_line_and_stays_in_its_block() {
        let text = "import os\nfrom flask import request\ndef f():\n    a = request.args['`@all`']\n    os.system('ls ' + a)\n";
        let detector = Detector::new(RuleSet::built_in(), Limits::default());
        let path = RepoPath::new("a.py").unwrap();
        let scan = detector.scan(&RepositoryId("1".to_owned()), &path, text.as_bytes());
        let mut out = String::new();
        flow(&mut out, &scan.findings);
        assert!(out.starts_with("### How the value gets there\n\n- source line 4: `request.args`\n"), "{out}");
        assert!(out.contains("- step line 4: ``a = request.args['`@all`']``"), "{out}");
        assert!(out.ends_with("- sink line 5: `os.system('ls ' + a)`\n\n"), "{out}");
    }

    #[test]
    fn only_what_can_be_nothing_but_a_message_in_slack_is_linked() {
        for good in [
            "https://acme.slack.com/archives/C01SECURITY/p1771319640000200",
            "https://acme-eu.enterprise.slack.com/archives/C01/p17?thread_ts=1771319640.000200&cid=C01",
        ] {
            assert!(is_slack_permalink(good), "{good}");
        }
        for bad in [
            "",
            "http://acme.slack.com/archives/C01/p17",
            "https://evil.example/archives/C01/p17",
            "https://evil.example/.slack.com/archives/C01/p17",
            "https://a@evil.example#.slack.com/archives/C01/p17",
            "https://acme.slack.com/archives/C01/p17) ![x](https://evil.example/x.png",
            "https://acme.slack.com/archives/C01/p17?a=<b>",
            "https://acme.slack.com/archives/../../x/p17",
        ] {
            assert!(!is_slack_permalink(bad), "{bad}");
        }
    }
}
