//! Blocks of lines to search for and what takes their place: each must be found in the region exactly once.
//!
//! The form is that of merge conflicts, which models have seen often; lines are compared as they stand, but for white
//! space at their ends.

use std::ops::Range;

/// Blocks of one answer.
const BLOCKS: usize = 8;

/// Why blocks cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBlocks {
    #[error("the answer has no SEARCH block")]
    None,
    #[error("the answer has more than {BLOCKS} blocks")]
    TooMany,
    #[error("block {0} is not whole: SEARCH, =======, REPLACE")]
    Broken(usize),
    #[error("block {0} searches for nothing")]
    Empty(usize),
    #[error("the lines that block {0} searches for are not in the region")]
    NotFound(usize),
    #[error("the lines that block {0} searches for are in the region {1} times")]
    Ambiguous(usize, usize),
    #[error("block {0} changes lines that an earlier block changes")]
    Overlap(usize),
}

#[derive(Default)]
struct Block {
    search: Vec<String>,
    replace: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Outside,
    Search,
    Replace,
}

/// The region with all blocks applied, each to the region as it was.
///
/// # Errors
/// When a block is not whole, is not found exactly once, or touches another.
pub fn applied(body: &[String], old: &str) -> Result<String, BadBlocks> {
    let blocks = parsed(body)?;
    let newline = if old.contains("\r\n") { "\r\n" } else { "\n" };
    let lines: Vec<&str> = old.split_inclusive('\n').collect();
    let mut places: Vec<(Range<usize>, &Block)> = Vec::new();
    for (number, block) in (1..).zip(&blocks) {
        let place = found(&lines, &block.search, number)?;
        if places.iter().any(|(taken, _)| taken.start < place.end && place.start < taken.end) {
            return Err(BadBlocks::Overlap(number));
        }
        places.push((place, block));
    }
    places.sort_by_key(|(place, _)| place.start);
    let mut new = String::with_capacity(old.len());
    let mut at = 0;
    for (place, block) in places {
        new.extend(lines.get(at..place.start).unwrap_or_default().iter().copied());
        for line in &block.replace {
            new.push_str(line);
            new.push_str(newline);
        }
        at = place.end;
    }
    new.extend(lines.get(at..).unwrap_or_default().iter().copied());
    if !old.ends_with('\n') {
        new.truncate(new.trim_end_matches(['\r', '\n']).len());
    }
    Ok(new)
}

fn parsed(body: &[String]) -> Result<Vec<Block>, BadBlocks> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut state = State::Outside;
    for line in body {
        let mark = line.trim_end();
        let number = blocks.len();
        state = match (state, mark) {
            (State::Outside, "<<<<<<< SEARCH") => {
                blocks.push(Block::default());
                State::Search
            }
            (State::Search, "=======") => State::Replace,
            (State::Replace, ">>>>>>> REPLACE") => State::Outside,
            (_, "<<<<<<< SEARCH" | "=======" | ">>>>>>> REPLACE") => return Err(BadBlocks::Broken(number.max(1))),
            (State::Outside, _) => State::Outside,
            (state, _) => {
                if let Some(block) = blocks.last_mut() {
                    let side = if state == State::Search { &mut block.search } else { &mut block.replace };
                    side.push(line.clone());
                }
                state
            }
        };
    }
    match (state, blocks.len()) {
        (State::Outside, 0) => Err(BadBlocks::None),
        (State::Outside, 1..=BLOCKS) => Ok(blocks),
        (State::Outside, _) => Err(BadBlocks::TooMany),
        (_, number) => Err(BadBlocks::Broken(number)),
    }
}

fn found(lines: &[&str], search: &[String], number: usize) -> Result<Range<usize>, BadBlocks> {
    if search.iter().all(|line| line.trim().is_empty()) {
        return Err(BadBlocks::Empty(number));
    }
    let same = |window: &[&str]| window.iter().zip(search).all(|(line, sought)| line.trim_end() == sought.trim_end());
    let places: Vec<usize> =
        lines.windows(search.len()).enumerate().filter(|(_, window)| same(window)).map(|(at, _)| at).collect();
    match places.as_slice() {
        [] => Err(BadBlocks::NotFound(number)),
        [at] => Ok(*at..at + search.len()),
        all => Err(BadBlocks::Ambiguous(number, all.len())),
    }
}
