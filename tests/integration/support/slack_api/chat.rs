//! Writing messages.

use serde_json::{Map, Value, json};

use super::arguments::Arguments;
use super::blocks;
use super::world::{Answer, Refusal, Token, World};

/// Longest text of a message, characters.
const TEXT: usize = 40_000;

/// What a message is made of.
fn content(arguments: &Arguments) -> Result<Map<String, Value>, Refusal> {
    let mut content = Map::new();
    if let Some(text) = arguments.text("text") {
        content.insert("text".into(), text.chars().take(TEXT).collect::<String>().into());
    }
    if let Some(list) = arguments.structure("blocks") {
        blocks::check(&list)?;
        content.insert("blocks".into(), list);
    }
    if let Some(metadata) = arguments.structure("metadata") {
        if !metadata["event_type"].is_string() || !metadata["event_payload"].is_object() {
            return Err("invalid_metadata_format".into());
        }
        content.insert("metadata".into(), metadata);
    }
    if content.contains_key("text") || content.contains_key("blocks") { Ok(content) } else { Err("no_text".into()) }
}

impl World {
    pub(super) fn chat_post_message(&mut self, token: &Token, arguments: &Arguments) -> Answer {
        token.needs("chat:write")?;
        let named = arguments.text("channel").ok_or("channel_not_found")?.to_owned();
        let mut message = content(arguments)?;
        let channel = self.channels.iter().find(|channel| channel.id == named || channel.name == named);
        let channel = channel.filter(|channel| channel.is_visible(token)).ok_or("channel_not_found")?;
        if channel.archived {
            return Err("is_archived".into());
        }
        if !channel.members.contains(&token.user) {
            return Err("not_in_channel".into());
        }
        let id = channel.id.clone();
        message.insert("user".into(), token.user.clone().into());
        if let Some(bot) = &token.bot {
            message.insert("bot_id".into(), bot.clone().into());
        }
        message.entry("text").or_insert_with(|| "".into());
        let ts = self.put(&id, Value::Object(message.clone()));
        Ok(json!({"channel": id, "ts": ts, "message": message}))
    }

    pub(super) fn chat_update(&mut self, token: &Token, arguments: &Arguments) -> Answer {
        token.needs("chat:write")?;
        let id = arguments.text("channel").ok_or("channel_not_found")?.to_owned();
        let ts = arguments.text("ts").ok_or("message_not_found")?.to_owned();
        let content = content(arguments)?;
        let stamp = self.stamp();
        if self.find(&id).is_none() {
            return Err("channel_not_found".into());
        }
        let message = self.message(&id, &ts).ok_or("message_not_found")?;
        if message["user"] != token.user.as_str() {
            return Err("cant_update_message".into());
        }
        message.extend(content);
        message.insert("edited".into(), json!({"user": token.user, "ts": stamp}));
        Ok(json!({"channel": id, "ts": ts, "text": message["text"], "message": message}))
    }
}
