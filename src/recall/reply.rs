//! Reading a model's answer: the rewritten region between its sentinels, nothing else. Anything unclear is refused.

use super::prompt::Region;
use crate::detect::redact::MARK;
use crate::fix::edit;
use crate::model::{Completion, Edit, RepoPath};

/// Longest answer read, bytes.
const ANSWER_BYTES: usize = 64 * 1024;

/// A rewritten region as edits of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    pub edits: Vec<Edit>,
    /// What the model says of itself, percent.
    pub claimed: Option<u8>,
}

/// Why an answer is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the model says that it cannot repair it")]
    Cannot,
    #[error("the answer is longer than any region")]
    TooLong,
    #[error("the answer was cut off before its END line")]
    CutOff,
    #[error("there is no rewritten region in the answer")]
    NoRegion,
    #[error("there is more than one rewritten region in the answer")]
    Several,
    #[error("the answer leaves lines out (`...`)")]
    Elided,
    #[error("the answer has control characters")]
    ControlCharacters,
    #[error("the answer would write redacted text into the file")]
    Redacted,
    #[error("the answer changes nothing")]
    Unchanged,
}

/// Reads the rewritten region and computes the edit.
///
/// # Errors
/// Says why the answer is not used. Never panics, whatever the answer.
pub fn read(completion: &Completion, path: &RepoPath, text: &str, region: &Region) -> Result<Rewrite, Refusal> {
    let answer = completion.text.as_str();
    if answer.len() > ANSWER_BYTES {
        return Err(Refusal::TooLong);
    }
    if answer.trim() == "CANNOT" {
        return Err(Refusal::Cannot);
    }
    let (begin, end) = (format!("BEGIN {}", region.nonce), format!("END {}", region.nonce));
    let lines: Vec<&str> = answer.lines().collect();
    let places = |mark: &str| lines.iter().enumerate().filter(|(_, l)| l.trim() == mark).map(|(i, _)| i).collect();
    let (begins, ends): (Vec<usize>, Vec<usize>) = (places(&begin), places(&end));
    let (first, last) = match (begins.as_slice(), ends.as_slice()) {
        ([first], [last]) if first < last => (*first, *last),
        ([_], []) => return Err(Refusal::CutOff),
        ([], _) if completion.truncated => return Err(Refusal::CutOff),
        ([], _) => return Err(Refusal::NoRegion),
        _ => return Err(Refusal::Several),
    };
    let old = text.get(region.span.range()).unwrap_or_default();
    let body = without_fence(lines.get(first + 1..last).unwrap_or_default());
    refuse_if_unclear(&body, old)?;
    let new = in_style_of(&body, old);
    let (Some(head), Some(tail)) = (text.get(..region.span.start), text.get(region.span.end..)) else {
        return Err(Refusal::NoRegion);
    };
    let edits = edit::minimal(text, &[head, &new, tail].concat(), path);
    if edits.is_empty() {
        return Err(Refusal::Unchanged);
    }
    let claimed = lines.get(last + 1..).unwrap_or_default().iter().find_map(|line| claimed(line));
    Ok(Rewrite { edits, claimed })
}

/// Models fence code by habit, whatever they are told.
fn without_fence<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    match lines {
        [first, middle @ .., last] if first.trim_start().starts_with("```") && last.trim() == "```" => middle.to_vec(),
        _ => lines.to_vec(),
    }
}

fn refuse_if_unclear(body: &[&str], old: &str) -> Result<(), Refusal> {
    let known: std::collections::BTreeSet<&str> = old.lines().map(str::trim).collect();
    for line in body {
        if line.chars().any(|c| c.is_control() && c != '\t' && c != '\r') {
            return Err(Refusal::ControlCharacters);
        }
        if line.contains(MARK) {
            return Err(Refusal::Redacted);
        }
        if is_elision(line.trim()) && !known.contains(line.trim()) {
            return Err(Refusal::Elided);
        }
    }
    Ok(())
}

