//! What tests share: a clock to turn, and reference models.

pub mod clock;
pub mod reference;
