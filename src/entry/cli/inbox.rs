//! `codehealer inbox`: what waits, what was put aside, and its way back.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use super::output::{Tone, plain};
use super::{Exit, Format, Session, Sources};
use crate::model::Task;
use crate::ports::Buried;
use crate::report::line::Line;
use crate::wiring::{Backends, Mode};

/// Bytes of a task that are shown where it is none of ours.
const SHOWN: usize = 120;

#[derive(Subcommand)]
pub enum InboxCommand {
    /// Show how much waits, and every task that was put aside, with the reason; ends with 1 when there is one
    ///
    /// Example: codehealer --table codehealer inbox list
    List(ListArgs),
    /// Put tasks that were put aside back, for example after what they failed at was mended
    ///
    /// A task that is worked on twice does no harm.
    /// Example: codehealer inbox redrive --limit 10
    Redrive(RedriveArgs),
}

#[derive(Args)]
pub struct ListArgs {
    /// At most this many tasks
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Args)]
pub struct RedriveArgs {
    /// At most this many tasks, those first that lie there the longest [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Runs the command.
pub async fn run(session: &Session, command: InboxCommand) -> Result<Exit> {
    match command {
        InboxCommand::List(args) => list(session, args).await,
        InboxCommand::Redrive(args) => redrive(session, args).await,
    }
}

async fn list(session: &Session, args: ListArgs) -> Result<Exit> {
    let config = session.config(&Sources::default())?;
    let aside = Backends::new(&config, Mode::Read).aside()?;
    let (depth, buried) = (aside.depth().await?, aside.buried(args.limit.max(1)).await?);
    let exit = if buried.is_empty() { Exit::Done } else { Exit::Found };
    if args.format == Format::Json {
        let tasks: Vec<_> = buried
            .iter()
            .map(|task| json!({ "task": task.body, "reason": task.reason, "attempts": task.attempts }))
            .collect();
        let depth = json!({ "ready": depth.ready, "hidden": depth.hidden, "buried": depth.buried });
        session.output.json(&json!({ "depth": depth, "buried": tasks }))?;
        return Ok(exit);
    }
    let mut lines: Vec<Line> = buried.iter().flat_map(told).collect();
    let waiting = format!("{} task(s) wait, {} are worked on or wait for their time", depth.ready, depth.hidden);
    lines.push(Line::new(0, &waiting));
    lines.push(match depth.buried {
        0 => Line::new(0, "nothing is put aside").toned(Tone::Good),
        count => {
            Line::new(0, &format!("{count} put aside; `codehealer inbox redrive` puts them back")).toned(Tone::Bad)
        }
    });
    session.output.lines(&lines)?;
    Ok(exit)
}

fn told(task: &Buried) -> [Line; 2] {
    [
        Line::new(0, &named(&task.body)).toned(Tone::Strong),
        Line::new(2, &format!("put aside after {} attempt(s): {}", task.attempts, plain(&task.reason))),
    ]
}

/// A task in a few words.
fn named(body: &str) -> String {
    match serde_json::from_str(body) {
        Ok(Task::Push(push)) => format!("push to {} of {}, {}", push.reference, push.name, push.after.short()),
        Ok(Task::Heal { case, generation }) => format!("heal case {} g{}", case.short(), generation.0),
        Ok(Task::FollowUp { name, .. }) => format!("look what people did in {name}"),
        Ok(Task::Command(command)) => format!("obey a comment in {}", command.name),
        Ok(Task::Reconcile) => "reconcile".to_owned(),
        Err(_) => format!("not a task of ours: {}", plain(&body.chars().take(SHOWN).collect::<String>())),
    }
}

async fn redrive(session: &Session, args: RedriveArgs) -> Result<Exit> {
    let config = session.config(&Sources::default())?;
    let aside = Backends::new(&config, Mode::Record).aside()?;
    let count = aside.redrive(args.limit.unwrap_or(usize::MAX)).await?;
    match args.format {
        Format::Json => session.output.json(&json!({ "redriven": count }))?,
        Format::Text => session.output.line(format!("{count} task(s) are put back"))?,
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_named_in_words_and_strangers_are_cut() {
        assert_eq!(named(r#"{"task":"reconcile"}"#), named(&serde_json::to_string(&Task::Reconcile).unwrap()));
        let stranger = named(&format!("<b>{}\u{1b}[31m", "x".repeat(500)));
        assert!(stranger.starts_with("not a task of ours") && stranger.len() < 200 && !stranger.contains('\u{1b}'));
    }
}
