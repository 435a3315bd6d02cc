//! `codehealer rules`: what can be recognised, and whether each rule keeps its promises.

mod list;
mod show;
mod test;

use anyhow::Result;
use clap::Subcommand;

use super::{Exit, Session};

#[derive(Subcommand)]
pub enum RulesCommand {
    /// List the rules, built-in and configured
    ///
    /// Example: codehealer rules list --language python
    List(list::ListArgs),
    /// Show one rule: what it finds and why that matters, what it matches, its fixes
    ///
    /// Example: codehealer rules show py-yaml-unsafe-load
    Show(show::ShowArgs),
    /// Run the cases beside the rules; ends with 1 when one fails
    ///
    /// Examples: codehealer rules test
    ///           codehealer rules test py-yaml-unsafe-load
    ///           codehealer rules test ./our-rules
    Test(test::TestArgs),
}

/// Runs the command.
pub fn run(session: &Session, command: RulesCommand) -> Result<Exit> {
    match command {
        RulesCommand::List(args) => list::list(session, &args),
        RulesCommand::Show(args) => show::show(session, &args),
        RulesCommand::Test(args) => test::test(session, &args),
    }
}
