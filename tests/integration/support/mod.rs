//! What tests share: a clock to turn, small git repositories, and reference models.

pub mod clock;
pub mod git;
pub mod reference;
