//! CODEOWNERS as GitHub reads it: the last pattern that matches a file says who owns it.

use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobSet};

/// Where GitHub looks, in this order; the first one there counts.
pub(super) const PLACES: [&str; 3] = [".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"];
/// Larger files are not loaded by GitHub either, bytes.
const LARGEST: usize = 3 * 1024 * 1024;
/// Rules that are read.
const RULES: usize = 10_000;
/// Longest pattern that is read, bytes, and its wildcards: what a pattern costs grows with them. Longer ones make no sense.
const PATTERN: usize = 1_000;
const WILDCARDS: usize = 50;

/// One line: files by pattern, and their owners, which may be none.
struct Rule {
    pattern: String,
    owners: Vec<String>,
}

pub(super) struct CodeOwners {
    rules: Vec<Rule>,
}

impl CodeOwners {
    /// Reads a file; lines that make no sense are skipped, as GitHub does.
    pub fn parse(text: &str) -> Self {
        let text = if text.len() > LARGEST { "" } else { text };
        Self { rules: text.lines().filter_map(rule).take(RULES).collect() }
    }

    /// Owners of any of these files: logins, and teams as `organisation/team`, each once, in order of the files.
    pub fn of<'a>(&self, paths: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut files: Vec<(&str, Option<&Rule>)> = paths.into_iter().map(|path| (path, None)).collect();
        // One pattern at a time: all of them together may fill the memory.
        for rule in self.rules.iter().rev() {
            if files.iter().all(|(_, known)| known.is_some()) {
                break;
            }
            let Some(globs) = globs(&rule.pattern) else { continue };
            let matching = files.iter_mut().filter(|(path, known)| known.is_none() && globs.is_match(path));
            matching.for_each(|(_, known)| *known = Some(rule));
        }
        let mut seen = BTreeSet::new();
        let owners = files.iter().filter_map(|(_, rule)| *rule).flat_map(|rule| &rule.owners);
        owners.filter(|owner| seen.insert(owner.to_lowercase())).cloned().collect()
    }
}

fn rule(line: &str) -> Option<Rule> {
    let mut words = words(line).into_iter();
    let pattern = words.next().filter(|pattern| is_pattern(pattern))?;
    // Owners by e-mail cannot be asked through the API.
    let owners = words.filter_map(|word| word.strip_prefix('@').map(str::to_owned)).filter(|owner| is_owner(owner));
    Some(Rule { pattern, owners: owners.collect() })
}

/// Words up to a comment; a backslash takes a space or a `#` into the word.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(escaped @ (' ' | '#')) => word.push(escaped),
                Some(other) => word.extend(['\\', other]),
                None => word.push('\\'),
            },
            '#' => break,
            c if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Patterns are those of gitignore, without `!` and `[ ]`.
fn is_pattern(pattern: &str) -> bool {
    let wildcards = pattern.bytes().filter(|byte| matches!(byte, b'*' | b'?')).count();
    let bounded = pattern.len() <= PATTERN && wildcards <= WILDCARDS;
    bounded && !pattern.starts_with('!') && !pattern.contains(['[', ']', '{', '}'])
}

/// Matches what a pattern means.
fn globs(pattern: &str) -> Option<GlobSet> {
    let body = pattern.trim_start_matches('/');
    let anchored = pattern.starts_with('/') || body.trim_end_matches('/').contains('/');
    let body = if anchored || body.starts_with("**/") { body.to_owned() } else { format!("**/{body}") };
    let mut globs = Vec::new();
    if let Some(folder) = body.strip_suffix('/') {
        globs.push(format!("{folder}/**"));
    } else {
        // A name may be that of a folder, and then means all in it; `dir/*` means the files right there only.
        if !body.ends_with("/*") && !body.ends_with("**") {
            globs.push(format!("{body}/**"));
        }
        globs.push(body);
    }
    // A set says when it cannot be made; a matcher of one glob would panic.
    let mut set = GlobSet::builder();
    for text in &globs {
        set.add(GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build().ok()?);
    }
    set.build().ok()
}

