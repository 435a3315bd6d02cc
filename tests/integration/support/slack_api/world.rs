//! A workspace: people, channels, what they said, and the tokens that apps hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use codehealer::ports::Clock as _;
use serde_json::{Map, Value, json};

use super::arguments::Arguments;
use crate::support::clock::VirtualClock;

/// The bot that the tests' tokens belong to, and the person.
pub const BOT_USER: &str = "U0BOT";
pub const BOT_ID: &str = "B0BOT";
pub const PERSON: &str = "U1";
pub const BOT_TOKEN: &str = "xoxb-test-bot";
pub const USER_TOKEN: &str = "xoxp-test-user";

/// A token of an app.
#[derive(Debug, Clone)]
pub struct Token {
    pub user: String,
    pub bot: Option<String>,
    pub scopes: BTreeSet<String>,
    pub revoked: bool,
}

pub struct Channel {
    pub id: String,
    pub name: String,
    pub private: bool,
    pub archived: bool,
    pub direct: bool,
    pub members: BTreeSet<String>,
    /// In order of time.
    pub messages: Vec<Message>,
}

/// A message as Slack keeps it: its own JSON.
pub type Message = Map<String, Value>;

pub struct World {
    clock: Arc<VirtualClock>,
    /// How far Slack's clock is ahead of ours, milliseconds.
    pub skew: i64,
    last: u64,
    pub users: BTreeMap<String, Value>,
    pub channels: Vec<Channel>,
    pub tokens: BTreeMap<String, Token>,
}

pub type Answer = Result<Value, Refusal>;

/// `ok: false`.
pub struct Refusal(pub Value);

impl From<&str> for Refusal {
    fn from(error: &str) -> Self {
        Self(json!({"error": error}))
    }
}

pub fn scopes(list: &str) -> BTreeSet<String> {
    list.split(' ').map(str::to_owned).collect()
}

impl World {
    pub fn new(clock: &Arc<VirtualClock>) -> Self {
        let bot = "channels:history channels:read groups:history groups:read users:read chat:write";
        let person = "search:read channels:history channels:read groups:history groups:read users:read";
        let token = |user: &str, bot: Option<&str>, list| Token {
            user: user.into(),
            bot: bot.map(str::to_owned),
            scopes: scopes(list),
            revoked: false,
        };
        let mut world = Self {
            clock: Arc::clone(clock),
            skew: 0,
            last: 0,
            users: BTreeMap::new(),
            channels: Vec::new(),
            tokens: BTreeMap::from([
                (BOT_TOKEN.to_owned(), token(BOT_USER, Some(BOT_ID), bot)),
                (USER_TOKEN.to_owned(), token(PERSON, None, person)),
            ]),
        };
        world.user(json!({"id": BOT_USER, "name": "codehealer", "is_bot": true}));
        world
    }

    /// Adds a user, as `users.info` shows it.
    pub fn user(&mut self, user: Value) {
        self.users.insert(user["id"].as_str().unwrap().to_owned(), user);
    }

    /// Adds a channel with the bot and the person in it.
    pub fn channel(&mut self, id: &str, name: &str, private: bool) -> &mut Channel {
        let members = BTreeSet::from([BOT_USER.to_owned(), PERSON.to_owned()]);
        let (archived, direct) = (false, id.starts_with('D'));
        let (id, name) = (id.to_owned(), name.to_owned());
        self.channels.push(Channel { id, name, private, archived, direct, members, messages: Vec::new() });
        self.channels.last_mut().unwrap()
    }

    pub fn find(&mut self, id: &str) -> Option<&mut Channel> {
        self.channels.iter_mut().find(|channel| channel.id == id)
    }

    pub fn token(&mut self, token: &str) -> &mut Token {
        self.tokens.get_mut(token).unwrap()
    }

    /// The next time stamp, never one that was given before.
    pub fn stamp(&mut self) -> String {
        let now = i64::try_from(self.clock.now()).unwrap() + self.skew;
        self.last = u64::try_from(now * 1000).unwrap().max(self.last + 1000);
        format!("{}.{:06}", self.last / 1_000_000, self.last % 1_000_000)
    }

