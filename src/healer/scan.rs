//! From a range of commits to cases: read, detect, keep what the range introduced, group, store.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::again::look_again;
use super::look::{ChangedFunction, changed_functions};
use super::{HealError, Healer, trail};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rayon::prelude::*;

use crate::detect::{self, ChangedLines, Detector, SkipReason};
use crate::model::{
    AuditEvent, BlobId, CaseId, CaseOutcome, Change, CommitId, EventKind, Finding, Generation, RepoPath, Repository,
    RepositoryId, RuleId, RuleOrigin, RunState,
};
use crate::ports::{ErrorKind, PortError};
use crate::state::run::{self, CaseHead, FindingRecord, FindingStatus, RunHead, Summary};
use crate::state::{chain, keys};

/// Files read and scanned together; bounds memory whatever the range.
const BATCH: usize = 64;
/// Files read at the same time.
const READS: usize = 8;
/// Findings of one case that a run takes up; the rest are counted and wait for the next run.
const FINDINGS_A_CASE: usize = 50;

/// What to scan.
#[derive(Debug, Clone)]
pub struct ScanRequest {
    pub repository: Repository,
    /// Branch the fixes are meant for, as a full reference name.
    pub reference: String,
    /// Where the range begins; `None` takes every file as new.
    pub base: Option<CommitId>,
    pub head: CommitId,
    pub pusher: Option<String>,
    /// Findings of other scanners at `head`; taken as they are.
    pub external: Vec<Finding>,
}

/// What a scan found and what it made of it.
#[derive(Debug, Clone, Default)]
pub struct ScanReport {
    pub files: usize,
    /// What the range introduced.
    pub findings: Vec<Finding>,
    /// Findings that a comment in the code or a recorded decision ignores, with the reason.
    pub ignored: Vec<(Finding, String)>,
    /// What was passed over, with the reason.
    pub skipped: Vec<(String, String)>,
    /// Runs that wait for work, new ones and ones that an earlier worker left.
    pub runs: Vec<(CaseId, Generation)>,
    /// Cases that need nothing: healed, waiting for people, told before.
    pub known: Vec<(CaseId, String)>,
    /// Tokens of the questions that a model was asked for this scan, and of its answers.
    pub input_tokens: u64,
    pub output_tokens: u64,
}

/// A file's content at the head of the range and, where it was there, at its base.
type Contents = (Vec<u8>, Option<Vec<u8>>);

/// One file's part of a report.
#[derive(Default)]
struct FilePart {
    findings: Vec<Finding>,
    ignored: Vec<(Finding, String)>,
    skipped: Option<(String, String)>,
    /// What a model may be asked about.
    functions: Vec<ChangedFunction>,
}

/// What a range introduced.
struct Detected {
    report: ScanReport,
    /// Of the files that were looked at.
    blobs: BTreeMap<RepoPath, BlobId>,
    functions: Vec<ChangedFunction>,
}

impl Healer {
    /// Scans a range and stores a run for every case that needs one. Doing it again finds the same runs.
    ///
    /// # Errors
    /// When the forge or the store cannot be asked; what was stored until then is found again.
    pub async fn scan(&self, request: &ScanRequest) -> Result<ScanReport, HealError> {
        let Detected { mut report, blobs, functions } = self.detect(request).await?;
        self.list_repository(&request.repository).await?;
        self.look(request, &functions, &mut report).await?;
        let mut cases: Vec<_> = detect::cases(std::mem::take(&mut report.findings)).into_iter().collect();
        // What matters most first: an interrupted call has done the most useful part.
        cases
            .sort_by_key(|(_, findings)| findings.first().map(|f| (Reverse(f.rule.severity), f.path.clone(), f.start)));
        for ((rule, path), findings) in cases {
            // Every finding stands in a file that was listed.
            let Some(blob) = blobs.get(&path) else { continue };
            self.open_case(request, &mut report, (&rule, &path, blob), &findings).await?;
            report.findings.extend(findings);
        }
        Ok(report)
    }

    /// Puts the repository on the list of those ever seen, under the name it has now.
    async fn list_repository(&self, repository: &Repository) -> Result<(), HealError> {
        let state = &*self.ports.state;
        let known: Option<Repository> = trail::load(state, &keys::repository(&repository.id)).await?;
        if known.as_ref() != Some(repository) {
            trail::put(state, run::repository_item(repository)).await?;
        }
        Ok(())
    }

    /// The first half of [`Healer::scan`]: what the range introduced, without storing anything.
    ///
    /// # Errors
    /// When the forge cannot be asked.
    pub async fn detect_range(&self, request: &ScanRequest) -> Result<ScanReport, HealError> {
        self.detect(request).await.map(|detected| detected.report)
    }

