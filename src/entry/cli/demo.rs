//! `codehealer demo`.

use anyhow::Result;
use clap::Args;

use super::{Exit, Session};

#[derive(Args)]
pub struct DemoArgs {}

/// Runs the command.
pub async fn run(_session: &Session, _args: DemoArgs) -> Result<Exit> {
    Ok(Exit::Done)
}
