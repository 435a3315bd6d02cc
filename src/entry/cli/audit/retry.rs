//! `audit retry`: failed runs that begin anew.

use anyhow::Result;
use clap::Args;

use super::Named;
use crate::entry::cli::output::plain;
use crate::entry::cli::{Exit, Session};
use crate::healer::audit::{self, Filter};
use crate::healer::{Healer, trail};
use crate::model::{CaseId, CaseOutcome};

/// Runs that one call begins anew at most.
const MOST: usize = 1_000;

#[derive(Args)]
pub struct RetryArgs {
    /// The case: its id, its first digits (6 or more), or the name of its branch
    #[arg(value_parser = Named::read, required_unless_present = "failed", conflicts_with = "failed")]
    case: Option<Named>,
    /// Every case whose last run failed
    #[arg(long)]
    failed: bool,
    /// With --failed: only those of this repository, by name or number
    #[arg(long, value_name = "NAME", conflicts_with = "case")]
    repo: Option<String>,
    /// Who asks
    #[arg(long, value_name = "NAME", default_value = "the operator")]
    by: String,
}

pub async fn retry(session: &Session, args: RetryArgs) -> Result<Exit> {
    let wired = super::recorder(session, "begin anew")?;
    let state = &*wired.healer.ports().state;
    let cases = match &args.case {
        Some(named) => vec![named.case(state).await?],
        None => failed(&wired.healer, args.repo).await?,
    };
    let by = plain(&args.by);
    let mut begun = 0;
    for case in &cases {
        if let Some(generation) = wired.healer.redrive(case, &by).await? {
            session.output.line(format!("case {} g{} begins anew", case.short(), generation.0))?;
            begun += 1;
        }
    }
    if begun == 0 {
        session.output.line("no run failed; `codehealer audit list --outcome failed` lists those that did")?;
    }
    Ok(Exit::Done)
}

/// The cases whose last run failed.
async fn failed(healer: &Healer, repository: Option<String>) -> Result<Vec<CaseId>> {
    let state = &*healer.ports().state;
    let wanted = Filter { repository, outcome: Some(CaseOutcome::Failed), ..Filter::default() };
    let mut cases = Vec::new();
    for run in audit::runs(state, &wanted, MOST).await?.runs {
        let last = trail::case_head(state, &run.case).await?;
        if last.is_some_and(|last| last.generation == run.generation) {
            cases.push(run.case);
        }
    }
    Ok(cases)
}
