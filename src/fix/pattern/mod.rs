//! Learned edit patterns at work: matching them at a finding, applying them, and asking other fixes whether they agree.

mod agreement;
pub(in crate::fix) mod align;
mod apply;
pub mod builtins;
mod compare;
pub(in crate::fix) mod fragment;
pub mod guards;
pub(crate) mod kinds;
mod loose;
mod matching;
pub(in crate::fix) mod names;
mod propose;
mod render;
pub(in crate::fix) mod splice;
pub(crate) mod tree;

pub(in crate::fix) use agreement::reproduces;
pub use agreement::{Agreement, agreement, rule_record};
pub(in crate::fix) use apply::Results;
pub use apply::{Application, DEFAULT_STEPS, apply};
pub use compare::{same_code, shape};
#[cfg(test)]
pub(in crate::fix) use names::foreign_names;
pub use propose::{Proposal, Request, propose};
pub use render::Applied;
pub use tree::TreeError;
