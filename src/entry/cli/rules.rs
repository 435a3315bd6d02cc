//! `codehealer rules`.

use anyhow::Result;
use clap::Subcommand;

use super::{Exit, Session};

#[derive(Subcommand)]
pub enum RulesCommand {}

/// Runs the command.
pub fn run(_session: &Session, command: RulesCommand) -> Result<Exit> {
    match command {}
}
