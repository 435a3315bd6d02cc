//! What becomes of a push, in whole worlds: faults, people, hostile input.

mod again;
mod killed;
mod people;
mod rivals;
