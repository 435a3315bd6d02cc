//! Which added file was which removed one: equal content first, then at least half of the lines in common.
//!
//! The measure is git's (`diffcore-delta`): bytes of shared lines over the size of the larger file, 50 % needed. Work is
//! bounded by [`Limits`]; pairs beyond it stay an addition and a removal, which only makes more of the file count as new.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use git2::{Oid, Repository};

use super::read;
use crate::model::RepoPath;

/// One end of a possible rename.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub path: RepoPath,
    pub id: Oid,
    /// Bytes.
    pub size: u64,
}

struct Limits {
    /// Files that are compared by content, each side.
    files: usize,
    /// Largest such file, bytes.
    file_size: u64,
    /// Line look-ups for all pairs together.
    steps: usize,
}

const LIMITS: Limits = Limits { files: 400, file_size: 512 * 1024, steps: 20_000_000 };

/// Pairs of (index in `added`, index in `removed`); each file is used once.
pub(super) fn pair(repo: &Repository, removed: &[Candidate], added: &[Candidate]) -> Vec<(usize, usize)> {
    let mut pairs = exact(removed, added);
    let used_added: BTreeSet<usize> = pairs.iter().map(|(target, _)| *target).collect();
    let used_removed: BTreeSet<usize> = pairs.iter().map(|(_, origin)| *origin).collect();
    let targets = profiles(repo, added, &used_added);
    let origins = profiles(repo, removed, &used_removed);
    pairs.extend(similar(&origins, &targets));
    pairs
}

/// Equal blobs, a file of the same name preferred.
fn exact(removed: &[Candidate], added: &[Candidate]) -> Vec<(usize, usize)> {
    let mut by_id: BTreeMap<Oid, Vec<usize>> = BTreeMap::new();
    for (index, candidate) in removed.iter().enumerate().filter(|(_, candidate)| candidate.size > 0) {
        by_id.entry(candidate.id).or_default().push(index);
    }
    let mut pairs = Vec::new();
    for (target, candidate) in added.iter().enumerate() {
        let Some(origins) = by_id.get_mut(&candidate.id) else { continue };
        let same_name = |index: &usize| {
            removed.get(*index).is_some_and(|origin| origin.path.file_name() == candidate.path.file_name())
        };
        let place = origins.iter().position(same_name).or(if origins.is_empty() { None } else { Some(0) });
        if let Some(place) = place {
            pairs.push((target, origins.swap_remove(place)));
        }
    }
    pairs
}

/// The lines of a file by hash, with the bytes that they make up.
struct Profile<'a> {
    index: usize,
    candidate: &'a Candidate,
    lines: BTreeMap<u64, u64>,
}

fn profiles<'a>(repo: &Repository, files: &'a [Candidate], used: &BTreeSet<usize>) -> Vec<Profile<'a>> {
    let wanted = files
        .iter()
        .enumerate()
        .filter(|(index, file)| !used.contains(index) && file.size > 0 && file.size <= LIMITS.file_size);
    wanted
        .take(LIMITS.files)
        .filter_map(|(index, candidate)| {
            let bytes = read::blob(repo, candidate.id).ok()?;
            Some(Profile { index, candidate, lines: lines_of(&bytes) })
        })
        .collect()
}

fn lines_of(bytes: &[u8]) -> BTreeMap<u64, u64> {
    let mut lines = BTreeMap::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let mut hasher = DefaultHasher::new();
        line.hash(&mut hasher);
        *lines.entry(hasher.finish()).or_default() += line.len() as u64;
    }
    lines
}

/// Greedy pairs, the most similar first; equals go by name and then by order.
fn similar(origins: &[Profile<'_>], targets: &[Profile<'_>]) -> Vec<(usize, usize)> {
    let mut steps = LIMITS.steps;
    let mut scored = Vec::new();
    for target in targets {
        for origin in origins {
            let cost = target.lines.len().min(origin.lines.len());
            if !comparable(origin.candidate, target.candidate) || cost > steps {
                continue;
            }
            steps -= cost;
            let score = shared_per_mille(origin, target);
            if score >= 500 {
                let other_name = origin.candidate.path.file_name() != target.candidate.path.file_name();
                scored.push((std::cmp::Reverse(score), other_name, target.index, origin.index));
            }
        }
    }
    scored.sort_unstable();
    let (mut taken, mut spent) = (BTreeSet::new(), BTreeSet::new());
    scored.retain(|(_, _, target, origin)| {
        let free = !taken.contains(target) && !spent.contains(origin);
        free && taken.insert(*target) && spent.insert(*origin)
    });
    scored.into_iter().map(|(_, _, target, origin)| (target, origin)).collect()
}

/// Cheap refusal: another kind of file, or sizes so different that half can never be shared.
fn comparable(a: &Candidate, b: &Candidate) -> bool {
    a.path.extension() == b.path.extension() && a.size.min(b.size) * 2 >= a.size.max(b.size)
}

fn shared_per_mille(a: &Profile<'_>, b: &Profile<'_>) -> u64 {
    let (few, many) = if a.lines.len() <= b.lines.len() { (a, b) } else { (b, a) };
    let shared: u64 =
        few.lines.iter().map(|(line, bytes)| many.lines.get(line).map_or(0, |other| *bytes.min(other))).sum();
    shared * 1000 / a.candidate.size.max(b.candidate.size).max(1)
}
