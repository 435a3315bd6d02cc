//! Checks that the trail is as it was written: every event there, unaltered and in its place, and the heads that people
//! query in agreement with it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::{by_id, case_of, repositories};
use crate::decide;
use crate::healer::lease::summarise;
use crate::healer::{HealError, trail};
use crate::model::{AuditEvent, CaseId, CaseOutcome, Generation};
use crate::ports::State;
use crate::state::chain::{self, Broken, PushEvent, PushHead, Stored};
use crate::state::run::{self, CaseHead, RunHead};
use crate::state::{Index, Item, Key, QueryOf, keys};

/// What was checked and what is wrong with it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verification {
    pub cases: usize,
    pub runs: usize,
    pub pushes: usize,
    pub events: usize,
    /// The trails that are not as written.
    pub broken: Vec<Checked>,
}

/// One trail that is not as written.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    /// `case <id> generation <n>`, or the partition of a push.
    pub trail: String,
    /// One sentence each, naming the event.
    pub problems: Vec<String>,
}

/// Checks every run and every push.
///
/// # Errors
/// When the store cannot be asked.
pub async fn verify(state: &dyn State) -> Result<Verification, HealError> {
    let mut done = Verification::default();
    let mut cases = BTreeSet::new();
    for digit in "0123456789abcdef".chars() {
        let listed = trail::all(state, by_id(&digit.to_string())).await?;
        cases.extend(listed.iter().filter_map(|item| case_of(&item.key.pk)));
    }
    for repository in repositories(state).await?.into_iter().map(|r| r.id) {
        // Also the runs of a case whose own record is gone.
        let (from, to) = (String::new(), keys::LAST.to_owned());
        let of = QueryOf::Index { index: Index::Repository, hash: repository.0.clone(), from, to };
        cases.extend(trail::all(state, of).await?.iter().filter_map(|item| case_of(&item.key.pk)));
        let pushes = QueryOf::Partition { pk: keys::pushes(&repository), prefix: String::new() };
        for head in trail::all(state, pushes).await? {
            done.add_push(state, &head.key).await?;
        }
    }
    for case in &cases {
        done.add_case(state, case).await?;
    }
    Ok(done)
}

/// Checks every run of one case.
///
/// # Errors
/// When the store cannot be asked.
pub async fn verify_case(state: &dyn State, case: &CaseId) -> Result<Verification, HealError> {
    let mut done = Verification::default();
    done.add_case(state, case).await?;
    Ok(done)
}

/// Checks one run: how many events it has, and what is wrong with them.
///
/// # Errors
/// When the store cannot be asked.
pub async fn verify_run(
    state: &dyn State,
    case: &CaseId,
    generation: Generation,
) -> Result<(usize, Vec<String>), HealError> {
    let of = QueryOf::Partition { pk: keys::case_partition(case), prefix: keys::generation(generation) };
    let stored = by_generation(trail::all(state, of).await?).remove(&generation).unwrap_or_default();
    Ok((stored.events.len(), run_problems(state, case, stored).await?))
}

/// What is stored of one run.
#[derive(Default)]
struct Rows {
    head: Option<Item>,
    /// By the sequence in the key.
    events: Vec<(u64, Item)>,
}

impl Verification {
    async fn add_case(&mut self, state: &dyn State, case: &CaseId) -> Result<(), HealError> {
        let mut checked = Self::of_case(state, case).await?;
        if !checked.broken.is_empty() {
            // Perhaps a worker wrote while we read.
            checked = Self::of_case(state, case).await?;
        }
        self.cases += 1;
        self.runs += checked.runs;
        self.events += checked.events;
        self.broken.extend(checked.broken);
        Ok(())
    }

    async fn of_case(state: &dyn State, case: &CaseId) -> Result<Self, HealError> {
        let mut done = Self::default();
        let of = QueryOf::Partition { pk: keys::case_partition(case), prefix: "G".to_owned() };
        let mut runs = by_generation(trail::all(state, of).await?);
        let current = state.get(&keys::case_current(case)).await?;
        match current.as_ref().map(trail::parse::<CaseHead>) {
            Some(Ok(head)) => {
                // A generation of which nothing is left is missing as a whole. What an altered number claims beyond is cut.
                let known = runs.keys().next_back().map_or(0, |last| last.0);
                for generation in 1..=head.generation.0.min(known.saturating_add(10)) {
                    runs.entry(Generation(generation)).or_default();
                }
            }
            Some(Err(error)) => {
                done.report(format!("case {case}"), vec![format!("its record cannot be read: {error}")])
            }
            None => done.report(format!("case {case}"), vec!["its record CURRENT is missing".to_owned()]),
        }
        for (generation, stored) in runs {
            done.runs += 1;
            done.events += stored.events.len();
            let problems = run_problems(state, case, stored).await?;
            done.report(format!("case {case} generation {}", generation.0), problems);
        }
        Ok(done)
    }

