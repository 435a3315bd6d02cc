//! The notice that goes with a case: one each, short, with a way to the rest.

use std::fmt::Write as _;

use super::markdown::{block, text};
use super::pull_request::{FileChanges, flow, sources};
use crate::decide::Walk;
use crate::detect::redact::redact;
use crate::fix::diff;
use crate::model::{Decision, Feedback, Notice, NoticeKind, Verdict};
use crate::state::run::RunHead;

const DIFF_LIMIT: usize = 6_000;
/// Rejected proposals that an escalation shows.
const REJECTED: usize = 5;

/// The notice of a run that was decided: a pull request, a draft, or an escalation with what was tried.
#[must_use]
pub fn of_walk(head: &RunHead, walk: &Walk<'_>, changes: &FileChanges) -> Notice {
    let decision = match (walk.decided, walk.pull_request) {
        (Some(decided), Some(_)) => decided.decision,
        _ => Decision::Escalate,
    };
    let mut body = String::new();
    for finding in walk.findings {
        let _ = writeln!(body, "{}", text(&finding.headline()));
    }
    body.push('\n');
    match (decision, walk.pull_request) {
        (Decision::Open, Some(url)) => {
            let _ = writeln!(body, "Pull request: {url}");
        }
        (Decision::Draft, Some(url)) => {
            let _ = writeln!(body, "Draft pull request, please look: {url}");
        }
        _ => escalation(&mut body, walk, changes),
    }
    let _ = writeln!(body, "\nThe whole walk: `codehealer audit show {}`", head.case.short());
    Notice {
        kind: match decision {
            Decision::Open => NoticeKind::PullRequest,
            Decision::Draft => NoticeKind::Draft,
            Decision::Escalate => NoticeKind::Escalation,
        },
        headline: redact(&format!("{}: {}", verb(decision), head.summary.headline)).into_owned(),
        body,
        link: walk.pull_request.map(str::to_owned),
        for_senior: decision != Decision::Open,
        earlier: walk.notice.map(str::to_owned),
        ..empty(head, key(head))
    }
}

/// The notice of a run once people have judged its pull request: the same, under what became of it.
#[must_use]
pub fn of_judged(head: &RunHead, walk: &Walk<'_>, changes: &FileChanges, feedback: &Feedback) -> Notice {
    let what = match feedback {
        Feedback::Merged { amended: false, .. } => "Merged",
        Feedback::Merged { amended: true, .. } => "Merged, amended",
        Feedback::Closed => "Closed, never proposed again",
        Feedback::Reopened => "Reopened",
        Feedback::Reverted { .. } => "Reverted",
        Feedback::Ignored { .. } => "Ignored for good",
        Feedback::Retried { .. } => "Taken back",
    };
    let headline = redact(&format!("{what}: {}", head.summary.headline)).into_owned();
    Notice { headline, for_senior: false, ..of_walk(head, walk, changes) }
}

fn empty(head: &RunHead, key: String) -> Notice {
    Notice {
        key,
        kind: NoticeKind::Failure,
        headline: String::new(),
        body: String::new(),
        repository: head.summary.repository.name.clone(),
        link: head.summary.pull_request.clone(),
        for_senior: true,
        earlier: None,
        since: head.detected_at,
    }
}

fn verb(decision: Decision) -> &'static str {
    match decision {
        Decision::Open => "Pull request",
        Decision::Draft => "Draft",
        Decision::Escalate => "Needs a person",
    }
}

fn escalation(body: &mut String, walk: &Walk<'_>, changes: &FileChanges) {
    let reason = walk.branch_refused.or(walk.decided.map(|d| d.reason.as_str())).unwrap_or("it was not decided");
    let _ = writeln!(body, "No pull request was made: {}.\n", text(reason));
    if let Some(finding) = walk.findings.first() {
        let _ = writeln!(body, "{}\n", finding.rule.note.trim());
    }
    flow(body, walk.findings);
    sources(body, walk);
    let rejected = walk.candidates().filter_map(|c| match &c.verdict {
        Verdict::Rejected(rejection) => Some((c, rejection)),
        Verdict::Verified(_) => None,
    });
    for (candidate, rejection) in rejected.take(REJECTED) {
        let _ = writeln!(body, "- refused: {} ({})", text(&candidate.candidate.title), text(&rejection.detail));
    }
    if changes.is_empty() {
        return;
    }
    let _ = writeln!(body, "\nThe unproven proposal, for a person to judge:\n");
    for (path, (before, after)) in changes {
        body.push_str(&block("diff", &diff::unified(path, &redact(before), &redact(after)), DIFF_LIMIT));
    }
}

/// The notice of a run that could not be finished.
#[must_use]
pub fn of_failure(head: &RunHead, reason: &str) -> Notice {
    let body = format!(
        "{}\n\nThe run failed: {}.\n\nOnce that is mended: `codehealer audit retry {case}`. The whole walk: `codehealer audit show \
         {case}`\n",
        text(&head.summary.headline),
        text(reason),
        case = head.case.short()
    );
    // Beside the notice of a pull request that was made before.
    let key = format!("{}-failed", key(head));
    let headline = redact(&format!("Failed: {}", head.summary.headline)).into_owned();
    Notice { headline, body, ..empty(head, key) }
}

fn key(head: &RunHead) -> String {
    format!("{}-g{}", head.case, head.generation.0)
}
