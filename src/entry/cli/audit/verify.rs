//! `audit verify`: is the record as it was written?

use anyhow::Result;
use clap::Args;

use super::Named;
use crate::entry::cli::output::Tone;
use crate::entry::cli::{Exit, Format, Session};
use crate::healer::audit;
use crate::report::line::Line;

#[derive(Args)]
pub struct VerifyArgs {
    /// Only this case: its id or its first digits (6 or more) [default: every case and every push]
    #[arg(value_parser = Named::read)]
    case: Option<Named>,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub async fn verify(session: &Session, args: VerifyArgs) -> Result<Exit> {
    let state = super::open(session)?;
    let state = &*state;
    let spinner = session.output.spinner("checking every event");
    let checked = match &args.case {
        Some(case) => audit::verify_case(state, &case.case(state).await?).await,
        None => audit::verify(state).await,
    };
    spinner.finish_and_clear();
    let checked = checked?;
    let output = &session.output;
    let exit = if checked.broken.is_empty() { Exit::Done } else { Exit::Found };
    if args.format == Format::Json {
        output.json(&checked)?;
        return Ok(exit);
    }
    let mut lines = Vec::new();
    for broken in &checked.broken {
        lines.push(Line::new(0, &broken.trail).toned(Tone::Strong));
        lines.extend(broken.problems.iter().map(|problem| Line::new(2, problem).toned(Tone::Bad)));
    }
    let audit::Verification { cases, runs, pushes, events, broken } = &checked;
    let counted = format!("{events} event(s) of {runs} run(s) in {cases} case(s) and of {pushes} push(es)");
    lines.push(match broken.len() {
        0 => Line::new(0, &format!("{counted}: all as written")).toned(Tone::Good),
        count => Line::new(0, &format!("{counted}: {count} trail(s) are NOT as written")).toned(Tone::Bad),
    });
    output.lines(&lines)?;
    Ok(exit)
}