    async fn detect(&self, request: &ScanRequest) -> Result<Detected, HealError> {
        let changes = self.ports.forge.changed_files(&request.repository, request.base.as_ref(), &request.head).await?;
        let mut report = ScanReport { skipped: changes.skipped, ..ScanReport::default() };
        let ignored = self.policy.ignored()?;
        let wanted: Vec<Change> = changes.files.into_iter().filter(|c| !ignored.is_match(c.path.as_str())).collect();
        report.files = wanted.len();
        let mut functions = Vec::new();
        for batch in wanted.chunks(BATCH) {
            for part in self.scan_batch(request, batch).await? {
                report.findings.extend(part.findings);
                report.ignored.extend(part.ignored);
                report.skipped.extend(part.skipped);
                functions.extend(part.functions);
            }
        }
        let changed: BTreeSet<&RepoPath> = wanted.iter().map(|c| &c.path).collect();
        let ours: BTreeSet<_> = report.findings.iter().map(|f| f.fingerprint.clone()).collect();
        let external = request.external.iter().filter(|f| changed.contains(&f.path) && !ours.contains(&f.fingerprint));
        let new = detect::sarif_in::unknown_to(&report.findings, external.cloned().collect());
        report.findings.extend(new);
        report.findings.retain(|f| !self.policy.ignore_rules.contains(f.rule.id.as_str()));
        let blobs = wanted.into_iter().map(|change| (change.path, change.blob)).collect();
        Ok(Detected { report, blobs, functions })
    }

    async fn scan_batch(&self, request: &ScanRequest, batch: &[Change]) -> Result<Vec<FilePart>, HealError> {
        let read = |change: &Change| self.contents(&request.repository, change.clone());
        // A forge across a network answers several questions in the time of one.
        let contents: Vec<_> = stream::iter(batch.iter().map(read)).buffered(READS).try_collect().await?;
        let detector = self.detector.clone();
        let repository = request.repository.id.clone();
        let looking = self.functions_looked_at().is_some();
        let scanned = tokio::task::spawn_blocking(move || {
            contents
                .into_par_iter()
                .map(|(change, bytes)| match bytes {
                    Ok((head, base)) => {
                        scan_file((&*detector, looking), &repository, &change, (&head, base.as_deref()))
                    }
                    Err(reason) => FilePart { skipped: passed_over(&change, Some(reason)), ..FilePart::default() },
                })
                .collect()
        });
        scanned.await.map_err(|panic| {
            PortError::new("detector", "scan a batch of files", ErrorKind::Malformed).caused_by(panic).into()
        })
    }

    /// What a file is and was, unless it is passed over unread.
    async fn contents(
        &self,
        repository: &Repository,
        change: Change,
    ) -> Result<(Change, Result<Contents, SkipReason>), HealError> {
        if let Some(reason) = self.detector.refuses(&change.path, change.size) {
            return Ok((change, Err(reason)));
        }
        let forge = &self.ports.forge;
        let head = forge.read_blob(repository, &change.blob).await.map_err(listed)?;
        let base = match &change.base_blob {
            Some(blob) => match forge.read_blob(repository, blob).await {
                // What cannot be read of it, being too large, cannot be compared: all that is there now is new.
                Err(error) if error.kind == ErrorKind::Malformed => None,
                read => Some(read.map_err(listed)?),
            },
            None => None,
        };
        Ok((change, Ok((head, base))))
    }

    /// Stores a run for the case unless it needs none.
    pub(super) async fn open_case(
        &self,
        request: &ScanRequest,
        report: &mut ScanReport,
        (rule, path, blob): (&RuleId, &RepoPath, &BlobId),
        findings: &[Finding],
    ) -> Result<(), HealError> {
        let case = CaseId::of(&request.repository.id, rule, path);
        let blob = blob.as_str();
        let previous = self.previous_run(&case).await?;
        if let Some(PreviousRun { head, ended: Ended::NotYet }) = &previous {
            report.runs.push((case, head.generation));
            return Ok(());
        }
        let known = trail::findings(&*self.ports.state, &case).await?;
        let ended = previous.as_ref().map(|p| p.ended);
        let seen = Seen { blob, commit_again: self.saw_before(&case, previous.as_ref(), &request.head).await? };
        let mut fresh = Vec::new();
        for finding in findings {
            let record = known.iter().find(|k| k.fingerprint == finding.fingerprint);
            match (needs_work(record, ended, &seen, &finding.rule.origin), record) {
                (Work::Needed, record) => {
                    if let Some(healed) = record.filter(|r| r.status == FindingStatus::Healed) {
                        self.undone(&case, healed.generation, (&request.reference, &request.head)).await?;
                    }
                    fresh.push(finding);
                }
                (Work::Suppressed, record) => {
                    let reason = record.and_then(|r| r.reason.clone()).unwrap_or_default();
                    report.ignored.push((finding.clone(), reason));
                }
                (Work::Known, _) => {}
            }
        }
        if fresh.len() > FINDINGS_A_CASE {
            let rest = fresh.len() - FINDINGS_A_CASE;
            report.known.push((case.clone(), format!("{rest} more finding(s) wait for the next run")));
            fresh.truncate(FINDINGS_A_CASE);
        }
        if fresh.is_empty() {
            let outcome = previous.map_or(CaseOutcome::Suppressed, |p| p.head.outcome);
            report.known.push((case, outcome.to_string()));
            return Ok(());
        }
        if ended == Some(Ended::WaitsForPeople) {
            return self.let_wait((&request.repository.id, report), &case, &fresh, blob).await;
        }
        let generation = Generation(previous.as_ref().map_or(1, |p| p.head.generation.0 + 1));
        let new = NewRun { case: case.clone(), generation, findings: fresh, blob, previous: previous.map(|p| p.head) };
        self.create_run(request, &new).await?;
        report.runs.push((case, generation));
        Ok(())
    }

