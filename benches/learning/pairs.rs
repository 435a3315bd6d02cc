//! Fixes that developers made: one JSON object a line.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

/// One fix. Other fields are passed over.
#[derive(Debug, Clone, Deserialize)]
pub struct Pair {
    pub id: String,
    /// `owner/name`.
    pub repo: String,
    pub commit: String,
    /// Unix seconds.
    pub time: i64,
    pub path: String,
    /// The scanner's rule, without the scanner's name.
    pub rule: String,
    /// First line of the finding, from 1.
    pub row: usize,
    pub start_byte: usize,
    /// The whole file before, and after with only the developer's hunk that holds the finding.
    pub before: String,
    pub after_hunk: String,
}

/// In order of time.
pub fn read(path: &Path) -> Vec<Pair> {
    let text = std::fs::read_to_string(path).expect("the pairs can be read");
    let mut pairs: Vec<Pair> = text.lines().map(|line| serde_json::from_str(line).expect("a pair a line")).collect();
    pairs.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
    pairs
}

pub fn repositories(pairs: &[Pair]) -> BTreeSet<&str> {
    pairs.iter().map(|pair| pair.repo.as_str()).collect()
}
