//! The walk of one run as a person reads it: what was found, what each source was asked and said, why each proposal was
//! taken or refused, what was decided and delivered, what it cost, and what people did.

pub mod evidence;

use super::line::{Line, Tone, plain};
use super::markdown::cut;
use super::time::{dollars, duration, instant, time_of_day};
use crate::model::{
    AuditEvent, CandidateJudged, ConsultOutcome, Consultation, Decided, Decision, Edit, EventKind, Feedback, Finding,
    FlowStep, ModelCall, Rejection, RejectionKind, Review, RuleOrigin, Verdict,
};
use crate::state::run::{FindingRecord, FindingStatus, RunHead};

/// Lines shown of one answer or one edit; `--format json` has the rest.
const SHOWN_LINES: usize = 12;
/// Bytes shown of one answer.
const SHOWN_BYTES: usize = 600;

/// What is known of a run.
pub struct Run<'a> {
    pub head: &'a RunHead,
    pub events: &'a [AuditEvent],
    /// What is on record of the case's findings.
    pub findings: &'a [FindingRecord],
    /// Generations of the case.
    pub generations: u32,
}

/// The whole walk.
#[must_use]
pub fn walk(run: &Run<'_>) -> Vec<Line> {
    let mut lines = heading(run);
    for event in run.events {
        lines.push(Line::empty());
        let since = event.at.saturating_sub(run.head.detected_at);
        let when = format!("{}  +{}", time_of_day(event.at), duration(since));
        let (title, body) = step(&event.kind);
        lines.push(Line::new(0, &format!("{when}  {title}")).toned(Tone::Strong));
        lines.extend(body);
    }
    lines.push(Line::empty());
    lines.extend(findings(run));
    lines.extend(cost(run.head));
    lines
}

fn heading(run: &Run<'_>) -> Vec<Line> {
    let (head, summary) = (run.head, &run.head.summary);
    let decision = summary.decision.map_or_else(|| "no decision yet".to_owned(), |d| d.to_string().to_uppercase());
    let confidence = summary.confidence.map_or_else(String::new, |c| format!(" {c}/100"));
    let cwes: String = summary.cwes.iter().map(|cwe| format!(", {cwe}")).collect();
    let by = summary.pusher.as_ref().map_or_else(String::new, |who| format!(", pushed by {who}"));
    let mut lines = vec![
        Line::new(0, &format!("{decision}{confidence}  {}", summary.headline)).toned(tone(summary.decision)),
        Line::new(0, &format!("case        {}", head.case)),
        Line::new(
            0,
            &format!(
                "generation  {} of {}, {}, outcome {}",
                head.generation.0, run.generations, head.state, summary.outcome
            ),
        ),
        Line::new(0, &format!("rule        {} ({}, {}{cwes})", summary.rule, summary.issue_type, summary.severity)),
        Line::new(0, &format!("repository  {} ({})", summary.repository.name, summary.repository.id)),
        Line::new(0, &format!("branch      {}", summary.reference)),
        Line::new(0, &format!("detected    {}{by}", instant(head.detected_at))),
    ];
    if let Some(url) = &summary.pull_request {
        lines.push(Line::new(0, &format!("proposal    {url}")));
    }
    lines
}

/// How a decision is coloured.
#[must_use]
pub fn tone(decision: Option<Decision>) -> Tone {
    match decision {
        Some(Decision::Open) => Tone::Good,
        Some(Decision::Draft) => Tone::Careful,
        Some(Decision::Escalate) => Tone::Bad,
        None => Tone::Quiet,
    }
}

fn step(kind: &EventKind) -> (String, Vec<Line>) {
    let said = |text: String| vec![Line::new(2, &text)];
    match kind {
        EventKind::Detected { findings, commit, .. } => {
            (format!("detected {} finding(s) at commit {}", findings.len(), commit.short()), detected(findings))
        }
        EventKind::Consulted(asked) => consulted(asked),
        EventKind::Judged { source, candidates } => {
            (format!("judged {} proposal(s) of {source}", candidates.len()), judged(candidates))
        }
        EventKind::Decided(made) => (format!("decided: {}", made.decision), decided(made)),
        EventKind::BranchRefused { branch, reason } => {
            (format!("left the branch {branch} alone"), said(reason.clone()))
        }
        EventKind::Branched { branch, commit, adopted } => {
            let how = if *adopted { "was there already, with this very content" } else { "made" };
            (format!("branch {how}"), said(format!("{branch} at {}; see it with: git show {branch}", commit.short())))
        }
        EventKind::Proposed { url, draft, adopted, .. } => {
            let what = if *draft { "draft" } else { "pull request" };
            let how = if *adopted { "was there already" } else { "opened" };
            (format!("{what} {how}"), said(url.clone()))
        }
        EventKind::Notifying => ("about to tell people".to_owned(), Vec::new()),
        EventKind::Notified { reference } => ("told people".to_owned(), said(reference.clone())),
        EventKind::Learned { fix, detail } => {
            let id = fix.as_ref().map_or_else(String::new, |id| format!(" (codehealer memory show {})", cut(id, 12)));
            ("memory".to_owned(), said(format!("{detail}{id}")))
        }
        EventKind::Suppressed { fingerprints, reason } => {
            (format!("ignored {} finding(s) for good", fingerprints.len()), said(reason.clone()))
        }
        EventKind::Superseded { reason } => {
            ("overtaken; judged anew in the next generation".to_owned(), said(reason.clone()))
        }
        EventKind::Deferred { reason, until } => (format!("waits until {}", instant(*until)), said(reason.clone())),
        EventKind::Failed { reason } => ("failed".to_owned(), vec![Line::new(2, reason).toned(Tone::Bad)]),
        EventKind::Feedback(feedback) => people(feedback),
        EventKind::Redriven { reason } => ("begins anew".to_owned(), said(reason.clone())),
    }
}

