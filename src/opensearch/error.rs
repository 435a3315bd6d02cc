//! What OpenSearch's refusals mean, and what an operator can do about them.
//!
//! Of an answer's body only the name of the error gets into ours: its sentences quote documents.

use std::error::Error as _;
use std::time::Duration;

use opensearch::Error;
use serde::Deserialize;

use crate::ports::{ErrorKind, PortError};

pub(super) const PORT: &str = "fix memory";

/// Wait after a refusal for haste that names no time.
const DEFAULT_WAIT: Duration = Duration::from_secs(1);
/// Longest wait that is believed.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Longest name of an error that is passed on, bytes.
const NAME: usize = 80;
/// Longest cause of a broken connection that is passed on, characters.
const CAUSE: usize = 200;

pub(super) const REINDEX: &str = "reindex the fixes into an index of the right shape (or let one be made: set \
                                  opensearch.index to a name that is free); this one is left as it is";

/// Why a request was not answered as hoped, with the remedy.
#[derive(Debug, thiserror::Error)]
#[error("{said}; {remedy}")]
pub(super) struct Trouble {
    said: String,
    remedy: String,
}

/// An error of this port. `attempted` completes "could not …".
pub(super) fn failed(
    attempted: &str,
    kind: ErrorKind,
    said: impl Into<String>,
    remedy: impl Into<String>,
) -> PortError {
    PortError::new(PORT, attempted, kind).caused_by(Trouble { said: said.into(), remedy: remedy.into() })
}

/// An answer that is not what OpenSearch answers.
pub(super) fn not_understood(attempted: &str, said: impl Into<String>) -> PortError {
    failed(attempted, ErrorKind::Malformed, said, "check that opensearch.url is that of an OpenSearch cluster")
}

/// What OpenSearch says of an error.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Refusal {
    #[serde(default)]
    pub error: Detail,
}

#[derive(Debug, Default, Deserialize)]
#[serde(from = "Written")]
pub(super) struct Detail {
    /// Such as `index_not_found_exception`; empty when there is none.
    pub name: String,
    /// A sentence; it may quote documents and goes into no error of ours.
    pub reason: String,
}

/// Gateways and old parts of OpenSearch write a plain text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Whole {
        #[serde(rename = "type", default)]
        name: String,
        #[serde(default)]
        reason: Option<String>,
    },
    Other(serde::de::IgnoredAny),
}

impl From<Written> for Detail {
    fn from(written: Written) -> Self {
        let Written::Whole { name, reason } = written else { return Self::default() };
        let safe = |c: &char| c.is_ascii_lowercase() || *c == '_';
        Self { name: name.chars().filter(safe).take(NAME).collect(), reason: reason.unwrap_or_default() }
    }
}

impl Refusal {
    pub fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    pub fn is(&self, name: &str) -> bool {
        self.error.name == name
    }

    /// The version that was in the way of a write, where the refusal tells it.
    pub fn version_in_the_way(&self) -> Option<u64> {
        let (_, rest) = self.error.reason.split_once("current version [")?;
        rest.split_once(']')?.0.parse().ok()
    }
}

/// A status that is no success, as an error.
pub(super) fn refused(attempted: &str, status: u16, wait: Option<&str>, body: &[u8]) -> PortError {
    let refusal = Refusal::read(body);
    if status == 403 && is_mistimed(body) {
        let remedy = "set this machine's clock: it is minutes away from AWS's";
        return failed(attempted, ErrorKind::Unavailable, "the time of the signature is refused", remedy);
    }
    let name = if refusal.error.name.is_empty() { "no reason given" } else { &refusal.error.name };
    let said = format!("OpenSearch answered {status} ({name})");
    let (kind, remedy) = meaning(status, wait, &refusal);
    failed(attempted, kind, said, remedy)
}

/// Whether AWS refuses a request for the time at which it was signed.
fn is_mistimed(body: &[u8]) -> bool {
    let said = String::from_utf8_lossy(body).to_lowercase();
    said.contains("signature expired") || said.contains("signature not yet current")
}

fn meaning(status: u16, wait: Option<&str>, refusal: &Refusal) -> (ErrorKind, &'static str) {
    let reason = refusal.error.reason.as_str();
    match status {
        // A full disk is told as haste, but passes only when somebody makes room.
        429 if refusal.is("cluster_block_exception") => {
            (ErrorKind::Unavailable, "the cluster's disk is full: free or add space, then unblock the index")
        }
        429 => (ErrorKind::Throttled(believed(wait)), "wait, or give the cluster more nodes if this goes on"),
        401 => (ErrorKind::Denied, "check opensearch.user and opensearch.password, or the AWS credentials and region"),
        403 if refusal.is("cluster_block_exception") => {
            (ErrorKind::Denied, "the index is closed to writes: lift its block (index.blocks.*)")
        }
        403 => (ErrorKind::Denied, "allow this user or role to read, write, create and describe the index"),
        400 if reason.contains("Document ID is not supported") => {
            (ErrorKind::Denied, "this kind of serverless collection takes no ids: use an OpenSearch domain")
        }
        400 if reason.contains("dimension") || reason.contains("not knn_vector") => (ErrorKind::Malformed, REINDEX),
        404 if refusal.is("index_not_found_exception") => {
            (ErrorKind::Missing, "it is made by the first fix that is stored; try again")
        }
        408 | 500.. => (ErrorKind::Unavailable, "check the cluster's health if this goes on"),
        409 => (ErrorKind::Conflict, "try again"),
        413 => (ErrorKind::Malformed, "the fix is too large for this cluster: raise http.max_content_length"),
        400 => (ErrorKind::Malformed, "check that the cluster is OpenSearch 2.9 or newer with the k-NN plugin"),
        _ => (ErrorKind::Malformed, "check that opensearch.url is that of an OpenSearch cluster"),
    }
}

