//! Slack's own markup to plain text: entities, mentions, links.

use std::collections::BTreeMap;

use crate::model::MessageAuthor;

/// Text with entities decoded, mentions by name and links as their address. Slack escapes only `&`, `<` and `>`, so every
/// `<…>` that is left is markup.
pub fn plain(text: &str, users: &BTreeMap<String, MessageAuthor>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('<') {
        out.push_str(rest.get(..open).unwrap_or_default());
        let inside = rest.get(open + 1..).unwrap_or_default();
        let Some(close) = inside.find('>') else {
            rest = rest.get(open..).unwrap_or_default();
            break;
        };
        out.push_str(&reference(inside.get(..close).unwrap_or_default(), users));
        rest = inside.get(close + 1..).unwrap_or_default();
    }
    out.push_str(rest);
    // `&amp;` last: `&amp;lt;` is the text `&lt;`.
    out.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn reference(inside: &str, users: &BTreeMap<String, MessageAuthor>) -> String {
    let (target, label) = inside.split_once('|').map_or((inside, None), |(target, label)| (target, Some(label)));
    match target.split_at_checked(1) {
        Some(("@", id)) => users.get(id).map_or_else(|| id.to_owned(), |user| user.name.clone()),
        Some(("#" | "!", _)) => label.unwrap_or(target).to_owned(),
        _ => target.to_owned(),
    }
}

/// Ids of the users whom a text in Slack's markup mentions.
pub fn mentioned(text: &str) -> Vec<String> {
    let references = text.split("<@").skip(1);
    let id = |rest: &str| rest.chars().take_while(char::is_ascii_alphanumeric).collect::<String>();
    references.map(id).filter(|id| !id.is_empty()).collect()
}

/// Addresses of pull requests in plain text.
pub fn pull_requests(text: &str) -> Vec<String> {
    let is_end = |c: char| c.is_whitespace() || matches!(c, '>' | ')' | '|' | '"' | '\'' | ',');
    let mut found: Vec<String> = Vec::new();
    for word in text.split(is_end) {
        let Some((_, path)) = word.split_once("://").and_then(|(_, rest)| rest.split_once('/')) else { continue };
        let parts: Vec<&str> = path.split('/').collect();
        let is_pull = matches!(parts.as_slice(), [_, _, "pull", number, ..] if number.parse::<u64>().is_ok());
        if is_pull && !found.iter().any(|known| known == word) {
            found.push(word.to_owned());
        }
    }
    found
}
