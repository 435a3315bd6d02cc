//! Arguments of a call: in the address, as a form, or as JSON where the method takes it.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, header};
use reqwest::Url;
use serde_json::Value;

/// Methods that take JSON, by their reference pages.
const JSON: [&str; 7] = [
    "auth.test",
    "chat.postMessage",
    "chat.update",
    "conversations.history",
    "conversations.info",
    "conversations.list",
    "conversations.replies",
];

#[derive(Debug, Clone, Default)]
pub struct Arguments {
    values: BTreeMap<String, Value>,
    pub token: Option<String>,
}

impl Arguments {
    pub fn read(method: &str, query: &str, headers: &HeaderMap, body: &[u8]) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut arguments = Self::default();
        arguments.form(query);
        let kind = text(header::CONTENT_TYPE);
        if kind.starts_with("application/x-www-form-urlencoded") {
            arguments.form(std::str::from_utf8(body).unwrap_or_default());
        } else if kind.starts_with("application/json")
            && JSON.contains(&method)
            && let Ok(Value::Object(fields)) = serde_json::from_slice(body)
        {
            arguments.values.extend(fields);
        }
        arguments.token = text(header::AUTHORIZATION).strip_prefix("Bearer ").map(str::to_owned).or_else(|| {
            // Slack takes a token in a form, never in an address.
            arguments.values.get("token").and_then(Value::as_str).filter(|_| query.is_empty()).map(str::to_owned)
        });
        arguments
    }

    fn form(&mut self, encoded: &str) {
        let Ok(url) = Url::parse(&format!("http://form/?{encoded}")) else { return };
        for (name, value) in url.query_pairs() {
            self.values.insert(name.into_owned(), Value::String(value.into_owned()));
        }
    }

    pub fn into_map(self) -> BTreeMap<String, Value> {
        self.values
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    pub fn flag(&self, name: &str) -> bool {
        match self.values.get(name) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => matches!(text.as_str(), "true" | "1"),
            _ => false,
        }
    }

    /// A number within `1..=most`, `default` when none is given.
    pub fn number(&self, name: &str, default: usize, most: usize) -> Result<usize, &'static str> {
        let given = match self.values.get(name) {
            None => return Ok(default),
            Some(Value::Number(number)) => number.as_u64().and_then(|n| usize::try_from(n).ok()),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
        };
        given.filter(|n| (1..=most).contains(n)).ok_or("invalid_limit")
    }

    /// An object or list, which a form carries as text.
    pub fn structure(&self, name: &str) -> Option<Value> {
        match self.values.get(name)? {
            Value::String(text) => serde_json::from_str(text).ok(),
            other => Some(other.clone()),
        }
    }
}
