//! `codehealer memory`.

use anyhow::Result;
use clap::Subcommand;

use super::{Exit, Session};

#[derive(Subcommand)]
pub enum MemoryCommand {}

/// Runs the command.
pub async fn run(_session: &Session, command: MemoryCommand) -> Result<Exit> {
    match command {}
}