fn is_elision(line: &str) -> bool {
    let comment = line.trim_start_matches(['#', '/', '*', ' ']).to_lowercase();
    let says_rest = ["rest of", "existing code", "remaining code", "unchanged", "same as before"];
    line == "..."
        || line == "…"
        || (comment.len() < line.len() && comment.starts_with("..."))
        || (comment.len() < line.len() && says_rest.iter().any(|words| comment.contains(words)))
}

/// The region with the line ends and the final newline of the old one.
fn in_style_of(body: &[&str], old: &str) -> String {
    let newline = if old.contains("\r\n") { "\r\n" } else { "\n" };
    let mut new = body.iter().map(|line| line.trim_end_matches('\r')).collect::<Vec<_>>().join(newline);
    if old.ends_with('\n') && !new.is_empty() {
        new.push_str(newline);
    }
    new
}

fn claimed(line: &str) -> Option<u8> {
    let number = line.trim().strip_prefix("CONFIDENCE")?.trim_start_matches([':', ' ']).trim_end_matches(['%', ' ']);
    number.parse::<u32>().ok().map(|n| u8::try_from(n.min(100)).unwrap_or(100))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Span;

    const TEXT: &str = "import os\n\ndef f(x):\n    return eval(x)\n\nf(1)\n";

    fn ask(answer: &str) -> Result<String, Refusal> {
        let region = Region { span: Span::new(11, 39), nonce: "abc".into() };
        let path = RepoPath::new("a.py").unwrap();
        let completion = Completion {
            text: answer.into(),
            model: "m".into(),
            input_tokens: 0,
            output_tokens: 0,
            estimated: false,
            truncated: false,
        };
        let rewrite = read(&completion, &path, TEXT, &region)?;
        Ok(edit::apply(TEXT, &rewrite.edits).unwrap())
    }

    #[test]
    fn a_rewritten_region_becomes_an_edit() {
        let patched = ask("BEGIN abc\ndef f(x):\n    return int(x)\nEND abc\nCONFIDENCE 70").unwrap();
        assert_eq!(patched, TEXT.replace("eval", "int"));
    }

    #[test]
    fn fences_by_habit_are_taken_off() {
        let patched = ask("Sure!\nBEGIN abc\n```python\ndef f(x):\n    return int(x)\n```\nEND abc").unwrap();
        assert_eq!(patched, TEXT.replace("eval", "int"));
    }

    #[test]
    fn unclear_answers_are_refused_with_the_reason() {
        let cases = [
            ("CANNOT", Refusal::Cannot),
            ("Use ast.literal_eval instead.", Refusal::NoRegion),
            ("BEGIN abc\ndef f(x):\n    return int(x)\n", Refusal::CutOff),
            ("BEGIN abc\na\nEND abc\nBEGIN abc\nb\nEND abc", Refusal::Several),
            ("END abc\nBEGIN abc", Refusal::Several),
            ("BEGIN abc\ndef f(x):\n    # ... rest of the function\nEND abc", Refusal::Elided),
            ("BEGIN abc\n...\nEND abc", Refusal::Elided),
            ("BEGIN abc\ndef f(x):\n    return 1\u{1b}[2J\nEND abc", Refusal::ControlCharacters),
            ("BEGIN abc\ndef f(x):\n    return eval(x)\nEND abc", Refusal::Unchanged),
        ];
        for (answer, refusal) in cases {
            assert_eq!(ask(answer), Err(refusal), "{answer}");
        }
        assert_eq!(ask(&"x".repeat(ANSWER_BYTES + 1)), Err(Refusal::TooLong));
    }

    #[test]
    fn a_claim_is_read_and_bounded() {
        assert_eq!(claimed("CONFIDENCE: 93%"), Some(93));
        assert_eq!(claimed("CONFIDENCE 900"), Some(100));
        assert_eq!(claimed("I am sure"), None);
    }
}
