//! A fix from a file: nothing that it says of its own worth is believed, and nothing in it is trusted to be well-formed.

use serde::Deserialize;

use crate::detect::redact::{MARK, redact, secrets_in};
use crate::model::{
    AuthorKind, Confidence, EditPattern, FixId, Language, Level, PastFix, PatternNode, Provenance, Span,
};
use crate::model::{TemplatePart, TrackRecord, sha256_hex};

/// Bytes of one fix; a real one takes about ten thousand.
pub const LINE_BYTES: usize = 2 * 1024 * 1024;
/// Patterns of one fix.
const PATTERNS: usize = 32;

/// Why a line is not taken in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("it is not a fix ({0}); write one fix in JSON a line, as `memory list --format json` does")]
    Syntax(String),
    #[error("it has schema {found} and this program knows {known}; upgrade it", known = PastFix::SCHEMA)]
    Newer { found: u64 },
    #[error("it is larger than {LINE_BYTES} bytes")]
    Size,
    #[error("its finding lies outside of its code")]
    Finding,
    #[error("its path is not one of a {0} file")]
    Language(Language),
    #[error("there is no change in it")]
    NoChange,
    #[error("its finding itself holds a secret")]
    SecretInFinding,
    #[error("it has more than {PATTERNS} patterns")]
    Patterns,
}

#[derive(Deserialize)]
struct Versioned {
    schema: u64,
}

/// Reads one line. The vector is empty: it is made from the code by whoever takes the fix in.
pub fn read(line: &str, organisation: &str) -> Result<PastFix, Refusal> {
    if line.len() > LINE_BYTES {
        return Err(Refusal::Size);
    }
    let syntax = |error: serde_json::Error| Refusal::Syntax(error.to_string());
    let version: Versioned = serde_json::from_str(line).map_err(syntax)?;
    if version.schema > u64::from(PastFix::SCHEMA) {
        return Err(Refusal::Newer { found: version.schema });
    }
    let fix: PastFix = serde_json::from_str(line).map_err(syntax)?;
    check(&fix)?;
    distrust(fix, organisation)
}

fn check(fix: &PastFix) -> Result<(), Refusal> {
    let Span { start, end } = fix.finding;
    if start > end || fix.scope_before.get(start..end).is_none() {
        return Err(Refusal::Finding);
    }
    if Language::of(&fix.path) != Some(fix.language) {
        return Err(Refusal::Language(fix.language));
    }
    if fix.scope_before == fix.scope_after {
        return Err(Refusal::NoChange);
    }
    if fix.patterns.len() > PATTERNS {
        return Err(Refusal::Patterns);
    }
    Ok(())
}

/// Takes away what only people's decisions here can give: a record, a provenance, a level. Secrets go too.
fn distrust(fix: PastFix, organisation: &str) -> Result<PastFix, Refusal> {
    let finding = moved(&fix.scope_before, fix.finding).ok_or(Refusal::SecretInFinding)?;
    let clean = |text: &str| redact(text).into_owned();
    let trusted = |pattern: &EditPattern| pattern.level != Level::Curated && !has_secret(pattern);
    let patterns: Vec<EditPattern> = fix.patterns.iter().filter(|p| trusted(p)).cloned().collect();
    let round_trips = fix.round_trips && patterns.len() == fix.patterns.len();
    Ok(PastFix {
        id: identity(&fix),
        schema: PastFix::SCHEMA,
        organisation: organisation.to_owned(),
        confidence: Confidence::from_probability(0.0),
        message: clean(&fix.message),
        scope_before: clean(&fix.scope_before),
        scope_after: clean(&fix.scope_after),
        finding,
        imports_added: fix.imports_added.iter().map(|import| clean(import)).collect(),
        patterns,
        vector: Vec::new(),
        provenance: Provenance::Imported,
        author: AuthorKind::Unknown,
        round_trips,
        record: TrackRecord::default(),
        superseded_by: None,
        ..fix
    })
}

/// Its own id when that looks like one of ours, so that importing twice changes nothing; else one from its content.
fn identity(fix: &PastFix) -> FixId {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if fix.id.0.len() == 64 && fix.id.0.bytes().all(hex) {
        return fix.id.clone();
    }
    let parts = [fix.id.0.as_str(), fix.rule.as_str(), &fix.scope_before, &fix.scope_after];
    FixId(sha256_hex(&[
        b"imported",
        parts[0].as_bytes(),
        parts[1].as_bytes(),
        parts[2].as_bytes(),
        parts[3].as_bytes(),
    ]))
}

/// Where the finding stands once the secrets of the text are replaced; `None` when one of them is inside it.
fn moved(text: &str, finding: Span) -> Option<Span> {
    let (mut start, mut end) = (finding.start, finding.end);
    for secret in secrets_in(text) {
        if secret.overlaps(finding) {
            return None;
        }
        if secret.end <= finding.start {
            start = (start + MARK.len()).checked_sub(secret.end - secret.start)?;
            end = (end + MARK.len()).checked_sub(secret.end - secret.start)?;
        }
    }
    Some(Span { start, end })
}

fn has_secret(pattern: &EditPattern) -> bool {
    let mut waiting = vec![&pattern.before];
    while let Some(node) = waiting.pop() {
        match node {
            PatternNode::Leaf { text, .. } if !secrets_in(text).is_empty() => return true,
            PatternNode::Tree { children, .. } => waiting.extend(children),
            _ => {}
        }
    }
    let written = pattern.rewrites.iter().flat_map(|rewrite| &rewrite.template);
    let texts = written.filter_map(|part| match part {
        TemplatePart::Text(text) => Some(text),
        TemplatePart::Bound(_) => None,
    });
    texts.chain(&pattern.imports).any(|text| !secrets_in(text).is_empty())
}

#[cfg(test)]
mod tests;
