//! `audit show`: the walk of one case, as it would be told.

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::Named;
use crate::entry::cli::output::Tone;
use crate::entry::cli::{Exit, Format, Session, usage};
use crate::healer::{audit, trail};
use crate::model::{AuditEvent, Generation};
use crate::report::line::Line;
use crate::report::trail as walk;
use crate::state::run::{FindingRecord, RunHead};

#[derive(Args)]
pub struct ShowArgs {
    /// The case: its id, its first digits (6 or more), or the name of its branch
    #[arg(value_parser = Named::read)]
    case: Named,
    /// Which beginning of the case [default: the latest]
    #[arg(long, value_name = "N")]
    generation: Option<u32>,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Serialize)]
struct Json<'a> {
    run: &'a RunHead,
    events: &'a [AuditEvent],
    findings: &'a [FindingRecord],
    generations: u32,
    /// What `audit verify` says of this case; empty when its trail is whole.
    broken: &'a [audit::Checked],
}

pub async fn show(session: &Session, args: ShowArgs) -> Result<Exit> {
    let state = super::open(session)?;
    let state = &*state;
    let case = args.case.case(state).await?;
    let generations = super::latest(state, &case).await?.0;
    let generation = Generation(args.generation.or(args.case.generation.map(|g| g.0)).unwrap_or(generations));
    let Some(head) = trail::run_head(state, &case, generation).await? else {
        let message = format!("case {} has no generation {}; it has {generations}", case.short(), generation.0);
        return Err(usage(message));
    };
    let events = trail::events(state, &case, generation).await?;
    let findings = trail::findings(state, &case).await?;
    let broken = audit::verify_case(state, &case).await?.broken;
    let output = &session.output;
    if args.format == Format::Json {
        output.json(&Json { run: &head, events: &events, findings: &findings, generations, broken: &broken })?;
        return Ok(found(&broken));
    }
    output.lines(&walk::walk(&walk::Run { head: &head, events: &events, findings: &findings, generations }))?;
    let trail = match broken.first() {
        None => Line::new(0, &format!("trail {} event(s), whole", events.len())).toned(Tone::Quiet),
        Some(_) => Line::new(0, "trail NOT AS WRITTEN: run `codehealer audit verify`").toned(Tone::Bad),
    };
    output.lines(&[trail])?;
    Ok(found(&broken))
}

fn found(broken: &[audit::Checked]) -> Exit {
    if broken.is_empty() { Exit::Done } else { Exit::Found }
}
