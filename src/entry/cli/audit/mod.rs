//! `codehealer audit`: why something was proposed, and why not; what it cost; whether the record is whole.

mod export;
pub(super) mod filter;
mod ignore;
mod list;
mod retry;
mod show;
mod verify;

use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Subcommand;

use super::{Exit, Session, Sources, usage};
use crate::healer::{audit, trail};
use crate::model::{CaseId, Generation};
use crate::ports::State;
use crate::wiring::{self, Backends, Mode};

/// Digits of a case that a person has to type at least.
const LEAST_DIGITS: usize = 6;

#[derive(Subcommand)]
pub enum AuditCommand {
    /// List runs, newest first
    ///
    /// Example: codehealer audit list --repo acme/shop --decision escalate --since 7d
    List(list::ListArgs),
    /// Show the walk of one case: what was asked, what came back, why it was taken or refused
    ///
    /// Example: codehealer audit show 1a2b3c4d5e6f
    Show(show::ShowArgs),
    /// Count runs by decision, outcome, source, issue type and rule; with times and cost
    ///
    /// Example: codehealer audit stats --since 30d --format json
    Stats(list::StatsArgs),
    /// Write every event with its hash, for other programs
    ///
    /// Example: codehealer audit export --since 2026-01-01 > events.jsonl
    Export(export::ExportArgs),
    /// Check that no event was altered, removed or added; ends with 1 and names the event when one was
    ///
    /// Example: codehealer audit verify
    Verify(verify::VerifyArgs),
    /// Ignore the findings of a case for good
    ///
    /// Example: codehealer audit ignore 1a2b3c4d5e6f --reason "generated code"
    Ignore(ignore::IgnoreArgs),
    /// Begin failed runs anew, once what they failed at is mended; a worker takes them up with its next reconciliation
    ///
    /// Example: codehealer audit retry --failed --repo acme/shop
    Retry(retry::RetryArgs),
}

/// Runs the command.
pub async fn run(session: &Session, command: AuditCommand) -> Result<Exit> {
    match command {
        AuditCommand::List(args) => list::list(session, args).await,
        AuditCommand::Show(args) => show::show(session, args).await,
        AuditCommand::Stats(args) => list::stats(session, args).await,
        AuditCommand::Export(args) => export::export(session, args).await,
        AuditCommand::Verify(args) => verify::verify(session, args).await,
        AuditCommand::Ignore(args) => ignore::ignore(session, args).await,
        AuditCommand::Retry(args) => retry::retry(session, args).await,
    }
}

fn open(session: &Session) -> Result<Arc<dyn State>> {
    let config = session.config(&Sources::default())?;
    Ok(Backends::new(&config, Mode::Read).state()?)
}

/// A case as a person names it: its id or the first digits, alone or inside the name of its branch.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    digits: String,
    generation: Option<Generation>,
}

impl Named {
    fn read(text: &str) -> Result<Self, String> {
        let (rest, generation) = match text.rsplit_once("-g").map(|(rest, number)| (rest, number.parse().ok())) {
            Some((rest, Some(number))) => (rest, Some(Generation(number))),
            _ => (text, None),
        };
        let digits = rest.rsplit('-').next().unwrap_or(rest).to_ascii_lowercase();
        if digits.len() < LEAST_DIGITS || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(format!(
                "name a case by its id or at least its first {LEAST_DIGITS} hexadecimal digits, as `codehealer audit list` shows them"
            ));
        }
        Ok(Self { digits, generation })
    }

    async fn case(&self, state: &dyn State) -> Result<CaseId> {
        let mut cases = audit::cases(state, &self.digits).await?;
        match cases.pop() {
            Some(case) if cases.is_empty() => Ok(case),
            Some(last) => {
                let all: Vec<&str> = cases.iter().chain([&last]).map(CaseId::as_str).collect();
                Err(usage(format!(
                    "{} could mean several cases; give more digits:\n  {}",
                    self.digits,
                    all.join("\n  ")
                )))
            }
            None => {
                Err(usage(format!("there is no case {}; `codehealer audit list` shows the known ones", self.digits)))
            }
        }
    }
}

/// The latest generation of a case.
async fn latest(state: &dyn State, case: &CaseId) -> Result<Generation> {
    match trail::case_head(state, case).await? {
        Some(head) => Ok(head.generation),
        None => bail!("the record of case {case} is gone; `codehealer audit verify` tells more"),
    }
}

/// The wiring for a command that changes what is on record. `nothing` completes "nothing is recorded yet, so there is nothing to".
fn recorder(session: &Session, nothing: &str) -> Result<wiring::Wiring> {
    let config = session.config(&Sources::default())?;
    if config.services.aws.table.is_none() && !wiring::state_file(&config).exists() {
        return Err(usage(format!(
            "nothing is recorded yet, so there is nothing to {nothing}; `codehealer heal` comes first"
        )));
    }
    wiring::wire(&config, &[], Mode::Record, silent())
}

/// Tells nobody: for wirings that send no notice.
fn silent() -> Arc<dyn Fn(&crate::ports::Notice) + Send + Sync> {
    Arc::new(|_| {})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_named_by_digits_or_by_its_branch() {
        let named = |text| Named::read(text).map(|n| (n.digits, n.generation.map(|g| g.0)));
        assert_eq!(named("1A2b3c"), Ok(("1a2b3c".to_owned(), None)));
        assert_eq!(named("codehealer/py-sql-1a2b3c4d5e6f-g2"), Ok(("1a2b3c4d5e6f".to_owned(), Some(2))));
        for wrong in ["1a2b3", "", "zzzzzz", "../../x", "1a2b3c#"] {
            assert!(named(wrong).is_err(), "{wrong}");
        }
    }
}