/// A login, or `organisation/team`.
fn is_owner(owner: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && part.len() <= 100
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    match owner.split_once('/') {
        Some((organisation, team)) => plain(organisation) && plain(team),
        None => plain(owner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GitHub's own example, shortened.
    const EXAMPLE: &str = "# comment\n\
        *       @global-owner1 @global-owner2\n\
        *.js    @js-owner #This is an inline comment.\n\
        *.go docs@example.com\n\
        *.txt @octo-org/octocats\n\
        /build/logs/ @doctocat\n\
        docs/* docs@example.com @docs\n\
        apps/ @octocat\n\
        /docs/ @doctocat\n\
        /scripts/ @doctocat @octocat\n\
        **/logs @logger\n\
        /apps/github\n";

    #[test]
    fn the_last_pattern_that_matches_wins() {
        let owners = CodeOwners::parse(EXAMPLE);
        for (path, expected) in [
            ("README.md", &["global-owner1", "global-owner2"][..]),
            ("src/deep/a.js", &["js-owner"]),
            ("a.go", &[]),
            ("x/y.txt", &["octo-org/octocats"]),
            ("build/logs/a/b.log", &["logger"]),
            ("build/log", &["global-owner1", "global-owner2"]),
            ("docs/a.md", &["doctocat"]),
            ("x/docs/a/b.js", &["js-owner"]),
            ("x/apps/y/a.js", &["octocat"]),
            ("deep/er/logs/today", &["logger"]),
            ("apps/github/a.js", &[]),
            ("scripts/run", &["doctocat", "octocat"]),
        ] {
            assert_eq!(owners.of([path]), expected, "{path}");
        }
    }

    #[test]
    fn owners_of_several_files_come_once_each() {
        let owners = CodeOwners::parse("* @Ann\n*.py @bob @ann\n");
        assert_eq!(owners.of(["a.md", "b.py", "c.py"]), ["Ann", "bob"]);
        assert_eq!(CodeOwners::parse("*.py @bob").of(["a.md"]), Vec::<String>::new());
    }

    #[test]
    fn a_star_does_not_cross_folders_and_odd_lines_are_skipped() {
        let owners =
            CodeOwners::parse("docs/* @docs\nmy\\ file.txt @space\n!no @x\n[a] @y\n*.md @bad/@name me@x @-ok\n");
        assert_eq!(owners.of(["docs/a/b"]), Vec::<String>::new());
        assert_eq!(owners.of(["docs/a"]), ["docs"]);
        assert_eq!(owners.of(["x/my file.txt"]), ["space"]);
        assert_eq!(owners.of(["no", "a"]), Vec::<String>::new());
        assert_eq!(owners.of(["a.md"]), ["-ok"]);
    }

    #[test]
    fn a_hostile_file_costs_little() {
        let owners = CodeOwners::parse(&format!("{} @x\n", "*a".repeat(WILDCARDS)));
        assert_eq!(owners.rules.len(), 1);
        assert_eq!(owners.of([format!("{}b", "a".repeat(3000)).as_str()]), Vec::<String>::new());
        assert_eq!(CodeOwners::parse(&"* @x\n".repeat(1_000_000)).of(["a"]), Vec::<String>::new());
    }

    /// A pattern may be so long that nothing can be made of it; the other lines still count.
    #[test]
    fn a_pattern_that_is_too_much_is_skipped_and_the_others_count() {
        let piece = "?".repeat(100);
        for bomb in [
            "*a".repeat(WILDCARDS + 1),
            "*a".repeat(100_000),
            "?".repeat(100_000),
            "**/".repeat(100_000),
            "a/".repeat(PATTERN),
            "\\*".repeat(100_000),
            format!("{piece}/").repeat(1_000),
            "é".repeat(100_000),
        ] {
            let owners = CodeOwners::parse(&format!("*.py @ann\n{bomb} @mallory\n{bomb}\n"));
            assert_eq!(owners.rules.len(), 1, "{bomb:.20}");
            assert_eq!(owners.of(["src/a.py", &"a".repeat(4_000), &piece]), ["ann"], "{bomb:.20}");
        }
        let most = "é".repeat(PATTERN / 2 - WILDCARDS) + &"*?".repeat(WILDCARDS / 2);
        assert_eq!(CodeOwners::parse(&format!("* @ann\n{most} @bob\n")).of([most.as_str(), "x"]), ["bob", "ann"]);
    }
}
