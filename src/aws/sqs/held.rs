//! The messages that this process works on. SQS moves no messages and knows no reasons: to put one aside is to send it again
//! elsewhere, so its body is kept until it ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::millis;
use crate::model::UnixMillis;
use crate::ports::Taken;

/// By receipt. Clones share.
#[derive(Debug, Clone, Default)]
pub(super) struct Held(Arc<Mutex<BTreeMap<String, Message>>>);

/// A message that is being worked on.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub body: Arc<str>,
    pub attempts: u32,
    /// When it was taken.
    pub since: UnixMillis,
    /// From then on it may be another worker's, although SQS would often still obey the old receipt.
    until: UnixMillis,
    /// Whether it lies among the dead letters already, and only its removal is left.
    pub sent: bool,
}

impl Held {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Message>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a message that is hidden from others for `visibility`, counted from `since`.
    pub fn hold(&self, taken: &Taken, since: UnixMillis, visibility: Duration) {
        let until = since.saturating_add(millis(visibility));
        let message = Message { body: taken.body.as_str().into(), attempts: taken.attempts, since, until, sent: false };
        let mut all = self.all();
        // Workers that died never gave theirs back.
        all.retain(|_, held| held.until > since);
        all.insert(taken.receipt.clone(), message);
    }

    /// Ends the work on a message. `None` when its time had run out, or when this process does not work on it.
    pub fn release(&self, receipt: &str, now: UnixMillis) -> Option<Message> {
        self.all().remove(receipt).filter(|held| held.until > now)
    }

    /// Keeps a message whose end could not be told to the queue, so that it can be told again.
    pub fn keep(&self, receipt: &str, message: Message) {
        self.all().insert(receipt.to_owned(), message);
    }

    /// Keeps a message that is hidden for `wait` more, counted from `now`: its receipt stays good for so long.
    pub fn prolong(&self, receipt: &str, message: Message, now: UnixMillis, wait: Duration) {
        if !wait.is_zero() {
            self.keep(receipt, Message { until: now.saturating_add(millis(wait)), ..message });
        }
    }
}
