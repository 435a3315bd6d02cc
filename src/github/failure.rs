//! What GitHub's refusals mean, and what an operator can do about them. Nothing of an answer's body gets into an error.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, LINK, RETRY_AFTER};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::model::UnixMillis;
use crate::ports::{ErrorKind, PortError};

/// Wait after a refusal for haste that names no time: GitHub asks for at least a minute.
const DEFAULT_WAIT: Duration = Duration::from_secs(60);
/// Longest wait that is believed: the main limit is renewed every hour.
const LONGEST_WAIT: Duration = Duration::from_secs(3700);
/// Bytes of a refusal that is no JSON by which decisions are made.
const PAGE: usize = 4 * 1024;

pub(super) type Asked<T> = Result<T, Failure>;

/// An answer, whatever it says.
pub(super) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
    }

    /// The server's clock, seconds since the epoch.
    pub fn date(&self) -> Option<i64> {
        let text = self.header(DATE.as_str())?;
        chrono::DateTime::parse_from_rfc2822(text).ok().map(|date| date.timestamp())
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether a list ends with this page, of which `listed` entries came where `wanted` were asked for. It may go on behind one that is
    /// shorter, or empty, by its own word.
    pub fn ends_list(&self, listed: usize, wanted: usize) -> bool {
        listed < wanted && !self.has_next()
    }

    fn has_next(&self) -> bool {
        let links = self.header(LINK.as_str()).unwrap_or_default().split(',');
        let is_next = |part: &str| matches!(part.trim(), "rel=\"next\"" | "rel=next");
        links.into_iter().any(|link| link.split(';').skip(1).any(is_next))
    }

    /// How long the server wants to be left alone, if it says so, bounded.
    pub fn retry_after(&self) -> Option<Duration> {
        self.number(RETRY_AFTER.as_str()).map(bounded)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.header(name)?.parse().ok()
    }

    /// The body of a success as what it is expected to be.
    pub fn json<T: DeserializeOwned>(&self) -> Asked<T> {
        // Of serde's message only the class: the rest may quote the body.
        serde_json::from_slice(&self.body).map_err(|error| {
            let reason = format!("the answer cannot be understood ({:?}); is this GitHub's API?", error.classify());
            Failure::new(ErrorKind::Malformed, reason)
        })
    }
}

/// Why a call did not do what it should. GitHub's own words are kept for deciding and are never shown.
pub(super) struct Failure {
    pub kind: ErrorKind,
    /// `None` when there was no answer.
    pub status: Option<u16>,
    cause: Box<dyn Error + Send + Sync>,
    words: String,
}

/// The part of a refusal that decisions are made by.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Refusal {
    message: Option<String>,
    errors: serde_json::Value,
}

impl Refusal {
    /// What a body says, in lower case; of one that is no JSON, such as a page of a proxy on the way, its beginning.
    fn words(body: &[u8]) -> String {
        let said = match serde_json::from_slice::<Self>(body) {
            Ok(Self { message, errors }) => format!("{} {errors}", message.unwrap_or_default()),
            Err(_) => String::from_utf8_lossy(body.get(..PAGE).unwrap_or(body)).into_owned(),
        };
        said.to_lowercase()
    }
}

/// Reads `null` as the empty value.
///
/// # Errors
/// When the value is neither `null` nor of its type.
pub(super) fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl Failure {
    /// `reason` names the remedy.
    pub fn new(kind: ErrorKind, reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, status: None, cause: reason.into(), words: String::new() }
    }

    pub fn missing(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Missing, reason)
    }

    pub fn denied(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Denied, reason)
    }

    pub fn malformed(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Malformed, reason)
    }

    /// What an answer that is no success means. `now` stands in for a server that does not tell its time.
    pub fn of(answer: &Answer, now: UnixMillis) -> Self {
        let words = Refusal::words(&answer.body);
        let (kind, reason) = meaning(answer, &words, now);
        Self { kind, status: Some(answer.status), cause: reason.into(), words }
    }

    /// Whether GitHub's own words have one of these, in lower case.
    pub fn says(&self, any: &[&str]) -> bool {
        any.iter().any(|words| self.words.contains(words))
    }

    /// Whether a write may have happened although this was the answer, or there was none.
    pub fn is_ambiguous(&self) -> bool {
        self.kind == ErrorKind::Unavailable
    }

    /// Whether GitHub gave up making the list of changed files, and nothing else is wrong with the call.
    pub fn is_about_the_diff(&self) -> bool {
        let gave_up = ["too long to generate", "not_available", "temporarily unavailable", "exceeded the maximum"];
        matches!(self.status, Some(406 | 422 | 500..)) && self.says(&["diff", "comparison"]) && self.says(&gave_up)
    }

    /// The same refusal with a meaning that only the caller knows.
    pub fn meaning(mut self, kind: ErrorKind, reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.kind = kind;
        self.cause = reason.into();
        self
    }

    /// The same of a write to a repository that we see: where a token may read and not write, GitHub says that there is nothing.
    pub fn unwritable(self) -> Self {
        match self.status {
            Some(404) => {
                let reason = "the token may not write there: give it contents: write and pull requests: write (a classic \
                              token: the scope repo, or public_repo where that is enough)";
                self.meaning(ErrorKind::Denied, reason)
            }
            _ => self,
        }
    }

    /// The same failure where it means more to the caller than it says.
    pub fn of_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    pub fn into_port(self, attempted: impl Into<String>) -> PortError {
        PortError { port: "forge", attempted: attempted.into(), kind: self.kind, source: Some(self.cause) }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Failure({:?}, {:?}, {})", self.kind, self.status, self.cause)
    }
}

