//! `codehealer audit`.

use anyhow::Result;
use clap::Subcommand;

use super::{Exit, Session};

#[derive(Subcommand)]
pub enum AuditCommand {}

/// Runs the command.
pub async fn run(_session: &Session, command: AuditCommand) -> Result<Exit> {
    match command {}
}
