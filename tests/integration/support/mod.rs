//! What tests share: a clock to turn, sample fixes, git repositories, and reference models.

pub mod clock;
pub mod fixes;
pub mod git;
pub mod reference;
