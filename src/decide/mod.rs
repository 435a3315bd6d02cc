//! The decision tree: what a run has done, what it does next, and what its evidence amounts to. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod choose;
mod transition;
mod walk;

pub use choose::{Choice, best_by_finding, order_for_union};
pub use transition::{IllegalStep, after};
pub use walk::{DEFER_AT_MOST_MS, ReplayError, Step, Walk};
