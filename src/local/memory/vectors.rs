//! Vectors of one rule side by side in memory, and the search among them.
//!
//! In memory a component is a 16-bit integer, which halves what a look-up has to read. That finds the candidates; their
//! cosines are computed from the stored vectors. A candidate can be missed only where more than [`super::SPARE`] others
//! lie within the rounding, about 0.00003 in cosine.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::ports::FixQuery;

/// Vectors in one block of memory; growing never copies those that are there.
const BLOCK: usize = 1024;

/// Bytes that all groups together may keep between look-ups: 160,000 fixes of 768 dimensions.
const CACHE_BYTES: usize = 256 * 1024 * 1024;

/// What 1.0 becomes. The product of two unit vectors then stays below 2³¹, by Cauchy and Schwarz in all its partial sums too.
const ONE: f64 = 32_767.0;

/// What a look-up never mixes: every vector of a group is of the same kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupKey {
    pub rule: String,
    pub organisation: String,
    pub language: String,
    pub embedder: String,
    dimensions: usize,
}

impl GroupKey {
    pub fn of(query: &FixQuery) -> Self {
        Self {
            rule: query.rule.as_str().to_owned(),
            organisation: query.organisation.clone(),
            language: query.language.to_string(),
            embedder: query.embedder.clone(),
            dimensions: query.vector.len(),
        }
    }
}

/// Who looks: private fixes are seen by private repositories and by the one they come from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Viewer<'a> {
    pub private: bool,
    pub repository: &'a str,
}

/// A stored fix and how similar it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Hit {
    /// Row number.
    pub n: i64,
    /// Settles which of equally similar fixes comes first.
    pub tie: i64,
    pub similarity: f64,
}

impl Hit {
    /// `Less` when `self` comes before `other` in an answer.
    pub fn nearer(&self, other: &Self) -> Ordering {
        other.similarity.total_cmp(&self.similarity).then(self.tie.cmp(&other.tie)).then(self.n.cmp(&other.n))
    }
}

/// A vector that was asked for, with its length taken out.
pub(super) struct Vector {
    rounded: Vec<i16>,
    exact: Vec<f64>,
}

impl Vector {
    /// `None` when it is empty or not all numbers are finite.
    pub fn new(raw: &[f32]) -> Option<Self> {
        if raw.is_empty() || !raw.iter().all(|x| x.is_finite()) {
            return None;
        }
        Some(Self { rounded: round(raw).collect(), exact: raw.iter().map(|x| f64::from(*x)).collect() })
    }

    /// The cosine in double precision, -1 to 1; 0 when either vector has no direction.
    pub fn cosine(&self, other: &[f32]) -> f64 {
        let (mut dot, mut a, mut b) = (0.0, 0.0, 0.0);
        for (x, y) in self.exact.iter().zip(other) {
            let y = f64::from(*y);
            dot += x * y;
            a += x * x;
            b += y * y;
        }
        if a > 0.0 && b > 0.0 { (dot / (a.sqrt() * b.sqrt())).clamp(-1.0, 1.0) } else { 0.0 }
    }
}

/// The vectors of one group, rounded.
#[derive(Default)]
pub(super) struct Group {
    blocks: Vec<Block>,
    repositories: BTreeMap<String, u32>,
    newest: i64,
    dimensions: usize,
}

/// Up to [`BLOCK`] fixes and, one after the other, their vectors.
struct Block {
    fixes: Vec<Entry>,
    vectors: Vec<i16>,
}

struct Entry {
    n: i64,
    tie: i64,
    /// Number of the repository that alone may see it; `None` when all may.
    only_for: Option<u32>,
}

impl Group {
    /// The highest row number seen; 0 at first.
    pub fn newest(&self) -> i64 {
        self.newest
    }

    pub fn clear(&mut self) {
        *self = Self { dimensions: self.dimensions, ..Self::default() };
    }

    /// Adds a fix with its vector as stored. A vector of other dimensions is passed over.
    pub fn push(&mut self, fix: Hit, repository: &str, private: bool, stored: &[u8]) {
        self.newest = self.newest.max(fix.n);
        let (numbers, rest) = stored.as_chunks::<4>();
        if numbers.len() != self.dimensions || !rest.is_empty() {
            return;
        }
        let only_for = private.then(|| self.number_of(repository));
        if self.blocks.last().is_none_or(|block| block.fixes.len() == BLOCK) {
            // As they fill most groups stay small: the first block grows as it is used.
            let room = if self.blocks.is_empty() { 0 } else { BLOCK };
            let (fixes, vectors) = (Vec::with_capacity(room), Vec::with_capacity(room * self.dimensions));
            self.blocks.push(Block { fixes, vectors });
        }
        if let Some(block) = self.blocks.last_mut() {
            let vector: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            block.vectors.extend(round(&vector));
            block.fixes.push(Entry { n: fix.n, tie: fix.tie, only_for });
        }
    }

    fn number_of(&mut self, repository: &str) -> u32 {
        if let Some(number) = self.repositories.get(repository) {
            return *number;
        }
        let number = u32::try_from(self.repositories.len()).unwrap_or(u32::MAX);
        self.repositories.insert(repository.to_owned(), number);
        number
    }

