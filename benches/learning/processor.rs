//! Time that this thread computed: on a machine that does other work the clock on the wall says little.

use std::time::{Duration, Instant};

/// Since when this thread's work is counted.
pub struct Began {
    computed: Option<Duration>,
    wall: Instant,
}

impl Began {
    pub fn now() -> Self {
        Self { computed: computed(), wall: Instant::now() }
    }

    /// Milliseconds of processor time; where the system does not tell them, those that passed.
    pub fn milliseconds(&self) -> f64 {
        let spent = match (self.computed, computed()) {
            (Some(before), Some(now)) => now.saturating_sub(before),
            _ => self.wall.elapsed(),
        };
        1e3 * spent.as_secs_f64()
    }
}

/// Linux counts the nanoseconds of each thread.
fn computed() -> Option<Duration> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(told.split_whitespace().next()?.parse().ok()?))
}
