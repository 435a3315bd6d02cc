//! CodeHealer finds the bugs a push brings in and proposes the verified fix as a pull request.
//!
//! Dependencies point one way: `model` ← pure modules ← `ports` ← `healer`; backends (`local`,
//! `aws`, `github`, `opensearch`, `slack`) know `ports` and `model`, never the healer and never each other; `wiring` and `entry` know all.
//! `docs/ARCHITECTURE.md` numbers the invariants; `tests/integration/architecture.rs` checks this map.

pub mod model;

pub mod decide;
pub mod detect;
pub mod fix;
pub mod recall;
pub mod report;
pub mod state;
pub mod webhook;

pub mod ports;

pub mod healer;

pub mod aws;
pub mod github;
pub mod local;
pub mod opensearch;
pub mod slack;

pub mod config;
pub mod entry;
pub mod telemetry;
pub mod wiring;
