//! Delivery: branch, pull request, notice. Each is found again by its natural name before it is made.

use std::collections::BTreeMap;

use super::heal::{error_chain, replay};
use super::lease::Leased;
use super::{HealError, Healer, trail};
use crate::decide::Walk;
use crate::detect::redact::redact;
use crate::fix::edit;
use crate::model::{AuditEvent, Decided, Decision, Edit, EventKind, RepoPath};
use crate::ports::{BranchOutcome, BranchPlan, Decoration, ErrorKind, Notice, PortError, PortResult, PullRequestPlan};
use crate::report::pull_request::Steering;
use crate::report::{notice, pull_request};
use crate::state::Write;
use crate::state::run::{FindingRecord, FindingStatus};

/// Old and new content of each file that a decision changes.
pub(super) type FileChanges = BTreeMap<RepoPath, (String, String)>;

impl Healer {
    /// Makes the branch, or adopts the one that an earlier attempt made. A file that changed meanwhile supersedes the run.
    pub(super) async fn branch(&self, leased: &Leased) -> Result<EventKind, HealError> {
        let walk = replay(leased)?;
        let summary = &leased.head.summary;
        let name = leased.head.case.branch(&summary.rule, leased.head.generation);
        let Some(decided) = walk.decided else { return Err(missing("the decision").into()) };
        if let Some(reason) = self.moved_on(leased, &walk).await? {
            // An attempt that nobody heard of may have made it: then it is recorded before anything else.
            let made = self.ports.forge.head(&summary.repository, &format!("refs/heads/{name}")).await?;
            if made.is_none() {
                return Ok(EventKind::Superseded { reason });
            }
        }
        if let Some(wait) = self.over_caps(leased).await? {
            return Ok(EventKind::Deferred { reason: wait.reason, until: wait.until });
        }
        let changes = self.file_changes(leased, &walk, &decided.edits).await?;
        let files = changes.iter().map(|(path, (_, after))| (path.clone(), after.clone().into_bytes())).collect();
        let plan = BranchPlan {
            name: name.clone(),
            parent: walk.commit.clone(),
            files,
            message: pull_request::commit_message(&leased.head, decided),
            at: walk.detected_at,
        };
        Ok(match self.ports.forge.ensure_branch(&summary.repository, &plan).await? {
            BranchOutcome::Created(commit) => EventKind::Branched { branch: name, commit, adopted: false },
            BranchOutcome::Adopted(commit) => EventKind::Branched { branch: name, commit, adopted: true },
            BranchOutcome::Foreign(tip) => EventKind::BranchRefused {
                reason: format!("{name} exists with somebody else's commit {}; it was left as it is", tip.short()),
                branch: name,
            },
        })
    }

    /// Why the decision no longer fits: the file's content at the branch head is not the one that was judged.
    async fn moved_on(&self, leased: &Leased, walk: &Walk<'_>) -> Result<Option<String>, HealError> {
        let summary = &leased.head.summary;
        // The branch was read before its findings were recorded.
        let age = self.ports.clock.now().saturating_sub(walk.detected_at);
        if !walk.reference.starts_with("refs/") || age < trail::millis(self.policy.fresh_head) {
            return Ok(None);
        }
        let Some(head) = self.ports.forge.head(&summary.repository, walk.reference).await? else {
            return Ok(Some(format!("{} no longer exists", walk.reference)));
        };
        if head == *walk.commit {
            return Ok(None);
        }
        let file = self.ports.forge.read(&summary.repository, &head, &summary.path).await?;
        match file {
            Some(file) if file.blob.as_str() == walk.blob => Ok(None),
            Some(_) => Ok(Some(format!("{} changed at {} before the fix was delivered", summary.path, head.short()))),
            None => Ok(Some(format!("{} is gone at {}", summary.path, head.short()))),
        }
    }

    /// The decision's edits applied to the pinned commit.
    pub(super) async fn file_changes(
        &self,
        leased: &Leased,
        walk: &Walk<'_>,
        edits: &[Edit],
    ) -> Result<FileChanges, HealError> {
        let mut by_file: BTreeMap<RepoPath, Vec<Edit>> = BTreeMap::new();
        for edit in edits {
            by_file.entry(edit.path.clone()).or_default().push(edit.clone());
        }
        let mut changes = FileChanges::new();
        for (path, edits) in by_file {
            let before = self.pinned(leased, walk, &path).await?;
            let after = edit::apply(&before, &edits).map_err(|error| {
                PortError::new("forge", format!("apply the decided edits to {path}"), ErrorKind::Malformed)
                    .caused_by(error)
            })?;
            changes.insert(path, (before, after));
        }
        Ok(changes)
    }

    /// Opens the pull request, or adopts the one that is there.
    pub(super) async fn propose(&self, leased: &Leased) -> Result<EventKind, HealError> {
        let walk = replay(leased)?;
        let summary = &leased.head.summary;
        let (Some(decided), Some((branch, _))) = (walk.decided, walk.branch) else {
            return Err(missing("the decision and its branch").into());
        };
        if let Some(reason) = self.overtaken(leased, &walk, branch).await? {
            return Ok(EventKind::Superseded { reason });
        }
        let changes = self.file_changes(leased, &walk, &decided.edits).await?;
        let draft = decided.decision == Decision::Draft;
        let plan = PullRequestPlan {
            branch: branch.to_owned(),
            base: short(&summary.reference).to_owned(),
            title: pull_request::title(&leased.head, decided),
            body: pull_request::body(&leased.head, &walk, decided, &changes, self.steering()),
            draft,
        };
        self.our_turn(&summary.repository).await?;
        let (request, new) = self.ports.forge.ensure_pull_request(&summary.repository, &plan).await?;
        Ok(EventKind::Proposed { url: request.url, number: request.number, draft: request.draft, adopted: !new })
    }

