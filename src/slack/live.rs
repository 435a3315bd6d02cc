//! Searching the workspace with a user's token.
//!
//! Slack's search has no "or": words stand for all of them. So the most telling terms are asked for one by one, each as a
//! quoted phrase, in which `in:` or `from:` are words like others.

use std::collections::BTreeMap;

use super::history::History;
use super::index::Feed;
use super::wire::{Match, SearchAnswer, WireChannel};
use crate::model::Thread;
use crate::ports::{ErrorKind, PortResult, TeamQuery};
use crate::recall::chat::{self, Searchable};

/// Terms that are asked for: Slack allows 20 searches a minute.
const TERMS: usize = 4;
/// Messages asked for with each term.
const COUNT: usize = 20;
/// Threads that are read in full.
const THREADS: usize = 10;
/// Longest phrase that is searched for, characters.
const PHRASE: usize = 100;

pub struct Live<'a> {
    pub feed: Feed<'a>,
}

/// A thread in which something was found: its channel and how much speaks for it.
struct Hit {
    channel: WireChannel,
    weight: usize,
}

impl Live<'_> {
    pub async fn search(&self, query: &TeamQuery) -> PortResult<Vec<Thread>> {
        let hits = self.hits(query).await?;
        let mut ranked: Vec<((String, String), Hit)> = hits.into_iter().collect();
        // Of equal ones the newest first.
        ranked.sort_by(|(a, x), (b, y)| y.weight.cmp(&x.weight).then_with(|| b.1.cmp(&a.1)));
        let mut threads = Vec::new();
        for ((_, root), hit) in ranked.into_iter().take(THREADS.min(query.limit)) {
            threads.extend(self.thread(&hit.channel, &root).await?);
        }
        Ok(chat::search(&threads, query.private, &query.terms, query.limit))
    }

    /// Threads by channel and first message, from one search a term until there are enough.
    async fn hits(&self, query: &TeamQuery) -> PortResult<BTreeMap<(String, String), Hit>> {
        let mut hits: BTreeMap<(String, String), Hit> = BTreeMap::new();
        let phrases: Vec<String> = query.terms.iter().filter_map(|term| phrase(term)).take(TERMS).collect();
        for (rank, phrase) in phrases.iter().enumerate() {
            for found in self.find(phrase).await? {
                let root = found.root();
                let Some(channel) = found.channel.filter(|channel| may_answer(channel, query.private)) else {
                    continue;
                };
                let hit = hits.entry((channel.id.clone(), root)).or_insert(Hit { channel, weight: 0 });
                hit.weight += phrases.len() - rank;
            }
            if hits.len() >= query.limit.min(THREADS) {
                break;
            }
        }
        Ok(hits)
    }

    async fn find(&self, phrase: &str) -> PortResult<Vec<Match>> {
        let arguments = vec![("query", Some(phrase.to_owned())), ("count", Some(COUNT.to_string()))];
        let found = self.feed.api.read::<SearchAnswer>(self.feed.token, "search.messages", arguments).await;
        let found = found.map_err(|failure| failure.port("team knowledge", "search Slack"))?;
        Ok(found.messages.matches)
    }

    /// The whole thread; `None` when it went away since it was found.
    async fn thread(&self, channel: &WireChannel, root: &str) -> PortResult<Option<Searchable>> {
        let history = History { api: self.feed.api, token: self.feed.token };
        let failed = "read a thread of Slack";
        match history.thread(&channel.id, root).await {
            Ok((messages, _)) => {
                let thread = self.feed.read(channel, root, messages).await;
                let thread = thread.map_err(|failure| failure.port("team knowledge", failed))?;
                Ok((!thread.messages.is_empty()).then(|| Searchable::from(thread)))
            }
            Err(failure) if *failure.kind() == ErrorKind::Missing && !failure.code().is_empty() => Ok(None),
            Err(failure) => Err(failure.port("team knowledge", failed)),
        }
    }
}

/// Direct messages answer nobody, private channels answer private repositories.
fn may_answer(channel: &WireChannel, private: bool) -> bool {
    !channel.is_direct() && (private || !is_private(channel))
}

/// Ids of old private channels begin with G.
fn is_private(channel: &WireChannel) -> bool {
    channel.is_private || channel.id.starts_with('G')
}

/// A term as a quoted phrase; `None` when nothing of it can be searched for.
fn phrase(term: &str) -> Option<String> {
    let plain: String = term.chars().map(|c| if c.is_control() || is_quote(c) { ' ' } else { c }).collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    let text: String = words.join(" ").chars().take(PHRASE).collect();
    let telling = text.chars().filter(|c| c.is_alphanumeric()).count();
    (telling >= 2).then(|| format!("\"{}\"", text.trim_end()))
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\u{201c}'..='\u{201f}' | '\u{ab}' | '\u{bb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_words_inside_a_phrase() {
        assert_eq!(phrase("yaml.load").as_deref(), Some("\"yaml.load\""));
        assert_eq!(phrase("x\" in:secrets from:@boss \u{201d}y").as_deref(), Some("\"x in:secrets from:@boss y\""));
        assert_eq!(phrase("a\n\tb").as_deref(), Some("\"a b\""));
    }

    #[test]
    fn what_is_no_word_is_not_searched_for() {
        for nothing in ["", " ", "\"\"", "()", "x"] {
            assert_eq!(phrase(nothing), None, "{nothing}");
        }
        assert!(phrase(&"long ".repeat(100)).unwrap().len() <= PHRASE + 2);
    }

    #[test]
    fn who_may_read_a_channel_decides_whom_it_answers() {
        let channel = |json: &str| -> WireChannel { serde_json::from_str(json).unwrap() };
        let (public, private) = (channel(r#"{"id":"C1"}"#), channel(r#"{"id":"C2","is_private":true}"#));
        let direct = [r#"{"id":"D1"}"#, r#"{"id":"C3","is_im":true}"#, r#"{"id":"C4","is_mpim":true}"#].map(channel);
        assert!(may_answer(&public, false) && may_answer(&private, true));
        assert!(!may_answer(&private, false) && !may_answer(&channel(r#"{"id":"G1"}"#), false));
        assert!(direct.iter().all(|channel| !may_answer(channel, true)));
    }
}
