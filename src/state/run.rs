//! The head of a run and the transactions that move it: created, leased, stepped, released.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Condition, Index, IndexEntry, Item, Key, Transaction, Write, keys};
use crate::model::{
    AuditEvent, CaseId, CaseOutcome, Confidence, Cwe, Decision, Finding, Fingerprint, Generation, IssueType, RepoPath,
    Repository, RepositoryId, RuleId, RunState, Severity, Source, UnixMillis, sha256_hex,
};

/// Head of a run: where it stands, who works on it, and what people ask for. The events are the truth; this is their summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunHead {
    pub case: CaseId,
    pub generation: Generation,
    pub state: RunState,
    /// Sequence of the next event.
    pub sequence: u64,
    /// Hash of the last event.
    pub head_hash: String,
    /// Grows with every lease; a write with an older fence is refused.
    pub fence: u64,
    pub owner: Option<String>,
    /// The lease is over at this time; 0 when nobody holds it.
    pub lease_until: UnixMillis,
    /// Leases taken since the last event and not given back: workers that died at the next step.
    pub attempts: u32,
    /// When there is work to do; `None` once the run is terminal.
    pub due: Option<UnixMillis>,
    pub detected_at: UnixMillis,
    pub updated_at: UnixMillis,
    pub summary: Summary,
}

/// What a person asks of a case without reading its events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub repository: Repository,
    pub reference: String,
    pub rule: RuleId,
    pub path: RepoPath,
    pub issue_type: IssueType,
    pub severity: Severity,
    pub cwes: Vec<Cwe>,
    pub headline: String,
    pub pusher: Option<String>,
    pub outcome: CaseOutcome,
    pub decision: Option<Decision>,
    pub confidence: Option<Confidence>,
    pub source: Option<Source>,
    /// Id of the past fix that the proposal came from or became.
    pub fix: Option<String>,
    pub fix_applied: bool,
    pub pull_request: Option<String>,
    /// Work spent on the run, milliseconds.
    pub execution_ms: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// Model cost in millionths of a dollar.
    pub cost_micros: u64,
}

/// Status of one finding of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingRecord {
    pub fingerprint: Fingerprint,
    pub status: FindingStatus,
    /// Blob at which the finding was last judged.
    pub blob: String,
    pub generation: Generation,
    pub headline: String,
    /// Why it is suppressed or waits.
    pub reason: Option<String>,
    pub updated_at: UnixMillis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingStatus {
    /// Part of the current run.
    Open,
    /// Found while the case's pull request waits for people.
    Waiting,
    /// A person merged the fix.
    Healed,
    /// Told to a person; not proposed again while unchanged.
    Escalated,
    /// Ignored for good, with a reason.
    Suppressed,
}

/// Head of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseHead {
    pub generation: Generation,
    pub outcome: CaseOutcome,
}

