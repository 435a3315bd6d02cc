//! The laptop's backends: embedded stores, local clones, exported chat. One file per port.

pub mod clock;
pub mod git;
pub mod inbox;
pub mod memory;
pub mod secrets;
pub mod store;
