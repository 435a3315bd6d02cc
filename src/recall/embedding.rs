//! The built-in code embedding: no weights, no network, the same vector on every machine.
//!
//! Features are the 1- to 3-grams of the tokens on the finding's lines and the syntax kinds there with their parents and
//! grandparents. Lines around the finding are left out: they hurt retrieval. Each feature is hashed to one of 768
//! dimensions and a sign (feature hashing, Weinberger et al., ICML 2009), counts are damped by `1 + ln n`, and the vector
//! is scaled to length one, so that a dot product is the cosine.

use std::collections::BTreeMap;

use crate::fix::pattern::tree::{Fnv, Tree};
use crate::model::{Language, Span};

/// Name and version; vectors of different embedders are never compared.
pub const EMBEDDER: &str = "structural-1";
/// Length of a vector.
pub const DIMENSIONS: usize = 768;
/// Most tokens and most syntax nodes that are looked at: a finding is a few lines.
const MAX_TOKENS: usize = 600;
const MAX_NODES: usize = 1_200;
/// A longer token (a string, mostly) counts as its kind.
const MAX_TOKEN: usize = 60;

/// Embeds the lines of a finding. The vector has length one, or is all zero where there is no token.
/// A file that cannot be parsed, or a language without edit learning, is embedded by its tokens alone.
#[must_use]
pub fn embed(language: Language, text: &str, finding: Span) -> Vec<f32> {
    let lines = lines_of(text, finding);
    let mut features: BTreeMap<u64, u32> = BTreeMap::new();
    let mut add = |family: &str, parts: &[&str]| {
        let mut hash = Fnv::new();
        hash.add(family.as_bytes());
        for part in parts {
            hash.add(part.as_bytes());
        }
        *features.entry(hash.value()).or_default() += 1;
    };
    let tree = Tree::shared(language, text).ok();
    let tokens = tree.as_ref().map_or_else(|| lexed(text, lines), |tree| leaves(tree, lines));
    for length in 1..=3 {
        for gram in tokens.windows(length) {
            add("token", gram);
        }
    }
    if let Some(tree) = &tree {
        let here = |id: &usize| *id > 0 && tree.node(*id).named && starts_in(tree, *id, lines);
        for id in tree.ids().filter(here).take(MAX_NODES) {
            let mut path = vec![tree.node(id).kind];
            path.extend(tree.ancestors(id).take(2).map(|up| tree.node(up).kind));
            for length in 1..=path.len() {
                add("kind", path.get(..length).unwrap_or_default());
            }
        }
    }
    normalised(&features)
}

/// The cosine of two vectors of one embedder, -1 to 1; 0 when they do not compare (another length, or no direction).
#[must_use]
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    if a.len() != b.len() {
        return 0.0;
    }
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let length = (dot(a, a) * dot(b, b)).sqrt();
    if length > 0.0 && length.is_finite() { (dot(a, b) / length).clamp(-1.0, 1.0) } else { 0.0 }
}

/// From the first byte of the finding's first line to the end of its last.
/// The whole lines of a place, without the last line end.
#[must_use]
pub fn lines_of(text: &str, finding: Span) -> Span {
    let bytes = text.as_bytes();
    let start = finding.start.min(bytes.len());
    let end = finding.end.clamp(start, bytes.len());
    let head = bytes.get(..start).unwrap_or_default();
    let tail = bytes.get(end..).unwrap_or_default();
    let from = head.iter().rposition(|byte| *byte == b'\n').map_or(0, |i| i + 1);
    let to = end + tail.iter().position(|byte| *byte == b'\n').unwrap_or(tail.len());
    Span { start: from, end: to }
}

fn starts_in(tree: &Tree, id: usize, lines: Span) -> bool {
    (lines.start..lines.end.max(lines.start + 1)).contains(&tree.node(id).span.start)
}

fn leaves(tree: &Tree, lines: Span) -> Vec<&str> {
    let here = |id: &usize| tree.is_leaf(*id) && starts_in(tree, *id, lines);
    let token = |id: usize| if tree.text_of(id).len() > MAX_TOKEN { tree.node(id).kind } else { tree.text_of(id) };
    tree.ids().filter(here).take(MAX_TOKENS).map(token).collect()
}

/// Words and single other characters, where no grammar reads the text.
fn lexed(text: &str, lines: Span) -> Vec<&str> {
    let mut found = Vec::new();
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = text.get(lines.range()).unwrap_or_default().trim_start();
    while let Some(first) = rest.chars().next().filter(|_| found.len() < MAX_TOKENS) {
        let length = if word(first) { rest.find(|c| !word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
        let (token, tail) = rest.split_at(length);
        found.push(token);
        rest = tail.trim_start();
    }
    found
}

fn normalised(features: &BTreeMap<u64, u32>) -> Vec<f32> {
    let mut vector = vec![0.0_f64; DIMENSIONS];
    for (hash, count) in features {
        let sign = if hash >> 63 == 0 { 1.0 } else { -1.0 };
        let place = usize::try_from(hash % DIMENSIONS as u64).unwrap_or(0);
        if let Some(cell) = vector.get_mut(place) {
            *cell += sign * (1.0 + f64::from(*count).ln());
        }
    }
    let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    #[expect(clippy::cast_possible_truncation, reason = "a component of a unit vector")]
    vector.into_iter().map(|x| (x * scale) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, needle: &str) -> Vec<f32> {
        let start = text.find(needle).expect("the needle is in the text");
        embed(Language::Python, text, Span { start, end: start + needle.len() })
    }

    #[test]
    fn the_same_line_has_the_same_vector_wherever_it_stands() {
        let alone = of("x = yaml.load(f)\n", "yaml.load");
        let below = of("import a\n\nb = 1\nx = yaml.load(f)\nprint(x)\n", "yaml.load");
        assert_eq!(alone.len(), DIMENSIONS);
        assert!((cosine(&alone, &below) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn code_of_the_same_shape_is_nearer_than_other_code() {
        let query = of("data = yaml.load(stream)\n", "yaml.load");
        let near = of("config = yaml.load(handle)\n", "yaml.load");
        let far = of("if value == None:\n    pass\n", "== None");
        assert!(cosine(&query, &near) > cosine(&query, &far) + 0.2);
    }

    #[test]
    fn the_hash_never_changes() {
        // Stored vectors outlive this build: a change here needs another embedder name.
        let vector = of("x = yaml.load(f)\n", "yaml.load");
        let largest = vector.iter().enumerate().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs())).map(|(i, _)| i);
        let filled = vector.iter().filter(|x| **x != 0.0).count();
        assert_eq!((largest, filled), (Some(460), 41));
    }

    #[test]
    fn nothing_to_see_is_the_zero_vector() {
        let empty = embed(Language::Yaml, "", Span { start: 3, end: 9 });
        assert!(empty.iter().all(|x| *x == 0.0));
        assert!(cosine(&empty, &empty).abs() < f64::EPSILON);
        assert!(cosine(&empty, &[1.0]).abs() < f64::EPSILON);
    }
}
