//! `codehealer memory`: remembered fixes, where they come from, and learning more of them.

mod campaign;
mod forget;
mod import;
mod incoming;
pub(super) mod learn;
pub(super) mod list;
mod position;
mod show;
mod starter;
mod tally;

use anyhow::Result;
use clap::Subcommand;

use super::{Exit, Session, usage};
use crate::model::{FixId, PastFix};
use crate::ports::FixMemory;

/// Fixes read in one page.
const PAGE: usize = 500;
/// Digits of a fix that a person has to type at least.
const LEAST_DIGITS: usize = 6;
/// Fixes that are named when the beginning of an id fits several.
const NAMED: usize = 20;

#[derive(Subcommand)]
pub enum MemoryCommand {
    /// List remembered fixes
    ///
    /// Example: codehealer memory list --rule py-yaml-unsafe-load
    /// All of them for another machine: codehealer memory list --format json > fixes.json
    List(list::ListArgs),
    /// Show one fix: where it comes from, how it fared, what it matches, the change it was learned from
    ///
    /// Example: codehealer memory show 9f8e7d6c5b4a
    Show(show::ShowArgs),
    /// Take in fixes from a file, or the starter memory; those of a file count for nothing until people merge what they propose
    ///
    /// The starter memory is what the fixes written with the rules teach. It steps back rule by rule where you have three fixes of
    /// your own. A server takes it in by itself when it starts with an empty memory.
    /// Example: codehealer memory import fixes.json
    /// Example: codehealer memory import --starter
    Import(import::ImportArgs),
    /// Learn from a repository's own history: every finding that an edit made go away
    ///
    /// Run it again after new commits, or after it was interrupted: only what is new is looked at. The same fix of the same code is
    /// remembered once, of like fixes two a commit and five an author: a campaign is one opinion, however many places it changed.
    /// Example: codehealer memory learn . --since 2024-01-01
    Learn(learn::LearnArgs),
    /// Forget a fix for good
    ///
    /// Example: codehealer memory forget 9f8e7d6c5b4a
    Forget(forget::ForgetArgs),
}

/// Runs the command.
pub async fn run(session: &Session, command: MemoryCommand) -> Result<Exit> {
    match command {
        MemoryCommand::List(args) => list::list(session, args).await,
        MemoryCommand::Show(args) => show::show(session, args).await,
        MemoryCommand::Import(args) => import::import(session, args).await,
        MemoryCommand::Learn(args) => learn::learn(session, args).await,
        MemoryCommand::Forget(args) => forget::forget(session, &args).await,
    }
}

/// The one fix whose id begins so.
async fn resolve(memory: &dyn FixMemory, digits: &str) -> Result<PastFix> {
    if let Some(fix) = memory.get(&FixId(digits.to_owned())).await? {
        return Ok(fix);
    }
    if digits.len() < LEAST_DIGITS {
        return Err(usage(format!("name a fix by its id or at least its first {LEAST_DIGITS} digits")));
    }
    // Ids are listed in their order, so those that begin with the digits follow the digits themselves.
    let near = memory.list(Some(&FixId(digits.to_owned())), NAMED).await?;
    let mut fitting: Vec<PastFix> = near.into_iter().take_while(|fix| fix.id.0.starts_with(digits)).collect();
    match fitting.pop() {
        Some(fix) if fitting.is_empty() => Ok(fix),
        Some(last) => {
            let all: Vec<&str> = fitting.iter().chain([&last]).map(|fix| fix.id.0.as_str()).collect();
            Err(usage(format!("{digits} could mean several fixes; give more digits:\n  {}", all.join("\n  "))))
        }
        None => Err(usage(format!("there is no fix {digits}; `codehealer memory list` shows the known ones"))),
    }
}

fn short(fix: &PastFix) -> &str {
    fix.id.0.get(..12).unwrap_or(&fix.id.0)
}
