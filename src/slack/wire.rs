//! The parts of Slack's answers that are read. Typed answers of the library refuse a page for one odd message; these pass
//! over what they do not know.

use serde::Deserialize;
use serde_json::Value;

use crate::recall::chat::{RawMessage, RawUser, nullable};

/// `auth.test`.
#[derive(Debug, Clone, Deserialize)]
pub struct Identity {
    /// Address of the workspace: `https://acme.slack.com/`.
    #[serde(default, deserialize_with = "nullable")]
    pub url: String,
    #[serde(default, deserialize_with = "nullable")]
    pub team: String,
    #[serde(default, deserialize_with = "nullable")]
    pub user: String,
    pub user_id: String,
    /// Only of a bot's token.
    #[serde(default)]
    pub bot_id: Option<String>,
    /// What the token may do, comma separated; `None` when the server does not say.
    #[serde(default, rename = "x-oauth-scopes")]
    pub scopes: Option<String>,
}

/// `conversations.history` and `conversations.replies`.
#[derive(Debug, Deserialize)]
pub struct Messages {
    #[serde(default, deserialize_with = "nullable")]
    pub messages: Vec<WireMessage>,
    #[serde(default, deserialize_with = "nullable")]
    pub has_more: bool,
    #[serde(default, deserialize_with = "nullable", rename = "response_metadata")]
    pub next: NextPage,
}

/// Where the next page begins.
#[derive(Debug, Default, Deserialize)]
pub struct NextPage {
    #[serde(default, deserialize_with = "nullable")]
    next_cursor: String,
}

impl NextPage {
    /// `None` on the last page.
    pub fn cursor(self) -> Option<String> {
        (!self.next_cursor.is_empty()).then_some(self.next_cursor)
    }
}

/// A message with what only the Web API says of it.
#[derive(Debug, Clone, Deserialize)]
pub struct WireMessage {
    #[serde(flatten)]
    pub said: RawMessage,
    #[serde(default)]
    pub reply_count: Option<u64>,
    #[serde(default)]
    pub latest_reply: Option<String>,
    #[serde(default)]
    pub edited: Option<Edited>,
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Edited {
    #[serde(default, deserialize_with = "nullable")]
    pub ts: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Metadata {
    #[serde(default, deserialize_with = "nullable")]
    pub event_type: String,
    #[serde(default)]
    pub event_payload: Value,
}

/// `users.info`.
#[derive(Debug, Deserialize)]
pub struct UserInfo {
    pub user: RawUser,
}

/// `conversations.info`.
#[derive(Debug, Deserialize)]
pub struct ChannelInfo {
    pub channel: WireChannel,
}

/// `conversations.list`.
#[derive(Debug, Deserialize)]
pub struct ChannelList {
    #[serde(default, deserialize_with = "nullable")]
    pub channels: Vec<WireChannel>,
    #[serde(default, deserialize_with = "nullable", rename = "response_metadata")]
    pub next: NextPage,
}

/// A conversation.
#[derive(Debug, Clone, Deserialize)]
pub struct WireChannel {
    pub id: String,
    #[serde(default, deserialize_with = "nullable")]
    pub name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub is_private: bool,
    #[serde(default, deserialize_with = "nullable")]
    pub is_im: bool,
    #[serde(default, deserialize_with = "nullable")]
    pub is_mpim: bool,
    #[serde(default, deserialize_with = "nullable")]
    pub is_archived: bool,
    #[serde(default, deserialize_with = "nullable")]
    pub is_member: bool,
}

impl WireChannel {
    /// Whether it is a conversation of a few people and not a channel.
    pub fn is_direct(&self) -> bool {
        self.is_im || self.is_mpim || self.id.starts_with('D')
    }

    /// Whether the operator names it, by name or by id.
    pub fn is_named(&self, names: &[String]) -> bool {
        names.iter().any(|name| *name == self.id || name.trim_start_matches('#') == self.name)
    }
}

/// `search.messages`.
#[derive(Debug, Deserialize)]
pub struct SearchAnswer {
    #[serde(default, deserialize_with = "nullable")]
    pub messages: Matches,
}

#[derive(Debug, Default, Deserialize)]
pub struct Matches {
    #[serde(default, deserialize_with = "nullable")]
    pub matches: Vec<Match>,
}

/// A message that was found. Without its channel it cannot be told who may see it.
#[derive(Debug, Clone, Deserialize)]
pub struct Match {
    #[serde(default)]
    pub channel: Option<WireChannel>,
    pub ts: String,
    #[serde(default, deserialize_with = "nullable")]
    pub permalink: String,
}

impl Match {
    /// Time stamp of the message that the thread begins with; Slack says it in the permalink of a reply only.
    pub fn root(&self) -> String {
        let query = self.permalink.split_once('?').map_or("", |(_, query)| query);
        let named = query.split('&').find_map(|pair| pair.strip_prefix("thread_ts="));
        let is_ts = |ts: &&str| !ts.is_empty() && ts.chars().all(|c| c.is_ascii_digit() || c == '.');
        named.filter(is_ts).unwrap_or(&self.ts).to_owned()
    }
}

/// `chat.postMessage` and `chat.update`.
#[derive(Debug, Deserialize)]
pub struct Posted {
    pub channel: String,
    pub ts: String,
}
