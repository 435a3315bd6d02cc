//! Texts that call nobody, close nothing, load nothing and link to nowhere but where we send people.

use std::sync::LazyLock;

use regex::Regex;

/// What comes alive in GitHub's Markdown outside of code.
static ALIVE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?im)(^|[^\w&;])@[a-z]|!\[|<(img|script|a|!--|iframe)\b|<!--",
        r"|\b(fix(es|ed)?|close[sd]?|resolve[sd]?)\b:?\s+([\w./-]*#|gh-|https?://)\d*|^\s*/[a-z]+\b"
    ))
    .unwrap()
});
/// Addresses that we link ourselves, and files of a laptop.
const OURS: [&str; 2] = ["https://cwe.mitre.org/", "https://docs."];

/// Markdown without what stands in code blocks and code spans; a fence that is not closed keeps all that follows.
fn outside_of_code(name: &str, markdown: &str) -> String {
    let mut out = String::new();
    let mut fence: Option<usize> = None;
    for line in markdown.lines() {
        let ticks = line.trim_start().chars().take_while(|c| *c == '`').count();
        match fence {
            Some(open) if ticks >= open && line.trim().len() == ticks => fence = None,
            Some(_) => {}
            None if ticks >= 3 => fence = Some(ticks),
            None => {
                out.push_str(&without_spans(line));
                out.push('\n');
            }
        }
    }
    assert_eq!(fence, None, "{name}: a fence is left open:\n{markdown}");
    out
}

fn without_spans(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find('`') {
        let escaped = rest[..at].ends_with('\\');
        let ticks = rest[at..].chars().take_while(|c| *c == '`').count();
        let (before, after) = (&rest[..at], &rest[at + ticks..]);
        let run = "`".repeat(ticks);
        match after.find(&run).filter(|_| !escaped) {
            Some(end) => {
                out.push_str(before);
                rest = &after[end + ticks..];
            }
            None => {
                out.push_str(&rest[..at + ticks]);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// The text of a pull request or notice.
pub fn assert_quiet_markdown(name: &str, markdown: &str) {
    assert!(markdown.chars().count() <= 65_536, "{name}: longer than GitHub takes");
    let outside = outside_of_code(name, markdown);
    if let Some(found) = ALIVE.find(&outside) {
        panic!("{name}: {:?} comes alive in:\n{outside}", found.as_str());
    }
    for (at, _) in outside.match_indices("http") {
        let address: String = outside[at..].chars().take(60).collect();
        let plain = !address.starts_with("http://") && !address.starts_with("https://");
        assert!(plain || OURS.iter().any(|ours| address.starts_with(ours)), "{name}: links to {address}");
    }
}

/// A line of a commit's message, which a forge reads without Markdown.
pub fn assert_quiet_line(name: &str, line: &str) {
    let alive = ["@", "#", "://", "GH-", "gh-", "Co-authored-by:", "Signed-off-by:", "[skip", "[ci"];
    let found = alive.iter().find(|mark| line.contains(**mark));
    assert_eq!(found, None, "{name}: in the commit's message {line:?}");
}

/// A message as Slack gets it.
pub fn assert_quiet_slack(name: &str, text: &str) {
    for mark in ["<!", "<@", "<#", "<http:", "<https:", "<mailto:"] {
        assert!(!text.contains(mark), "{name}: {mark} comes alive in {text}");
    }
}

#[test]
fn the_look_at_markdown_is_not_fooled_by_fences_and_spans() {
    let looked = |markdown: &str| std::panic::catch_unwind(|| assert_quiet_markdown("x", markdown)).is_ok();
    for quiet in
        ["a `@team` b", "```\n@team\n```\n", "````\n```\n@team\n````\n", "me&#64;x", "fixes nothing", "a ``@x ` y`` b"]
    {
        assert!(looked(quiet), "{quiet}");
    }
    for alive in
        ["@team", "a `b` @team", "Fixes #1", "closes: GH-1", "![x](y)", "<img src=x>", "<!-- x", "/approve", "http://x"]
    {
        assert!(!looked(alive), "{alive}");
    }
    for open in ["```\nx\n", "````\nx\n```\n", "```\nx\n```\n@team"] {
        assert!(!looked(open), "{open}");
    }
}
