//! `codehealer calibrate`: whether confidences were worth their numbers, from the audit trail.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use serde::Serialize;

use super::audit::filter::When;
use super::output::Output;
use super::{Exit, Format, Session, Sources, usage};
use crate::healer::audit::{self, Filter};
use crate::local::clock::SystemClock;
use crate::model::{RuleId, Thresholds};
use crate::ports::Clock as _;
use crate::report::calibration::backtest::{self, Backtest};
use crate::report::calibration::{Calibration, svg, words};
use crate::wiring::{Backends, Mode};

/// Which decisions are looked at, and how the figures are shown.
#[derive(Args)]
#[command(after_help = "\
Examples:
  codehealer calibrate                               the figures and the curve, here
  codehealer calibrate --since 90d --svg curve.svg   the curve as a picture, for a page or a talk
  codehealer calibrate --backtest open=80,draft=55   what these thresholds would have done with the same cases
  codehealer calibrate --json --table codehealer     for machines, from a DynamoDB table")]
pub struct CalibrateArgs {
    /// Only this repository, by name or id
    #[arg(long, value_name = "NAME")]
    repo: Option<String>,
    /// Only this rule, for example py-sql-injection
    #[arg(long, value_name = "ID", value_parser = |text: &str| RuleId::new(text))]
    rule: Option<RuleId>,
    /// Detected since: 7d, 24h, 30m, a date or an RFC 3339 time
    #[arg(long, value_name = "WHEN", value_parser = When::read)]
    since: Option<When>,
    /// Count a merge that people had to amend as a miss
    #[arg(long)]
    strict: bool,
    /// Write the curve to this file as a self-contained SVG picture
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Other thresholds to try on the same cases, in percent; what is not named is as configured
    #[arg(long, value_name = "open=N,draft=N")]
    backtest: Option<String>,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// What machines get.
#[derive(Serialize)]
struct Json<'a> {
    thresholds: Thresholds,
    calibration: &'a Calibration,
    backtest: Option<&'a Backtest>,
    cases: &'a [crate::report::calibration::Judged],
}

/// Runs the command.
pub async fn run(session: &Session, args: CalibrateArgs) -> Result<Exit> {
    let config = session.config(&Sources::default())?;
    let today = config.policy.thresholds;
    let tried = args.backtest.as_deref().map(|text| backtest::read(text, today)).transpose();
    let tried = tried.map_err(|why| usage(format!("--backtest: {why}")))?;
    let state = Backends::new(&config, Mode::Read).state()?;
    let filter = Filter {
        repository: args.repo,
        rule: args.rule,
        since: args.since.map(|when| when.begin(SystemClock.now())),
        ..Filter::default()
    };
    let spinner = session.output.spinner("reading the audit trail");
    let cases = audit::judged(&*state, &filter).await;
    spinner.finish_and_clear();
    let cases = cases?;
    let calibration = Calibration::of(&cases, args.strict);
    let backtest = tried.map(|tried| Backtest::of(&cases, today, tried));
    if let Some(file) = &args.svg {
        write_svg(&session.output, file, &svg::picture(&calibration, today))?;
    }
    if args.json || args.format == Format::Json {
        let json = Json { thresholds: today, calibration: &calibration, backtest: backtest.as_ref(), cases: &cases };
        session.output.json(&json)?;
        return Ok(Exit::Done);
    }
    if cases.is_empty() {
        session.output.line("no decision is recorded that fits; `codehealer heal` makes some")?;
        return Ok(Exit::Done);
    }
    session.output.lines(&words::lines(&calibration))?;
    if let Some(backtest) = &backtest {
        session.output.lines(&words::of_backtest(backtest))?;
    }
    Ok(Exit::Done)
}

fn write_svg(output: &Output, file: &Path, picture: &str) -> Result<()> {
    std::fs::write(file, picture).with_context(|| {
        format!("write {}; name a file in a folder that exists and that you may write to", file.display())
    })?;
    output.note(&format!("the curve is in {}", file.display()));
    Ok(())
}
