//! Reading a model's answer: the rewritten region between its sentinels, nothing else. Anything unclear is refused.
//!
//! The edit is computed from what comes back. It lies inside the region by construction: what stands outside of it is
//! taken from the file, never from the answer. Only import statements may be added elsewhere, and those are parsed.

mod blocks;

use super::prompt::{Form, Key, Region, has_marks};
use super::reach::{Reach, new_reach};
use crate::detect::redact::MARK;
use crate::fix::{edit, imports};
use crate::model::{Completion, Edit, Language, RepoPath, RuleInfo, is_hidden};

/// Longest answer read, bytes.
const ANSWER_BYTES: usize = 64 * 1024;
/// Import statements taken from one answer.
const IMPORTS: usize = 5;
/// A line that is shorter says nothing of where it comes from, characters.
const TELLING: usize = 12;

/// A rewritten region as edits of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    pub edits: Vec<Edit>,
    /// What the model says of itself, percent.
    pub claimed: Option<u8>,
}

/// What an answer is about.
#[derive(Clone, Copy)]
pub struct About<'a> {
    pub rule: &'a RuleInfo,
    pub path: &'a RepoPath,
    pub language: Option<Language>,
    /// The whole file.
    pub text: &'a str,
    pub region: &'a Region,
    pub key: &'a Key,
}

/// Why an answer is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    #[error("the answer repeats code from outside of the region")]
    OutOfRegion,
    #[error("the answer says the region twice")]
    Duplicated,
    #[error("the answer has control characters, or characters that do not show")]
    ControlCharacters,
    #[error("the answer has marks of a model's own format in the code")]
    ModelMarks,
    #[error("the answer would write redacted text into the file")]
    Redacted,
    #[error("{0}")]
    Blocks(blocks::BadBlocks),
    #[error("the answer reaches for what the code did not: {0}")]
    Reaches(Reach),
    #[error("the answer changes nothing")]
    Unchanged,
}

/// Reads the rewritten region and computes the edit.
///
/// # Errors
/// Says why the answer is not used. Never panics, whatever the answer.
pub fn read(completion: &Completion, about: &About<'_>) -> Result<Rewrite, Refusal> {
    let answer = completion.text.as_str();
    if answer.len() > ANSWER_BYTES {
        return Err(Refusal::TooLong);
    }
    if answer.trim() == "CANNOT" {
        return Err(Refusal::Cannot);
    }
    let lines: Vec<&str> = answer.lines().collect();
    let (first, last) = sentinels(&lines, &about.key.nonce, completion.truncated)?;
    let old = about.text.get(about.region.span.range()).unwrap_or_default();
    let body = without_fence(lines.get(first + 1..last).unwrap_or_default());
    let body: Vec<String> = body.iter().map(|line| about.key.restored(line.trim_end_matches('\r'))).collect();
    let new = match about.region.form {
        Form::Whole => in_style_of(&body, old),
        Form::Blocks => blocks::applied(&body, old).map_err(Refusal::Blocks)?,
    };
    refuse_if_unclear(&body, old)?;
    refuse_if_foreign(about, &body, old)?;
    let tail = lines.get(last + 1..).unwrap_or_default();
    let edits = edits(about, &new, tail)?;
    if let Some(reach) = new_reach(about.rule, old, about.text, &new) {
        return Err(Refusal::Reaches(reach));
    }
    Ok(Rewrite { edits, claimed: tail.iter().find_map(|line| claimed(line)) })
}

/// Where the one region begins and ends.
fn sentinels(lines: &[&str], nonce: &str, truncated: bool) -> Result<(usize, usize), Refusal> {
    let places = |mark: &str| -> Vec<usize> {
        let mark = format!("{mark} {nonce}");
        lines.iter().enumerate().filter(|(_, line)| line.trim() == mark).map(|(at, _)| at).collect()
    };
    match (places("BEGIN").as_slice(), places("END").as_slice()) {
        ([first], [last]) if first < last => Ok((*first, *last)),
        ([_], []) => Err(Refusal::CutOff),
        ([], _) if truncated => Err(Refusal::CutOff),
        ([], _) => Err(Refusal::NoRegion),
        _ => Err(Refusal::Several),
    }
}

