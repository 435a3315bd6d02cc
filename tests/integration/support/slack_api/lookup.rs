//! Who somebody is, and search with its rules: words stand for all of them, quoted ones for a phrase, some are operators.

use serde_json::{Value, json};

use super::arguments::Arguments;
use super::world::{Answer, Channel, Message, Token, World};

/// One part of a query.
enum Part {
    /// Words that follow each other, or must not.
    Words(Vec<String>, bool),
    In(String),
    From(String),
}

impl World {
    pub(super) fn auth_test(&self, token: &Token) -> Answer {
        let name = self.users.get(&token.user).map_or(Value::Null, |user| user["name"].clone());
        let mut answer = json!({
            "url": "https://acme.slack.com/", "team": "Acme", "team_id": "T1", "user": name, "user_id": token.user,
        });
        if let Some(bot) = &token.bot {
            answer["bot_id"] = bot.clone().into();
        }
        Ok(answer)
    }

    pub(super) fn users_info(&self, token: &Token, arguments: &Arguments) -> Answer {
        token.needs("users:read")?;
        let id = arguments.text("user").ok_or("user_not_found")?;
        Ok(json!({"user": self.users.get(id).ok_or("user_not_found")?}))
    }

    pub(super) fn search_messages(&self, token: &Token, arguments: &Arguments) -> Answer {
        if token.bot.is_some() {
            return Err("not_allowed_token_type".into());
        }
        token.needs("search:read")?;
        let query = arguments.text("query").ok_or("no_query")?;
        let (count, page) = (arguments.number("count", 20, 100)?, arguments.number("page", 1, 100)?);
        let parts = parts(query);
        let mut found: Vec<(String, Value)> = Vec::new();
        for channel in self.channels.iter().filter(|channel| channel.is_visible(token)) {
            let hits =
                channel.messages.iter().filter(|message| parts.iter().all(|part| part.matches(channel, message)));
            found.extend(hits.map(|message| (message["ts"].to_string(), shown(channel, message, token))));
        }
        found.sort_by(|(a, _), (b, _)| b.cmp(a));
        let total = found.len();
        let matches: Vec<Value> = found.into_iter().map(|(_, hit)| hit).skip((page - 1) * count).take(count).collect();
        let paging = json!({"count": count, "total": total, "page": page, "pages": total.div_ceil(count)});
        Ok(json!({"query": query, "messages": {"total": total, "paging": paging, "matches": matches}}))
    }
}

fn shown(channel: &Channel, message: &Message, token: &Token) -> Value {
    let ts = message["ts"].as_str().unwrap();
    let root = message.get("thread_ts").and_then(Value::as_str).filter(|root| *root != ts);
    let thread = root.map_or_else(String::new, |root| format!("?thread_ts={root}&cid={}", channel.id));
    json!({
        "type": "message", "iid": format!("iid-{ts}"), "team": "T1", "ts": ts, "channel": channel.shown(token),
        "user": message.get("user"), "username": message.get("user"), "text": message["text"],
        "permalink": format!("https://acme.slack.com/archives/{}/p{}{thread}", channel.id, ts.replace('.', "")),
    })
}

fn words(text: &str) -> Vec<String> {
    let split = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    split.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

fn parts(query: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    for (at, piece) in query.split('"').enumerate() {
        if at % 2 == 1 {
            parts.push(Part::Words(words(piece), true));
            continue;
        }
        for word in piece.split_whitespace() {
            parts.push(match (word.split_once(':'), word.strip_prefix('-')) {
                (Some(("in", channel)), _) => Part::In(channel.trim_start_matches('#').to_owned()),
                (Some(("from", user)), _) => Part::From(user.trim_matches(['<', '@', '>']).to_owned()),
                (_, Some(word)) => Part::Words(words(word), false),
                _ => Part::Words(words(word), true),
            });
        }
    }
    parts.retain(|part| !matches!(part, Part::Words(words, _) if words.is_empty()));
    parts
}

impl Part {
    fn matches(&self, channel: &Channel, message: &Message) -> bool {
        match self {
            Self::Words(phrase, wanted) => {
                let said = message["text"].as_str().unwrap_or_default();
                let said = words(&said.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"));
                said.windows(phrase.len()).any(|run| run == phrase.as_slice()) == *wanted
            }
            Self::In(name) => channel.name == *name,
            Self::From(user) => message.get("user").is_some_and(|from| from == user.as_str()),
        }
    }
}
