//! Reading what was said: pages of a channel, and whole threads.

use super::api::{Arguments, Asked, SlackApi};
use super::wire::{Messages, WireMessage};
use crate::ports::Credential;
use crate::recall::chat::RawMessage;

/// Messages in one page of a channel; Slack recommends no more.
pub const PAGE: usize = 200;
/// Replies in one page of a thread.
const REPLIES: usize = 500;
/// Pages of one thread that are read: a longer one is no answer to a question.
const REPLY_PAGES: usize = 4;

/// Reads with one token.
#[derive(Clone, Copy)]
pub struct History<'a> {
    pub api: &'a SlackApi,
    pub token: &'a Credential,
}

/// Part of a channel, newest first.
#[derive(Debug, Clone, Default)]
pub struct Range {
    /// Time stamps, both exclusive.
    pub latest: Option<String>,
    pub oldest: Option<String>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// Whether to read what apps attach to their messages.
    pub metadata: bool,
}

impl History<'_> {
    /// One page of the messages of a channel, replies left out.
    pub async fn page(&self, channel: &str, range: &Range) -> Asked<Messages> {
        let mut arguments: Arguments<'_> = vec![
            ("channel", Some(channel.to_owned())),
            ("limit", Some(PAGE.to_string())),
            ("latest", range.latest.clone()),
            ("oldest", range.oldest.clone()),
            ("cursor", range.cursor.clone()),
        ];
        if range.metadata {
            arguments.push(("include_all_metadata", Some("true".to_owned())));
        }
        self.api.read(self.token, "conversations.history", arguments).await
    }

    /// The message with this time stamp and what its app attached to it; `None` when there is none.
    pub async fn one(&self, channel: &str, ts: &str) -> Asked<Option<WireMessage>> {
        let arguments = vec![
            ("channel", Some(channel.to_owned())),
            ("latest", Some(ts.to_owned())),
            ("oldest", Some(ts.to_owned())),
            ("inclusive", Some("true".to_owned())),
            ("limit", Some("1".to_owned())),
            ("include_all_metadata", Some("true".to_owned())),
        ];
        let found: Messages = self.api.read(self.token, "conversations.history", arguments).await?;
        Ok(found.messages.into_iter().find(|message| message.said.ts == ts))
    }

    /// The messages of the thread that begins at `root`, at most 2,000, and how many calls they took.
    pub async fn thread(&self, channel: &str, root: &str) -> Asked<(Vec<RawMessage>, usize)> {
        let mut messages: Vec<RawMessage> = Vec::new();
        let mut cursor = None;
        for calls in 1..=REPLY_PAGES {
            let arguments = vec![
                ("channel", Some(channel.to_owned())),
                ("ts", Some(root.to_owned())),
                ("limit", Some(REPLIES.to_string())),
                ("cursor", cursor),
            ];
            let page: Messages = self.api.read(self.token, "conversations.replies", arguments).await?;
            for message in page.messages {
                // Slack repeats the first message on every page.
                if !messages.iter().take(1).any(|first| first.ts == message.said.ts) {
                    messages.push(message.said);
                }
            }
            cursor = page.next.cursor();
            if cursor.is_none() {
                return Ok((messages, calls));
            }
        }
        Ok((messages, REPLY_PAGES))
    }
}
