//! A clock that stands still until a test turns it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use codehealer::model::UnixMillis;
use codehealer::ports::Clock;

pub struct VirtualClock(AtomicU64);

impl VirtualClock {
    /// Begins at a round time in 2026.
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(1_767_225_600_000)))
    }

    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Seconds since the epoch.
    pub fn seconds(&self) -> u64 {
        self.now() / 1000
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> UnixMillis {
        self.0.load(Ordering::SeqCst)
    }
}