/// The edits that make the region new, and those for the imports that it needs.
fn edits(about: &About<'_>, new: &str, tail: &[&str]) -> Result<Vec<Edit>, Refusal> {
    let (text, span) = (about.text, about.region.span);
    let (Some(before), Some(after)) = (text.get(..span.start), text.get(span.end..)) else {
        return Err(Refusal::NoRegion);
    };
    let mut edits = edit::minimal(text, &[before, new, after].concat(), about.path);
    if edits.is_empty() {
        return Err(Refusal::Unchanged);
    }
    let wanted: Vec<String> = tail
        .iter()
        .filter_map(|line| line.trim().strip_prefix("IMPORT "))
        .take(IMPORTS)
        .map(|statement| statement.trim().to_owned())
        .collect();
    if let Some(language) = about.language.filter(|_| !wanted.is_empty()) {
        let added = imports::insert(language, about.path, text, &wanted);
        // Where the region holds the file's imports itself, it was free to write them there.
        let apart = |edit: &Edit| edit.span.end <= span.start || edit.span.start >= span.end;
        edits.extend(added.into_iter().filter(apart));
    }
    Ok(edits)
}

/// Models fence code by habit, whatever they are told.
fn without_fence<'a, 'b>(lines: &'b [&'a str]) -> &'b [&'a str] {
    match lines {
        [first, middle @ .., last] if first.trim_start().starts_with("```") && last.trim() == "```" => middle,
        _ => lines,
    }
}

fn refuse_if_unclear(body: &[String], old: &str) -> Result<(), Refusal> {
    let known: std::collections::BTreeSet<&str> = old.lines().map(str::trim).collect();
    for line in body.iter().filter(|line| !known.contains(line.trim())) {
        if line.chars().any(|c| is_hidden(c) && c != '\t') {
            return Err(Refusal::ControlCharacters);
        }
        if line.contains(MARK) {
            return Err(Refusal::Redacted);
        }
        if has_marks(line) {
            return Err(Refusal::ModelMarks);
        }
        if is_elision(line.trim()) {
            return Err(Refusal::Elided);
        }
    }
    Ok(())
}

/// A whole region that repeats its neighbours, or itself, would double code.
fn refuse_if_foreign(about: &About<'_>, body: &[String], old: &str) -> Result<(), Refusal> {
    if about.region.form == Form::Blocks {
        return Ok(());
    }
    let telling = |line: &&str| line.trim().chars().count() >= TELLING && !old.contains(line.trim());
    let above = about.text.get(..about.region.span.start).and_then(|text| text.lines().rev().find(telling));
    let below = about.text.get(about.region.span.end..).and_then(|text| text.lines().find(telling));
    let neighbours = [above, below].into_iter().flatten();
    if neighbours.map(str::trim).any(|near| body.iter().any(|line| line.trim() == near)) {
        return Err(Refusal::OutOfRegion);
    }
    let Some(head) = old.lines().find(|line| line.trim().chars().count() >= TELLING).map(str::trim) else {
        return Ok(());
    };
    let count = |lines: &mut dyn Iterator<Item = &str>| lines.filter(|line| line.trim() == head).count();
    let (had, has) = (count(&mut old.lines()), count(&mut body.iter().map(String::as_str)));
    if had == 1 && has > 1 { Err(Refusal::Duplicated) } else { Ok(()) }
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
fn in_style_of(body: &[String], old: &str) -> String {
    let newline = if old.contains("\r\n") { "\r\n" } else { "\n" };
    let mut new = body.join(newline);
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
mod tests;
