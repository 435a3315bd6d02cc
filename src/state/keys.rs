//! Where every item lives. The sort keys are chosen so that one query answers one question.

use super::Key;
use crate::model::{CaseId, CommitId, Fingerprint, Generation, RepositoryId, RuleId, UnixMillis, sha256_hex};

/// How many hash values the index of due work is spread over.
pub const DUE_SHARDS: u8 = 8;

fn key(pk: String, sk: impl Into<String>) -> Key {
    Key { pk, sk: sk.into() }
}

/// Partition of a case: its runs, events and findings.
#[must_use]
pub fn case_partition(case: &CaseId) -> String {
    format!("CASE#{case}")
}

/// Head of a case: its latest generation and outcome.
#[must_use]
pub fn case_current(case: &CaseId) -> Key {
    key(case_partition(case), "CURRENT")
}

/// What is known of one finding of a case.
#[must_use]
pub fn finding(case: &CaseId, fingerprint: &Fingerprint) -> Key {
    key(case_partition(case), format!("FND#{fingerprint}"))
}

/// Prefix of all findings of a case.
pub const FINDINGS: &str = "FND#";

/// Head of a run.
#[must_use]
pub fn run(case: &CaseId, generation: Generation) -> Key {
    key(case_partition(case), format!("G{:06}#STATE", generation.0))
}

/// Prefix of everything that belongs to one run.
#[must_use]
pub fn generation(generation: Generation) -> String {
    format!("G{:06}#", generation.0)
}

/// Prefix of the events of a run, in order.
#[must_use]
pub fn events(generation: Generation) -> String {
    format!("G{:06}#EVT#", generation.0)
}

/// One event of a run.
#[must_use]
pub fn event(case: &CaseId, generation: Generation, sequence: u64) -> Key {
    key(case_partition(case), format!("{}{sequence:08}", events(generation)))
}

/// Case, generation and, of an event, its sequence, where the key is that of a run's head or of one of its events.
#[must_use]
pub fn of_run(key: &Key) -> Option<(CaseId, Generation, Option<u64>)> {
    let case = CaseId::from_stored(key.pk.strip_prefix("CASE#")?);
    let (number, rest) = key.sk.strip_prefix('G')?.split_once('#')?;
    let of = Generation(number.parse().ok()?);
    let sequence = match rest {
        "STATE" => None,
        event => Some(event.strip_prefix("EVT#")?.parse().ok()?),
    };
    Some((case, of, sequence))
}

/// Part `part` of a large detail, known by its hash.
#[must_use]
pub fn detail(case: &CaseId, sha: &str, part: usize) -> Key {
    key(case_partition(case), format!("DET#{sha}#{part:06}"))
}

/// Prefix of the parts of a large detail.
#[must_use]
pub fn detail_parts(sha: &str) -> String {
    format!("DET#{sha}#")
}

/// Partition of the cases of a repository with findings that wait for a pull request to end.
#[must_use]
pub fn waiting_partition(repository: &RepositoryId) -> String {
    format!("REPO#{repository}#WAITING")
}

/// One such case.
#[must_use]
pub fn waiting(repository: &RepositoryId, case: &CaseId) -> Key {
    key(waiting_partition(repository), case.as_str())
}

/// Partition of the ended runs of a repository whose branch may still appear.
#[must_use]
pub fn stray_partition(repository: &RepositoryId) -> String {
    format!("REPO#{repository}#STRAY")
}

/// One such run.
#[must_use]
pub fn stray(repository: &RepositoryId, case: &CaseId, of: Generation) -> Key {
    key(stray_partition(repository), format!("{case}#{:06}", of.0))
}

/// How far a branch was scanned.
#[must_use]
pub fn position(repository: &RepositoryId, reference: &str) -> Key {
    key(format!("REPO#{repository}#{reference}"), "HEAD")
}

/// A delivery that was seen, by the hash of its body.
#[must_use]
pub fn delivery(repository: &RepositoryId, reference: &str, body_sha: &str) -> Key {
    key(format!("REPO#{repository}#{reference}"), format!("DLV#{body_sha}"))
}

/// Partition of what happened to a push before any case.
#[must_use]
pub fn push_partition(repository: &RepositoryId, reference: &str, after: &CommitId) -> String {
    format!("PUSH#{repository}#{reference}#{after}")
}

/// Prefix of the events of a push.
pub const PUSH_EVENTS: &str = "EVT#";

/// One event of a push.
#[must_use]
pub fn push_event(partition: &str, sequence: u64) -> Key {
    key(partition.to_owned(), format!("{PUSH_EVENTS}{sequence:08}"))
}

