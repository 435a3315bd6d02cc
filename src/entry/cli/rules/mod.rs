//! `codehealer rules`: what can be recognised, and whether each rule keeps its promises.

mod list;
mod scaffold;
mod show;
mod test;
mod watch;

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
    /// Begin a rule: writes its document and its cases, which fail until both are written
    ///
    /// Example: codehealer rules new our-no-print --language python --folder our-rules
    New(scaffold::NewArgs),
    /// Run the cases beside the rules; ends with 1 when one fails
    ///
    /// Examples: codehealer rules test
    ///           codehealer rules test py-yaml-unsafe-load
    ///           codehealer rules test ./our-rules --watch
    Test(test::TestArgs),
}

/// Runs the command.
pub async fn run(session: &Session, command: RulesCommand) -> Result<Exit> {
    match command {
        RulesCommand::List(args) => list::list(session, &args),
        RulesCommand::Show(args) => show::show(session, &args),
        RulesCommand::New(args) => scaffold::new(session, &args),
        RulesCommand::Test(args) if args.watch => watch::watch(session, &args).await,
        RulesCommand::Test(args) => test::test(session, &args),
    }
}
