//! Which runs a person asks for.

use chrono::{DateTime, NaiveDate};
use clap::{Args, ValueEnum};

use crate::healer::audit::Filter;
use crate::local::clock::SystemClock;
use crate::model::{CaseOutcome, Decision, IssueType, RuleId, Source, UnixMillis};
use crate::ports::Clock as _;

const HOUR: u64 = 60 * 60 * 1000;
const DAY: u64 = 24 * HOUR;

/// All filters must hold together.
#[derive(Args)]
pub struct FilterArgs {
    /// Repository, by name or id
    #[arg(long, value_name = "NAME")]
    repo: Option<String>,
    /// Rule id, for example py-sql-injection
    #[arg(long, value_name = "ID", value_parser = |text: &str| RuleId::new(text))]
    rule: Option<RuleId>,
    /// Kind of problem, for example SQL_INJECTION
    #[arg(long, value_name = "TYPE", value_parser = |text: &str| IssueType::new(text.to_ascii_uppercase()))]
    issue_type: Option<IssueType>,
    /// What became of the case
    #[arg(long, value_enum)]
    outcome: Option<OutcomeArg>,
    /// Where the chosen fix came from
    #[arg(long, value_enum)]
    source: Option<SourceArg>,
    /// What was decided
    #[arg(long, value_enum)]
    decision: Option<DecisionArg>,
    /// Detected since: 7d, 24h, 30m, a date or an RFC 3339 time
    #[arg(long, value_name = "WHEN", value_parser = When::read)]
    since: Option<When>,
    /// Detected until, written as for --since; a date includes its day
    #[arg(long, value_name = "WHEN", value_parser = When::read)]
    until: Option<When>,
}

#[derive(Clone, Copy, ValueEnum)]
enum OutcomeArg {
    Open,
    Merged,
    Closed,
    Escalated,
    Suppressed,
    Failed,
}

#[derive(Clone, Copy, ValueEnum)]
enum SourceArg {
    Team,
    PastFix,
    Model,
}

#[derive(Clone, Copy, ValueEnum)]
enum DecisionArg {
    Open,
    Draft,
    Escalate,
}

impl FilterArgs {
    pub fn filter(self) -> Filter {
        let now = SystemClock.now();
        Filter {
            repository: self.repo,
            rule: self.rule,
            issue_type: self.issue_type,
            outcome: self.outcome.map(|outcome| match outcome {
                OutcomeArg::Open => CaseOutcome::Open,
                OutcomeArg::Merged => CaseOutcome::Merged,
                OutcomeArg::Closed => CaseOutcome::Closed,
                OutcomeArg::Escalated => CaseOutcome::Escalated,
                OutcomeArg::Suppressed => CaseOutcome::Suppressed,
                OutcomeArg::Failed => CaseOutcome::Failed,
            }),
            source: self.source.map(|source| match source {
                SourceArg::Team => Source::TeamKnowledge,
                SourceArg::PastFix => Source::PastFix,
                SourceArg::Model => Source::Model,
            }),
            decision: self.decision.map(|decision| match decision {
                DecisionArg::Open => Decision::Open,
                DecisionArg::Draft => Decision::Draft,
                DecisionArg::Escalate => Decision::Escalate,
            }),
            since: self.since.map(|when| when.begin(now)),
            until: self.until.map(|when| when.end(now)),
        }
    }
}

/// A time as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Ago(u64),
    At(UnixMillis),
    /// A whole day, UTC, by its first millisecond.
    Day(UnixMillis),
}

impl When {
    pub fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let units = [("w", 7 * DAY), ("d", DAY), ("h", HOUR), ("m", HOUR / 60)];
        for (unit, millis) in units {
            let number = text.strip_suffix(unit).and_then(|number| number.parse::<u64>().ok());
            if let Some(ago) = number.and_then(|number| number.checked_mul(millis)) {
                return Ok(Self::Ago(ago));
            }
        }
        if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            let millis = date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis();
            return u64::try_from(millis).map(Self::Day).map_err(|_| "that is before 1970".to_owned());
        }
        let at = DateTime::parse_from_rfc3339(text).map_err(|_| {
            "write 7d, 24h or 30m ago, a date such as 2026-11-20, or a time such as 2026-11-20T17:00:00Z".to_owned()
        })?;
        u64::try_from(at.timestamp_millis()).map(Self::At).map_err(|_| "that is before 1970".to_owned())
    }

    /// The first millisecond that is meant.
    pub fn begin(self, now: UnixMillis) -> UnixMillis {
        match self {
            Self::Ago(millis) => now.saturating_sub(millis),
            Self::At(at) | Self::Day(at) => at,
        }
    }

    /// The last millisecond that is meant.
    fn end(self, now: UnixMillis) -> UnixMillis {
        match self {
            Self::Day(at) => at + DAY - 1,
            other => other.begin(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(When::read("7d"), Ok(When::Ago(7 * DAY)));
        assert_eq!(When::read("90m"), Ok(When::Ago(90 * 60 * 1000)));
        assert_eq!(When::read("2026-01-01"), Ok(When::Day(1_767_225_600_000)));
        assert_eq!(When::read("2026-01-01T01:00:00+01:00"), Ok(When::At(1_767_225_600_000)));
        for wrong in ["", "d", "-3d", "yesterday", "2026-13-01", "99999999999999999999d", "1960-01-01"] {
            assert!(When::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_date_means_its_whole_day() {
        let day = When::Day(1_767_225_600_000);
        assert_eq!((day.begin(0), day.end(0)), (1_767_225_600_000, 1_767_311_999_999));
        assert_eq!(When::Ago(10).begin(5), 0);
    }
}
