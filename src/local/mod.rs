//! The laptop's backends: embedded stores, local clones, exported chat. One file per port.

pub mod clock;
pub mod embedder;
pub mod git;
pub mod inbox;
pub mod memory;
pub mod model;
pub mod notifier;
pub mod secrets;
pub mod slack_export;
pub mod store;
pub mod verify_command;
