//! The hash chain of the audit trail: each event's hash covers the one before it.

use serde::Serialize;
use serde_json::Value;

use crate::model::{AuditEvent, sha256_hex};

/// Why a trail is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("event {0} is missing")]
    Missing(u64),
    #[error("event {0} was altered: its content does not match its hash")]
    Altered(u64),
    #[error("event {0} does not follow the event before it")]
    Unlinked(u64),
    #[error("the trail ends at event {found} but the run's head says {expected}")]
    Truncated { found: u64, expected: u64 },
    #[error("the last event's hash is not the one in the run's head")]
    HeadDiffers,
}

/// Fills in the hash of an event.
#[must_use]
pub fn seal(mut event: AuditEvent) -> AuditEvent {
    event.hash = hash(&event);
    event
}

/// SHA-256 over every field but the hash itself, in canonical JSON (sorted keys, no spaces).
#[must_use]
pub fn hash(event: &AuditEvent) -> String {
    let sequence = event.sequence.to_be_bytes();
    let generation = event.generation.0.to_be_bytes();
    sha256_hex(&[
        b"event-1",
        event.case.as_str().as_bytes(),
        &generation,
        &sequence,
        &event.at.to_be_bytes(),
        canonical(&event.kind).as_bytes(),
        event.previous.as_bytes(),
    ])
}

/// `serde_json` keeps object keys sorted (its map is ordered), so equal content gives equal text.
fn canonical<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value).unwrap_or(Value::Null).to_string()
}

/// Checks a whole run: no event missing, altered, swapped or cut off at the end.
///
/// # Errors
/// Names the first event that is not as written.
pub fn verify(events: &[AuditEvent], next_sequence: u64, head_hash: &str) -> Result<(), Broken> {
    let mut previous = String::new();
    for (expected, event) in (0u64..).zip(events) {
        if event.sequence != expected {
            return Err(Broken::Missing(expected));
        }
        if hash(event) != event.hash {
            return Err(Broken::Altered(expected));
        }
        if event.previous != previous {
            return Err(Broken::Unlinked(expected));
        }
        previous.clone_from(&event.hash);
    }
    let found = events.len() as u64;
    if found != next_sequence {
        return Err(Broken::Truncated { found, expected: next_sequence });
    }
    if previous != head_hash {
        return Err(Broken::HeadDiffers);
    }
    Ok(())
}

/// One event of a push: what happened before there was any case.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
pub struct PushEvent {
    pub partition: String,
    pub sequence: u64,
    pub at: u64,
    pub kind: PushEventKind,
    pub previous: String,
    pub hash: String,
}

/// What happened to a push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum PushEventKind {
    Received {
        delivery: String,
        body_sha: String,
        before: String,
        pusher: Option<String>,
    },
    Refused {
        reason: String,
    },
    Scanned {
        base: Option<String>,
        head: String,
        files: usize,
        findings: usize,
        cases: Vec<String>,
        skipped: Vec<String>,
        millis: u64,
    },
}

/// Fills in the hash of an event of a push.
#[must_use]
pub fn seal_push(mut event: PushEvent) -> PushEvent {
    event.hash = hash_push(&event);
    event
}

/// As [`hash`], for the events of a push.
#[must_use]
pub fn hash_push(event: &PushEvent) -> String {
    sha256_hex(&[
        b"push-event-1",
        event.partition.as_bytes(),
        &event.sequence.to_be_bytes(),
        &event.at.to_be_bytes(),
        canonical(&event.kind).as_bytes(),
        event.previous.as_bytes(),
    ])
}

/// Checks the events of a push: gapless, unaltered, linked. (A cut-off end shows only in that the last event is missing.)
///
/// # Errors
/// Names the first event that is not as written.
pub fn verify_push(events: &[PushEvent]) -> Result<(), Broken> {
    let mut previous = String::new();
    for (expected, event) in (0u64..).zip(events) {
        if event.sequence != expected {
            return Err(Broken::Missing(expected));
        }
        if hash_push(event) != event.hash {
            return Err(Broken::Altered(expected));
        }
        if event.previous != previous {
            return Err(Broken::Unlinked(expected));
        }
        previous.clone_from(&event.hash);
    }
    Ok(())
}