/// A secret that could not be read, above all.
impl From<PortError> for Failure {
    fn from(error: PortError) -> Self {
        Self::new(error.kind.clone(), error)
    }
}

fn meaning(answer: &Answer, words: &str, now: UnixMillis) -> (ErrorKind, String) {
    use ErrorKind::{Conflict, Denied, Malformed, Missing, Throttled, Unavailable};
    if let Some(wait) = wait(answer, words, now) {
        return (Throttled(wait), "GitHub was asked too often".to_owned());
    }
    match answer.status {
        401 => (Denied, "the credentials are not accepted; store a token or private key that is valid".to_owned()),
        403 if words.contains("archived") => (Denied, archived().to_owned()),
        403 => (Denied, forbidden(answer, words)),
        404 => (Missing, "GitHub shows no such thing, to us at least".to_owned()),
        408 | 500.. => (Unavailable, format!("GitHub answered {}; try later", answer.status)),
        409 if words.contains("empty") => (Missing, "the repository is empty".to_owned()),
        409 => (Conflict, "GitHub says that somebody else was first".to_owned()),
        410 => (Missing, "it was deleted, or the repository has this feature switched off".to_owned()),
        422 if is_rule(words) => (Denied, ruled_out().to_owned()),
        451 => (Denied, "GitHub has blocked the repository for legal reasons".to_owned()),
        300..=399 => {
            (Denied, "GitHub sends us elsewhere and we do not follow; check the address of the API".to_owned())
        }
        status => (Malformed, format!("GitHub answered {status}: it does not take the call as it is")),
    }
}

pub(super) fn archived() -> &'static str {
    "the repository is archived and takes no changes; unarchive it or stop watching it"
}

fn ruled_out() -> &'static str {
    "a ruleset or branch protection of the repository forbids it; let the app create branches that begin with `codehealer/`"
}

fn is_rule(words: &str) -> bool {
    let told = ["rule violation", "ruleset", "protected", "creations being restricted", "is not authorized"];
    told.iter().chain(&["reference update failed"]).any(|said| words.contains(said))
}

pub(super) fn suspended() -> &'static str {
    "the app's installation, or the account, is suspended; its owner can end that"
}

/// Why access is refused, where GitHub says it, and who can change that.
fn forbidden(answer: &Answer, words: &str) -> String {
    let known = match () {
        () if words.contains("suspended") => suspended(),
        () if words.contains("ip allow list") => {
            "the organization lets in listed addresses only; add the one we come from (in AWS, that of the NAT gateway)"
        }
        () if answer.header("x-github-sso").is_some() || words.contains("saml") => {
            "the organization wants single sign-on: authorize the token for it in the token's settings, or use the app"
        }
        () if words.contains("is locked") => "the conversation is locked; unlock it",
        () => return lacking(answer),
    };
    known.to_owned()
}

/// Names the permission that GitHub says would have been enough.
fn lacking(answer: &Answer) -> String {
    let accepted = answer.header("x-accepted-github-permissions").unwrap_or_default();
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '=' | ',' | ';' | ' ');
    let accepted: String = accepted.chars().filter(plain).take(100).collect();
    match accepted.trim() {
        "" => "access is refused; check what the app or token may do in this repository".to_owned(),
        needed => format!("a permission is missing ({needed}); grant it to the app and accept it for the installation"),
    }
}

/// How long GitHub wants to be left alone, if that is what the answer says.
fn wait(answer: &Answer, words: &str, now: UnixMillis) -> Option<Duration> {
    if !matches!(answer.status, 403 | 429 | 503) {
        return None;
    }
    if let Some(wait) = answer.retry_after() {
        return Some(wait);
    }
    if answer.status == 503 {
        return None;
    }
    if answer.number("x-ratelimit-remaining") == Some(0)
        && let Some(reset) = answer.number("x-ratelimit-reset")
    {
        let here = now / 1000;
        let server = answer.date().and_then(|date| u64::try_from(date).ok()).unwrap_or(here);
        return Some(bounded(reset.saturating_sub(server) + 1));
    }
    (answer.status == 429 || is_haste(words)).then_some(DEFAULT_WAIT)
}

/// Whether GitHub's words, in lower case, say that it was asked too often or too much at once.
fn is_haste(words: &str) -> bool {
    words.contains("rate limit") || words.contains("abuse detection")
}

/// The wait that an answer of GraphQL asks for although it is a success. Its own points do not count: REST has others.
pub(super) fn wait_within(answer: &Answer, words: &str) -> Option<Duration> {
    let words = words.to_lowercase();
    let shared = words.contains("secondary rate limit") || words.contains("abuse detection");
    shared.then(|| answer.retry_after().unwrap_or(DEFAULT_WAIT))
}

fn bounded(seconds: u64) -> Duration {
    Duration::from_secs(seconds).clamp(Duration::from_secs(1), LONGEST_WAIT)
}

#[cfg(test)]
mod tests;
