//! The events we act on, parsed from a body whose signature was verified.

use serde::Deserialize;

use crate::model::CommitId;

/// What a delivery says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// GitHub tries whether we answer.
    Ping,
    Push(PushEvent),
}

/// A push, as far as we read it. The commits listed in it are not believed: what changed is read from the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushEvent {
    /// GitHub's number of the repository.
    pub repository_id: u64,
    /// `owner/name`.
    pub repository: String,
    /// Full reference name.
    pub reference: String,
    /// `None` when the reference was created.
    pub before: Option<CommitId>,
    /// `None` when the reference was deleted.
    pub after: Option<CommitId>,
    pub pusher: Option<String>,
}

/// Why a delivery is refused after its signature was verified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    #[error("the header X-GitHub-Event is missing")]
    Unnamed,
    #[error("events of kind {0:?} are not handled; the webhook needs only pushes")]
    Unknown(String),
    #[error("the body is not a {kind} event: {reason}")]
    Malformed { kind: &'static str, reason: String },
}

#[derive(Deserialize)]
struct RawPush {
    #[serde(rename = "ref")]
    reference: String,
    before: CommitId,
    after: CommitId,
    repository: RawRepository,
    pusher: Option<RawPusher>,
}

#[derive(Deserialize)]
struct RawRepository {
    id: u64,
    full_name: String,
}

#[derive(Deserialize)]
struct RawPusher {
    name: Option<String>,
}

#[derive(Deserialize)]
struct RawPing {
    #[expect(dead_code, reason = "its presence tells a ping from a relabelled event")]
    zen: String,
}

impl Event {
    /// Parses a verified body as the event that its header names. A relabelled event does not parse.
    ///
    /// # Errors
    /// Names the kind that is not handled, or what is wrong with the body.
    pub fn parse(kind: Option<&str>, body: &[u8]) -> Result<Self, EventError> {
        match kind.ok_or(EventError::Unnamed)? {
            "ping" => json::<RawPing>("ping", body).map(|_| Self::Ping),
            "push" => json::<RawPush>("push", body).map(|raw| Self::Push(raw.into())),
            other => Err(EventError::Unknown(other.chars().take(60).collect())),
        }
    }
}

fn json<T: for<'de> Deserialize<'de>>(kind: &'static str, body: &[u8]) -> Result<T, EventError> {
    serde_json::from_slice(body).map_err(|error| EventError::Malformed { kind, reason: error.to_string() })
}

impl From<RawPush> for PushEvent {
    fn from(raw: RawPush) -> Self {
        Self {
            repository_id: raw.repository.id,
            repository: raw.repository.full_name,
            reference: raw.reference,
            before: Some(raw.before).filter(|id| !id.is_zero()),
            after: Some(raw.after).filter(|id| !id.is_zero()),
            pusher: raw.pusher.and_then(|p| p.name),
        }
    }
}
