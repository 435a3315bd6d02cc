//! Where a message stands, as the link that people follow and that we read again.

use crate::model::UnixMillis;
use crate::recall::chat::permalink;

/// Digits after the point of a time stamp.
const FRACTION: usize = 6;

/// A channel and a time stamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub channel: String,
    pub ts: String,
}

impl Place {
    /// Reads what [`Self::link`] wrote; `None` for anything else, such as the file of a laptop's notice.
    pub fn parse(reference: &str) -> Option<Self> {
        if let Some((channel, ts)) = reference.strip_prefix("slack:").and_then(|rest| rest.split_once('/')) {
            return (is_channel_id(channel) && is_timestamp(ts))
                .then(|| Self { channel: channel.to_owned(), ts: ts.to_owned() });
        }
        let (_, path) = reference.split_once("/archives/")?;
        let (channel, message) = path.split_once('/')?;
        let digits = message.split(['?', '/', '#']).next()?.strip_prefix('p')?;
        let (seconds, fraction) = digits.split_at_checked(digits.len().checked_sub(FRACTION)?)?;
        let ts = format!("{seconds}.{fraction}");
        (is_channel_id(channel) && is_timestamp(&ts)).then(|| Self { channel: channel.to_owned(), ts })
    }

    /// A permalink of the workspace at `url`, or a reference of our own where its address is not known.
    pub fn link(&self, url: &str) -> String {
        // Only stamps with the usual number of digits can be told apart again.
        let fraction = self.ts.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        match url {
            url if url.starts_with("http") && fraction == FRACTION => permalink(url, &self.channel, &self.ts),
            _ => format!("slack:{}/{}", self.channel, self.ts),
        }
    }
}

/// Whether it is a channel's id and not its name, which has no capital letters.
pub fn is_channel_id(text: &str) -> bool {
    let rest = text.strip_prefix(['C', 'G', 'D']).unwrap_or_default();
    rest.len() >= 2 && rest.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
}

fn is_timestamp(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    text.split_once('.').is_some_and(|(seconds, fraction)| is_number(seconds) && is_number(fraction))
}

/// A time in Slack's notation.
pub fn timestamp(at: UnixMillis) -> String {
    format!("{}.{:03}000", at / 1000, at % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_read_again() {
        let place = Place { channel: "C0123ABC".into(), ts: "1700000000.000100".into() };
        for url in ["https://acme.slack.com/", "https://acme.slack.com", ""] {
            assert_eq!(Place::parse(&place.link(url)), Some(place.clone()), "{url}");
        }
        assert_eq!(place.link("https://acme.slack.com/"), "https://acme.slack.com/archives/C0123ABC/p1700000000000100");
        assert!(
            Place::parse("https://acme.slack.com/archives/C0123ABC/p1700000000000100?thread_ts=1&cid=C1").is_some()
        );
    }

    #[test]
    fn other_references_are_none() {
        for other in [
            "",
            "/home/x/notices/ab.md",
            "slack:general/1.2",
            "slack:C012/x",
            "https://x/archives/C012/p12",
            "https://x/archives/../p1700000000000100",
            "slack:C012",
            "https://x/archives/C012/1700000000000100",
        ] {
            assert_eq!(Place::parse(other), None, "{other}");
        }
    }
}
