//! `codehealer config`.

use anyhow::Result;
use clap::Subcommand;

use super::{Exit, Session};

#[derive(Subcommand)]
pub enum ConfigCommand {}

/// Runs the command.
pub fn run(_session: &Session, command: ConfigCommand) -> Result<Exit> {
    match command {}
}
