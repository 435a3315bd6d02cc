//! The events we act on, parsed from a body whose signature was verified.

use serde::Deserialize;

use super::form;
use crate::model::CommitId;

/// What a delivery says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// GitHub tries whether we answer.
    Ping,
    Push(PushEvent),
    /// A pull request was closed, merged or opened again.
    PullRequest(PullRequestEvent),
    /// Somebody wrote or changed a comment on a pull request.
    Comment(CommentEvent),
    /// Signed and well-formed, but nothing to act on; says why.
    Other(String),
}

/// Where a delivery comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// GitHub's number of the repository.
    pub repository_id: u64,
    /// `owner/name`.
    pub repository: String,
    /// The GitHub App installation that it was sent for; none for a plain webhook.
    pub installation: Option<u64>,
}

/// A push, as far as we read it. The commits listed in it are not believed: what changed is read from the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushEvent {
    pub origin: Origin,
    /// Full reference name.
    pub reference: String,
    /// `None` when the reference was created.
    pub before: Option<CommitId>,
    /// `None` when the reference was deleted.
    pub after: Option<CommitId>,
    pub pusher: Option<String>,
}

/// What people did with a pull request, as far as we read it: the rest is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequestEvent {
    pub origin: Origin,
    /// Name of the branch it asks to merge.
    pub branch: String,
}

/// A comment on a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommentEvent {
    pub origin: Origin,
    /// The pull request's number.
    pub number: u64,
    pub comment: u64,
    pub updated_at: String,
    pub login: String,
    pub body: String,
}

/// Why a delivery is refused after its signature was verified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    #[error("the header X-GitHub-Event is missing")]
    Unnamed,
    #[error("events of kind {0:?} are not handled; the webhook needs push, pull_request and issue_comment")]
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
    installation: Option<RawInstallation>,
    pusher: Option<RawPusher>,
}

#[derive(Deserialize)]
struct RawInstallation {
    id: u64,
}

#[derive(Deserialize)]
struct RawPullRequestEvent {
    action: String,
    pull_request: RawPullRequest,
    repository: RawRepository,
    installation: Option<RawInstallation>,
}

#[derive(Deserialize)]
struct RawPullRequest {
    head: RawHead,
}

#[derive(Deserialize)]
struct RawHead {
    #[serde(rename = "ref")]
    reference: String,
    /// Null when the fork it came from is gone.
    repo: Option<RawRepository>,
}

#[derive(Deserialize)]
struct RawCommentEvent {
    action: String,
    issue: RawIssue,
    comment: RawComment,
    repository: RawRepository,
    installation: Option<RawInstallation>,
}

#[derive(Deserialize)]
struct RawIssue {
    number: u64,
    /// Present when the issue is a pull request.
    pull_request: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct RawComment {
    id: u64,
    updated_at: String,
    body: String,
    user: Option<RawUser>,
}

#[derive(Deserialize)]
struct RawUser {
    login: String,
    #[serde(rename = "type")]
    kind: Option<String>,
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

/// What an App hears of its own installations, whether it wants to or not.
#[derive(Deserialize)]
struct RawLifecycle {
    action: String,
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
        let kind = kind.ok_or(EventError::Unnamed)?;
        let body = &*form::payload(body);
        match kind {
            "ping" => json::<RawPing>("ping", body).map(|_| Self::Ping),
            "push" => json::<RawPush>("push", body).map(|raw| Self::Push(raw.into())),
            "pull_request" => json::<RawPullRequestEvent>("pull_request", body).map(pull_request),
            "issue_comment" => json::<RawCommentEvent>("issue_comment", body).map(comment),
            "installation" | "installation_repositories" | "installation_target" | "github_app_authorization" => {
                json::<RawLifecycle>("App's", body).map(lifecycle)
            }
            other => Err(EventError::Unknown(other.chars().take(60).collect())),
        }
    }
}

fn json<T: for<'de> Deserialize<'de>>(kind: &'static str, body: &[u8]) -> Result<T, EventError> {
    serde_json::from_slice(body).map_err(|error| EventError::Malformed { kind, reason: error.to_string() })
}

fn origin(repository: RawRepository, installation: Option<RawInstallation>) -> Origin {
    Origin {
        repository_id: repository.id,
        repository: repository.full_name,
        installation: installation.map(|installation| installation.id),
    }
}

fn pull_request(raw: RawPullRequestEvent) -> Event {
    if !matches!(raw.action.as_str(), "closed" | "reopened") {
        return Event::Other(format!("a pull request that was {} changes nothing", short(&raw.action)));
    }
    let own = raw.pull_request.head.repo.is_some_and(|repo| repo.id == raw.repository.id);
    if !own {
        return Event::Other("a pull request from a fork is not ours".to_owned());
    }
    let origin = origin(raw.repository, raw.installation);
    Event::PullRequest(PullRequestEvent { origin, branch: raw.pull_request.head.reference })
}

fn comment(raw: RawCommentEvent) -> Event {
    if !matches!(raw.action.as_str(), "created" | "edited") {
        return Event::Other(format!("a comment that was {} changes nothing", short(&raw.action)));
    }
    if raw.issue.pull_request.is_none() {
        return Event::Other("a comment on an issue is none of ours".to_owned());
    }
    match raw.comment.user {
        // Also our own answers: a bot that obeys bots never ends.
        Some(user) if user.kind.as_deref() != Some("Bot") => Event::Comment(CommentEvent {
            origin: origin(raw.repository, raw.installation),
            number: raw.issue.number,
            comment: raw.comment.id,
            updated_at: raw.comment.updated_at,
            login: user.login,
            body: raw.comment.body,
        }),
        _ => Event::Other("a comment of a bot or a deleted user is not obeyed".to_owned()),
    }
}

/// Nothing hangs on it: whether we may work in a repository is asked when there is work.
fn lifecycle(raw: RawLifecycle) -> Event {
    Event::Other(format!("an installation of the App was {}; that is seen at the next call", short(&raw.action)))
}

fn short(action: &str) -> String {
    action.chars().take(40).collect()
}

impl From<RawPush> for PushEvent {
    fn from(raw: RawPush) -> Self {
        Self {
            origin: origin(raw.repository, raw.installation),
            reference: raw.reference,
            before: Some(raw.before).filter(|id| !id.is_zero()),
            after: Some(raw.after).filter(|id| !id.is_zero()),
            pusher: raw.pusher.and_then(|p| p.name),
        }
    }
}
