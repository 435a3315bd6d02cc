//! What to ask the team, and reading its threads: diffs and pairs of code blocks become candidates, prose becomes context.

mod blocks;
mod pairs;

use crate::detect::Detector;
use crate::detect::redact::redact;
use crate::fix::learn::{self, LearnInput, Origin};
use crate::fix::pattern::{Request, propose as apply_to_target};
use crate::model::{
    AuthorKind, Candidate, Evidence, Finding, FixId, Language, Message, PastFix, Provenance, RepoPath, RepositoryId,
    Span, Thread, sha256_hex,
};

pub use pairs::Pair;

/// Search terms of one finding.
const TERMS: usize = 8;
/// Threads from which pairs are taken.
const THREADS: usize = 10;
/// Pairs of one thread that are tried.
const PAIRS: usize = 12;
/// Longest text of a thread kept for later sources, bytes.
const CONTEXT: usize = 2_000;

/// The place that an answer would have to fit.
pub struct Target<'a> {
    pub detector: &'a Detector,
    pub repository: &'a RepositoryId,
    pub path: &'a RepoPath,
    pub language: Option<Language>,
    pub text: &'a str,
    pub finding: &'a Finding,
}

/// What the threads hold for a finding.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    pub candidates: Vec<Candidate>,
    /// One line a thread, for people.
    pub answers: Vec<String>,
    /// Prose for later sources; hostile.
    pub context: Vec<String>,
}

/// What to search for: the API involved, then the rule, then the problem. Never text between quotes, which may be secret.
#[must_use]
pub fn terms(finding: &Finding, text: &str) -> Vec<String> {
    let matched = text.get(finding.span.range()).unwrap_or_default();
    let mut terms = calls(matched);
    terms.push(finding.rule.id.as_str().to_owned());
    terms.push(finding.rule.issue_type.as_str().to_owned());
    terms.push(finding.rule.issue_type.as_str().to_lowercase().replace('_', " "));
    terms.extend(finding.rule.cwes.iter().map(ToString::to_string));
    let mut unique: Vec<String> = Vec::new();
    for term in terms {
        if !unique.contains(&term) {
            unique.push(term);
        }
    }
    unique.truncate(TERMS);
    unique
}

/// Names that are called in a piece of code, qualified as written: `yaml.load`. String contents are passed over.
fn calls(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut name, mut quote) = (String::new(), None);
    for c in code.chars().take(2_000) {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => {
                quote = Some(c);
                name.clear();
            }
            (None, c) if c.is_alphanumeric() || c == '_' || c == '.' => name.push(c),
            (None, '(') => {
                let called = name.trim_matches('.');
                if called.len() >= 3 && !called.starts_with(|c: char| c.is_ascii_digit()) {
                    found.push(called.to_owned());
                }
                name.clear();
            }
            (None, _) => name.clear(),
        }
    }
    found.truncate(4);
    found
}

/// Reads threads, best first, and turns what fits the target into candidates.
#[must_use]
pub fn propose(target: &Target<'_>, threads: &[Thread]) -> Found {
    let mut found = Found::default();
    for thread in threads.iter().take(THREADS) {
        let before = found.candidates.len();
        let pairs = pairs::of_thread(thread, &|code| matches_rule(target, code));
        for pair in pairs.iter().take(PAIRS) {
            take_pair(target, thread, pair, &mut found.candidates);
        }
        let made = found.candidates.len() - before;
        let author = thread.messages.first().map_or("nobody", |m| m.author.name.as_str());
        found.answers.push(match (pairs.len(), made) {
            (0, _) => format!("{} by {author}: prose only", thread.permalink),
            (pairs, 0) => format!("{} by {author}: {pairs} code pair(s), none fits here", thread.permalink),
            (pairs, made) => format!("{} by {author}: {pairs} code pair(s), {made} proposal(s)", thread.permalink),
        });
        if made == 0 {
            found.context.push(context(thread));
        }
    }
    found
}

fn context(thread: &Thread) -> String {
    let mut text = String::new();
    for message in &thread.messages {
        text.push_str(&message.text);
        text.push('\n');
    }
    // Cut in two a secret would be none any more.
    crate::report::markdown::cut(&redact(&text), CONTEXT).to_owned()
}

/// Where the target's rule matches in a piece of code, if it does.
fn matches_rule(target: &Target<'_>, code: &str) -> Option<Span> {
    let scan = target.detector.scan(target.repository, target.path, code.as_bytes());
    scan.findings.iter().find(|f| f.rule.id == target.finding.rule.id).map(|f| f.span)
}

/// Learns the edit of a pair and applies it to the target; equal results count once.
fn take_pair(target: &Target<'_>, thread: &Thread, pair: &Pair<'_>, candidates: &mut Vec<Candidate>) {
    let Some(language) = target.language else { return };
    let Some(donor) = donor(target, language, thread, pair) else { return };
    let similar = [(donor, 1.0)];
    let request =
        Request { language, text: target.text, finding: target.finding.span, repository: "", similar: &similar };
    for proposal in apply_to_target(&request) {
        let edits = proposal.edits(language, target.path, target.text);
        if candidates.iter().any(|c| c.edits == edits) {
            continue;
        }
        let evidence = evidence(thread, pair.message);
        candidates.push(Candidate { title: target.finding.rule.hint.clone(), edits, evidence });
    }
}

/// A pair as a remembered fix, so that it is matched like any other.
fn donor(target: &Target<'_>, language: Language, thread: &Thread, pair: &Pair<'_>) -> Option<PastFix> {
    let finding = matches_rule(target, &pair.before);
    // A fragment without its imports may be too little for the rule; then the change itself says where the problem is.
    let silent = |patched: &str| finding.is_none() || matches_rule(target, patched).is_none();
    let place = finding.unwrap_or_else(|| changed_span(&pair.before, &pair.after));
    let input = LearnInput { language, before: &pair.before, after: &pair.after, finding: place, silent: &silent };
    let learned = learn::learn(&input).ok()?;
    let permalink = pair.message.permalink.clone();
    let parts = [b"team", permalink.as_bytes(), pair.before.as_bytes(), pair.after.as_bytes()];
    let id = FixId(sha256_hex(&parts));
    let origin = Origin {
        organisation: "",
        repository: "",
        private: thread.private,
        path: target.path,
        provenance: Provenance::Team { permalink },
        author: pair.message.author.kind,
        created: pair.message.at,
    };
    Some(learned.remembered(id, language, target.finding, &origin))
}

fn changed_span(before: &str, after: &str) -> Span {
    let same = before.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
    let rest = before.len().min(after.len()) - same;
    let tail = before.bytes().rev().zip(after.bytes().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let mut span = Span::new(same, before.len() - tail);
    while !before.is_char_boundary(span.start) {
        span.start -= 1;
    }
    while !before.is_char_boundary(span.end) {
        span.end += 1;
    }
    span
}

fn evidence(thread: &Thread, message: &Message) -> Evidence {
    Evidence::TeamKnowledge {
        permalink: message.permalink.clone(),
        channel: thread.channel.clone(),
        author: message.author.kind,
        // A guest's or a bot's own answer stays what it is; confirmation is by a member.
        confirmed: message.confirmed && message.author.kind != AuthorKind::Bot,
        channel_configured: thread.channel_configured,
        has_code: true,
    }
}
