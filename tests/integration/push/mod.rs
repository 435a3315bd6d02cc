//! What becomes of a push, in whole worlds: faults, people, hostile input.

mod again;
mod hostile;
mod killed;
mod limits;
mod people;
mod process;
pub mod receiver;
mod rivals;
mod secrets;
mod sources;