fn believed(wait: Option<&str>) -> Duration {
    let seconds = wait.and_then(|text| text.trim().parse().ok());
    seconds.map_or(DEFAULT_WAIT, Duration::from_secs).clamp(DEFAULT_WAIT, LONGEST_WAIT)
}

/// No answer at all, or one that broke off.
pub(super) fn unanswered(attempted: &str, error: &Error) -> PortError {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let cause: String = cause.to_string().chars().take(CAUSE).collect();
    if error.source().is_none() && cause.contains("Signing Failed") {
        let remedy = "give the process a role, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
        return failed(attempted, ErrorKind::Denied, "the request cannot be signed", remedy);
    }
    let said = if error.is_timeout() { "no answer in time".to_owned() } else { format!("no answer ({cause})") };
    failed(attempted, ErrorKind::Unavailable, said, "check the network and opensearch.url if this goes on")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, body: &str) -> ErrorKind {
        refused("ask", status, None, body.as_bytes()).kind
    }

    #[test]
    fn a_refusal_tells_its_name_and_nothing_that_it_quotes() {
        let body = r#"{"error":{"type":"mapper_parsing_exception","reason":"Preview of field's value: 'hunter2'"},"status":400}"#;
        let text = refused("remember fix a", 400, None, body.as_bytes()).chain();
        assert!(text.contains("mapper_parsing_exception") && text.contains("400"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
        let hostile = r#"{"error":{"type":"<script>\u001b[31mHUNTER</script>"}}"#;
        assert!(!refused("ask", 400, None, hostile.as_bytes()).chain().contains('<'));
    }

    #[test]
    fn a_full_disk_is_not_haste_and_a_block_is_not_a_role() {
        let blocked = r#"{"error":{"type":"cluster_block_exception","reason":"x"}}"#;
        assert_eq!(kind(429, blocked), ErrorKind::Unavailable);
        assert_eq!(kind(429, r#"{"error":{"type":"rejected_execution_exception"}}"#), throttled(1));
        assert!(refused("ask", 403, None, blocked.as_bytes()).chain().contains("index.blocks"));
        assert!(refused("ask", 403, None, b"{}").chain().contains("allow this user or role"));
    }

    fn throttled(seconds: u64) -> ErrorKind {
        ErrorKind::Throttled(Duration::from_secs(seconds))
    }

    #[test]
    fn a_clock_that_is_minutes_off_is_named_and_nothing_is_quoted() {
        for said in
            ["Signature expired: 20261129T030000Z is now earlier than 20261129T030500Z", "Signature not yet current: x"]
        {
            let error = refused("ask", 403, None, format!(r#"{{"message":"{said}"}}"#).as_bytes());
            assert_eq!(error.kind, ErrorKind::Unavailable);
            assert!(error.chain().contains("clock") && !error.chain().contains("2026"), "{}", error.chain());
        }
    }

    #[test]
    fn a_wait_is_believed_within_reason() {
        let waits = [(None, 1), (Some("7"), 7), (Some("0"), 1), (Some("soon"), 1), (Some("99999999"), 3600)];
        for (said, seconds) in waits {
            assert_eq!(refused("ask", 429, said, b"").kind, throttled(seconds), "{said:?}");
        }
    }

    #[test]
    fn statuses_mean_what_they_say() {
        for (status, expected) in [
            (401, ErrorKind::Denied),
            (403, ErrorKind::Denied),
            (408, ErrorKind::Unavailable),
            (500, ErrorKind::Unavailable),
            (502, ErrorKind::Unavailable),
            (503, ErrorKind::Unavailable),
            (301, ErrorKind::Malformed),
            (404, ErrorKind::Malformed),
            (413, ErrorKind::Malformed),
        ] {
            assert_eq!(kind(status, "<html>"), expected, "{status}");
            assert_eq!(kind(status, r#"{"error":"plain text"}"#), expected, "{status}");
        }
    }

    #[test]
    fn the_version_in_the_way_is_read_from_the_refusal() {
        let body = r#"{"error":{"reason":"[a]: version conflict, current version [17] is higher or equal to the one provided [5]"}}"#;
        assert_eq!(Refusal::read(body.as_bytes()).version_in_the_way(), Some(17));
        assert_eq!(Refusal::read(b"garbage").version_in_the_way(), None);
    }
}
