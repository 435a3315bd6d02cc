//! `codehealer doctor`.

use anyhow::Result;
use clap::Args;

use super::{Exit, Session};

#[derive(Args)]
pub struct DoctorArgs {}

/// Runs the command.
pub async fn run(_session: &Session, _args: DoctorArgs) -> Result<Exit> {
    Ok(Exit::Done)
}
