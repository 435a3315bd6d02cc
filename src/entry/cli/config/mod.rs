//! `codehealer config`: what counts, where it comes from, what is wrong with it.

mod check;
pub mod schema;
mod show;

use anyhow::Result;
use clap::Subcommand;

use super::{Exit, Session};

#[derive(Subcommand)]
pub enum ConfigCommand {
    /// Show every value that counts and where it comes from; never a secret
    ///
    /// Example: codehealer config show
    Show(show::ShowArgs),
    /// Check the file and everything it names; ends with 1 when something is wrong
    ///
    /// Example: codehealer config check
    Check(check::CheckArgs),
    /// Print the JSON schema of codehealer.toml, or of a repository's .codehealer.toml
    ///
    /// Example: codehealer config schema --repository > codehealer-repository.schema.json
    Schema(schema::SchemaArgs),
}

/// Runs the command.
pub fn run(session: &Session, command: ConfigCommand) -> Result<Exit> {
    match command {
        ConfigCommand::Show(args) => show::show(session, &args),
        ConfigCommand::Check(args) => check::check(session, &args),
        ConfigCommand::Schema(args) => schema::print(session, &args),
    }
}