fn detected(findings: &[Finding]) -> Vec<Line> {
    let mut lines = Vec::new();
    for finding in findings {
        let place = format!("{}:{}:{}", finding.path, finding.start.line, finding.start.column);
        lines.push(Line::new(2, &format!("{place}  {}  [finding {}]", finding.message, finding.fingerprint.short())));
        lines.push(Line::new(4, cut(&finding.normalised, SHOWN_BYTES)).toned(Tone::Quiet));
        lines.extend(flow(finding, 4));
        match &finding.rule.origin {
            RuleOrigin::External { tool } => lines.push(Line::new(4, &format!("reported by {tool}"))),
            RuleOrigin::Model => {
                lines.push(Line::new(4, "claimed by a model, confirmed by a second look at the code alone"));
            }
            RuleOrigin::BuiltIn | RuleOrigin::Operator => {}
        }
    }
    lines
}

/// The way of an untrusted value, one line a place.
#[must_use]
pub fn flow(finding: &Finding, indent: usize) -> Vec<Line> {
    let line = |step: &FlowStep| {
        let text = format!("{:<6}  line {}: {}", step.role, step.start.line, step.code);
        Line::new(indent, &text).toned(Tone::Quiet)
    };
    finding.flow.iter().map(line).collect()
}

fn consulted(asked: &Consultation) -> (String, Vec<Line>) {
    let result = match &asked.outcome {
        ConsultOutcome::Answered => format!("{} proposal(s)", asked.candidates.len()),
        ConsultOutcome::NothingFound => "nothing found".to_owned(),
        ConsultOutcome::NotConfigured => "not configured, so not asked".to_owned(),
        ConsultOutcome::Unavailable { .. } => "could not be asked".to_owned(),
    };
    let mut lines = Vec::new();
    if let ConsultOutcome::Unavailable { error } = &asked.outcome {
        lines.push(Line::new(2, error).toned(Tone::Bad));
    }
    if !asked.question.is_empty() {
        lines.extend(quoted("asked", &asked.question));
    }
    for answer in &asked.answers {
        lines.extend(quoted("answer", answer));
    }
    if !asked.context.is_empty() {
        lines.push(Line::new(2, &format!("kept {} text(s) for the next source to read", asked.context.len())));
    }
    lines.extend(asked.calls.iter().map(|call| Line::new(2, &called(call)).toned(Tone::Quiet)));
    for Review { finding, concern, vote, reason } in &asked.reviews {
        let said = format!("{concern} review of finding {}: {vote}: {}", finding.short(), plain(reason));
        lines.push(Line::new(2, cut(&said, SHOWN_BYTES)));
    }
    let tokens = match asked.input_tokens + asked.output_tokens {
        0 => String::new(),
        _ => format!(", {} tokens in and {} out", asked.input_tokens, asked.output_tokens),
    };
    (format!("asked {}: {result} ({}{tokens})", asked.source, duration(asked.millis)), lines)
}

/// What one call of a model took.
fn called(call: &ModelCall) -> String {
    let about = if call.estimated { "about " } else { "" };
    let money = if call.cost_micros == 0 { String::new() } else { format!(", {}", dollars(call.cost_micros)) };
    format!(
        "call for a {}: {}, {} answer(s) in {}, {about}{} tokens in ({} expected) and {about}{} out{money}",
        call.purpose,
        plain(&call.model),
        call.answers,
        duration(call.millis),
        call.input_tokens,
        call.expected_tokens,
        call.output_tokens
    )
}

/// Text of several lines behind a word.
fn quoted(word: &str, text: &str) -> Vec<Line> {
    let shown = cut(text, SHOWN_BYTES);
    let mut lines: Vec<Line> = Vec::new();
    for (number, line) in shown.lines().take(SHOWN_LINES).enumerate() {
        let lead = if number == 0 { format!("{word}:") } else { String::new() };
        lines.push(Line::new(2, &format!("{lead:<7} {}", plain(line))));
    }
    if shown.len() < text.len() || shown.lines().count() > SHOWN_LINES {
        lines.push(Line::new(10, "… (--format json has all of it)").toned(Tone::Quiet));
    }
    lines
}

