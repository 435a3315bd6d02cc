//! Secrets that are known by the name they are assigned to: `password = "…"`, `API_KEY=…`, `"token": "…"`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder};

use crate::model::Span;

/// A telling name, an assignment, and a value in quotes (`q…`) or bare (`b`).
const ASSIGNMENT: &str = r#"(?ix)
    (?: passw(?:or)?d | passwd | passphrase | \bpwd | \bpass\b | secret | token | api[_-]?key | access[_-]?key
      | auth[_-]?key | private[_-]?key | signing[_-]?key | encryption[_-]?key | credentials? | conn(?:ection)?[_-]?str(?:ing)? )
    [\w-]{0,30} \\?["'\]]{0,2} \s{0,8} (?: :=|=>|==|=|: ) \s{0,8}
    (?: [rbuf@$]{0,2} \\?"(?P<q1>[^"\r\n\\]{6,300}) | [rbuf]{0,2} '(?P<q2>[^'\r\n\\]{6,300})' | `(?P<q3>[^`\r\n$]{6,300})`
      | (?P<b>[A-Za-z0-9+/=_.@!\#%^&*~-]{8,300}) )
"#;

static EXPRESSION: LazyLock<Option<Regex>> =
    LazyLock::new(|| RegexBuilder::new(ASSIGNMENT).unicode(false).build().ok());

/// Bits a character that a value needs to count as random, by Shannon's formula over its own characters.
const QUOTED_ENTROPY: f64 = 2.7;
const BARE_ENTROPY: f64 = 3.2;

/// Words that mark a value as an example.
const PLACEHOLDERS: [&str; 14] = [
    "example",
    "changeme",
    "change-me",
    "change_me",
    "placeholder",
    "dummy",
    "your-",
    "your_",
    "xxxx",
    "****",
    "redacted",
    "${",
    "{{",
    "%(",
];

pub(super) fn find(text: &str) -> Vec<Span> {
    let Some(expression) = EXPRESSION.as_ref() else { return vec![Span::new(0, text.len())] };
    let mut spans = Vec::new();
    for found in expression.captures_iter(text.as_bytes()) {
        let quoted = found.name("q1").or_else(|| found.name("q2")).or_else(|| found.name("q3"));
        let (Some(value), needed) = (match quoted {
            Some(_) => (quoted, QUOTED_ENTROPY),
            None => (found.name("b"), BARE_ENTROPY),
        }) else {
            continue;
        };
        if is_random(value.as_bytes(), needed) && (quoted.is_some() || !is_code(value.as_bytes())) {
            spans.push(Span::new(value.start(), value.end()));
        }
    }
    spans
}

fn is_random(value: &[u8], needed: f64) -> bool {
    let lower = String::from_utf8_lossy(value).to_ascii_lowercase();
    if value.contains(&b' ') || value.starts_with(b"<") || PLACEHOLDERS.iter().any(|word| lower.contains(word)) {
        return false;
    }
    let has = |test: fn(&u8) -> bool| usize::from(value.iter().any(test));
    let classes = has(u8::is_ascii_lowercase)
        + has(u8::is_ascii_uppercase)
        + has(u8::is_ascii_digit)
        + has(|byte| !byte.is_ascii_alphanumeric() && !b"_-./:".contains(byte));
    classes >= 2 && has(|byte| byte.is_ascii_digit() || !byte.is_ascii_alphabetic()) > 0 && entropy(value) >= needed
}

/// A bare value that reads as an expression (`settings.api_key_2`, `/etc/key1`) is none.
fn is_code(value: &[u8]) -> bool {
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let wordy = value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_./-".contains(byte));
    digits == 0 || wordy && digits < 3 && value.iter().any(|byte| b"_./".contains(byte))
}

fn entropy(value: &[u8]) -> f64 {
    let mut counts: BTreeMap<u8, u32> = BTreeMap::new();
    for byte in value {
        *counts.entry(*byte).or_default() += 1;
    }
    let total = value.len() as f64;
    counts.values().map(|count| f64::from(*count) / total).map(|share| -share * share.log2()).sum()
}