    /// The `limit` most similar fixes that the viewer may see, in order; similarities are rounded.
    pub fn search(&self, wanted: &Vector, viewer: Viewer<'_>, limit: usize) -> Vec<Hit> {
        let own = self.repositories.get(viewer.repository).copied();
        let mut best: Vec<Hit> = Vec::new();
        let mut worst_kept = f64::NEG_INFINITY;
        for block in &self.blocks {
            for (fix, vector) in block.fixes.iter().zip(block.vectors.chunks_exact(self.dimensions)) {
                if !viewer.private && fix.only_for.is_some() && fix.only_for != own {
                    continue;
                }
                let similarity = f64::from(dot(&wanted.rounded, vector));
                if similarity >= worst_kept {
                    best.push(Hit { n: fix.n, tie: fix.tie, similarity });
                    // Twice the room, so that sorting is rare.
                    if best.len() >= limit.saturating_mul(2) {
                        keep(&mut best, limit);
                        worst_kept = best.last().map_or(worst_kept, |hit| hit.similarity);
                    }
                }
            }
        }
        keep(&mut best, limit);
        best
    }

    fn bytes(&self) -> usize {
        let block = |b: &Block| b.vectors.capacity() * size_of::<i16>() + b.fixes.capacity() * size_of::<Entry>();
        self.blocks.iter().map(block).sum()
    }
}

fn keep(best: &mut Vec<Hit>, limit: usize) {
    best.sort_unstable_by(Hit::nearer);
    best.truncate(limit);
}

/// The vector scaled to a length of [`ONE`], or zeros when it has no direction.
fn round(vector: &[f32]) -> impl Iterator<Item = i16> {
    let square: f64 = vector.iter().map(|x| f64::from(*x).powi(2)).sum();
    let scale = if square > 0.0 { ONE / square.sqrt() } else { 0.0 };
    #[allow(clippy::cast_possible_truncation)] // No component is longer than the vector.
    vector.iter().map(move |x| (f64::from(*x) * scale).round() as i16)
}

fn dot(a: &[i16], b: &[i16]) -> i32 {
    a.iter().zip(b).map(|(x, y)| i32::from(*x) * i32::from(*y)).sum()
}

/// The groups that were looked at, least lately used ones dropped when they take too much.
#[derive(Default)]
pub(super) struct Cache {
    groups: Mutex<BTreeMap<GroupKey, Arc<Shared>>>,
    clock: AtomicUsize,
}

/// A group that several look-ups read at once.
#[derive(Default)]
pub(super) struct Shared {
    group: RwLock<Group>,
    bytes: AtomicUsize,
    used: AtomicUsize,
}

impl Cache {
    pub fn group(&self, key: &GroupKey) -> Arc<Shared> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = groups.entry(key.clone()).or_insert_with(|| {
            let group = Group { dimensions: key.dimensions, ..Group::default() };
            Arc::new(Shared { group: RwLock::new(group), ..Shared::default() })
        });
        shared.used.store(self.clock.fetch_add(1, Relaxed), Relaxed);
        Arc::clone(shared)
    }

    /// Drops groups other than `current` until the rest is within bounds.
    pub fn trim(&self, current: &GroupKey) {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        while groups.values().map(|shared| shared.bytes.load(Relaxed)).sum::<usize>() > CACHE_BYTES {
            let others = groups.iter().filter(|(key, _)| *key != current);
            let Some(oldest) = others.min_by_key(|(_, shared)| shared.used.load(Relaxed)).map(|(key, _)| key.clone())
            else {
                return;
            };
            groups.remove(&oldest);
        }
    }
}

impl Shared {
    pub fn read<T>(&self, look: impl FnOnce(&Group) -> T) -> T {
        look(&self.group.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn update<T>(&self, change: impl FnOnce(&mut Group) -> T) -> T {
        let mut group = self.group.write().unwrap_or_else(PoisonError::into_inner);
        let answer = change(&mut group);
        self.bytes.store(group.bytes(), Relaxed);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_unit_vectors_never_overflow() {
        for dimensions in [1, 2, 3, 768, 16 * 1024] {
            let alike: Vec<i16> = round(&vec![f32::MAX; dimensions]).collect();
            let error = (f64::from(dot(&alike, &alike)) / (ONE * ONE) - 1.0).abs();
            assert!(error < 0.01, "{dimensions} dimensions: off by {error}");
        }
    }

    #[test]
    fn a_vector_without_direction_is_similar_to_none() {
        let zero = Vector::new(&[0.0, 0.0]).unwrap();
        assert_eq!(zero.rounded, [0, 0]);
        assert_eq!(zero.cosine(&[1.0, 0.0]), 0.0);
    }

    #[test]
    fn long_and_short_vectors_of_one_direction_are_alike() {
        let cosine = |scale: f32| Vector::new(&[3.0 * scale, 4.0 * scale]).unwrap().cosine(&[3.0, 4.0]);
        for scale in [1e-30, 1.0, 1e30] {
            assert!((cosine(scale) - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn the_least_lately_used_group_makes_room() {
        let cache = Cache::default();
        let key = |rule: &str| GroupKey {
            rule: rule.to_owned(),
            organisation: String::new(),
            language: String::new(),
            embedder: String::new(),
            dimensions: 2,
        };
        for rule in ["a", "b", "a", "c"] {
            cache.group(&key(rule)).bytes.store(CACHE_BYTES / 2, Relaxed);
        }
        cache.trim(&key("c"));
        let kept: Vec<String> = cache.groups.lock().unwrap().keys().map(|key| key.rule.clone()).collect();
        assert_eq!(kept, ["a", "c"]);
        cache.group(&key("c")).bytes.store(2 * CACHE_BYTES, Relaxed);
        cache.trim(&key("c"));
        assert_eq!(cache.groups.lock().unwrap().len(), 1, "the one in use stays, however large");
    }
}
