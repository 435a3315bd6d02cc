//! What becomes of a push, in whole worlds: faults, people, hostile input. Each test runs with the embedded store and with
//! DynamoDB, unless it has no state to speak of.

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
