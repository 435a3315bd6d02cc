//! What a team said: threads of a chat, as a backend read them.

use serde::{Deserialize, Serialize};

use super::{AuthorKind, UnixMillis};

/// A conversation: its first message and the replies, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// Channel name without `#`.
    pub channel: String,
    /// Whether the operator configured this channel as a source of fixes.
    pub channel_configured: bool,
    /// Whether only invited people can read the channel.
    pub private: bool,
    /// Link to the first message.
    pub permalink: String,
    pub messages: Vec<Message>,
}

/// Who wrote a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageAuthor {
    pub id: String,
    pub name: String,
    pub kind: AuthorKind,
}

/// One message, text in the chat's own markup, unescaped to plain characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub author: MessageAuthor,
    pub at: UnixMillis,
    pub text: String,
    pub permalink: String,
    /// Whether a full member other than the author confirmed it (✅ or as configured).
    pub confirmed: bool,
    /// Links to pull requests in the text.
    pub pull_requests: Vec<String>,
}
