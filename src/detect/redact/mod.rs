//! Takes secrets out of text before it leaves the process: notices, pull requests, prompts, audit, memory, logs.
//!
//! Every expression runs in linear time (no look-around, no back-references), so hostile text cannot slow it down.

mod assigned;
mod encoded;
mod formats;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::model::Span;

/// Written in the place of a secret.
pub const MARK: &str = "[redacted]";

/// Encodings inside encodings that are followed.
const LAYERS: usize = 2;

/// The text with every secret replaced by [`MARK`].
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    let secrets = secrets_in(text);
    if secrets.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut at = 0;
    for secret in secrets {
        clean.push_str(text.get(at..secret.start).unwrap_or_default());
        clean.push_str(MARK);
        at = secret.end;
    }
    clean.push_str(text.get(at..).unwrap_or_default());
    Cow::Owned(clean)
}

/// A part of a text without the secrets of the whole: those that begin or end outside of the part are seen, too.
#[must_use]
pub fn redact_part(text: &str, part: Span) -> String {
    let mut clean = String::new();
    let mut at = part.start;
    for secret in secrets_in(text).into_iter().filter(|s| s.start < part.end && part.start < s.end) {
        clean.push_str(text.get(at..secret.start.max(at)).unwrap_or_default());
        clean.push_str(MARK);
        at = secret.end.min(part.end);
    }
    clean.push_str(text.get(at..part.end).unwrap_or_default());
    clean
}

/// The text with every secret overwritten in place: the same length in bytes, so that places in it stay valid.
#[must_use]
pub fn mask(text: &str) -> Cow<'_, str> {
    let secrets = secrets_in(text);
    if secrets.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut masked = String::with_capacity(text.len());
    let mut at = 0;
    for secret in secrets {
        masked.push_str(text.get(at..secret.start).unwrap_or_default());
        masked.extend(std::iter::repeat_n('x', secret.end - secret.start));
        at = secret.end;
    }
    masked.push_str(text.get(at..).unwrap_or_default());
    Cow::Owned(masked)
}

/// Where secrets stand in the text, plain or encoded (base64, percent, hexadecimal): in order, apart from each other, on
/// character boundaries.
#[must_use]
pub fn secrets_in(text: &str) -> Vec<Span> {
    merged(text, found(text, LAYERS))
}

/// Whether the text holds a secret that a service issued, told by its shape, and no example of one.
#[must_use]
pub(super) fn holds_issued_secret(text: &str) -> bool {
    formats::issued(text).any(|secret| !is_example(secret))
}

/// What documentation shows in the place of a secret, and what people type who need one for a test.
fn is_example(secret: &str) -> bool {
    const WORDS: [&str; 11] =
        ["example", "sample", "dummy", "fake", "test", "xxxx", "0000", "1111", "1234", "abcd", "deadbeef"];
    let lower = secret.to_ascii_lowercase();
    WORDS.iter().any(|word| lower.contains(word))
}

fn found(text: &str, layers: usize) -> Vec<Span> {
    let mut spans = formats::find(text);
    spans.extend(assigned::find(text));
    if layers > 0 {
        let known = merged(text, spans.clone());
        spans.extend(encoded::find(text, &known, |decoded| !found(decoded, layers - 1).is_empty()));
    }
    spans
}

fn merged(text: &str, mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut apart: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        let (mut start, mut end) = (span.start, span.end.min(text.len()));
        // The expressions work on bytes and may stop inside a character.
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        while !text.is_char_boundary(end) {
            end += 1;
        }
        match apart.last_mut() {
            Some(last) if start <= last.end => last.end = last.end.max(end),
            _ => apart.push(Span::new(start, end)),
        }
    }
    apart
}
