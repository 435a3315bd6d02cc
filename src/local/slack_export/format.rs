//! The parts of Slack's export format that are read. Unknown fields are passed over.

use serde::Deserialize;

use crate::model::{AuthorKind, MessageAuthor, UnixMillis};

#[derive(Deserialize)]
pub struct RawUser {
    pub id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    real_name: Option<String>,
    #[serde(default)]
    is_bot: bool,
    #[serde(default)]
    is_app_user: bool,
    /// Guest of several channels.
    #[serde(default)]
    is_restricted: bool,
    /// Guest of one channel.
    #[serde(default)]
    is_ultra_restricted: bool,
    /// Member of another organisation in a shared channel.
    #[serde(default)]
    is_stranger: bool,
}

#[derive(Deserialize)]
pub struct RawChannel {
    #[serde(default)]
    pub id: String,
    pub name: String,
}

#[derive(Deserialize)]
pub struct RawMessage {
    pub ts: String,
    #[serde(default)]
    pub thread_ts: Option<String>,
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub bot_id: Option<String>,
    #[serde(default)]
    pub subtype: Option<String>,
    #[serde(default)]
    pub text: String,
    #[serde(default)]
    pub reactions: Vec<RawReaction>,
}

#[derive(Deserialize)]
pub struct RawReaction {
    name: String,
    #[serde(default)]
    pub users: Vec<String>,
}

impl RawReaction {
    /// The name without a skin tone: `+1::skin-tone-2`.
    pub fn base_name(&self) -> &str {
        self.name.split("::").next().unwrap_or(&self.name)
    }
}

impl From<RawUser> for MessageAuthor {
    fn from(user: RawUser) -> Self {
        let kind = if user.is_bot || user.is_app_user {
            AuthorKind::Bot
        } else if user.is_restricted || user.is_ultra_restricted || user.is_stranger {
            AuthorKind::Guest
        } else {
            AuthorKind::Member
        };
        let name = user.real_name.filter(|name| !name.is_empty()).unwrap_or(user.name);
        Self { id: user.id, name, kind }
    }
}

/// `1700000000.000200` in milliseconds; 0 when it is no time.
pub fn millis(ts: &str) -> UnixMillis {
    let (seconds, fraction) = ts.split_once('.').unwrap_or((ts, ""));
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    let seconds: u64 = seconds.parse().unwrap_or(0);
    seconds.saturating_mul(1000).saturating_add(thousandths.parse().unwrap_or(0))
}
