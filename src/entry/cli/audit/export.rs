//! `audit export`: every event as it is stored, hash included.

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::filter::FilterArgs;
use crate::entry::cli::{Exit, Session};
use crate::healer::{audit, trail};
use crate::model::AuditEvent;
use crate::report::table::Table;
use crate::report::time::rfc3339;

#[derive(Args)]
pub struct ExportArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// JSON lines, or CSV with the content as JSON in one column
    #[arg(long, value_enum, default_value_t = ExportFormat::Json)]
    format: ExportFormat,
    /// Also what happened to pushes before there was any case; JSON only
    #[arg(long)]
    pushes: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    Json,
    Csv,
}

pub async fn export(session: &Session, args: ExportArgs) -> Result<Exit> {
    let state = super::open(session)?;
    let state = &*state;
    let output = &session.output;
    let filter = args.filter.filter();
    if args.pushes && args.format == ExportFormat::Json {
        let named = |r: &crate::model::Repository| {
            filter.repository.as_ref().is_none_or(|wanted| *wanted == r.name || *wanted == r.id.0)
        };
        for repository in audit::repositories(state).await?.iter().filter(|r| named(r)) {
            for event in audit::push_events(state, &repository.id).await? {
                output.line(serde_json::to_string(&event)?)?;
            }
        }
    }
    let mut runs = audit::runs(state, &filter, usize::MAX).await?.runs;
    runs.reverse();
    let mut heading = true;
    for run in &runs {
        let events = trail::events(state, &run.case, run.generation).await?;
        match args.format {
            ExportFormat::Json => {
                for event in &events {
                    output.line(serde_json::to_string(event)?)?;
                }
            }
            ExportFormat::Csv => {
                let text = csv(&events)?;
                let body = if heading { Some(text.as_str()) } else { text.split_once('\n').map(|(_, rest)| rest) };
                output.write(body.unwrap_or_default())?;
                heading = false;
            }
        }
    }
    Ok(Exit::Done)
}

fn csv(events: &[AuditEvent]) -> Result<String> {
    let mut table = Table::new(&["case", "generation", "sequence", "at", "event", "content", "previous", "hash"]);
    for event in events {
        let cells = vec![
            event.case.to_string(),
            event.generation.0.to_string(),
            event.sequence.to_string(),
            rfc3339(event.at),
            event.kind.name().to_owned(),
            serde_json::to_string(&event.kind)?,
            event.previous.clone(),
            event.hash.clone(),
        ];
        table.row(None, cells);
    }
    Ok(table.csv())
}
