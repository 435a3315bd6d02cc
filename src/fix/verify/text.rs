//! Text that a reader of the diff would not see, or would see in another order.

use crate::model::Edit;

/// What hidden characters the edits add, for people.
pub(super) fn hidden(edits: &[Edit]) -> Option<String> {
    let found = edits.iter().flat_map(|edit| edit.text.chars()).find(|c| is_hidden(*c))?;
    Some(format!("it adds the invisible or control character U+{:04X}", u32::from(found)))
}

/// Control characters but for the white space of source code, and what Unicode says has no shape of its own
/// (categories Cf, Zl, Zp; fillers; variation selectors; tags), bidirectional controls included.
fn is_hidden(c: char) -> bool {
    if c.is_control() {
        return !matches!(c, '\n' | '\r' | '\t');
    }
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{115f}' | '\u{1160}'
            | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_is_not_hidden() {
        for c in "aé日😀\t\n\r €\u{a0}_«".chars() {
            assert!(!is_hidden(c), "U+{:04X}", u32::from(c));
        }
        for c in ['\0', '\u{1b}', '\u{7f}', '\u{85}', '\u{200b}', '\u{202e}', '\u{2066}', '\u{feff}', '\u{e0041}'] {
            assert!(is_hidden(c), "U+{:04X}", u32::from(c));
        }
    }
}
