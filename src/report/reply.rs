//! What is answered to a command in a comment. Markdown.

use std::fmt::Write as _;

use super::markdown::{block, text};
use super::trail::{self, Run};

/// Bytes of a told walk.
const WALK_LIMIT: usize = 40_000;

/// What can be asked for.
pub const HELP: &str = "`/codehealer ignore <reason>` never proposes a fix for these findings again · `/codehealer retry` takes \
    this proposal back and judges its findings anew · `/codehealer explain` tells how it came about · \
    `/codehealer pause` and `/codehealer resume` stop all work in this repository and go on.";

/// The answer to what is no command.
#[must_use]
pub fn unknown(word: &str) -> String {
    let what = if word.is_empty() { "nothing".to_owned() } else { text(word) };
    format!("{what} is not something that can be asked for. {HELP}\n")
}

/// The answer where there is no case of ours behind the pull request.
#[must_use]
pub fn no_case() -> String {
    "No case is on record for this pull request, so nothing was done.\n".to_owned()
}

#[must_use]
pub fn ignored(findings: usize, reason: &str) -> String {
    format!(
        "Ignored for good: {findings} finding(s), because {}. Close this pull request when you like.\n",
        text(reason)
    )
}

/// The answer while the run is not at rest.
#[must_use]
pub fn busy() -> String {
    "This case is being worked on right now; ask again in a minute.\n".to_owned()
}

/// The answer where a run had failed.
#[must_use]
pub fn redriven() -> String {
    "The work on this case had failed; it goes on from where it stopped.\n".to_owned()
}

#[must_use]
pub fn retried() -> String {
    "This proposal was taken back; its findings are judged anew. Closing it counts against nothing.\n".to_owned()
}

#[must_use]
pub fn paused(by: &str) -> String {
    format!("Paused by {}. Nothing is scanned or proposed in this repository until `/codehealer resume`.\n", text(by))
}

#[must_use]
pub fn resumed() -> String {
    "Going on. What was pushed meanwhile is looked at now.\n".to_owned()
}

/// The walk that led to a proposal.
#[must_use]
pub fn explained(run: &Run<'_>) -> String {
    let mut walk = String::new();
    for line in trail::walk(run) {
        let _ = writeln!(walk, "{:indent$}{}", "", line.text, indent = line.indent);
    }
    format!("How this came about:\n\n{}", block("text", &walk, WALK_LIMIT))
}
