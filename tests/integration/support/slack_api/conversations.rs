//! Channels: which there are, and what is said in them, page by page.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::arguments::Arguments;
use super::world::{Answer, Channel, Message, Refusal, Token, World};

impl Channel {
    pub fn shown(&self, token: &Token) -> Value {
        json!({
            "id": self.id, "name": self.name, "is_channel": !self.direct, "is_private": self.private,
            "is_im": self.direct, "is_mpim": false, "is_archived": self.archived,
            "is_member": self.members.contains(&token.user),
        })
    }

    fn scope(&self, what: &str) -> String {
        let kind = if self.direct {
            "im"
        } else if self.private {
            "groups"
        } else {
            "channels"
        };
        format!("{kind}:{what}")
    }

    pub fn is_visible(&self, token: &Token) -> bool {
        self.members.contains(&token.user) || !(self.private || self.direct)
    }

    fn replies<'a>(&'a self, root: &'a str) -> impl Iterator<Item = &'a Message> {
        self.messages.iter().filter(move |m| m["ts"] != root && m.get("thread_ts").is_some_and(|ts| ts == root))
    }

    /// A message as it is read, with what is known of its thread.
    pub fn read(&self, message: &Message, metadata: bool) -> Value {
        let mut shown = message.clone();
        if !metadata {
            shown.remove("metadata");
        }
        let root = message["ts"].as_str().unwrap();
        let replies: Vec<&Message> = self.replies(root).collect();
        if let Some(latest) = replies.last() {
            shown.insert("thread_ts".into(), root.into());
            shown.insert("reply_count".into(), replies.len().into());
            shown.insert("latest_reply".into(), latest["ts"].clone());
        }
        Value::Object(shown)
    }
}

fn offset(arguments: &Arguments) -> Result<usize, Refusal> {
    let Some(cursor) = arguments.text("cursor") else { return Ok(0) };
    let decoded = BASE64_STANDARD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let offset = decoded.as_deref().and_then(|text| text.strip_prefix("next:")).and_then(|text| text.parse().ok());
    offset.ok_or_else(|| "invalid_cursor".into())
}

/// A page of a list: its items, and where the next one begins.
fn paged(all: Vec<Value>, from: usize, limit: usize) -> (Vec<Value>, String) {
    let next =
        if from + limit < all.len() { BASE64_STANDARD.encode(format!("next:{}", from + limit)) } else { String::new() };
    (all.into_iter().skip(from).take(limit).collect(), next)
}

impl World {
    /// The channel, when this token may read it.
    fn readable(&self, token: &Token, arguments: &Arguments, what: &str) -> Result<&Channel, Refusal> {
        let id = arguments.text("channel").ok_or("channel_not_found")?;
        let channel = self.channels.iter().find(|channel| channel.id == id).ok_or("channel_not_found")?;
        if !channel.is_visible(token) {
            return Err("channel_not_found".into());
        }
        token.needs(&channel.scope(what))?;
        // People read public channels without being in them, bots do not.
        if what == "history" && token.bot.is_some() && !channel.members.contains(&token.user) {
            return Err("not_in_channel".into());
        }
        Ok(channel)
    }

    pub(super) fn conversations_info(&self, token: &Token, arguments: &Arguments) -> Answer {
        Ok(json!({"channel": self.readable(token, arguments, "read")?.shown(token)}))
    }

    pub(super) fn conversations_list(&self, token: &Token, arguments: &Arguments) -> Answer {
        let types: Vec<&str> = arguments.text("types").unwrap_or("public_channel").split(',').map(str::trim).collect();
        for kind in &types {
            token.needs(match *kind {
                "public_channel" => "channels:read",
                "private_channel" => "groups:read",
                "im" => "im:read",
                "mpim" => "mpim:read",
                _ => return Err("invalid_types".into()),
            })?;
        }
        let is_asked = |channel: &&Channel| {
            let kind = if channel.direct {
                "im"
            } else if channel.private {
                "private_channel"
            } else {
                "public_channel"
            };
            types.contains(&kind)
                && channel.is_visible(token)
                && !(channel.archived && arguments.flag("exclude_archived"))
        };
        let all = self.channels.iter().filter(is_asked).map(|channel| channel.shown(token)).collect();
        let (channels, next) = paged(all, offset(arguments)?, arguments.number("limit", 100, 1000)?);
        Ok(json!({"channels": channels, "response_metadata": {"next_cursor": next}}))
    }

    pub(super) fn conversations_history(&self, token: &Token, arguments: &Arguments) -> Answer {
        let channel = self.readable(token, arguments, "history")?;
        let (latest, oldest) = (arguments.text("latest"), arguments.text("oldest"));
        let inclusive = arguments.flag("inclusive");
        let is_asked = |message: &&Message| {
            let ts = message["ts"].as_str().unwrap();
            let is_reply = message.get("thread_ts").is_some_and(|root| root != ts);
            let is_shown = !is_reply || message.get("subtype").is_some_and(|s| s == "thread_broadcast");
            let before = latest.is_none_or(|latest| ts < latest || (inclusive && ts == latest));
            let after = oldest.is_none_or(|oldest| ts > oldest || (inclusive && ts == oldest));
            is_shown && before && after
        };
        let metadata = arguments.flag("include_all_metadata");
        let mut all: Vec<Value> =
            channel.messages.iter().filter(is_asked).map(|message| channel.read(message, metadata)).collect();
        all.reverse();
        let (messages, next) = paged(all, offset(arguments)?, arguments.number("limit", 100, 999)?);
        Ok(json!({"messages": messages, "has_more": !next.is_empty(), "response_metadata": {"next_cursor": next}}))
    }

    pub(super) fn conversations_replies(&self, token: &Token, arguments: &Arguments) -> Answer {
        let channel = self.readable(token, arguments, "history")?;
        let ts = arguments.text("ts").ok_or("thread_not_found")?;
        let root = channel.messages.iter().find(|message| message["ts"] == ts).ok_or("thread_not_found")?;
        let metadata = arguments.flag("include_all_metadata");
        let all = channel.replies(ts).map(|message| channel.read(message, metadata)).collect();
        // The first message is repeated on every page.
        let limit = arguments.number("limit", 1000, 1000)?.saturating_sub(1).max(1);
        let (mut messages, next) = paged(all, offset(arguments)?, limit);
        messages.insert(0, channel.read(root, metadata));
        Ok(json!({"messages": messages, "has_more": !next.is_empty(), "response_metadata": {"next_cursor": next}}))
    }
}
