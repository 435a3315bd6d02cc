//! Vectors of one rule side by side in memory, and the search among them.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::ports::FixQuery;

/// Vectors in one block of memory; growing never copies those that are there.
const BLOCK: usize = 1024;

/// Bytes that all groups together may keep between look-ups: a hundred thousand fixes of 768 dimensions, and half as many again.
const CACHE_BYTES: usize = 480 * 1024 * 1024;

/// Lanes that the compiler turns into vector instructions.
const LANES: usize = 16;

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
    unit: Vec<f32>,
    exact: Vec<f64>,
}

impl Vector {
    /// `None` when it is empty or not all numbers are finite.
    pub fn new(raw: &[f32]) -> Option<Self> {
        if raw.is_empty() || !raw.iter().all(|x| x.is_finite()) {
            return None;
        }
        let mut unit = raw.to_vec();
        normalise(&mut unit);
        Some(Self { unit, exact: raw.iter().map(|x| f64::from(*x)).collect() })
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

/// The unit vectors of one group.
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
    vectors: Vec<f32>,
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
            let begin = block.vectors.len();
            block.vectors.extend(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)));
            if let Some(vector) = block.vectors.get_mut(begin..) {
                normalise(vector);
            }
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

    /// The `limit` most similar fixes that the viewer may see, in order; similarities in single precision.
    pub fn search(&self, wanted: &Vector, viewer: Viewer<'_>, limit: usize) -> Vec<Hit> {
        let own = self.repositories.get(viewer.repository).copied();
        let mut best: Vec<Hit> = Vec::new();
        let mut worst_kept = f64::NEG_INFINITY;
        for block in &self.blocks {
            for (fix, vector) in block.fixes.iter().zip(block.vectors.chunks_exact(self.dimensions)) {
                if !viewer.private && fix.only_for.is_some() && fix.only_for != own {
                    continue;
                }
                let similarity = f64::from(dot(&wanted.unit, vector));
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
        let block = |b: &Block| b.vectors.capacity() * size_of::<f32>() + b.fixes.capacity() * size_of::<Entry>();
        self.blocks.iter().map(block).sum()
    }
}

fn keep(best: &mut Vec<Hit>, limit: usize) {
    best.sort_unstable_by(Hit::nearer);
    best.truncate(limit);
}

fn normalise(vector: &mut [f32]) {
    let square: f64 = vector.iter().map(|x| f64::from(*x).powi(2)).sum();
    if square > 0.0 {
        #[expect(clippy::cast_possible_truncation, reason = "the exact cosine is computed later, in double precision")]
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / square.sqrt()) as f32);
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for (sum, (x, y)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += x * y;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
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
