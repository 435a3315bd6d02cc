//! `memory show`: one fix, with the change it was learned from.

use anyhow::Result;
use clap::Args;

use crate::entry::cli::{Exit, Format, Session, Sources};
use crate::fix::diff;
use crate::model::PastFix;
use crate::report::line::{self, Line, Tone};
use crate::report::pattern;
use crate::report::time::instant;
use crate::report::trail::evidence;
use crate::wiring::{Backends, Mode};

#[derive(Args)]
pub struct ShowArgs {
    /// The fix: its id or its first digits (6 or more)
    id: String,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub async fn show(session: &Session, args: ShowArgs) -> Result<Exit> {
    let config = session.config(&Sources::default())?;
    let memory = Backends::new(&config, Mode::Read).memory()?;
    let fix = super::resolve(&*memory, &args.id).await?;
    match args.format {
        Format::Json => session.output.json(&PastFix { vector: Vec::new(), ..fix })?,
        Format::Text => session.output.lines(&lines(&fix))?,
    }
    Ok(Exit::Done)
}

fn lines(fix: &PastFix) -> Vec<Line> {
    let privacy = if fix.private { "private: it stays out of public repositories" } else { "public" };
    let mut lines = vec![
        Line::new(0, &fix.message).toned(Tone::Strong),
        Line::new(0, &format!("fix         {}", fix.id)),
        Line::new(0, &format!("rule        {} ({}, {}, {})", fix.rule, fix.issue_type, fix.severity, fix.language)),
        Line::new(0, &format!("from        {}, {}", evidence::kind(&fix.provenance), instant(fix.created))),
        Line::new(0, &format!("repository  {} ({privacy}), {}", fix.repository, fix.path)),
        Line::new(0, &format!("record      {}; weight {}", evidence::reviewed(fix.record), fix.provenance.weight())),
    ];
    if !fix.aliases.is_empty() {
        let aliases: Vec<&str> = fix.aliases.iter().map(|rule| rule.as_str()).collect();
        lines.push(Line::new(0, &format!("also for    {}", aliases.join(", "))));
    }
    if let Some(newer) = &fix.superseded_by {
        lines.push(Line::new(0, &format!("superseded  by {newer}; it is not proposed any more")).toned(Tone::Careful));
    }
    if !fix.round_trips {
        lines.push(
            Line::new(0, "its pattern does not make the very change again: only the model reads it")
                .toned(Tone::Careful),
        );
    }
    for import in &fix.imports_added {
        lines.push(Line::new(0, &format!("import      {import}")));
    }
    for learned in &fix.patterns {
        lines.push(Line::empty());
        lines.push(Line::new(0, &format!("{} matches  {}", learned.level, pattern::matched(learned))));
        for text in pattern::written(learned) {
            let mut written = text.lines();
            lines.push(Line::new(3, &format!("writes   {}", written.next().unwrap_or_default())));
            lines.extend(written.map(|line| Line::new(12, line)));
        }
    }
    lines.push(Line::empty());
    lines.extend(line::diff(0, &diff::unified(&fix.path, &fix.scope_before, &fix.scope_after)));
    lines
}
