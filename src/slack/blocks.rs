//! A notice as Block Kit: a header, the issue line, the link, what there is to say, and where it comes from.
//!
//! Limits are those of Slack's reference: 150 characters a header, 3,000 a section, 50 blocks; a message with more than some
//! 13,000 characters in its blocks is refused, so less is sent.

use reqwest::Url;
use slack_morphism::blocks::{
    SlackBlock, SlackBlockMarkDownText, SlackBlockPlainText, SlackContextBlock, SlackHeaderBlock, SlackSectionBlock,
};

use super::mrkdwn::{Piece, escape, pieces};
use crate::detect::redact::redact;
use crate::model::{Notice, NoticeKind, sha256_hex};

const HEADER: usize = 150;
/// Of a section's 3,000, fences included.
const SECTION: usize = 2_900;
/// Characters of all sections with the body.
const BODY: usize = 9_000;
/// Sections with the body.
const SECTIONS: usize = 40;
/// Characters of the text that stands in for the blocks in notifications.
const FALLBACK: usize = 400;
/// Longest address that is linked.
const LINK: usize = 2_000;

/// A notice as it is sent.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// For notifications and screen readers, escaped.
    pub text: String,
    pub blocks: Vec<SlackBlock>,
    /// Of text and blocks, whoever is mentioned: tells whether a message that was sent has to be changed.
    pub digest: String,
}

impl Rendered {
    /// `mention` is Slack's markup for whom to call, `<@U…>`.
    #[must_use]
    pub fn new(notice: &Notice, mention: Option<&str>) -> Self {
        let headline = redact(&notice.headline).into_owned();
        let text = cut(&escape(&headline), FALLBACK);
        let mut blocks = vec![header(notice), plain(&headline)];
        blocks.extend(link(notice));
        blocks.extend(body(&redact(&notice.body)));
        blocks.push(origin(notice));
        let json = serde_json::to_string(&blocks).unwrap_or_default();
        let digest = sha256_hex(&[text.as_bytes(), json.as_bytes()]).chars().take(32).collect();
        if let Some(mention) = mention {
            blocks.insert(2, markup(format!("{mention}, please look.")));
        }
        Self { text, blocks, digest }
    }
}

fn header(notice: &Notice) -> SlackBlock {
    let what = match notice.kind {
        NoticeKind::PullRequest => "Fix proposed",
        NoticeKind::Draft => "Draft fix: please look",
        NoticeKind::Escalation => "Needs a person",
        NoticeKind::Failure => "A fix failed",
        NoticeKind::Report => "CodeHealer",
    };
    let text = cut(&escape(&format!("{what} · {}", notice.repository)), HEADER);
    SlackHeaderBlock::new(SlackBlockPlainText::new(text).with_emoji(false).into()).into()
}

/// The issue line, in which nothing is markup.
fn plain(headline: &str) -> SlackBlock {
    let text = cut(&escape(headline), SECTION);
    // Slack refuses an empty section.
    let text = if text.trim().is_empty() { "(no headline)".to_owned() } else { text };
    SlackSectionBlock::new().with_text(SlackBlockPlainText::new(text).with_emoji(false).as_block_text()).into()
}

/// mrkdwn in which Slack looks for no addresses and names by itself.
fn markup(text: String) -> SlackBlock {
    let text = SlackBlockMarkDownText::new(text).with_verbatim(true);
    SlackSectionBlock::new().with_text(text.as_block_text()).into()
}

/// The one thing that is linked: the address that the forge gave. A link, not a button: buttons call back.
fn link(notice: &Notice) -> Option<SlackBlock> {
    let url = Url::parse(notice.link.as_deref()?).ok()?;
    let address = escape(url.as_str()).replace('|', "%7C");
    let is_web = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    let label = if notice.kind == NoticeKind::Draft { "Open the draft" } else { "Open the pull request" };
    (is_web && address.len() <= LINK).then(|| markup(format!("<{address}|{label}>")))
}

fn origin(notice: &Notice) -> SlackBlock {
    let text = cut(&escape(&format!("CodeHealer · {}", notice.repository)), HEADER);
    SlackContextBlock::new(vec![SlackBlockPlainText::new(text).with_emoji(false).into()]).into()
}

/// The body in as many sections as it takes, up to a limit that is told.
fn body(markdown: &str) -> Vec<SlackBlock> {
    let mut blocks = Vec::new();
    let mut left = BODY;
    for piece in pieces(markdown) {
        let (text, fence) = match &piece {
            Piece::Text(text) => (text, ""),
            Piece::Code(code) => (code, "```"),
        };
        for part in parts(text, SECTION - 2 * (fence.len() + 1)) {
            let length = count(&part);
            if length > left || blocks.len() >= SECTIONS {
                blocks.push(markup("_…cut here; the audit trail has the rest._".to_owned()));
                return blocks;
            }
            left -= length;
            let shown = if fence.is_empty() { part } else { format!("{fence}\n{part}\n{fence}") };
            blocks.push(markup(shown));
        }
    }
    blocks
}

