//! One reading of a channel: its newest messages, a piece of the rest, and the replies of lively threads, within a budget.

use std::collections::{BTreeMap, BTreeSet};

use super::Feed;
use super::entry::{Entry, mark};
use super::store::{Held, MEMORY, THREADS};
use crate::model::UnixMillis;
use crate::ports::ErrorKind;
use crate::recall::chat::{self, RawMessage};
use crate::slack::api::Asked;
use crate::slack::history::{History, Range};
use crate::slack::wire::{WireChannel, WireMessage};

/// Messages of this age are read again each time, milliseconds.
const WINDOW: u64 = 2 * 24 * 60 * 60 * 1000;
/// Threads in which somebody spoke within this time have their replies read again, milliseconds.
const LIVELY: u64 = 3 * 24 * 60 * 60 * 1000;
/// But not more often than this, milliseconds.
const REREAD: u64 = 5 * 60 * 1000;
/// Pages of the rest of the channel that are read each time.
const SWEEP: usize = 4;

/// What a pass may cost. Slack allows 50 reads a minute and method; a Lambda must come to an end.
pub struct Budget {
    calls: usize,
    until: UnixMillis,
}

impl Budget {
    /// While somebody waits for an answer.
    pub fn for_an_answer(now: UnixMillis) -> Self {
        Self { calls: 30, until: now.saturating_add(10_000) }
    }

    /// In the background.
    pub fn for_a_round(now: UnixMillis) -> Self {
        Self { calls: 80, until: now.saturating_add(45_000) }
    }

    fn is_spent(&self, now: UnixMillis) -> bool {
        self.calls == 0 || now >= self.until
    }

    fn spend(&mut self, calls: usize) {
        self.calls = self.calls.saturating_sub(calls);
    }
}

pub struct Pass<'a> {
    feed: &'a Feed<'a>,
    channel: &'a WireChannel,
    held: &'a mut Held,
    budget: Budget,
    /// First messages of the threads that differ from what is stored.
    changed: BTreeSet<String>,
}

/// A part of the channel, from new to old.
struct Stretch {
    /// Time stamps, both exclusive.
    latest: Option<String>,
    oldest: Option<String>,
    pages: usize,
}

impl<'a> Pass<'a> {
    pub fn new(feed: &'a Feed<'a>, channel: &'a WireChannel, held: &'a mut Held, budget: Budget) -> Self {
        Self { feed, channel, held, budget, changed: BTreeSet::new() }
    }

    pub fn into_changed(self) -> Vec<String> {
        self.changed.into_iter().collect()
    }

    /// Reads until all is read or the budget is spent; what is left comes next time.
    pub async fn run(&mut self) -> Asked<()> {
        let top = Stretch { latest: None, oldest: self.window(), pages: usize::MAX };
        let begins = top.oldest.clone();
        if let Some(reached) = self.stretch(top).await? {
            // The rest goes on below, so that nothing is left out in between.
            self.held.head.swept = Some(reached);
            return Ok(());
        }
        let from = self.held.head.swept.clone().or(begins);
        if let Some(latest) = from {
            let rest = Stretch { latest: Some(latest), oldest: self.held.head.floor.clone(), pages: SWEEP };
            self.held.head.swept = self.stretch(rest).await?;
        }
        self.lively().await?;
        self.trim();
        Ok(())
    }

    /// Where the newest messages begin: two days ago, or at the last one that is known.
    fn window(&self) -> Option<String> {
        let newest = self.held.threads.keys().next_back()?;
        let edge = self.feed.api.now().saturating_sub(WINDOW);
        let begins = chat::millis(newest).min(edge);
        let begins = self.held.head.floor.as_deref().map_or(begins, |floor| begins.max(chat::millis(floor)));
        // A millisecond before, because the edge itself is left out.
        let begins = begins.saturating_sub(1);
        Some(format!("{}.{:03}000", begins / 1000, begins % 1000))
    }

    /// Reads the stretch page by page; returns how far it came when it did not come to the end.
    async fn stretch(&mut self, stretch: Stretch) -> Asked<Option<String>> {
        let history = History { api: self.feed.api, token: self.feed.token };
        let mut high = stretch.latest.clone();
        let mut range = Range { latest: stretch.latest, oldest: stretch.oldest.clone(), ..Range::default() };
        for _ in 0..stretch.pages {
            if self.budget.is_spent(self.feed.api.now()) {
                return Ok(high);
            }
            self.budget.spend(1);
            let page = history.page(&self.channel.id, &range).await?;
            let (has_more, cursor) = (page.has_more, page.next.cursor());
            let lowest = page.messages.iter().map(|message| message.said.ts.clone()).min();
            let low = if has_more { lowest.clone() } else { stretch.oldest.clone() };
            if !has_more || lowest.is_some() {
                self.forget_deleted(&page.messages, low.as_deref(), high.as_deref());
            }
            if !self.take_in(page.messages).await? {
                return Ok(high);
            }
            if !has_more || (lowest.is_none() && cursor.is_none()) {
                return Ok(None);
            }
            high = lowest.or(high);
            // A server without cursors goes by time.
            if cursor.is_none() {
                range.latest.clone_from(&high);
            }
            range.cursor = cursor;
        }
        Ok(high)
    }