    pub(super) async fn previous_run(&self, case: &CaseId) -> Result<Option<PreviousRun>, HealError> {
        let state = &*self.ports.state;
        let Some(head) = trail::case_head(state, case).await? else { return Ok(None) };
        let run = trail::run_head(state, case, head.generation).await?;
        let ended = match run.map(|run| run.state) {
            Some(state) if !state.is_terminal() => Ended::NotYet,
            Some(RunState::Superseded) => Ended::Superseded,
            Some(RunState::Done) if head.outcome == CaseOutcome::Open => Ended::WaitsForPeople,
            _ => Ended::Finally,
        };
        Ok(Some(PreviousRun { head, ended }))
    }

    /// Whether the case's last run began at this very commit. A fix that was merged since does not change what it holds.
    async fn saw_before(
        &self,
        case: &CaseId,
        previous: Option<&PreviousRun>,
        head: &CommitId,
    ) -> Result<bool, HealError> {
        let Some(previous) = previous.filter(|p| p.head.outcome == CaseOutcome::Merged) else { return Ok(false) };
        let events = trail::events(&*self.ports.state, case, previous.head.generation).await?;
        let at_head = |e: &AuditEvent| matches!(&e.kind, EventKind::Detected { commit, .. } if commit == head);
        Ok(events.first().is_some_and(at_head))
    }

    /// New findings of a case whose pull request waits for people are kept until that one has ended.
    async fn let_wait(
        &self,
        (repository, report): (&RepositoryId, &mut ScanReport),
        case: &CaseId,
        fresh: &[&Finding],
        blob: &str,
    ) -> Result<(), HealError> {
        let now = self.ports.clock.now();
        for finding in fresh {
            let mut record = run::open_finding(finding, Generation(0), blob, now);
            record.status = FindingStatus::Waiting;
            record.reason = Some("the case's pull request still waits for people".to_owned());
            trail::put(&*self.ports.state, run::finding_item(case, &record)).await?;
        }
        trail::put(&*self.ports.state, look_again(repository, case, &format!("{blob} at {now}"))).await?;
        report.known.push((case.clone(), "its pull request still waits for people".to_owned()));
        Ok(())
    }

    async fn create_run(&self, request: &ScanRequest, new: &NewRun<'_>) -> Result<(), HealError> {
        let Some(first) = new.findings.first() else { return Ok(()) };
        let now = self.ports.clock.now();
        let kind = EventKind::Detected {
            findings: new.findings.iter().map(|f| (*f).clone()).collect(),
            commit: request.head.clone(),
            blob: new.blob.to_owned(),
            reference: request.reference.clone(),
            pusher: request.pusher.clone(),
        };
        let event = chain::seal(AuditEvent {
            case: new.case.clone(),
            generation: new.generation,
            sequence: 0,
            at: now,
            kind,
            previous: String::new(),
            hash: String::new(),
        });
        let head = first_head(&event, summary(request, first));
        let records: Vec<FindingRecord> =
            new.findings.iter().map(|f| run::open_finding(f, new.generation, new.blob, now)).collect();
        let item = trail::event_item(&*self.ports.state, &event).await?;
        // The transaction holds the head, the event, the case and a few findings; the rest follow, each harmless alone.
        let (inside, after) = records.split_at(records.len().min(20));
        match trail::commit(&*self.ports.state, &run::create(&head, item, inside, new.previous.as_ref())).await {
            // A rival scan made the same run: its run is ours.
            Err(error) if error.kind == ErrorKind::Conflict => return Ok(()),
            other => other?,
        }
        for record in after {
            trail::put(&*self.ports.state, run::finding_item(&new.case, record)).await?;
        }
        Ok(())
    }
}

struct NewRun<'a> {
    case: CaseId,
    generation: Generation,
    findings: Vec<&'a Finding>,
    blob: &'a str,
    previous: Option<CaseHead>,
}