/// Text in parts of at most `limit` characters, ended at lines where that is possible; empty parts left out.
fn parts(text: &str, limit: usize) -> Vec<String> {
    let mut parts = vec![String::new()];
    for line in text.lines() {
        let mut rest = line;
        loop {
            let Some(last) = parts.last_mut() else { return parts };
            let room = limit.saturating_sub(count(last) + 1);
            if count(rest) <= room {
                if !last.is_empty() {
                    last.push('\n');
                }
                last.push_str(rest);
                break;
            }
            if last.is_empty() {
                let head = head(rest, limit - 1);
                last.push_str(head);
                rest = rest.get(head.len()..).unwrap_or_default();
            }
            parts.push(String::new());
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// Length as Slack may count it: UTF-16 units are the most that it can be.
fn count(text: &str) -> usize {
    text.encode_utf16().count()
}

/// At most `limit` units from the front, ended at a character and outside of an entity.
fn head(text: &str, limit: usize) -> &str {
    let mut units = 0;
    let mut end = 0;
    for (at, c) in text.char_indices() {
        units += c.len_utf16();
        if units > limit {
            break;
        }
        end = at + c.len_utf8();
    }
    let head = text.get(..end).unwrap_or_default();
    match head.rfind('&') {
        // At least something has to be taken.
        Some(at) if at > 0 && end < text.len() && !head.get(at..).unwrap_or_default().contains(';') => {
            head.get(..at).unwrap_or_default()
        }
        _ => head,
    }
}

fn cut(text: &str, limit: usize) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if count(&line) <= limit { line } else { format!("{}…", head(&line, limit - 1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(headline: &str, body: &str) -> Notice {
        Notice {
            key: "k".into(),
            kind: NoticeKind::Draft,
            headline: headline.into(),
            body: body.into(),
            repository: "acme/shop".into(),
            link: Some("https://github.com/acme/shop/pull/7".into()),
            for_senior: true,
            earlier: None,
            since: 0,
        }
    }

    fn texts(rendered: &Rendered) -> Vec<String> {
        let json = serde_json::to_value(&rendered.blocks).unwrap();
        let of = |block: &serde_json::Value| block["text"]["text"].as_str().map(str::to_owned);
        json.as_array().unwrap().iter().filter_map(of).collect()
    }

    #[test]
    fn everything_stays_within_slacks_limits() {
        let long = "<&>é🦀 ".repeat(4_000);
        let many = "- x\n\n```\ny\n```\n".repeat(500);
        for body in [long.as_str(), many.as_str(), &format!("```\n{long}\n```"), &"&".repeat(20_000)] {
            let rendered = Rendered::new(&notice(&long, body), Some("<@U1>"));
            assert!(rendered.blocks.len() <= 50, "{}", rendered.blocks.len());
            let texts = texts(&rendered);
            assert!(texts[0].encode_utf16().count() <= HEADER && count(&rendered.text) <= FALLBACK);
            for text in &texts {
                assert!((1..=3_000).contains(&count(text)), "{} {text}", count(text));
                assert!(!text.ends_with("&am") && !text.ends_with('&') && !text.ends_with("&l"), "{text}");
            }
            assert!(texts.iter().map(|text| count(text)).sum::<usize>() < 13_000);
        }
    }

    #[test]
    fn a_code_block_over_sections_is_closed_and_opened_again() {
        let rendered = Rendered::new(&notice("h", &format!("```diff\n{}```", "+ line of code\n".repeat(400))), None);
        let code: Vec<String> = texts(&rendered).into_iter().filter(|text| text.contains("+ line")).collect();
        assert!(code.len() > 1);
        assert!(code.iter().all(|text| text.starts_with("```\n") && text.ends_with("\n```")));
    }

    #[test]
    fn only_a_plain_web_address_is_linked() {
        for (link, linked) in [
            ("https://github.com/a/b/pull/1?x=1&y=2", true),
            ("javascript:alert(1)", false),
            ("https://user:pass@evil.example/", false),
            ("/tmp/pull-request.md", false),
        ] {
            let rendered = Rendered::new(&Notice { link: Some(link.into()), ..notice("h", "b") }, None);
            assert_eq!(texts(&rendered).iter().any(|text| text.starts_with('<')), linked, "{link}");
        }
        let hostile = Notice { link: Some("https://x.example/a|<!here>".into()), ..notice("h", "b") };
        let shown = texts(&Rendered::new(&hostile, None)).join("\n");
        assert_eq!((shown.matches('<').count(), shown.matches('|').count()), (1, 1), "{shown}");
    }

    #[test]
    fn who_is_called_does_not_change_the_digest() {
        let (called, quiet) = (Rendered::new(&notice("h", "b"), Some("<@U1>")), Rendered::new(&notice("h", "b"), None));
        assert_eq!(called.digest, quiet.digest);
        assert_ne!(Rendered::new(&notice("h", "c"), None).digest, quiet.digest);
    }
}
