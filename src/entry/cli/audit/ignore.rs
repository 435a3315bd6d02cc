//! `audit ignore`: findings that are never proposed again.

use anyhow::Result;
use clap::Args;

use super::Named;
use crate::entry::cli::output::plain;
use crate::entry::cli::{Exit, Session, usage};
use crate::healer::trail;
use crate::model::{CaseId, Fingerprint};
use crate::ports::State;

#[derive(Args)]
pub struct IgnoreArgs {
    /// The case: its id, its first digits (6 or more), or the name of its branch
    #[arg(value_parser = Named::read)]
    case: Named,
    /// Only this finding of the case: its fingerprint or the first digits, as `audit show` prints them
    #[arg(long, value_name = "DIGITS")]
    finding: Option<String>,
    /// Why; it is recorded and shown whenever the finding is met again
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    reason: String,
    /// Who decides
    #[arg(long, value_name = "NAME", default_value = "the operator")]
    by: String,
}

pub async fn ignore(session: &Session, args: IgnoreArgs) -> Result<Exit> {
    let wired = super::recorder(session, "ignore")?;
    let state = &*wired.healer.ports().state;
    let case = args.case.case(state).await?;
    let finding = match &args.finding {
        Some(digits) => Some(fingerprint(state, &case, &digits.to_ascii_lowercase()).await?),
        None => None,
    };
    let (reason, by) = (plain(&args.reason), plain(&args.by));
    let count = wired.healer.ignore(&case, finding.as_ref(), &by, &reason).await?;
    session.output.line(format!("{count} finding(s) of case {} are ignored for good: {reason}", case.short()))?;
    Ok(Exit::Done)
}

/// The finding of the case whose fingerprint begins so.
async fn fingerprint(state: &dyn State, case: &CaseId, digits: &str) -> Result<Fingerprint> {
    let known = trail::findings(state, case).await?;
    let mut fitting =
        known.into_iter().filter(|record| !digits.is_empty() && record.fingerprint.as_str().starts_with(digits));
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Ok(one.fingerprint),
        (Some(_), Some(_)) => Err(usage(format!("{digits} could mean several findings; give more digits"))),
        (None, _) => Err(usage(format!("case {} has no finding {digits}; `audit show` lists them", case.short()))),
    }
}
