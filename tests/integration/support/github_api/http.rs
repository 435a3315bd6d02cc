//! Requests as handlers see them, and answers in the shapes that GitHub gives.

use std::collections::BTreeMap;

use reqwest::Url;
use serde_json::{Value, json};

use super::auth::Actor;

/// One request, its address taken apart.
pub struct Request {
    /// Parameters of the path, decoded.
    pub path: BTreeMap<String, String>,
    pub query: BTreeMap<String, String>,
    pub body: Value,
    /// The address without the query, as it was asked for; pages link to it.
    pub address: String,
    pub actor: Actor,
    /// Which repository the path names.
    pub repo: usize,
}

impl Request {
    pub fn part(&self, name: &str) -> &str {
        &self.path[name]
    }

    /// A number of the path. What is no number never gets here.
    pub fn number(&self, name: &str) -> u64 {
        self.path[name].parse().unwrap_or_default()
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.body[name].as_str()
    }

    /// Items for a page of a list, and the number of the page.
    pub fn page(&self, default: usize) -> (usize, usize) {
        let number = |name, default| self.query(name).and_then(|text| text.parse().ok()).unwrap_or(default);
        (number("per_page", default).clamp(1, 100), number("page", 1).max(1))
    }

    /// The page that was asked for, with a `Link` header where there are others.
    pub fn paged(&self, all: Vec<Value>, wrap: impl FnOnce(Vec<Value>) -> Value) -> Answer {
        let (per_page, page) = self.page(30);
        let last = all.len().div_ceil(per_page).max(1);
        let items = all.into_iter().skip((page - 1) * per_page).take(per_page).collect();
        let mut answer = Answer::new(200, wrap(items));
        if last > 1 {
            answer.headers.push(("link", self.links(page, last)));
        }
        answer
    }

    pub fn links(&self, page: usize, last: usize) -> String {
        let to = |number: usize, name: &str| {
            let mut url = Url::parse(&self.address).unwrap();
            let others = self.query.iter().filter(|(key, _)| *key != "page");
            let others: Vec<_> = others.map(|(key, value)| (key.clone(), value.clone())).collect();
            url.query_pairs_mut().extend_pairs(others).append_pair("page", &number.to_string());
            format!("<{url}>; rel=\"{name}\"")
        };
        let mut links = Vec::new();
        if page > 1 {
            links.extend([to(page - 1, "prev"), to(1, "first")]);
        }
        if page < last {
            links.extend([to(page + 1, "next"), to(last, "last")]);
        }
        links.join(", ")
    }
}

/// What is sent back. A null body is none.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub headers: Vec<(&'static str, String)>,
}

/// An answer either way; an `Err` is a refusal.
pub type Outcome = Result<Answer, Answer>;

impl Answer {
    pub fn new(status: u16, body: Value) -> Self {
        Self { status, body, headers: Vec::new() }
    }

    pub fn ok(body: Value) -> Outcome {
        Ok(Self::new(200, body))
    }

    pub fn created(body: Value) -> Outcome {
        let url = body["url"].as_str().map(str::to_owned);
        let mut answer = Self::new(201, body);
        answer.headers.extend(url.map(|url| ("location", url)));
        Ok(answer)
    }

    /// A refusal; the page of the reference is filled in where it leaves the server.
    pub fn error(status: u16, message: &str) -> Self {
        Self::new(status, json!({"message": message, "documentation_url": "", "status": status.to_string()}))
    }

    pub fn not_found() -> Self {
        Self::error(404, "Not Found")
    }

    /// `Validation Failed` with one error of the resource: `code` is one of GitHub's, or the sentence of a custom one.
    pub fn invalid(resource: &str, field: Option<&str>, code: &str) -> Self {
        let mut error = json!({"resource": resource, "code": code});
        if code.contains(' ') {
            error["code"] = "custom".into();
            error["message"] = code.into();
        }
        if let Some(field) = field {
            error["field"] = field.into();
        }
        let mut answer = Self::error(422, "Validation Failed");
        answer.body["errors"] = json!([error]);
        answer
    }

    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}
