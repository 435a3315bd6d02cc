//! `config show`.

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::config::origin::{self, Setting};
use crate::entry::cli::output::Tone;
use crate::entry::cli::{Exit, Format, Session, Sources, usage};
use crate::report::line::Line;
use crate::report::table::Table;

#[derive(Args)]
pub struct ShowArgs {
    #[command(flatten)]
    sources: Sources,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Serialize)]
struct Shown {
    file: Option<String>,
    settings: Vec<Setting>,
}

pub fn show(session: &Session, args: &ShowArgs) -> Result<Exit> {
    let flags = session.flags(&args.sources, None);
    let (config, settings) = origin::settings(&session.environment, &flags).map_err(usage)?;
    let file = config.file.as_ref().map(|path| path.display().to_string());
    let output = &session.output;
    if args.format == Format::Json {
        output.json(&Shown { file, settings })?;
        return Ok(Exit::Done);
    }
    let named =
        file.map_or_else(|| "no file; defaults, environment and flags only".to_owned(), |f| format!("file {f}"));
    let mut table = Table::new(&["from", "key", "value"]);
    for setting in settings {
        let tone = (setting.origin == "default").then_some(Tone::Quiet);
        table.row(tone, vec![setting.origin.to_owned(), setting.key, setting.value]);
    }
    output.lines(&[Line::new(0, &named)])?;
    output.lines(&table.lines())?;
    Ok(Exit::Done)
}