pub(super) struct PreviousRun {
    pub head: CaseHead,
    pub ended: Ended,
}

/// How the case's last run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    NotYet,
    /// Its pull request is open.
    WaitsForPeople,
    /// The head moved on before it was delivered; it must be judged anew.
    Superseded,
    Finally,
}

/// What is scanned, next to what was judged before.
struct Seen<'a> {
    blob: &'a str,
    /// The last run began at this very commit.
    commit_again: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Needed,
    /// Ignored for good by a person.
    Suppressed,
    /// Judged before at this very content, or told to a person already.
    Known,
}

/// Whether a finding asks for a run: it is new, it came back after its fix was merged, or its run was superseded.
fn needs_work(record: Option<&FindingRecord>, ended: Option<Ended>, seen: &Seen<'_>, origin: &RuleOrigin) -> Work {
    let Some(record) = record else { return Work::Needed };
    match record.status {
        FindingStatus::Suppressed => Work::Suppressed,
        FindingStatus::Escalated => Work::Known,
        FindingStatus::Waiting => Work::Needed,
        _ if ended == Some(Ended::Superseded) => Work::Needed,
        FindingStatus::Open if ended == Some(Ended::WaitsForPeople) => Work::Known,
        FindingStatus::Healed if seen.commit_again => Work::Known,
        // People merged a fix. That a model claims the same of the mended function again undoes nothing; only the old file does.
        FindingStatus::Healed if *origin == RuleOrigin::Model && record.blob != seen.blob => Work::Known,
        FindingStatus::Open if record.blob == seen.blob => Work::Known,
        FindingStatus::Open | FindingStatus::Healed => Work::Needed,
    }
}

fn first_head(event: &AuditEvent, summary: Summary) -> RunHead {
    RunHead {
        case: event.case.clone(),
        generation: event.generation,
        state: RunState::Detected,
        sequence: event.sequence + 1,
        head_hash: event.hash.clone(),
        fence: 0,
        owner: None,
        lease_until: 0,
        attempts: 0,
        due: Some(event.at),
        detected_at: event.at,
        updated_at: event.at,
        summary,
    }
}

fn summary(request: &ScanRequest, first: &Finding) -> Summary {
    Summary {
        repository: request.repository.clone(),
        reference: request.reference.clone(),
        rule: first.rule.id.clone(),
        path: first.path.clone(),
        issue_type: first.rule.issue_type.clone(),
        severity: first.rule.severity,
        cwes: first.rule.cwes.clone(),
        headline: first.headline(),
        pusher: request.pusher.clone(),
        outcome: CaseOutcome::Open,
        decision: None,
        confidence: None,
        source: None,
        fix: None,
        fix_applied: false,
        pull_request: None,
        execution_ms: 0,
        input_tokens: 0,
        output_tokens: 0,
        cost_micros: 0,
    }
}

fn scan_file(
    (detector, looking): (&Detector, bool),
    repository: &RepositoryId,
    change: &Change,
    (head, base): (&[u8], Option<&[u8]>),
) -> FilePart {
    let scanned = detector.scan(repository, &change.path, head);
    let skipped = match scanned.cut_off {
        Some(cut) => Some((change.path.to_string(), cut)),
        None => passed_over(change, scanned.skipped),
    };
    let between = |base: &[u8]| ChangedLines::between(&String::from_utf8_lossy(base), &String::from_utf8_lossy(head));
    let functions = match std::str::from_utf8(head) {
        Ok(text) if looking && skipped.is_none() => {
            let ours: Vec<&Finding> =
                scanned.findings.iter().chain(scanned.suppressed.iter().map(|hidden| &hidden.finding)).collect();
            changed_functions(&change.path, text, base.map(between).as_ref(), &ours)
        }
        _ => Vec::new(),
    };
    let ignored = scanned.suppressed.into_iter().map(|s| (s.finding, s.reason)).collect();
    let findings = match base {
        Some(base) if !scanned.findings.is_empty() => {
            let path = change.base_path.as_ref().unwrap_or(&change.path);
            let before = detector.scan(repository, path, base);
            detect::introduced(&scanned.findings, &before.findings, Some(&between(base)))
        }
        _ => scanned.findings,
    };
    FilePart { findings, ignored, skipped, functions }
}

/// What was listed just now is there, whatever the forge says of it: that passes, and nothing is taken for gone.
fn listed(error: PortError) -> PortError {
    let kind = if error.kind == ErrorKind::Missing { ErrorKind::Unavailable } else { error.kind.clone() };
    PortError { kind, ..error }
}

/// A file that no grammar reads is not worth a word; every other reason is.
fn passed_over(change: &Change, reason: Option<SkipReason>) -> Option<(String, String)> {
    reason.filter(|r| *r != SkipReason::NoGrammar).map(|r| (change.path.to_string(), r.to_string()))
}
