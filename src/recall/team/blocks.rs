//! Code in a chat message: fenced blocks, and the words before each.

/// A fenced block and what introduces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Without the fences, dedented, ends with a newline.
    pub code: String,
    /// The text between the block before and this one, lower case.
    pub lead: String,
}

/// Longest block read, bytes.
const BLOCK: usize = 20_000;
/// Blocks read of one message.
const BLOCKS: usize = 20;

/// The fenced blocks of a message, in order. An unclosed fence runs to the end.
#[must_use]
pub fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut parts = text.split("```");
    let mut lead = parts.next().unwrap_or_default();
    while let Some(inside) = parts.next() {
        let code = dedent(without_language(inside));
        if !code.trim().is_empty() && code.len() <= BLOCK && found.len() < BLOCKS {
            found.push(Block { code, lead: lead.to_lowercase() });
        }
        lead = parts.next().unwrap_or_default();
    }
    found
}

/// Drops the language that people write after the fence by habit.
fn without_language(inside: &str) -> &str {
    let Some((first, rest)) = inside.split_once('\n') else { return inside };
    let is_language = !first.is_empty() && first.len() <= 12 && first.chars().all(|c| c.is_ascii_alphanumeric());
    let trimmed = first.trim();
    if trimmed.is_empty() || (is_language && KNOWN.contains(&trimmed.to_lowercase().as_str())) { rest } else { inside }
}

const KNOWN: [&str; 16] = [
    "python",
    "py",
    "javascript",
    "js",
    "typescript",
    "ts",
    "tsx",
    "jsx",
    "java",
    "go",
    "golang",
    "diff",
    "patch",
    "yaml",
    "hcl",
    "terraform",
];

fn dedent(code: &str) -> String {
    let indent = code
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start_matches([' ', '\t']).len())
        .min()
        .unwrap_or(0);
    let mut out = String::with_capacity(code.len() + 1);
    for line in code.trim_end().lines() {
        out.push_str(line.get(indent..).unwrap_or_default().trim_end_matches('\r'));
        out.push('\n');
    }
    out.trim_start_matches('\n').to_owned()
}

/// Whether a block is a diff: most lines say so, and both sides are there.
#[must_use]
pub fn is_diff(code: &str) -> bool {
    let starts =
        |mark: char| code.lines().any(|l| l.starts_with(mark) && !l.starts_with("--- ") && !l.starts_with("+++ "));
    starts('-') && starts('+')
}

/// The hunks of a diff as old and new lines, context dropped: with it fragments parse less often.
#[must_use]
pub fn hunks(code: &str) -> Vec<(String, String)> {
    let mut hunks: Vec<(String, String)> = Vec::new();
    let mut changing = false;
    for line in code.lines() {
        let header = ["--- ", "+++ ", "@@", "diff ", "index "].iter().any(|mark| line.starts_with(mark));
        match (header, line.chars().next()) {
            (false, Some(sign @ ('-' | '+'))) => {
                if !changing {
                    hunks.push(Default::default());
                }
                changing = true;
                if let Some((old, new)) = hunks.last_mut() {
                    let side = if sign == '-' { old } else { new };
                    side.push_str(line.get(1..).unwrap_or_default());
                    side.push('\n');
                }
            }
            _ => changing = false,
        }
    }
    hunks.retain(|(old, new)| !old.trim().is_empty() && !new.trim().is_empty());
    hunks.into_iter().map(|(old, new)| (dedent(&old), dedent(&new))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fenced_blocks_are_read_with_what_leads_to_them() {
        let found = blocks("Don't do\n```python\n    a = 1\n```\nUse ```b = 2``` instead");
        assert_eq!(found[0], Block { code: "a = 1\n".into(), lead: "don't do\n".into() });
        assert_eq!((found[1].code.as_str(), found[1].lead.as_str()), ("b = 2\n", "\nuse "));
    }

    #[test]
    fn a_diff_gives_its_two_sides_without_context() {
        let diff = "@@ -1,3 +1,3 @@\n import yaml\n-a = yaml.load(f)\n+a = yaml.safe_load(f)\n b = 2\n";
        assert!(is_diff(diff));
        assert_eq!(hunks(diff), [("a = yaml.load(f)\n".to_owned(), "a = yaml.safe_load(f)\n".to_owned())]);
    }

    #[test]
    fn arithmetic_is_no_diff() {
        assert!(!is_diff("a = 1\nb = -2\n"));
    }
}
