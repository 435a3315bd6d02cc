//! Questions about what was done: which repositories, which runs, which case a person means, and whether the trail is whole.

mod outcomes;
mod verify;

use serde::Serialize;

use super::{HealError, trail};
use crate::model::{CaseId, CaseOutcome, Decision, IssueType, Repository, RepositoryId, RuleId, Source, UnixMillis};
use crate::ports::State;
use crate::state::chain::{PushEvent, PushHead};
use crate::state::run::RunHead;
use crate::state::{Index, Page, Query, QueryOf, keys};

pub use outcomes::judged;
pub use verify::{Checked, Verification, verify, verify_case, verify_run};

/// Runs read in one page.
const PAGE: usize = 200;
/// Cases that are named when the beginning of an id fits several.
const NAMED: usize = 20;

/// Which runs are wanted; what is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Id or name.
    pub repository: Option<String>,
    pub rule: Option<RuleId>,
    pub issue_type: Option<IssueType>,
    pub outcome: Option<CaseOutcome>,
    pub source: Option<Source>,
    pub decision: Option<Decision>,
    /// Detected at this time or later.
    pub since: Option<UnixMillis>,
    /// Detected at this time or before.
    pub until: Option<UnixMillis>,
}

/// The runs that were found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Runs {
    /// Newest first.
    pub runs: Vec<RunHead>,
    /// Whether the limit left some out.
    pub more: bool,
}

/// Every repository ever seen.
///
/// # Errors
/// When the store cannot be asked or a record cannot be understood.
pub async fn repositories(state: &dyn State) -> Result<Vec<Repository>, HealError> {
    let of = QueryOf::Partition { pk: keys::REPOSITORIES.to_owned(), prefix: String::new() };
    trail::all(state, of).await?.iter().map(trail::parse).collect()
}

/// The newest runs that pass the filter, at most `limit`. One index is asked: that of the repository, else of the issue
/// type, else of the outcome, else that of every repository in turn.
///
/// # Errors
/// When the store cannot be asked or a record cannot be understood.
pub async fn runs(state: &dyn State, filter: &Filter, limit: usize) -> Result<Runs, HealError> {
    let mut found = Vec::new();
    for (index, hash) in places(state, filter).await? {
        collect(state, (index, hash), filter, limit, &mut found).await?;
    }
    found.sort_by(|a, b| (b.detected_at, &b.case, b.generation).cmp(&(a.detected_at, &a.case, a.generation)));
    let more = found.len() > limit;
    found.truncate(limit);
    Ok(Runs { runs: found, more })
}

async fn places(state: &dyn State, filter: &Filter) -> Result<Vec<(Index, String)>, HealError> {
    if let (None, Some(issue_type)) = (&filter.repository, &filter.issue_type) {
        return Ok(vec![(Index::IssueType, issue_type.as_str().to_owned())]);
    }
    if let (None, Some(outcome)) = (&filter.repository, filter.outcome) {
        return Ok(vec![(Index::Outcome, outcome.to_string())]);
    }
    let wanted = |r: &Repository| filter.repository.as_ref().is_none_or(|named| *named == r.id.0 || *named == r.name);
    let known = repositories(state).await?;
    Ok(known.into_iter().filter(wanted).map(|r| (Index::Repository, r.id.0)).collect())
}

/// Adds up to `limit` matching runs of one index value, and one more when there is one.
async fn collect(
    state: &dyn State,
    (index, hash): (Index, String),
    filter: &Filter,
    limit: usize,
    found: &mut Vec<RunHead>,
) -> Result<(), HealError> {
    let from = filter.since.map(keys::time).unwrap_or_default();
    let to = filter.until.map_or_else(|| keys::LAST.to_owned(), |until| format!("{}{}", keys::time(until), keys::LAST));
    let of = QueryOf::Index { index, hash, from, to };
    let mut cursor = None;
    let mut taken = 0usize;
    loop {
        let query = Query { of: of.clone(), descending: true, limit: PAGE, cursor };
        let Page { items, cursor: next } = state.query(&query).await?;
        for item in &items {
            let head: RunHead = trail::parse(item)?;
            if filter.takes(&head) {
                found.push(head);
                taken += 1;
                if taken > limit {
                    return Ok(());
                }
            }
        }
        match next {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
}

impl Filter {
    fn takes(&self, head: &RunHead) -> bool {
        let summary = &head.summary;
        self.rule.as_ref().is_none_or(|rule| *rule == summary.rule)
            && self.issue_type.as_ref().is_none_or(|issue_type| *issue_type == summary.issue_type)
            && self.outcome.is_none_or(|outcome| outcome == summary.outcome)
            && self.source.is_none_or(|source| Some(source) == summary.source)
            && self.decision.is_none_or(|decision| Some(decision) == summary.decision)
    }
}

/// The cases whose id begins with `beginning`, in order of id, at most twenty.
///
/// # Errors
/// When the store cannot be asked.
pub async fn cases(state: &dyn State, beginning: &str) -> Result<Vec<CaseId>, HealError> {
    let query = Query { of: by_id(beginning), descending: false, limit: NAMED, cursor: None };
    let items = state.query(&query).await?.items;
    Ok(items.iter().filter_map(|item| case_of(&item.key.pk)).collect())
}

fn by_id(beginning: &str) -> QueryOf {
    QueryOf::Index {
        index: Index::Repository,
        hash: keys::case_shard(beginning),
        from: beginning.to_owned(),
        to: format!("{beginning}{}", keys::LAST),
    }
}

fn case_of(partition: &str) -> Option<CaseId> {
    partition.strip_prefix("CASE#").map(CaseId::from_stored)
}

/// The events of every push to a repository, push by push.
///
/// # Errors
/// When the store cannot be asked or a record cannot be understood.
pub async fn push_events(state: &dyn State, repository: &RepositoryId) -> Result<Vec<PushEvent>, HealError> {
    let mut events = Vec::new();
    let pushes = QueryOf::Partition { pk: keys::pushes(repository), prefix: String::new() };
    for head in trail::all(state, pushes).await? {
        let head: PushHead = trail::parse(&head)?;
        let of = QueryOf::Partition { pk: head.partition, prefix: keys::PUSH_EVENTS.to_owned() };
        for event in trail::all(state, of).await? {
            events.push(trail::parse(&event)?);
        }
    }
    Ok(events)
}
