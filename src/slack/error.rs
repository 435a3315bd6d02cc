//! What Slack's refusals mean, and what an operator can do about them. Nothing of an answer's body gets into an error.

use std::time::Duration;

use slack_morphism::errors::SlackClientError;

use crate::ports::{ErrorKind, PortError};

/// Wait after a refusal for haste that names no time.
const DEFAULT_WAIT: Duration = Duration::from_secs(30);
/// Longest wait that is believed.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Why a call was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{method}: {reason}")]
pub struct Trouble {
    pub method: &'static str,
    pub kind: ErrorKind,
    /// Slack's name for it, where it has one.
    pub code: String,
    /// With the remedy.
    reason: String,
}

impl Trouble {
    fn new(method: &'static str, kind: ErrorKind, reason: impl Into<String>) -> Self {
        Self { method, kind, code: String::new(), reason: reason.into() }
    }

    /// Asked too often before; not sent now.
    #[must_use]
    pub fn too_early(method: &'static str, wait: Duration) -> Self {
        let reason = format!("Slack wants to be left alone for {} s more", wait.as_secs().max(1));
        Self::new(method, ErrorKind::Throttled(wait), reason)
    }

    #[must_use]
    pub fn of(method: &'static str, error: &SlackClientError) -> Self {
        match error {
            SlackClientError::ApiError(error) => {
                let needed = error.warnings.as_ref().and_then(|needed| needed.first());
                Self::in_band(method, &error.code, needed.map(String::as_str))
            }
            SlackClientError::RateLimitError(error) => {
                let wait = error.retry_after.unwrap_or(DEFAULT_WAIT).clamp(Duration::from_secs(1), LONGEST_WAIT);
                Self::new(method, ErrorKind::Throttled(wait), "Slack was asked too often")
            }
            SlackClientError::HttpError(error) => Self::status(method, error.status_code.as_u16()),
            SlackClientError::ProtocolError(error) => {
                let reason =
                    format!("the answer cannot be understood ({:?}); is this Slack?", error.json_error.classify());
                Self::new(method, ErrorKind::Malformed, reason)
            }
            SlackClientError::HttpProtocolError(error) => {
                let cause = error.cause.as_ref().map_or_else(String::new, |cause| root(cause.as_ref()));
                let reason = format!("Slack cannot be reached or did not answer in time ({cause})");
                Self::new(method, ErrorKind::Unavailable, reason)
            }
            _ => Self::new(method, ErrorKind::Unavailable, "the connection to Slack broke"),
        }
    }

    fn status(method: &'static str, status: u16) -> Self {
        let (kind, remedy) = match status {
            401 | 403 => (ErrorKind::Denied, "check the token and what stands between us and Slack"),
            404 => (ErrorKind::Missing, "check Slack's address in the configuration"),
            408 | 500.. => (ErrorKind::Unavailable, "try later"),
            _ => (ErrorKind::Malformed, "check Slack's address in the configuration"),
        };
        Self::new(method, kind, format!("Slack answered {status}; {remedy}"))
    }

    /// `ok: false`.
    fn in_band(method: &'static str, code: &str, needed: Option<&str>) -> Self {
        let code = name(code);
        let (kind, remedy) = match code.as_str() {
            "missing_scope" => {
                let needed = needed.map_or_else(|| "that this call needs".to_owned(), name);
                let remedy = format!("give the Slack app the scope {needed} and install it again");
                (ErrorKind::Denied, remedy)
            }
            "ratelimited" | "rate_limited" => {
                (ErrorKind::Throttled(DEFAULT_WAIT), "Slack was asked too often".to_owned())
            }
            known => {
                let (kind, remedy) = meaning(known);
                (kind, remedy.to_owned())
            }
        };
        Self { code: code.clone(), ..Self::new(method, kind, format!("{code}; {remedy}")) }
    }

    /// The error of a port that could not do `attempted` because of this.
    #[must_use]
    pub fn port(self, port: &'static str, attempted: impl Into<String>) -> PortError {
        PortError::new(port, format!("{}: {}", attempted.into(), self.reason), self.kind.clone()).caused_by(self)
    }
}

