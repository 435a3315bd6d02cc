//! `codehealer model`: whether the configured model can do what is asked of it.

mod check;
mod show;

use anyhow::Result;
use clap::Subcommand;

use super::{Exit, Session};

#[derive(Subcommand)]
pub enum ModelCommand {
    /// Send one known case to the configured model; ends with 1 when no answer passes the checks
    ///
    /// Shows the question, each answer, the edit that was read from it, what the checks say of it, and what it took. It says
    /// that the endpoint works and is understood, not how good the model is.
    ///
    /// Examples: codehealer model check
    ///           codehealer model check --model-url http://127.0.0.1:8000/v1 --model llama-3.1-8b
    ///           codehealer model check --which large --json
    Check(check::CheckArgs),
}

/// Runs the command.
pub async fn run(session: &Session, command: ModelCommand) -> Result<Exit> {
    match command {
        ModelCommand::Check(args) => check::check(session, args).await,
    }
}
