//! The hash chain of the audit trail: each event's hash covers the one before it.

use serde::Serialize;
use serde_json::Value;

use crate::model::{AuditEvent, ModelCall, sha256_hex};

/// Why a trail is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("event {0} is missing")]
    Missing(u64),
    #[error("event {0} was altered: its content does not match its hash")]
    Altered(u64),
    #[error("event {0} does not follow the event before it")]
    Unlinked(u64),
    #[error("the trail has events up to {found} but its head counts {expected}: the head was altered")]
    Beyond { found: u64, expected: u64 },
    #[error("the last event or the trail's head was altered: the hash in the head is not that of the last event")]
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
    hash_of(event, &canonical(&event.kind))
}

/// The hash of an event whose content is this JSON. What is stored is hashed as it is: a later version that knows more
/// fields would write it otherwise.
fn hash_of(event: &AuditEvent, kind: &str) -> String {
    sha256_hex(&[
        b"event-1",
        event.case.as_str().as_bytes(),
        &event.generation.0.to_be_bytes(),
        &event.sequence.to_be_bytes(),
        &event.at.to_be_bytes(),
        kind.as_bytes(),
        event.previous.as_bytes(),
    ])
}

/// An event as it was read back.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored<T> {
    pub event: T,
    /// Its content as stored, which its hash covers.
    pub kind: Value,
}

/// `serde_json` keeps object keys sorted (its map is ordered), so equal content gives equal text.
fn canonical<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value).unwrap_or(Value::Null).to_string()
}

/// Checks a whole run: no event missing, altered, swapped or cut off at the end. Names every event that is not as written.
#[must_use]
pub fn verify(events: &[Stored<AuditEvent>], next_sequence: u64, head_hash: &str) -> Vec<Broken> {
    let links = events.iter().map(|Stored { event, kind }| Link {
        sequence: event.sequence,
        sound: hash_of(event, &kind.to_string()) == event.hash,
        previous: &event.previous,
        hash: &event.hash,
    });
    broken_links(links, next_sequence, head_hash)
}

/// What an event of any trail says about its place in the chain.
struct Link<'a> {
    sequence: u64,
    /// Whether its content matches its hash.
    sound: bool,
    previous: &'a str,
    hash: &'a str,
}

/// Missing events of one gap that are named; a head that claims millions is not worth millions of lines.
const NAMED_IN_A_GAP: u64 = 100;

fn broken_links<'a>(links: impl Iterator<Item = Link<'a>>, next_sequence: u64, head_hash: &str) -> Vec<Broken> {
    let mut broken = Vec::new();
    let mut expected = 0u64;
    // What the next event must follow; unknown behind a gap.
    let mut previous = Some("");
    for link in links {
        if link.sequence > expected {
            let named = link.sequence.min(expected.saturating_add(NAMED_IN_A_GAP));
            broken.extend((expected..named).map(Broken::Missing));
            previous = None;
        }
        if !link.sound {
            broken.push(Broken::Altered(link.sequence));
        } else if previous.is_some_and(|previous| previous != link.previous) {
            broken.push(Broken::Unlinked(link.sequence));
        }
        expected = link.sequence.saturating_add(1);
        previous = Some(link.hash);
    }
    if expected > next_sequence {
        broken.push(Broken::Beyond { found: expected, expected: next_sequence });
    } else if expected < next_sequence {
        let named = next_sequence.min(expected.saturating_add(NAMED_IN_A_GAP));
        broken.extend((expected..named).map(Broken::Missing));
    } else if previous.is_some_and(|last| last != head_hash) {
        broken.push(Broken::HeadDiffers);
    }
    broken
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
    /// A model was asked about a function that the push changed.
    Looked {
        path: String,
        function: String,
        /// Kinds of problems that were claimed and confirmed.
        claims: Vec<String>,
        /// What became of the answers, one line each.
        said: Vec<String>,
        calls: Vec<ModelCall>,
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
    hash_push_of(event, &canonical(&event.kind))
}

fn hash_push_of(event: &PushEvent, kind: &str) -> String {
    sha256_hex(&[
        b"push-event-1",
        event.partition.as_bytes(),
        &event.sequence.to_be_bytes(),
        &event.at.to_be_bytes(),
        kind.as_bytes(),
        event.previous.as_bytes(),
    ])
}

/// Head of the trail of a push: what its last event must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct PushHead {
    /// Where the events are.
    pub partition: String,
    /// Sequence of the next event.
    pub sequence: u64,
    /// Hash of the last event.
    pub head_hash: String,
    pub updated_at: u64,
}

