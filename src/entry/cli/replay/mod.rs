//! `codehealer replay`: the last pushes of a branch healed in the shadow, beside what people really did.

mod course;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::memory::learn::Miner;
use super::{Exit, Format, Session, Sources, usage};
use crate::local::git::history;
use crate::local::git::open::{HeadState, open};
use crate::local::git::pushes::{self, PushStep};
use crate::local::git::range;
use crate::model::CommitId;
use crate::report::replay::Replay;
use crate::wiring::{Ask, Clone, Shadow};
use course::Course;

/// Which pushes are replayed, and who is asked.
#[derive(Args)]
#[command(after_help = "\
Examples:
  codehealer replay --last 100                    the last 100 pushes of the current branch
  codehealer replay /srv/shop --branch develop --last 300 --standing
                                                  another clone, with what stood before the first push too
  codehealer replay --last 50 --ask-model --json  with the configured model; every proposal with its diff

Ctrl-C ends it early with the figures of what was replayed until then (exit code 130).")]
pub struct ReplayArgs {
    /// The repository, or a folder inside it
    #[arg(default_value = ".")]
    path: PathBuf,
    /// How many pushes
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    last: u32,
    /// The branch, or any revision [default: the current branch]
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,
    /// Heal first what stood in the branch before these pushes: many more places to compare
    #[arg(long)]
    standing: bool,
    /// Learn from at most this many commits before the first push, the newest [default: all]
    #[arg(long, value_name = "N")]
    learn: Option<u32>,
    /// Ask the configured model too
    #[arg(long)]
    ask_model: bool,
    /// Ask the configured team chat too; it may know what came after a push
    #[arg(long)]
    ask_team: bool,
    #[command(flatten)]
    sources: Sources,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// Runs the command.
pub async fn run(session: &Session, args: ReplayArgs) -> Result<Exit> {
    let config = session.config(&args.sources)?;
    let local = open(&args.path).map_err(usage)?;
    let (name, tip) = tip(&local, args.branch.as_deref())?;
    let steps = pushes::last(&local, &tip, args.last as usize).map_err(usage)?;
    let Some(first) = steps.first().map(|step| step.base.clone()) else {
        return Err(usage(format!(
            "{name} has only one commit here, so there is no push to replay; `git fetch --unshallow` may bring more"
        )));
    };
    let clone = Clone::of(&config, local);
    let ask = Ask { team: args.ask_team, model: args.ask_model };
    let shadow = Shadow::of(&config, &clone, ask)?;
    let mut miner = Miner::new(session, shadow.healer()?, clone.clone(), history::Options::default())?;
    miner.at_most(args.learn.map(|limit| limit as usize));
    let mut replay = begin(&clone, &name, &steps, &args);
    let course =
        Course { output: &session.output, shadow: &shadow, clone: &clone, reference: reference(&clone, &name) };
    let interrupted = tokio::select! {
        done = course.run(&mut miner, (&first, &steps), &mut replay) => done.map(|()| false)?,
        pressed = tokio::signal::ctrl_c() => pressed.map(|()| true)?,
    };
    replay.count();
    if args.json || args.format == Format::Json {
        session.output.json(&replay)?;
    } else {
        session.output.lines(&replay.lines())?;
    }
    Ok(if interrupted { Exit::Interrupted } else { Exit::Done })
}

/// What to call the branch, and where it ends.
fn tip(local: &crate::local::git::open::LocalRepository, named: Option<&str>) -> Result<(String, CommitId)> {
    if let Some(name) = named {
        let range = range::resolve(local, None, Some(name)).or_else(|error| match error {
            // A branch that begins with its only commit here still has a tip.
            range::RangeError::NoParent => range::resolve(local, Some(name), Some(name)),
            other => Err(other),
        });
        return Ok((name.to_owned(), range.map_err(usage)?.head));
    }
    match &local.head {
        HeadState::Branch { reference, commit } => {
            let short = reference.strip_prefix("refs/heads/").unwrap_or(reference);
            Ok((short.to_owned(), commit.clone()))
        }
        HeadState::Detached(commit) => Ok((commit.short().to_owned(), commit.clone())),
        HeadState::Unborn { .. } => Err(usage(range::RangeError::NoCommits)),
    }
}

fn reference(clone: &Clone, name: &str) -> String {
    range::branch(&clone.local, name).unwrap_or_else(|| name.to_owned())
}

fn begin(clone: &Clone, branch: &str, steps: &[PushStep], args: &ReplayArgs) -> Replay {
    Replay {
        repository: clone.repository.name.clone(),
        branch: branch.to_owned(),
        asked: steps.len(),
        first: steps.first().map(|step| step.head.clone()),
        last: steps.last().map(|step| step.head.clone()),
        from: steps.first().map(|step| step.at),
        to: steps.last().map(|step| step.at),
        standing: args.standing,
        ..Replay::default()
    }
}