    async fn add_push(&mut self, state: &dyn State, key: &Key) -> Result<(), HealError> {
        let (mut events, mut problems) = push_problems(state, key).await?;
        if !problems.is_empty() {
            (events, problems) = push_problems(state, key).await?;
        }
        self.pushes += 1;
        self.events += events;
        self.report(format!("push {}", key.sk), problems);
        Ok(())
    }

    fn report(&mut self, trail: String, problems: Vec<String>) {
        if !problems.is_empty() {
            self.broken.push(Checked { trail, problems });
        }
    }
}

/// Sorts heads and events by the generation in their key.
fn by_generation(items: Vec<Item>) -> BTreeMap<Generation, Rows> {
    let mut runs: BTreeMap<Generation, Rows> = BTreeMap::new();
    for item in items {
        let Some((generation, rest)) = item.key.sk.strip_prefix('G').and_then(|sk| sk.split_once('#')) else {
            continue;
        };
        let Ok(generation) = generation.parse() else { continue };
        let rest = rest.to_owned();
        let stored = runs.entry(Generation(generation)).or_default();
        match rest.strip_prefix("EVT#").and_then(|sequence| sequence.parse().ok()) {
            Some(sequence) => stored.events.push((sequence, item)),
            None => stored.head = Some(item),
        }
    }
    runs
}

/// What is wrong with a run, event by event; nothing when it is as written.
async fn run_problems(state: &dyn State, case: &CaseId, stored: Rows) -> Result<Vec<String>, HealError> {
    let mut problems = Vec::new();
    let mut unreadable = BTreeSet::new();
    let mut events = Vec::new();
    for (sequence, item) in stored.events {
        match readable(state, case, item).await? {
            Ok(event) => events.push(event),
            Err(problem) => {
                unreadable.insert(sequence);
                problems.push(format!("event {sequence} cannot be believed: {problem}"));
            }
        }
    }
    let (item, head) = match stored.head.as_ref().map(|item| (item, trail::parse::<RunHead>(item))) {
        Some((item, Ok(head))) => (item, head),
        Some((_, Err(error))) => {
            problems.push(format!("the run's head STATE cannot be read: {error}"));
            return Ok(problems);
        }
        None => {
            problems.push(format!("the run's head STATE is missing; {} event(s) are left", events.len()));
            return Ok(problems);
        }
    };
    let broken = chain::verify(&events, head.sequence, &head.head_hash);
    let named = broken.iter().filter(|b| !matches!(b, Broken::Missing(event) if unreadable.contains(event)));
    problems.extend(named.map(ToString::to_string));
    if problems.is_empty() {
        let events: Vec<AuditEvent> = events.into_iter().map(|stored| stored.event).collect();
        problems.extend(disagreements(&head, &events));
    }
    let written = run::head_item(&head);
    if problems.is_empty() && (!says_no_more(item, &head) || item.indexes != written.indexes || item.key != written.key)
    {
        problems.push("the run's head STATE was altered: it holds what was not written with it".to_owned());
    }
    Ok(problems)
}

/// The event with its detail. The inner error says what keeps it from being believed.
async fn readable(
    state: &dyn State,
    case: &CaseId,
    mut item: Item,
) -> Result<Result<Stored<AuditEvent>, String>, HealError> {
    let stored = item.fields.get("kind").cloned().unwrap_or_default();
    let mut kind = stored.clone();
    let detail = stored.get("detail_sha").and_then(Value::as_str);
    if let Some(sha) = detail {
        kind = match trail::detail(state, case, sha).await {
            Ok(kind) => kind,
            Err(HealError::Record { source, .. }) => {
                let short = sha.get(..12).unwrap_or(sha);
                return Ok(Err(format!("its detail {short} was removed or altered ({source})")));
            }
            Err(error) => return Err(error),
        };
        item.fields.insert("kind".to_owned(), kind.clone());
    }
    let event: AuditEvent = match run::record(&item) {
        Ok(event) => event,
        Err(error) => return Ok(Err(error.to_string())),
    };
    // What hangs on a large detail is a reference to it and nothing else.
    let reference = detail.map(|sha| json!({ "event": event.kind.name(), "detail_sha": sha }));
    if reference.is_some_and(|reference| reference != stored) || !says_no_more(&item, &event) {
        return Ok(Err("it was altered: it holds what was not written with it".to_owned()));
    }
    if keys::event(&event.case, event.generation, event.sequence) != item.key {
        return Ok(Err(format!("it was altered: it says that it is event {}", event.sequence)));
    }
    Ok(Ok(Stored { event, kind }))
}

