//! One suite per port, run on every backend: the same questions, the same answers.

pub mod forge;
pub mod inbox;
pub mod memory;
pub mod model;
pub mod notifier;
pub mod state;
pub mod team;