/// Serialises a record into the fields of an item. Records are plain structs, so this cannot fail; a failure would give no fields.
#[must_use]
pub fn fields<T: Serialize>(record: &T) -> Map<String, Value> {
    match serde_json::to_value(record) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// Reads a record back from an item; what its key says of it need not be among its fields.
///
/// # Errors
/// When the fields are not those of the record: written by another version or altered.
pub fn record<T: for<'de> Deserialize<'de>>(item: &Item) -> Result<T, serde_json::Error> {
    let mut all = item.fields.clone();
    for (name, value) in said_by_key(&item.key) {
        all.entry(name).or_insert(value);
    }
    serde_json::from_value(Value::Object(all))
}

/// What the key of a run's head or of an event says: case, generation, sequence. It is not stored once more beside it: a head
/// that fits into one KB costs half, and it is written at each step.
fn said_by_key(key: &Key) -> Vec<(String, Value)> {
    let Some((case, generation, sequence)) = keys::of_run(key) else { return Vec::new() };
    let mut said = vec![("case".to_owned(), json!(case)), ("generation".to_owned(), json!(generation))];
    said.extend(sequence.map(|sequence| ("sequence".to_owned(), json!(sequence))));
    said
}

/// The fields of a record that its key does not say.
fn fields_beside(key: &Key, record: &impl Serialize) -> Map<String, Value> {
    let mut all = fields(record);
    for (name, _) in said_by_key(key) {
        all.remove(&name);
    }
    all
}

/// The item of a run's head with its index entries.
#[must_use]
pub fn head_item(head: &RunHead) -> Item {
    // Entries of one moment are told apart by their keys, which every index holds.
    let range = keys::time(head.detected_at);
    let entry = |index, hash: String| IndexEntry { index, hash, range: range.clone() };
    let mut indexes = vec![
        entry(Index::Repository, head.summary.repository.id.0.clone()),
        entry(Index::IssueType, head.summary.issue_type.as_str().to_owned()),
        entry(Index::Outcome, head.summary.outcome.to_string()),
    ];
    if let Some(due) = head.due {
        indexes.push(IndexEntry { index: Index::Due, hash: keys::due_shard(&head.case), range: keys::time(due) });
    }
    let key = keys::run(&head.case, head.generation);
    Item { fields: fields_beside(&key, head), key, indexes, expires: None }
}

/// The item of an event. `kind` is its content or, when that is large, a reference to where it is kept.
#[must_use]
pub fn event_item(event: &AuditEvent, kind: Value) -> Item {
    let key = keys::event(&event.case, event.generation, event.sequence);
    let mut map = fields_beside(&key, event);
    map.insert("kind".to_owned(), kind);
    Item { key, fields: map, indexes: Vec::new(), expires: None }
}

#[must_use]
pub fn finding_item(case: &CaseId, record: &FindingRecord) -> Item {
    let key = keys::finding(case, &record.fingerprint);
    Item { key, fields: fields(record), indexes: Vec::new(), expires: None }
}

/// The item of a case's head; it is found by the beginning of its id.
#[must_use]
pub fn case_item(case: &CaseId, head: &CaseHead) -> Item {
    let by_id =
        IndexEntry { index: Index::Repository, hash: keys::case_shard(case.as_str()), range: case.as_str().to_owned() };
    Item { key: keys::case_current(case), fields: fields(head), indexes: vec![by_id], expires: None }
}

/// The mark that a case has findings that wait for a run of their own.
#[must_use]
pub fn waiting_item(repository: &RepositoryId, case: &CaseId) -> Item {
    let fields = fields(&json!({ "case": case }));
    Item { key: keys::waiting(repository, case), fields, indexes: Vec::new(), expires: None }
}

/// The item by which a repository is listed.
#[must_use]
pub fn repository_item(repository: &Repository) -> Item {
    Item { key: keys::repository(&repository.id), fields: fields(repository), indexes: Vec::new(), expires: None }
}

/// A record of an open finding as the run `generation` begins or takes it in.
#[must_use]
pub fn open_finding(finding: &Finding, generation: Generation, blob: &str, now: UnixMillis) -> FindingRecord {
    FindingRecord {
        fingerprint: finding.fingerprint.clone(),
        status: FindingStatus::Open,
        blob: blob.to_owned(),
        generation,
        headline: finding.headline(),
        reason: None,
        updated_at: now,
    }
}

/// Creates a run together with its first event, and makes it the case's current one. `previous` is the case's head as read.
#[must_use]
pub fn create(head: &RunHead, event: Item, findings: &[FindingRecord], previous: Option<&CaseHead>) -> Transaction {
    let current = CaseHead { generation: head.generation, outcome: head.summary.outcome };
    let current_when = match previous {
        None => vec![Condition::Absent],
        Some(case) => vec![Condition::Equals("generation", json!(case.generation))],
    };
    let mut writes = vec![
        Write::Put { item: head_item(head), when: vec![Condition::Absent] },
        Write::Put { item: event, when: vec![Condition::Absent] },
        Write::Put { item: case_item(&head.case, &current), when: current_when },
    ];
    writes.extend(findings.iter().map(|f| Write::Put { item: finding_item(&head.case, f), when: Vec::new() }));
    Transaction { writes, token: None }
}

/// Takes the lease: the caller owns the run until `until`, under the next fence. Refused while another lease lives.
#[must_use]
pub fn lease(head: &RunHead, owner: &str, now: UnixMillis, until: UnixMillis) -> (RunHead, Transaction) {
    let mut leased = head.clone();
    leased.owner = Some(owner.to_owned());
    leased.lease_until = until;
    leased.fence += 1;
    leased.attempts += 1;
    leased.due = head.due.map(|_| until);
    let when = vec![
        Condition::Equals("fence", json!(head.fence)),
        Condition::Equals("sequence", json!(head.sequence)),
        Condition::Below("lease_until", i64::try_from(now).unwrap_or(i64::MAX)),
    ];
    let transaction = Transaction { writes: vec![Write::Put { item: head_item(&leased), when }], token: None };
    (leased, transaction)
}

/// Conditions under which the holder of `head`'s fence may write: same state, same sequence, same fence.
fn ours(head: &RunHead) -> Vec<Condition> {
    vec![
        Condition::Equals("state", json!(head.state)),
        Condition::Equals("fence", json!(head.fence)),
        Condition::Equals("sequence", json!(head.sequence)),
    ]
}

/// Further writes that the holder of `head`'s fence makes before a step, when they are too many for one transaction.
#[must_use]
pub fn beside(head: &RunHead, mut further: Vec<Write>) -> Transaction {
    further.push(Write::Check { key: keys::run(&head.case, head.generation), when: ours(head) });
    Transaction { writes: further, token: None }
}

/// Moves the run by its next events, with further writes that belong to them.
#[must_use]
pub fn step(from: &RunHead, to: &RunHead, events: Vec<Item>, further: Vec<Write>) -> Transaction {
    let token = sha256_hex(&[
        from.case.as_str().as_bytes(),
        &from.generation.0.to_be_bytes(),
        from.state.to_string().as_bytes(),
        to.state.to_string().as_bytes(),
        &from.fence.to_be_bytes(),
        &from.sequence.to_be_bytes(),
        &to.sequence.to_be_bytes(),
    ]);
    let mut writes = vec![Write::Put { item: head_item(to), when: ours(from) }];
    writes.extend(events.into_iter().map(|item| Write::Put { item, when: vec![Condition::Absent] }));
    writes.extend(further);
    Transaction { writes, token: Some(token) }
}

/// Changes only the lease of a run that the caller holds: prolongs it, or gives it back (`until` 0) with the run due at `due`.
#[must_use]
pub fn prolong(head: &RunHead, until: UnixMillis, due: Option<UnixMillis>) -> (RunHead, Transaction) {
    let mut next = head.clone();
    next.lease_until = until;
    next.due = due;
    if until == 0 {
        next.owner = None;
        next.attempts = 0;
    }
    let transaction =
        Transaction { writes: vec![Write::Put { item: head_item(&next), when: ours(head) }], token: None };
    (next, transaction)
}