/// Whether the item holds nothing but what the record says. A field that a later version added may be missing, and the
/// content of an event is for its hash to judge.
fn says_no_more(item: &Item, record: &impl Serialize) -> bool {
    let told = run::fields(record);
    let as_told = |(key, value): (&String, &Value)| told.get(key).is_some_and(|told| within(value, told));
    item.fields.iter().filter(|(key, _)| *key != "kind").all(as_told)
}

/// Stores refuse items that nest deeply, so this may recurse.
fn within(stored: &Value, told: &Value) -> bool {
    match (stored, told) {
        (Value::Object(stored), Value::Object(told)) => {
            stored.iter().all(|(key, value)| told.get(key).is_some_and(|told| within(value, told)))
        }
        (Value::Array(stored), Value::Array(told)) => {
            stored.len() == told.len() && stored.iter().zip(told).all(|(stored, told)| within(stored, told))
        }
        _ => stored == told,
    }
}

/// What the head, which people query, says otherwise than the events, which are the truth.
fn disagreements(head: &RunHead, events: &[AuditEvent]) -> Vec<String> {
    let mut told = head.clone();
    let summary = &mut told.summary;
    summary.outcome = CaseOutcome::Open;
    (summary.decision, summary.confidence, summary.source) = (None, None, None);
    (summary.fix, summary.pull_request, summary.fix_applied) = (None, None, false);
    (summary.input_tokens, summary.output_tokens, summary.cost_micros) = (0, 0, 0);
    let mut state = None;
    for event in events {
        match decide::after(state, &event.kind) {
            Ok(next) => state = Some(next),
            Err(illegal) => return vec![format!("event {} does not fit: {illegal}", event.sequence)],
        }
        summarise(&mut told, &event.kind);
    }
    let (stored, told) = (&head.summary, &told.summary);
    let fields = [
        ("state", state == Some(head.state)),
        ("outcome", stored.outcome == told.outcome),
        ("decision", stored.decision == told.decision),
        ("confidence", stored.confidence == told.confidence),
        ("source", stored.source == told.source),
        ("fix", stored.fix == told.fix && stored.fix_applied == told.fix_applied),
        ("pull request", stored.pull_request == told.pull_request),
        ("tokens", (stored.input_tokens, stored.output_tokens) == (told.input_tokens, told.output_tokens)),
        ("cost", stored.cost_micros == told.cost_micros),
    ];
    let differing = fields.iter().filter(|(_, same)| !same);
    differing
        .map(|(field, _)| format!("the run's head STATE was altered: its {field} is not what the events say"))
        .collect()
}

/// How many events the push has, and what is wrong with them.
async fn push_problems(state: &dyn State, key: &Key) -> Result<(usize, Vec<String>), HealError> {
    let head = match trail::load::<PushHead>(state, key).await {
        Ok(Some(head)) => head,
        Ok(None) => return Ok((0, vec!["its head is gone".to_owned()])),
        Err(HealError::Record { source, .. }) => return Ok((0, vec![format!("its head cannot be read: {source}")])),
        Err(error) => return Err(error),
    };
    let of = QueryOf::Partition { pk: head.partition.clone(), prefix: keys::PUSH_EVENTS.to_owned() };
    let stored = trail::all(state, of).await?;
    let (mut events, mut problems) = (Vec::new(), Vec::new());
    for item in &stored {
        match trail::parse::<PushEvent>(item) {
            Ok(event) if says_no_more(item, &event) => {
                let kind = item.fields.get("kind").cloned().unwrap_or_default();
                events.push(Stored { event, kind });
            }
            _ => problems.push(format!("{} cannot be read, or holds what was not written with it", item.key.sk)),
        }
    }
    problems.extend(chain::verify_push(&events, &head).iter().map(ToString::to_string));
    Ok((stored.len(), problems))
}
