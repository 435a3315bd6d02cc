//! The parts of Slack's users and messages that are read, the same in exports and in answers of the Web API. Unknown fields
//! are passed over, and what may be `null` is.

use serde::{Deserialize, Deserializer};

use crate::model::{AuthorKind, MessageAuthor, UnixMillis};

/// Slack's own user, which is not marked as a bot.
const SLACKBOT: &str = "USLACKBOT";

/// Kinds of messages in which somebody says something; all others are announcements of Slack itself.
const TALK: [&str; 6] =
    ["bot_message", "thread_broadcast", "reply_broadcast", "me_message", "file_share", "file_comment"];

/// A user.
#[derive(Debug, Clone, Deserialize)]
pub struct RawUser {
    pub id: String,
    #[serde(default, deserialize_with = "nullable")]
    name: String,
    #[serde(default)]
    real_name: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    is_bot: bool,
    /// Guest of several channels.
    #[serde(default, deserialize_with = "nullable")]
    is_restricted: bool,
    /// Guest of one channel.
    #[serde(default, deserialize_with = "nullable")]
    is_ultra_restricted: bool,
    /// Member of another organisation in a shared channel.
    #[serde(default, deserialize_with = "nullable")]
    is_stranger: bool,
}

/// A message.
#[derive(Debug, Clone, Deserialize)]
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
    /// In Slack's markup, escaped.
    #[serde(default, deserialize_with = "nullable")]
    pub text: String,
    #[serde(default, deserialize_with = "nullable")]
    pub reactions: Vec<RawReaction>,
}

impl RawMessage {
    /// Whether somebody says something in it.
    #[must_use]
    pub fn is_talk(&self) -> bool {
        self.subtype.as_deref().is_none_or(|subtype| TALK.contains(&subtype))
    }

    /// Time stamp of the message that its thread begins with.
    #[must_use]
    pub fn root(&self) -> &str {
        self.thread_ts.as_deref().unwrap_or(&self.ts)
    }

    /// Id of the user, or of the bot where there is none.
    #[must_use]
    pub fn author(&self) -> Option<&str> {
        self.user.as_deref().filter(|id| !id.is_empty()).or(self.bot_id.as_deref())
    }
}

/// A reaction and who gave it.
#[derive(Debug, Clone, Deserialize)]
pub struct RawReaction {
    pub name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub users: Vec<String>,
}

impl RawReaction {
    /// The name without a skin tone: `+1::skin-tone-2`.
    #[must_use]
    pub fn base_name(&self) -> &str {
        self.name.split("::").next().unwrap_or(&self.name)
    }
}

impl From<RawUser> for MessageAuthor {
    /// Slack's `is_app_user` is passed over: it marks the people who authorised an app, not bots.
    fn from(user: RawUser) -> Self {
        let kind = if user.is_bot || user.id == SLACKBOT {
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
#[must_use]
pub fn millis(ts: &str) -> UnixMillis {
    let (seconds, fraction) = ts.split_once('.').unwrap_or((ts, ""));
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    let seconds: u64 = seconds.parse().unwrap_or(0);
    seconds.saturating_mul(1000).saturating_add(thousandths.parse().unwrap_or(0))
}

/// Reads `null` as the empty value.
///
/// # Errors
/// When the value is neither `null` nor of its type.
pub fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}
