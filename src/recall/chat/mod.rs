//! Slack's words as plain threads: what an export and the Web API have in common. Pure.

mod format;
mod markup;
mod rank;

use std::collections::{BTreeMap, BTreeSet};

pub use format::{RawMessage, RawReaction, RawUser, millis, nullable};
pub use rank::{Searchable, search};

use crate::model::{AuthorKind, Message, MessageAuthor, Thread};

/// What is known of the channel that threads are read from.
#[derive(Debug, Clone, Copy)]
pub struct ChatChannel<'a> {
    pub id: &'a str,
    /// Without `#`.
    pub name: &'a str,
    pub private: bool,
    /// Whether the operator named it as a source of fixes.
    pub configured: bool,
}

/// Turns the messages of one channel into threads.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    pub channel: ChatChannel<'a>,
    pub users: &'a BTreeMap<String, MessageAuthor>,
    /// Reactions by which a member confirms an answer.
    pub confirm: &'a [String],
    /// Address of the workspace, for permalinks.
    pub workspace: &'a str,
}

impl Reader<'_> {
    /// The thread that begins at the time stamp `root`. Announcements of Slack itself (somebody joined) are left out.
    #[must_use]
    pub fn thread(&self, root: &str, mut messages: Vec<RawMessage>) -> Thread {
        messages.retain(RawMessage::is_talk);
        messages.sort_by(|a, b| millis(&a.ts).cmp(&millis(&b.ts)).then_with(|| a.ts.cmp(&b.ts)));
        Thread {
            channel: self.channel.name.to_owned(),
            channel_configured: self.channel.configured,
            private: self.channel.private,
            permalink: self.permalink(root),
            messages: messages.iter().map(|message| self.message(message)).collect(),
        }
    }

    fn message(&self, raw: &RawMessage) -> Message {
        let author = self.author(raw);
        let text = markup::plain(&raw.text, self.users);
        Message {
            at: millis(&raw.ts),
            permalink: self.permalink(&raw.ts),
            pull_requests: markup::pull_requests(&text),
            confirmed: self.is_confirmed(raw, &author),
            author,
            text,
        }
    }

    fn author(&self, raw: &RawMessage) -> MessageAuthor {
        let id = raw.author().unwrap_or_default().to_owned();
        let is_bot = raw.bot_id.is_some() || raw.subtype.as_deref() == Some("bot_message");
        match self.users.get(&id) {
            Some(user) if is_bot => MessageAuthor { kind: AuthorKind::Bot, ..user.clone() },
            Some(user) => user.clone(),
            None => {
                let kind = if is_bot { AuthorKind::Bot } else { AuthorKind::Unknown };
                MessageAuthor { name: id.clone(), id, kind }
            }
        }
    }

    /// A reaction counts when it is one of the configured ones and by a full member who is not the author.
    fn is_confirmed(&self, raw: &RawMessage, author: &MessageAuthor) -> bool {
        let by_member =
            |id: &String| *id != author.id && self.users.get(id).is_some_and(|user| user.kind == AuthorKind::Member);
        confirming(raw, self.confirm).any(|reaction| reaction.users.iter().any(by_member))
    }

    fn permalink(&self, ts: &str) -> String {
        permalink(self.workspace, self.channel.id, ts)
    }
}

/// Address of the message with time stamp `ts`.
#[must_use]
pub fn permalink(workspace: &str, channel: &str, ts: &str) -> String {
    let digits: String = ts.chars().filter(char::is_ascii_digit).collect();
    format!("{}/archives/{channel}/p{digits}", workspace.trim_end_matches('/'))
}

/// Ids of everybody whom a reader of these messages has to know: authors, those mentioned, those who confirmed.
#[must_use]
pub fn people(messages: &[RawMessage], confirm: &[String]) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for message in messages {
        // An author by bot id alone is no user.
        ids.extend(message.user.clone());
        ids.extend(markup::mentioned(&message.text));
        ids.extend(confirming(message, confirm).flat_map(|reaction| reaction.users.iter().cloned()));
    }
    ids.remove("");
    ids
}

fn confirming<'a>(message: &'a RawMessage, confirm: &'a [String]) -> impl Iterator<Item = &'a RawReaction> {
    message.reactions.iter().filter(|reaction| confirm.iter().any(|name| name == reaction.base_name()))
}
