//! What Slack refuses in Block Kit, by the limits of its reference.

use serde_json::Value;

const BLOCKS: usize = 50;
const ALL: usize = 13_200;

/// The first thing that is wrong with a message's blocks.
pub fn check(blocks: &Value) -> Result<(), &'static str> {
    let list = blocks.as_array().ok_or("invalid_blocks_format")?;
    if list.len() > BLOCKS {
        return Err("invalid_blocks");
    }
    let mut total = 0;
    for block in list {
        let (kinds, most) = match block["type"].as_str() {
            Some("header") => (&["plain_text"][..], 150),
            Some("section") => (&["plain_text", "mrkdwn"][..], 3_000),
            Some("context") => {
                context(block)?;
                continue;
            }
            Some("divider") => continue,
            _ => return Err("invalid_blocks"),
        };
        total += text(&block["text"], kinds, most)?;
    }
    if total > ALL { Err("msg_blocks_too_long") } else { Ok(()) }
}

fn context(block: &Value) -> Result<(), &'static str> {
    let elements = block["elements"].as_array().ok_or("invalid_blocks")?;
    if elements.is_empty() || elements.len() > 10 {
        return Err("invalid_blocks");
    }
    elements.iter().try_for_each(|element| text(element, &["plain_text", "mrkdwn"], 2_000).map(drop))
}

/// Length of a text object.
fn text(object: &Value, kinds: &[&str], most: usize) -> Result<usize, &'static str> {
    let kind = object["type"].as_str().filter(|kind| kinds.contains(kind)).ok_or("invalid_blocks")?;
    // `verbatim` belongs to mrkdwn, `emoji` to plain text.
    let foreign = if kind == "mrkdwn" { "emoji" } else { "verbatim" };
    let length = object["text"].as_str().ok_or("invalid_blocks")?.encode_utf16().count();
    if object.get(foreign).is_some() || length == 0 || length > most { Err("invalid_blocks") } else { Ok(length) }
}