/// Partition that lists the pushes of a repository.
#[must_use]
pub fn pushes(repository: &RepositoryId) -> String {
    format!("PUSHES#{repository}")
}

/// Head of the trail of one push.
#[must_use]
pub fn push_head(repository: &RepositoryId, reference: &str, after: &CommitId) -> Key {
    key(pushes(repository), format!("{reference}#{after}"))
}

/// How far the history of a repository was learned from.
#[must_use]
pub fn learned(repository: &RepositoryId) -> Key {
    key(format!("LEARNED#{repository}"), "HISTORY")
}

/// Like fixes of one author that a repository's history taught.
#[must_use]
pub fn campaigns(repository: &RepositoryId) -> Key {
    key(format!("LEARNED#{repository}"), "CAMPAIGNS")
}

/// How much of a budget is used in a window.
#[must_use]
pub fn budget(scope: &str, window: u64) -> Key {
    key(format!("BUD#{scope}#{window}"), "N")
}

/// That somebody was granted a part of a budget.
#[must_use]
pub fn reservation(scope: &str, window: u64, who: &str) -> Key {
    key(format!("BUD#{scope}#{window}"), format!("RES#{who}"))
}

/// What call number `call` of a run's step holds of the budgets for models; `again` counts calls that were made before and
/// of which nothing is on record.
#[must_use]
pub fn hold(step: &str, call: usize, again: u32) -> Key {
    key(format!("HOLD#{step}"), format!("{call:04}#{again:02}"))
}

/// Partition of what became of a model's proposals for a rule. A server names its model as it likes, so the name is hashed.
#[must_use]
pub fn outcomes(organisation: &str, model: &str, rule: &RuleId) -> String {
    format!("OUTCOMES#{organisation}#{}#{rule}", sha256_hex(&[model.as_bytes()]))
}

/// What a model said of a function, by the question about it.
#[must_use]
pub fn looked(repository: &RepositoryId, question: &str) -> Key {
    key(format!("LOOK#{repository}#{question}"), "S")
}

/// Who holds the limited places of a scope.
#[must_use]
pub fn slots(scope: &str) -> Key {
    key(format!("SLOTS#{scope}"), "S")
}

/// The circuit breaker of a dependency.
#[must_use]
pub fn breaker(dependency: &str) -> Key {
    key(format!("CB#{dependency}"), "S")
}

/// When the next write of a kind may be made.
#[must_use]
pub fn pace(scope: &str) -> Key {
    key(format!("PACE#{scope}"), "S")
}

/// The pause switch of a repository.
#[must_use]
pub fn pause(repository: &RepositoryId) -> Key {
    key(format!("REPO#{repository}#PAUSE"), "S")
}

/// A person's command that was done, by its comment and when that was last edited.
#[must_use]
pub fn command(repository: &RepositoryId, comment: u64, updated_at: &str) -> Key {
    key(format!("REPO#{repository}#COMMANDS"), format!("{comment}#{updated_at}"))
}

/// Hash value under which cases are listed by id in the index of repositories, spread by first digit. `id` may be the
/// beginning of one.
#[must_use]
pub fn case_shard(id: &str) -> String {
    format!("CASES#{}", id.get(..1).unwrap_or_default())
}

/// Partition that lists the repositories ever seen.
pub const REPOSITORIES: &str = "REPOSITORIES";

/// Entry of one repository in that list.
#[must_use]
pub fn repository(repository: &RepositoryId) -> Key {
    key(REPOSITORIES.to_owned(), repository.0.clone())
}

/// Partition of what was said in one channel of the team's chat.
#[must_use]
pub fn chat_partition(organisation: &str, channel: &str) -> String {
    format!("SLACK#{organisation}#{channel}")
}

/// How far a channel was read.
#[must_use]
pub fn chat_head(organisation: &str, channel: &str) -> Key {
    key(chat_partition(organisation, channel), "HEAD")
}

/// Prefix of the threads of a channel, oldest first.
pub const CHAT_THREADS: &str = "THR#";

/// One thread, by the time stamp of its first message.
#[must_use]
pub fn chat_thread(organisation: &str, channel: &str, root: &str) -> Key {
    key(chat_partition(organisation, channel), format!("{CHAT_THREADS}{root}"))
}

/// Time as a sort key: byte order is time order.
#[must_use]
pub fn time(at: UnixMillis) -> String {
    format!("{at:015}")
}

/// The shard of a case in the index of due work.
#[must_use]
pub fn due_shard(case: &CaseId) -> String {
    let first = case.as_str().bytes().next().unwrap_or(0);
    format!("DUE#{}", first % DUE_SHARDS)
}

/// Sorts after every sort key that this module makes.
pub const LAST: &str = "\u{10ffff}";
