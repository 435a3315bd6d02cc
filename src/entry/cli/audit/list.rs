//! `audit list` and `audit stats`.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::filter::FilterArgs;
use crate::entry::cli::output::{Output, Tone, tone};
use crate::entry::cli::{Exit, Format, Session};
use crate::healer::audit::{self, Runs};
use crate::report::line::Line;
use crate::report::stats::Stats;
use crate::report::table::Table;
use crate::report::time::{dollars, duration, instant, rfc3339};
use crate::state::run::RunHead;

#[derive(Args)]
pub struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// At most this many runs
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = ListFormat::Text)]
    format: ListFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ListFormat {
    Text,
    Json,
    Csv,
}

#[derive(Args)]
pub struct StatsArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub async fn list(session: &Session, args: ListArgs) -> Result<Exit> {
    let state = super::open(session)?;
    let state = &*state;
    let found = audit::runs(state, &args.filter.filter(), args.limit.max(1)).await?;
    let output = &session.output;
    match args.format {
        ListFormat::Json => output.json(&found)?,
        ListFormat::Csv => output.write(&full_table(&found.runs).csv())?,
        ListFormat::Text => print(output, &found)?,
    }
    Ok(Exit::Done)
}

fn print(output: &Output, found: &Runs) -> Result<()> {
    if found.runs.is_empty() {
        return output.line("no run is recorded that fits; `codehealer heal` makes some");
    }
    let mut table = Table::new(&["case", "gen", "detected", "decision", "conf", "source", "outcome", "rule", "path"]);
    for run in &found.runs {
        let summary = &run.summary;
        let cells = vec![
            run.case.short().to_owned(),
            run.generation.0.to_string(),
            instant(run.detected_at),
            summary.decision.map_or_else(|| run.state.to_string().to_lowercase(), |d| d.to_string()),
            summary.confidence.map_or_else(|| "–".to_owned(), |c| c.to_string()),
            summary.source.map_or_else(|| "–".to_owned(), |s| s.to_string()),
            summary.outcome.to_string(),
            summary.rule.to_string(),
            format!("{}: {}", summary.repository.name, summary.path),
        ];
        table.row(Some(tone(summary.decision)), cells);
    }
    output.lines(&table.lines())?;
    if found.more {
        output.line(output.paint(Tone::Quiet, "… there are more; narrow the filter or raise --limit"))?;
    }
    Ok(())
}

fn full_table(runs: &[RunHead]) -> Table {
    let mut table = Table::new(&[
        "case",
        "generation",
        "repository",
        "reference",
        "path",
        "rule",
        "issue_type",
        "severity",
        "state",
        "outcome",
        "decision",
        "confidence",
        "source",
        "fix",
        "pull_request",
        "pusher",
        "detected_at",
        "updated_at",
        "execution_ms",
        "input_tokens",
        "output_tokens",
        "cost_micros",
        "headline",
    ]);
    for run in runs {
        let s = &run.summary;
        let text = |value: Option<String>| value.unwrap_or_default();
        table.row(
            None,
            vec![
                run.case.to_string(),
                run.generation.0.to_string(),
                s.repository.name.clone(),
                s.reference.clone(),
                s.path.to_string(),
                s.rule.to_string(),
                s.issue_type.to_string(),
                s.severity.to_string(),
                run.state.to_string(),
                s.outcome.to_string(),
                text(s.decision.map(|d| d.to_string())),
                text(s.confidence.map(|c| c.to_string())),
                text(s.source.map(|source| source.to_string())),
                text(s.fix.clone()),
                text(s.pull_request.clone()),
                text(s.pusher.clone()),
                rfc3339(run.detected_at),
                rfc3339(run.updated_at),
                s.execution_ms.to_string(),
                s.input_tokens.to_string(),
                s.output_tokens.to_string(),
                s.cost_micros.to_string(),
                s.headline.clone(),
            ],
        );
    }
    table
}

pub async fn stats(session: &Session, args: StatsArgs) -> Result<Exit> {
    let state = super::open(session)?;
    let state = &*state;
    let found = audit::runs(state, &args.filter.filter(), usize::MAX).await?;
    let stats = Stats::of(&found.runs);
    match args.format {
        Format::Json => session.output.json(&stats)?,
        Format::Text => session.output.lines(&stat_lines(&stats))?,
    }
    Ok(Exit::Done)
}

fn stat_lines(stats: &Stats) -> Vec<Line> {
    let mut lines = vec![Line::new(0, &format!("{} run(s)", stats.runs))];
    lines.extend(counts("decision", &stats.decisions));
    lines.extend(counts("outcome", &stats.outcomes));
    lines.extend(counts("source", &stats.sources));
    lines.extend(counts("issue type", &stats.issue_types));
    lines.extend(counts("rule", &stats.rules));
    let (median, p95) = (duration(stats.median_execution_ms), duration(stats.p95_execution_ms));
    lines.push(Line::empty());
    lines.push(Line::new(0, &format!("work on a run: median {median}, 95 of 100 within {p95}")));
    let (tokens_in, tokens_out) = (stats.input_tokens, stats.output_tokens);
    lines
        .push(Line::new(0, &format!("model: {tokens_in} tokens in, {tokens_out} out, {}", dollars(stats.cost_micros))));
    lines
}

/// One table, most frequent first.
fn counts(heading: &'static str, counts: &BTreeMap<String, usize>) -> Vec<Line> {
    let mut sorted: Vec<(&String, &usize)> = counts.iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let mut table = Table::new(&[heading, "runs"]);
    for (key, count) in sorted {
        table.row(None, vec![key.clone(), count.to_string()]);
    }
    std::iter::once(Line::empty()).chain(table.lines()).collect()
}