fn judged(candidates: &[CandidateJudged]) -> Vec<Line> {
    let mut lines = Vec::new();
    for judged in candidates {
        let title = &judged.candidate.title;
        match &judged.verdict {
            Verdict::Verified(checks) => {
                let confidence = judged.scored.as_ref().map_or_else(String::new, |s| format!(" {}/100", s.confidence));
                let passed = format!("passed all {} checks", checks.len());
                lines.push(Line::new(2, &format!("verified{confidence}  {title}: {passed}")).toned(Tone::Good));
            }
            Verdict::Rejected(rejection) => {
                lines.push(Line::new(2, &format!("refused  {title}: {}", why(rejection))).toned(Tone::Careful));
            }
        }
        lines.push(Line::new(4, &format!("for finding {}", judged.finding.short())));
        lines.extend(evidence::lines(&judged.candidate.evidence).iter().map(|fact| Line::new(4, fact)));
        for line in judged.scored.iter().flat_map(|scored| &scored.lines) {
            lines.push(Line::new(6, &format!("{:>5.1}  {}", line.percent, line.reason)));
        }
    }
    lines
}

fn why(rejection: &Rejection) -> String {
    match rejection.check {
        RejectionKind::Failed(check) => format!("it fails the check that {check}: {}", rejection.detail),
        RejectionKind::CouldNotCheck => format!("it could not be checked: {}", rejection.detail),
        RejectionKind::NoChange => "it changes nothing".to_owned(),
        RejectionKind::Vetoed => rejection.detail.clone(),
    }
}

fn decided(made: &Decided) -> Vec<Line> {
    let limits = format!("a pull request from {}, a draft from {}", made.thresholds.open, made.thresholds.draft);
    let mut lines = vec![
        Line::new(2, &format!("{}/100 ({limits})", made.confidence)).toned(tone(Some(made.decision))),
        Line::new(2, &made.reason),
    ];
    for chosen in &made.chosen {
        lines.push(Line::new(
            2,
            &format!("takes {}: {}", chosen.candidate.title, super::pull_request::source_line(chosen)),
        ));
    }
    for left in &made.unhealed {
        lines.push(Line::new(2, &format!("not healed: {}: {}", left.headline, left.reason)).toned(Tone::Careful));
    }
    for edit in &made.edits {
        lines.extend(edited(edit));
    }
    lines
}

fn edited(edit: &Edit) -> Vec<Line> {
    let place = format!("{} bytes {} to {}", edit.path, edit.span.start, edit.span.end);
    if edit.text.is_empty() {
        return vec![Line::new(2, &format!("{place} go away"))];
    }
    let mut lines = vec![Line::new(2, &format!("{place} become"))];
    let added =
        edit.text.lines().take(SHOWN_LINES).map(|line| Line::new(4, &format!("+{}", plain(line))).toned(Tone::Good));
    lines.extend(added);
    if edit.text.lines().count() > SHOWN_LINES {
        lines.push(Line::new(4, "…").toned(Tone::Quiet));
    }
    lines
}

fn people(feedback: &Feedback) -> (String, Vec<Line>) {
    let (title, detail) = match feedback {
        Feedback::Merged { commit, amended } => {
            let how = if *amended { ", after changing it" } else { ", as it was" };
            ("people merged it", format!("as {}{how}", commit.short()))
        }
        Feedback::Closed => ("people closed it", "it is not proposed again".to_owned()),
        Feedback::Reopened => ("people opened it again", "its closing counts no longer".to_owned()),
        Feedback::Reverted { commit } => ("people reverted it", format!("by {}", commit.short())),
        Feedback::Ignored { by, reason } => ("ignored for good", format!("by {by}: {reason}")),
        Feedback::Retried { by } => {
            ("taken back", format!("{by} asked for another attempt; its findings are judged anew"))
        }
    };
    (title.to_owned(), vec![Line::new(2, &detail)])
}

fn findings(run: &Run<'_>) -> Vec<Line> {
    let mut lines = Vec::new();
    for record in run.findings {
        let status = match record.status {
            FindingStatus::Open => continue,
            FindingStatus::Waiting => "waits for the open proposal to end",
            FindingStatus::Healed => "healed",
            FindingStatus::Escalated => "told to a person",
            FindingStatus::Suppressed => "ignored for good",
        };
        let reason = record.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        lines.push(Line::new(0, &format!("finding {}  {status}{reason}", record.fingerprint.short())));
    }
    lines
}

fn cost(head: &RunHead) -> Vec<Line> {
    let summary = &head.summary;
    let tokens = format!("{} tokens in, {} out", summary.input_tokens, summary.output_tokens);
    let money = if summary.cost_micros == 0 { String::new() } else { format!(", {}", dollars(summary.cost_micros)) };
    let tries = match head.attempts {
        0 => String::new(),
        count => format!("; taken up {count} time(s) since its last step"),
    };
    vec![Line::new(0, &format!("cost  {} of work, {tokens}{money}{tries}", duration(summary.execution_ms)))]
}

#[cfg(test)]
mod tests;
