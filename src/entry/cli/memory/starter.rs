//! `memory import --starter`.

use std::sync::Arc;

use anyhow::Result;

use crate::entry::cli::{Exit, Format, Session, Sources};
use crate::healer::StarterReport;
use crate::report::line::{Line, Tone};
use crate::report::table::Table;
use crate::wiring::{self, Mode};

pub async fn import(session: &Session, format: Format) -> Result<Exit> {
    let config = session.config(&Sources::default())?;
    let wired = wiring::wire(&config, &[], Mode::Record, Arc::new(|_| {}))?;
    let spinner = session.output.spinner("learning what the rules' fixes teach");
    let report = wired.healer.learn_starter(&config.organisation).await;
    spinner.finish_and_clear();
    let report = report?;
    match format {
        Format::Json => session.output.json(&report)?,
        Format::Text => session.output.lines(&lines(&report))?,
    }
    Ok(Exit::Done)
}

fn lines(report: &StarterReport) -> Vec<Line> {
    let mut table = Table::new(&["learned", "rule"]);
    for (rule, count) in &report.learned {
        table.row(None, vec![count.to_string(), rule.to_string()]);
    }
    let mut lines = if report.learned.is_empty() { Vec::new() } else { table.lines() };
    let (fixes, known, refused) = (report.fixes(), report.known, report.refused.len());
    let end = format!("{fixes} starter fix(es) taken in, {known} known already; {refused} case(s) teach no pattern");
    lines.push(Line::new(0, &end).toned(Tone::Strong));
    lines
}