/// Slack's error codes, those that say the same together.
fn meaning(code: &str) -> (ErrorKind, &'static str) {
    use ErrorKind::{Conflict, Denied, Malformed, Missing, Unavailable};
    match code {
        "invalid_auth" | "not_authed" | "token_revoked" | "token_expired" | "account_inactive" => {
            (Denied, "the token is no longer good: install the Slack app again and store the new token")
        }
        "not_allowed_token_type" => (Denied, "another kind of token is needed: xoxb- for a bot, xoxp- for a user"),
        "not_in_channel" => (Denied, "invite the bot: /invite it in the channel"),
        "is_archived" => (Denied, "the channel is archived: unarchive it or configure another"),
        "access_denied"
        | "no_permission"
        | "team_access_not_granted"
        | "ekm_access_denied"
        | "org_login_required"
        | "accesslimited"
        | "enterprise_is_restricted"
        | "two_factor_setup_required"
        | "team_quota_exceeded"
        | "restricted_action"
        | "restricted_action_read_only_channel"
        | "restricted_action_thread_only_channel"
        | "restricted_action_non_threadable_channel" => (Denied, "an administrator of the workspace has to allow it"),
        "edit_window_closed" | "cant_update_message" => {
            (Denied, "the workspace does not let the message be edited: an administrator can allow it")
        }
        "channel_not_found" => (Missing, "check the channel's name, and invite the bot if it is private"),
        "thread_not_found" | "message_not_found" | "user_not_found" | "user_not_visible" | "users_not_found" => {
            (Missing, "it was deleted")
        }
        "invalid_cursor" => (Conflict, "begin again at the first page"),
        "internal_error"
        | "fatal_error"
        | "service_unavailable"
        | "request_timeout"
        | "server_error"
        | "external_channel_migrating"
        | "team_added_to_org"
        | "message_limit_exceeded" => (Unavailable, "try later"),
        _ => (Malformed, "Slack does not take the call as it is"),
    }
}

/// A code or scope as something that can be shown: nothing else than words.
fn name(hostile: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | ',' | '.' | '-' | '|' | ' ');
    hostile.chars().filter(is_plain).take(100).collect()
}

/// The innermost cause, which says what really happened.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use slack_morphism::errors::{SlackClientApiError, SlackRateLimitError};

    fn api(code: &str) -> Trouble {
        Trouble::of("x.y", &SlackClientError::ApiError(SlackClientApiError::new(code.to_owned())))
    }

    #[test]
    fn codes_mean_what_the_caller_can_do() {
        for (code, kind) in [
            ("invalid_auth", ErrorKind::Denied),
            ("token_revoked", ErrorKind::Denied),
            ("missing_scope", ErrorKind::Denied),
            ("not_in_channel", ErrorKind::Denied),
            ("channel_not_found", ErrorKind::Missing),
            ("internal_error", ErrorKind::Unavailable),
            ("invalid_blocks", ErrorKind::Malformed),
            ("ratelimited", ErrorKind::Throttled(DEFAULT_WAIT)),
        ] {
            assert_eq!(api(code).kind, kind, "{code}");
        }
        assert!(api("not_in_channel").to_string().contains("invite the bot"));
    }

    #[test]
    fn a_hostile_code_is_shown_as_words() {
        let shown = api(&format!("<!here>\n\u{202e}{}", "x".repeat(500))).to_string();
        assert!(!shown.contains(['<', '\n', '\u{202e}']) && shown.len() < 250, "{shown}");
    }

    #[test]
    fn a_wait_is_neither_nothing_nor_for_ever() {
        let wait = |seconds| {
            let error = SlackRateLimitError::new().with_retry_after(Duration::from_secs(seconds));
            Trouble::of("x.y", &SlackClientError::RateLimitError(error)).kind
        };
        assert_eq!(wait(0), ErrorKind::Throttled(Duration::from_secs(1)));
        assert_eq!(wait(u64::MAX), ErrorKind::Throttled(LONGEST_WAIT));
    }
}