    /// Caps hold on forges with people, who comment there.
    fn steering(&self) -> Steering {
        if self.policy.caps.is_some() { Steering::Comments } else { Steering::Commands }
    }

    /// Why a branch that was found, not made now, is not proposed: the file went on since, and nobody saw a pull request of it.
    async fn overtaken(&self, leased: &Leased, walk: &Walk<'_>, branch: &str) -> Result<Option<String>, HealError> {
        let found = |e: &AuditEvent| matches!(e.kind, EventKind::Branched { adopted: true, .. });
        if !leased.events.iter().any(found) {
            return Ok(None);
        }
        let Some(reason) = self.moved_on(leased, walk).await? else { return Ok(None) };
        let summary = &leased.head.summary;
        let base = short(&summary.reference);
        let proposed = self.ports.forge.find_pull_request(&summary.repository, branch, base).await?;
        Ok(proposed.is_none().then_some(reason))
    }

    /// Tells people, once.
    pub(super) async fn notify(&self, leased: &Leased) -> Result<EventKind, HealError> {
        let walk = replay(leased)?;
        let edits = walk.decided.map(|d| d.edits.as_slice()).unwrap_or_default();
        let changes = self.file_changes(leased, &walk, edits).await?;
        let notice = notice::of_walk(&leased.head, &walk, &changes);
        let reference = self.ports.notifier.ensure_notice(&notice).await?;
        if walk.branch_refused.is_some() {
            self.annotate(leased, &walk, &notice).await?;
        }
        Ok(EventKind::Notified { reference })
    }

    /// Says at the commit what could not become a pull request, where the forge has a place for it.
    async fn annotate(&self, leased: &Leased, walk: &Walk<'_>, notice: &Notice) -> Result<(), HealError> {
        let repository = &leased.head.summary.repository;
        self.our_turn(repository).await?;
        optional("a note at the commit", self.ports.forge.annotate(repository, walk.commit, &notice.key, notice).await)
    }

    /// Labels the pull request and asks people to review it, after they were told of it. Also one that was found: who opened it
    /// may have died before this. What it has already it does not get again.
    pub(super) async fn decorate(&self, leased: &Leased) -> Result<(), HealError> {
        let repository = &leased.head.summary.repository;
        let number = leased.events.iter().rev().find_map(|e| match &e.kind {
            EventKind::Proposed { number, .. } => Some(*number),
            _ => None,
        });
        let Some(number) = number.filter(|number| *number > 0) else { return Ok(()) };
        let with = Decoration { labels: self.policy.labels.clone(), reviewers: self.policy.reviewers.clone() };
        if with == Decoration::default() {
            return Ok(());
        }
        self.our_turn(repository).await?;
        optional("labels and reviewers", self.ports.forge.decorate(repository, number, &with).await)
    }

    /// Tells a senior that a run failed.
    pub(super) async fn notify_failure(&self, leased: &Leased, reason: &str) -> Result<(), HealError> {
        let notice: Notice = notice::of_failure(&leased.head, reason);
        self.ports.notifier.ensure_notice(&notice).await?;
        Ok(())
    }

    /// What an event means for the records of the run's findings.
    pub(super) fn finding_updates(&self, leased: &Leased, kind: &EventKind) -> Result<Vec<Write>, HealError> {
        let status = match kind {
            EventKind::Decided(decided) => return Ok(self.escalated_findings(leased, decided)),
            EventKind::BranchRefused { .. } => FindingStatus::Escalated,
            _ => return Ok(Vec::new()),
        };
        let walk = replay(leased)?;
        let records: Vec<FindingRecord> =
            walk.findings.iter().map(|f| self.finding_record(leased, &walk, f, status)).collect();
        Ok(Self::finding_writes(&leased.head.case, &records))
    }

    /// Findings that people are told of instead of getting a fix.
    fn escalated_findings(&self, leased: &Leased, decided: &Decided) -> Vec<Write> {
        let Ok(walk) = replay(leased) else { return Vec::new() };
        let all = decided.decision == Decision::Escalate;
        let told = |f: &&crate::model::Finding| all || decided.unhealed.iter().any(|u| u.fingerprint == f.fingerprint);
        let records: Vec<FindingRecord> = walk
            .findings
            .iter()
            .filter(told)
            .map(|f| self.finding_record(leased, &walk, f, FindingStatus::Escalated))
            .collect();
        Self::finding_writes(&leased.head.case, &records)
    }

    pub(super) fn finding_record(
        &self,
        leased: &Leased,
        walk: &Walk<'_>,
        finding: &crate::model::Finding,
        status: FindingStatus,
    ) -> FindingRecord {
        let now = self.ports.clock.now();
        let open = crate::state::run::open_finding(finding, leased.head.generation, walk.blob, now);
        FindingRecord { status, ..open }
    }
}

/// A branch's name without `refs/heads/`; a commit id as it is.
pub(super) fn short(reference: &str) -> &str {
    reference.strip_prefix("refs/heads/").unwrap_or(reference)
}

/// What would be good to have: tried again while that may help, else done without.
fn optional<T>(what: &str, outcome: PortResult<T>) -> Result<(), HealError> {
    match outcome.map_err(HealError::Port) {
        Err(error) if error.is_transient() => Err(error),
        Err(error) => {
            let why = redact(&error_chain(&error)).into_owned();
            tracing::warn!(error = why, "done without {what}");
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

fn missing(what: &str) -> PortError {
    PortError::new("forge", format!("deliver: {what} is missing"), ErrorKind::Missing)
}