/// As [`verify`], for the events of a push.
#[must_use]
pub fn verify_push(events: &[Stored<PushEvent>], head: &PushHead) -> Vec<Broken> {
    let links = events.iter().map(|Stored { event, kind }| Link {
        sequence: event.sequence,
        sound: hash_push_of(event, &kind.to_string()) == event.hash && event.partition == head.partition,
        previous: &event.previous,
        hash: &event.hash,
    });
    broken_links(links, head.sequence, &head.head_hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CaseId, EventKind, Generation};

    fn chain(length: u64) -> (Vec<AuditEvent>, String) {
        let mut previous = String::new();
        let events = (0..length)
            .map(|sequence| {
                let event = seal(AuditEvent {
                    case: CaseId::from_stored("c"),
                    generation: Generation(1),
                    sequence,
                    at: 1000 + sequence,
                    kind: EventKind::Failed { reason: format!("step {sequence}") },
                    previous: previous.clone(),
                    hash: String::new(),
                });
                previous.clone_from(&event.hash);
                event
            })
            .collect();
        (events, previous)
    }

    fn checked(events: &[AuditEvent], next_sequence: u64, head_hash: &str) -> Vec<Broken> {
        let stored =
            |event: &AuditEvent| Stored { event: event.clone(), kind: serde_json::to_value(&event.kind).unwrap() };
        let events: Vec<_> = events.iter().map(stored).collect();
        verify(&events, next_sequence, head_hash)
    }

    #[test]
    fn what_is_stored_is_what_counts_not_what_this_version_reads_of_it() {
        let (events, head) = chain(1);
        let mut kind = serde_json::to_value(&events[0].kind).unwrap();
        kind["unknown"] = Value::from("added later");
        let stored = [Stored { event: events[0].clone(), kind }];
        assert_eq!(verify(&stored, 1, &head), [Broken::Altered(0)]);
    }

    #[test]
    fn a_whole_trail_has_nothing_to_name() {
        let (events, head) = chain(4);
        assert_eq!(checked(&events, 4, &head), []);
    }

    #[test]
    fn every_broken_event_is_named() {
        let (mut events, head) = chain(6);
        events[1].at += 1;
        events.remove(3);
        assert_eq!(checked(&events, 6, &head), [Broken::Altered(1), Broken::Missing(3)]);
    }

    #[test]
    fn a_cut_off_end_is_named() {
        let (mut events, head) = chain(4);
        events.pop();
        assert_eq!(checked(&events, 4, &head), [Broken::Missing(3)]);
        let short = events[2].hash.clone();
        assert_eq!(checked(&events, 2, &short), [Broken::Beyond { found: 3, expected: 2 }]);
    }

    #[test]
    fn an_event_that_was_sealed_anew_does_not_fit_its_neighbours() {
        let (mut events, head) = chain(3);
        events[1].kind = EventKind::Failed { reason: "another".to_owned() };
        events[1] = seal(events[1].clone());
        assert_eq!(checked(&events, 3, &head), [Broken::Unlinked(2)]);
        events[2].previous = events[1].hash.clone();
        events[2] = seal(events[2].clone());
        assert_eq!(checked(&events, 3, &head), [Broken::HeadDiffers]);
    }

    #[test]
    fn a_head_that_claims_too_much_is_not_named_without_end() {
        let (events, head) = chain(1);
        assert_eq!(checked(&events, u64::MAX, &head).len(), 100);
    }
}