    /// Somebody says something; `text` is in Slack's markup.
    pub fn say(&mut self, channel: &str, user: &str, text: &str) -> String {
        self.put(channel, json!({"user": user, "text": text}))
    }

    pub fn reply(&mut self, channel: &str, root: &str, user: &str, text: &str) -> String {
        self.put(channel, json!({"user": user, "text": text, "thread_ts": root}))
    }

    /// A message of any kind.
    pub fn put(&mut self, channel: &str, message: Value) -> String {
        let ts = self.stamp();
        let Value::Object(mut message) = message else { panic!("a message is an object") };
        message.insert("type".into(), "message".into());
        message.insert("ts".into(), ts.clone().into());
        self.find(channel).unwrap().messages.push(message);
        ts
    }

    pub fn message(&mut self, channel: &str, ts: &str) -> Option<&mut Message> {
        self.find(channel)?.messages.iter_mut().find(|message| message["ts"] == ts)
    }

    pub fn react(&mut self, channel: &str, ts: &str, name: &str, users: &[&str]) {
        let message = self.message(channel, ts).unwrap();
        let reactions = message.entry("reactions").or_insert_with(|| json!([])).as_array_mut().unwrap();
        reactions.push(json!({"name": name, "users": users, "count": users.len()}));
    }

    pub fn edit(&mut self, channel: &str, ts: &str, text: &str) {
        let stamp = self.stamp();
        let message = self.message(channel, ts).unwrap();
        message.insert("text".into(), text.into());
        message.insert("edited".into(), json!({"user": message["user"], "ts": stamp}));
    }

    /// Slack keeps a stone in the place of a message with replies.
    pub fn delete(&mut self, channel: &str, ts: &str) {
        let channel = self.find(channel).unwrap();
        let has_replies = channel.messages.iter().any(|m| m.get("thread_ts").is_some_and(|t| t == ts) && m["ts"] != ts);
        if has_replies {
            let message = channel.messages.iter_mut().find(|message| message["ts"] == ts).unwrap();
            message.insert("subtype".into(), "tombstone".into());
            message.insert("text".into(), "This message was deleted.".into());
            message.insert("user".into(), "USLACKBOT".into());
            message.remove("reactions");
        } else {
            channel.messages.retain(|message| message["ts"] != ts);
        }
    }

    /// Answers a call: its body, and the scopes of a token that was recognised.
    pub fn call(&mut self, method: &str, arguments: &Arguments) -> (Value, Option<String>) {
        let token = match self.recognised(arguments) {
            Ok(token) => token,
            Err(error) => return (json!({"ok": false, "error": error}), None),
        };
        let list = token.scopes.iter().cloned().collect::<Vec<_>>().join(",");
        let answered = match method {
            "auth.test" => self.auth_test(&token),
            "users.info" => self.users_info(&token, arguments),
            "search.messages" => self.search_messages(&token, arguments),
            "conversations.list" => self.conversations_list(&token, arguments),
            "conversations.info" => self.conversations_info(&token, arguments),
            "conversations.history" => self.conversations_history(&token, arguments),
            "conversations.replies" => self.conversations_replies(&token, arguments),
            "chat.postMessage" => self.chat_post_message(&token, arguments),
            "chat.update" => self.chat_update(&token, arguments),
            _ => Err("unknown_method".into()),
        };
        let (mut body, ok) = match answered {
            Ok(body) => (body, true),
            Err(Refusal(body)) => (body, false),
        };
        body["ok"] = ok.into();
        (body, Some(list))
    }

    fn recognised(&self, arguments: &Arguments) -> Result<Token, &'static str> {
        let given = arguments.token.as_deref().ok_or("not_authed")?;
        let token = self.tokens.get(given).ok_or("invalid_auth")?;
        if token.revoked { Err("token_revoked") } else { Ok(token.clone()) }
    }
}

impl Token {
    pub fn needs(&self, scope: &str) -> Result<(), Refusal> {
        if self.scopes.contains(scope) {
            return Ok(());
        }
        let provided = self.scopes.iter().cloned().collect::<Vec<_>>().join(",");
        Err(Refusal(json!({"error": "missing_scope", "needed": scope, "provided": provided})))
    }
}