    /// What is stored between the two time stamps and no longer said was deleted.
    fn forget_deleted(&mut self, said: &[WireMessage], low: Option<&str>, high: Option<&str>) {
        let said: BTreeSet<&str> = said.iter().map(|message| message.said.ts.as_str()).collect();
        let is_between = |ts: &str| low.is_none_or(|low| ts > low) && high.is_none_or(|high| ts < high);
        let gone: Vec<String> =
            self.held.threads.keys().filter(|ts| is_between(ts) && !said.contains(ts.as_str())).cloned().collect();
        for root in gone {
            self.drop_thread(&root);
        }
    }

    /// Reads the threads of a page that changed; false when the budget did not last.
    async fn take_in(&mut self, messages: Vec<WireMessage>) -> Asked<bool> {
        for message in messages.into_iter().filter(|message| message.said.root() == message.said.ts) {
            let mark = mark(&message);
            let root = message.said.ts.clone();
            if self.held.threads.get(&root).is_some_and(|known| known.mark == mark) {
                continue;
            }
            if self.budget.is_spent(self.feed.api.now()) {
                return Ok(false);
            }
            let has_replies = message.reply_count.is_some_and(|count| count > 0);
            if !has_replies {
                self.keep(&root, vec![message.said], mark, false).await?;
            } else if let Some(messages) = self.replies(&root).await? {
                self.keep(&root, messages, mark, true).await?;
            }
        }
        Ok(true)
    }

    /// All messages of a thread; `None`, and forgotten, when it is gone.
    async fn replies(&mut self, root: &str) -> Asked<Option<Vec<RawMessage>>> {
        let history = History { api: self.feed.api, token: self.feed.token };
        self.held.head.reread.insert(root.to_owned(), self.feed.api.now());
        match history.thread(&self.channel.id, root).await {
            Ok((messages, calls)) => {
                self.budget.spend(calls);
                Ok(Some(messages))
            }
            Err(failure) if *failure.kind() == ErrorKind::Missing && failure.code() != "channel_not_found" => {
                self.budget.spend(1);
                self.drop_thread(root);
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    async fn keep(&mut self, root: &str, messages: Vec<RawMessage>, mark: String, has_replies: bool) -> Asked<()> {
        let strangers = self.feed.directory.unknown(&chat::people(&messages, self.feed.confirm), self.feed.api.now());
        self.budget.spend(strangers);
        let thread = self.feed.read(self.channel, root, messages).await?;
        let Some(entry) = Entry::new(thread, mark, has_replies) else {
            self.drop_thread(root);
            return Ok(());
        };
        let is_same = |known: &Entry| known.mark == entry.mark && known.thread() == entry.thread();
        if !self.held.threads.get(root).is_some_and(is_same) {
            self.changed.insert(root.to_owned());
            self.held.threads.insert(root.to_owned(), entry);
        }
        Ok(())
    }

    /// Reads the replies of threads in which somebody spoke lately once more, those that waited longest first.
    async fn lively(&mut self) -> Asked<()> {
        let now = self.feed.api.now();
        let is_lively = |entry: &Entry| entry.has_replies && now.saturating_sub(entry.last()) < LIVELY;
        let lively: Vec<String> =
            self.held.threads.iter().filter(|(_, entry)| is_lively(entry)).map(|(root, _)| root.clone()).collect();
        self.held.head.reread.retain(|root, _| lively.contains(root));
        let read = |root: &String, at: &BTreeMap<String, UnixMillis>| at.get(root).copied().unwrap_or(0);
        let reread = &self.held.head.reread;
        let mut due: Vec<(UnixMillis, String)> = lively.into_iter().map(|root| (read(&root, reread), root)).collect();
        due.retain(|(at, _)| now.saturating_sub(*at) >= REREAD);
        due.sort();
        for (_, root) in due {
            if self.budget.is_spent(self.feed.api.now()) {
                break;
            }
            let Some(mark) = self.held.threads.get(&root).map(|entry| entry.mark.clone()) else { continue };
            if let Some(messages) = self.replies(&root).await? {
                self.keep(&root, messages, mark, true).await?;
            }
        }
        Ok(())
    }

    /// Gives up the oldest threads when there are too many.
    fn trim(&mut self) {
        let mut bytes: usize = self.held.threads.values().map(|entry| entry.size).sum();
        while self.held.threads.len() > THREADS || bytes > MEMORY {
            let Some((root, entry)) = self.held.threads.pop_first() else { return };
            bytes = bytes.saturating_sub(entry.size);
            self.changed.insert(root.clone());
            self.held.head.floor = Some(root);
        }
    }

    fn drop_thread(&mut self, root: &str) {
        if self.held.threads.remove(root).is_some() {
            self.changed.insert(root.to_owned());
        }
    }
}
