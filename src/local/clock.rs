//! The system's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::UnixMillis;
use crate::ports::Clock;

/// The time of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    /// A clock that stands before 1970 reads as 1970.
    fn now(&self) -> UnixMillis {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis::try_from(elapsed.as_millis()).unwrap_or(UnixMillis::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_later_than_this_line_was_written() {
        assert!(SystemClock.now() > 1_760_000_000_000);
    }
}
