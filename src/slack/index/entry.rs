//! One thread of the index: free of secrets, small enough for an item, and with a mark by which a change shows.

use serde_json::Value;

use crate::detect::redact::redact;
use crate::model::{Message, Thread, UnixMillis, sha256_hex};
use crate::recall::chat::{ChatChannel, Searchable};
use crate::slack::wire::WireMessage;

/// Largest thread that is stored, bytes of JSON; an item has 400 KB at most.
const LIMIT: usize = 200 * 1024;
/// Longest text of one message that is kept when a thread is too large, bytes.
const TEXT: usize = 16 * 1024;

/// A thread as it was read.
#[derive(Debug, Clone)]
pub struct Entry {
    pub said: Searchable,
    /// Of the first message and the number of replies, as the channel's page shows them.
    pub mark: String,
    pub has_replies: bool,
    /// Bytes of its JSON.
    pub size: usize,
}

impl Entry {
    /// `None` when nothing was said.
    pub fn new(thread: Thread, mark: String, has_replies: bool) -> Option<Self> {
        if thread.messages.is_empty() {
            return None;
        }
        let thread = fitting(redacted(thread));
        let size = size(&thread);
        Some(Self { said: Searchable::from(thread), mark, has_replies, size })
    }

    pub fn thread(&self) -> &Thread {
        &self.said.thread
    }

    /// When somebody spoke last.
    pub fn last(&self) -> UnixMillis {
        self.thread().messages.iter().map(|message| message.at).max().unwrap_or(0)
    }

    /// Says of the thread what is known of its channel now: its name, and who may read it.
    pub fn relabel(&mut self, channel: &ChatChannel<'_>) {
        let thread = &mut self.said.thread;
        channel.name.clone_into(&mut thread.channel);
        thread.private = channel.private;
        thread.channel_configured = channel.configured;
    }
}

/// Changes whenever an edit, a reaction or a reply shows on the page of a channel.
pub fn mark(message: &WireMessage) -> String {
    let reactions: Vec<Value> = message.said.reactions.iter().map(|r| serde_json::json!([r.name, r.users])).collect();
    let shown = serde_json::json!([
        message.said.text,
        message.said.subtype,
        message.edited.as_ref().map(|edited| &edited.ts),
        message.reply_count,
        message.latest_reply,
        reactions,
    ]);
    sha256_hex(&[shown.to_string().as_bytes()]).chars().take(16).collect()
}

fn redacted(mut thread: Thread) -> Thread {
    for message in &mut thread.messages {
        message.text = redact(&message.text).into_owned();
        message.pull_requests.iter_mut().for_each(|url| *url = redact(url).into_owned());
        message.author.name = redact(&message.author.name).into_owned();
    }
    thread
}

fn size(thread: &Thread) -> usize {
    serde_json::to_string(thread).map_or(0, |json| json.len())
}

/// Gives up what is least likely to hold an answer until the thread fits: chatter first, then the ends of long texts, then the
/// latest messages.
fn fitting(mut thread: Thread) -> Thread {
    let mut total = size(&thread);
    let mut at = thread.messages.len();
    while total > LIMIT && at > 1 {
        at -= 1;
        if thread.messages.get(at).is_some_and(|message| !is_telling(message)) {
            let dropped = thread.messages.remove(at);
            total = total.saturating_sub(serde_json::to_string(&dropped).map_or(0, |json| json.len() + 1));
        }
    }
    if size(&thread) > LIMIT {
        thread.messages.iter_mut().for_each(|message| shorten(&mut message.text));
    }
    while size(&thread) > LIMIT && thread.messages.len() > 1 {
        let keep = thread.messages.len() - thread.messages.len().div_ceil(4);
        thread.messages.truncate(keep.max(1));
    }
    thread
}

/// Whether an answer may be in it.
fn is_telling(message: &Message) -> bool {
    message.confirmed || !message.pull_requests.is_empty() || message.text.contains("```")
}

fn shorten(text: &mut String) {
    let mut end = TEXT.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AuthorKind, MessageAuthor};

    fn message(text: String, confirmed: bool) -> Message {
        let author = MessageAuthor { id: "U1".into(), name: "ann".into(), kind: AuthorKind::Member };
        Message { author, at: 1, text, permalink: "p".into(), confirmed, pull_requests: Vec::new() }
    }

    fn thread(messages: Vec<Message>) -> Thread {
        let (channel, permalink) = ("fixes".to_owned(), "p".to_owned());
        Thread { channel, channel_configured: true, private: false, permalink, messages }
    }

    #[test]
    fn a_long_thread_loses_its_chatter_and_keeps_its_answer() {
        let mut messages: Vec<Message> = (0..1_000).map(|_| message("x".repeat(1_000), false)).collect();
        messages.insert(900, message("```safe_load```".into(), true));
        let entry = Entry::new(thread(messages), String::new(), true).unwrap();
        assert!(entry.size <= LIMIT, "{}", entry.size);
        assert!(entry.thread().messages.iter().any(|m| m.confirmed), "the answer was dropped");
        assert!(entry.thread().messages[0].text.starts_with('x'), "the question was dropped");
    }

    #[test]
    fn answers_alone_are_cut_to_fit() {
        let answers = (0..20).map(|_| message(format!("```{}```", "é".repeat(20_000)), true)).collect();
        let entry = Entry::new(thread(answers), String::new(), true).unwrap();
        assert!(entry.size <= LIMIT && !entry.thread().messages.is_empty(), "{}", entry.size);
    }

    #[test]
    fn a_secret_does_not_get_into_the_index() {
        let token = format!("ghp_{}", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8");
        let entry = Entry::new(thread(vec![message(format!("use {token}"), false)]), String::new(), false).unwrap();
        assert!(!serde_json::to_string(entry.thread()).unwrap().contains(&token));
    }
}
