//! Which call or place a dotted path names: `subprocess.{run,call}`, `*.execute`, `**.request.args`.

use std::collections::BTreeMap;

/// One alternative of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// `*`: one part or more.
    Some,
    /// `**`: any number of parts, none included.
    Any,
    Text(String),
    /// Text with `*` for any characters in it: what stands between them.
    Glob(Vec<String>),
}

type Pattern = Vec<Segment>;

/// Patterns with what each means, found by the last part of a path.
#[derive(Debug, Clone)]
pub(super) struct Patterns<T> {
    entries: Vec<(Pattern, T)>,
    by_last: BTreeMap<String, Vec<usize>>,
    open: Vec<usize>,
}

impl<T> Default for Patterns<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), by_last: BTreeMap::new(), open: Vec::new() }
    }
}

impl<T: Clone> Patterns<T> {
    /// Adds every alternative of a pattern as written.
    pub fn add(&mut self, pattern: &str, meaning: &T) {
        for alternative in alternatives(pattern) {
            let segments: Pattern = alternative.split('.').map(segment).collect();
            let index = self.entries.len();
            match segments.last() {
                Some(Segment::Text(last)) => self.by_last.entry(last.clone()).or_default().push(index),
                _ => self.open.push(index),
            }
            self.entries.push((segments, meaning.clone()));
        }
    }
}

impl<T> Patterns<T> {
    /// The meanings of all patterns that one of the paths fits, in the order they were added.
    pub fn matching<'p>(&'p self, paths: &[&str]) -> Vec<&'p T> {
        let mut found = Vec::new();
        for path in paths {
            let last = path.rsplit('.').next().unwrap_or_default();
            let direct = self.by_last.get(last).into_iter().flatten();
            let candidates = direct.chain(&self.open);
            let parts: Vec<&str> = path.split('.').collect();
            let fitting = |index: &&usize| self.entries.get(**index).is_some_and(|(pattern, _)| fits(pattern, &parts));
            found.extend(candidates.filter(fitting).copied());
        }
        found.sort_unstable();
        found.dedup();
        found.into_iter().filter_map(|index| self.entries.get(index).map(|(_, meaning)| meaning)).collect()
    }

    pub fn first(&self, paths: &[&str]) -> Option<&T> {
        self.matching(paths).into_iter().next()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn any(&self, paths: &[&str]) -> bool {
        self.first(paths).is_some()
    }

    /// For each pattern the parts of it that are fixed, and what it means.
    pub fn fixed_parts(&self) -> impl Iterator<Item = (Vec<&str>, &T)> {
        self.entries.iter().map(|(pattern, meaning)| {
            let fixed = pattern.iter().filter_map(|segment| match segment {
                Segment::Text(text) => Some(text.as_str()),
                _ => None,
            });
            (fixed.collect(), meaning)
        })
    }
}

fn fits(pattern: &[Segment], parts: &[&str]) -> bool {
    let Some((first, rest)) = pattern.split_first() else { return parts.is_empty() };
    match first {
        Segment::Any => (0..=parts.len()).any(|skip| fits(rest, parts.get(skip..).unwrap_or_default())),
        Segment::Some => (1..=parts.len()).any(|skip| fits(rest, parts.get(skip..).unwrap_or_default())),
        Segment::Text(text) => parts.first() == Some(&text.as_str()) && fits(rest, parts.get(1..).unwrap_or_default()),
        Segment::Glob(glob) => {
            parts.first().is_some_and(|part| glob_fits(glob, part)) && fits(rest, parts.get(1..).unwrap_or_default())
        }
    }
}

/// Whether `text` is these pieces with anything between them. Letters of both cases are alike.
fn glob_fits(pieces: &[String], text: &str) -> bool {
    let mut rest = text.as_bytes();
    let last = pieces.len().saturating_sub(1);
    for (number, piece) in pieces.iter().enumerate() {
        let here =
            |at: usize| rest.get(at..at + piece.len()).is_some_and(|one| one.eq_ignore_ascii_case(piece.as_bytes()));
        let room = rest.len().checked_sub(piece.len());
        let at = match room {
            None => None,
            Some(_) if number == 0 => Some(0).filter(|at| here(*at)),
            Some(room) if number == last => Some(room).filter(|at| here(*at)),
            Some(room) => (0..=room).find(|at| here(*at)),
        };
        let Some(at) = at else { return false };
        rest = rest.get(at + piece.len()..).unwrap_or_default();
    }
    true
}

fn segment(text: &str) -> Segment {
    match text {
        "*" => Segment::Some,
        "**" => Segment::Any,
        _ if text.contains('*') => Segment::Glob(text.split('*').map(str::to_owned).collect()),
        _ => Segment::Text(text.to_owned()),
    }
}

/// Most texts that the braces of one pattern may stand for.
const MAX_ALTERNATIVES: usize = 2_000;

/// The pattern with each choice of its `{a,b}`.
fn alternatives(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(text) = open.pop() {
        let group = text.find('{').and_then(|start| text.find('}').filter(|end| *end > start).map(|end| (start, end)));
        match group {
            Some((start, end)) if open.len() + done.len() < MAX_ALTERNATIVES => {
                let (head, tail) = (text.get(..start).unwrap_or_default(), text.get(end + 1..).unwrap_or_default());
                let choices = text.get(start + 1..end).unwrap_or_default().split(',');
                open.extend(choices.map(|choice| format!("{head}{choice}{tail}")));
            }
            _ => done.push(text),
        }
    }
    done.sort();
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(pattern: &str, path: &str) -> bool {
        let mut patterns = Patterns::default();
        patterns.add(pattern, &());
        patterns.any(&[path])
    }

    #[test]
    fn patterns_name_paths() {
        assert!(fit("subprocess.{run,call}", "subprocess.call"));
        assert!(!fit("subprocess.{run,call}", "subprocess.Popen"));
        assert!(fit("*.execute", "self.db.execute") && !fit("*.execute", "execute"));
        assert!(fit("**.request.args", "request.args") && fit("**.request.args", "self.request.args"));
        assert!(!fit("**.request.args", "self.request.args.x"));
        assert!(fit("**.*valid*", "is_Valid") && fit("**.*valid*", "a.validate_name"));
        assert!(fit("log.Fatal*", "log.Fatalf") && !fit("log.Fatal*", "log.Print"));
        assert!(fit("Runtime.getRuntime().exec", "Runtime.getRuntime().exec"));
    }

    #[test]
    fn a_glob_does_not_use_the_same_text_twice() {
        assert!(!fit("ab*ba", "aba"));
        assert!(fit("ab*ba", "abba"));
    }

    #[test]
    fn braces_end() {
        assert!(alternatives(&"{a,b,c,d,e,f,g,h}".repeat(30)).len() <= 2 * MAX_ALTERNATIVES);
    }
}
