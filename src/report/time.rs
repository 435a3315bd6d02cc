//! Times and amounts as people read them.

use chrono::DateTime;

use crate::model::UnixMillis;

/// `2026-11-20 17:25:35 UTC`.
#[must_use]
pub fn instant(at: UnixMillis) -> String {
    formatted(at, "%Y-%m-%d %H:%M:%S UTC")
}

/// `17:25:35.123`, UTC.
#[must_use]
pub fn time_of_day(at: UnixMillis) -> String {
    formatted(at, "%H:%M:%S%.3f")
}

/// RFC 3339, for machines: `2026-11-20T17:25:35.123Z`.
#[must_use]
pub fn rfc3339(at: UnixMillis) -> String {
    formatted(at, "%Y-%m-%dT%H:%M:%S%.3fZ")
}

fn formatted(at: UnixMillis, format: &str) -> String {
    let time = i64::try_from(at).ok().and_then(DateTime::from_timestamp_millis);
    time.map_or_else(|| format!("{at} ms after 1970"), |time| time.format(format).to_string())
}

/// `12 ms`, `3.4 s`, `2 min 5 s`.
#[must_use]
pub fn duration(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        _ => format!("{} min {} s", millis / 60_000, millis % 60_000 / 1000),
    }
}

/// Millionths of a dollar as dollars.
#[must_use]
pub fn dollars(micros: u64) -> String {
    format!("${}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_whatever_the_machine_says() {
        assert_eq!(instant(1_767_225_600_123), "2026-01-01 00:00:00 UTC");
        assert_eq!(time_of_day(1_767_225_600_123), "00:00:00.123");
        assert_eq!(rfc3339(1_767_225_600_123), "2026-01-01T00:00:00.123Z");
        assert_eq!(instant(u64::MAX), format!("{} ms after 1970", u64::MAX));
    }

    #[test]
    fn amounts_have_a_unit() {
        let durations = [0, 999, 1_000, 61_000].map(duration);
        assert_eq!(durations, ["0 ms", "999 ms", "1.0 s", "1 min 1 s"]);
        assert_eq!(dollars(1_234_567), "$1.234567");
    }
}
