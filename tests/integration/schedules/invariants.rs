//! What must hold once everything is settled, whatever struck before.

use std::collections::{BTreeMap, BTreeSet};

use codehealer::healer::{audit, trail};
use codehealer::model::{
    AuditEvent, CaseId, CaseOutcome, ConsultOutcome, Decided, EventKind, Feedback, Finding, Fingerprint, Notice,
    RepoPath, RunState, Source,
};
use codehealer::ports::{FixMemory, Forge, PullRequest, PullRequestState};
use codehealer::state::run::{FindingRecord, FindingStatus, RunHead};

use super::gate::Gate;
use super::people::People;
use super::stage::{Stage, detector};
use crate::support::git::oid;
use crate::support::world::DEVELOP;

/// A run with everything that belongs to it.
struct Seen {
    run: RunHead,
    events: Vec<AuditEvent>,
    branch: String,
    request: Option<PullRequest>,
}

impl Seen {
    fn decided(&self) -> Option<&Decided> {
        self.events.iter().rev().find_map(|e| match &e.kind {
            EventKind::Decided(decided) => Some(&**decided),
            _ => None,
        })
    }

    fn chosen(&self) -> BTreeSet<&Fingerprint> {
        self.decided().into_iter().flat_map(|d| d.chosen.iter().map(|c| &c.finding)).collect()
    }

    fn detected(&self) -> &[Finding] {
        match &self.events[0].kind {
            EventKind::Detected { findings, .. } => findings,
            _ => &[],
        }
    }

    fn count(&self, name: &str) -> usize {
        self.events.iter().filter(|e| e.kind.name() == name).count()
    }

    fn is_open(&self) -> bool {
        self.request.as_ref().is_some_and(|request| request.state == PullRequestState::Open)
    }

    fn feedback(&self, is: impl Fn(&Feedback) -> bool) -> bool {
        self.events.iter().any(|e| matches!(&e.kind, EventKind::Feedback(f) if is(f)))
    }

    fn name(&self) -> String {
        format!("{} g{} ({})", self.run.summary.path, self.run.generation.0, self.run.summary.rule)
    }
}

struct Check<'a> {
    stage: &'a Stage,
    people: &'a People,
    seen: Vec<Seen>,
    notices: BTreeMap<String, Notice>,
    wrong: Vec<String>,
}

/// Everything that is wrong. What is wrong with the trail stays wrong, so looking at all of it once, in the end, is enough.
pub async fn check(stage: &Stage, people: &People, gate: &Gate, whole_trail: bool) -> Vec<String> {
    let mut seen = Vec::new();
    for run in stage.runs().await {
        let events = trail::events(&*stage.state, &run.case, run.generation).await.unwrap();
        let branch = run.case.branch(&run.summary.rule, run.generation);
        let request = stage.hub().find_pull_request(&stage.repository(), &branch, "develop").await.unwrap();
        seen.push(Seen { run, events, branch, request });
    }
    let mut check = Check { stage, people, seen, notices: stage.board.notices(), wrong: Vec::new() };
    check.everything_ended().await;
    if whole_trail {
        check.the_trail_is_whole().await;
    }
    check.nothing_is_double();
    check.every_effect_is_audited().await;
    check.people_are_respected();
    check.the_model_was_asked_once(gate);
    check.nothing_is_lost().await;
    check.wrong
}

impl Check<'_> {
    fn hold(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.wrong.push(what());
        }
    }

    async fn everything_ended(&mut self) {
        let ends: Vec<_> = self.seen.iter().map(|s| (s.run.state, s.run.due, s.run.lease_until, s.name())).collect();
        for (state, due, _, name) in ends {
            self.hold(state.is_terminal(), || format!("{name} is left {state}"));
            self.hold(due.is_none() || !state.is_terminal(), || format!("{name} ended and is due"));
        }
        let depth = self.stage.store.inbox().depth().await.unwrap();
        self.hold(depth.ready + depth.hidden == 0, || format!("the inbox is not empty: {depth:?}"));
        let buried = self.stage.store.inbox().buried(10).await.unwrap();
        self.hold(buried.is_empty(), || format!("put aside: {buried:?}"));
        let healer = self.stage.process(std::sync::Arc::new(crate::support::faults::Healthy)).worker.healer().clone();
        let position = healer.position(&self.stage.repository(), DEVELOP).await.unwrap();
        let tip = self.stage.git.tip("develop");
        self.hold(position == tip, || format!("scanned to {position:?}, the head is {tip:?}"));
    }

    async fn the_trail_is_whole(&mut self) {
        let verified = audit::verify(&*self.stage.state).await.unwrap();
        self.hold(verified.broken.is_empty(), || format!("the trail is broken: {:?}", verified.broken));
        let runs = self.seen.len();
        self.hold(verified.runs == runs, || format!("{} runs in the trail, {runs} are listed", verified.runs));
    }

    /// One branch, one pull request, one notice for each generation of a case; one open pull request a case.
    fn nothing_is_double(&mut self) {
        let (branches, requests) = {
            let ledger = self.stage.ledger.lock().unwrap();
            (ledger.branches.clone(), ledger.pull_requests.clone())
        };
        let mut wrong = Vec::new();
        for (what, made) in [("branch", &branches), ("pull request", &requests)] {
            for seen in &self.seen {
                let times = made.iter().filter(|name| belongs(name, &seen.branch)).count();
                let unseen = self.people.unproposed.get(&seen.branch).filter(|_| what == "branch");
                if times > 1 + unseen.copied().unwrap_or(0) {
                    wrong.push(format!("{}: a {what} was made {times} times: {made:?}", seen.name()));
                }
            }
        }
        self.wrong.extend(wrong);
        let mut open: BTreeMap<CaseId, usize> = BTreeMap::new();
        for seen in self.seen.iter().filter(|seen| seen.is_open()) {
            *open.entry(seen.run.case.clone()).or_default() += 1;
        }
        self.hold(open.values().all(|n| *n == 1), || format!("several open pull requests of one case: {open:?}"));
        let known = |name: &&String| self.seen.iter().any(|seen| belongs(name, &seen.branch));
        let strange: Vec<String> = branches.iter().filter(|name| !known(name)).cloned().collect();
        self.hold(strange.is_empty(), || format!("branches of no run: {strange:?}"));
    }

    async fn every_effect_is_audited(&mut self) {
        let (branches, requests) = {
            let ledger = self.stage.ledger.lock().unwrap();
            (ledger.branches.clone(), ledger.pull_requests.clone())
        };
        let mut wrong = Vec::new();
        let mut told = BTreeSet::new();
        for seen in &self.seen {
            let is_in = |made: &[String]| made.iter().any(|name| belongs(name, &seen.branch));
            let (made, proposed) = (is_in(&branches), is_in(&requests));
            let name = seen.name();
            for (event, happened) in [("branched", made), ("proposed", proposed)] {
                let events = seen.count(event);
                // A branch that people deleted before anybody came to record it left nothing to be found.
                let unseen = events == 0 && !proposed && self.people.unproposed.contains_key(&seen.branch);
                if events != usize::from(happened) && !unseen {
                    wrong.push(format!("{name}: {events} events {event:?}, though it happened: {happened}"));
                }
            }
            let key = format!("{}-g{}", seen.run.case, seen.run.generation.0);
            for (key, event) in [(key.clone(), "notified"), (format!("{key}-failed"), "failed")] {
                let (events, noticed) = (seen.count(event), self.notices.contains_key(&key));
                if (events > 0) != noticed || events > 1 {
                    wrong.push(format!("{name}: {events} events {event:?}, though there is a notice: {noticed}"));
                }
                told.insert(key);
            }
        }
        let strange = self.notices.keys().filter(|key| !told.contains(*key) && !key.ends_with("-postponed"));
        wrong.extend(strange.map(|key| format!("a notice of no run: {key}")));
        for memory in self.stage.store.memory().list(None, 100).await.unwrap() {
            let learned = |seen: &Seen| seen.run.summary.fix.as_ref() == Some(&memory.id.0);
            if !self.seen.iter().any(learned) {
                wrong.push(format!("a memory that no run learned: {:?}", memory.provenance));
            }
            let record = memory.record;
            if record.accepted > 1 || record.rejected > 1 || record.reverted > 1 {
                wrong.push(format!("a memory counts twice what people did: {record:?}"));
            }
        }
        self.wrong.extend(wrong);
    }

    /// What people ended is taken in and never begun again; what they committed stays.
    fn people_are_respected(&mut self) {
        let mut wrong = Vec::new();
        for seen in &self.seen {
            let state = seen.request.as_ref().map(|request| request.state);
            let (merged, closed) = (
                seen.feedback(|f| matches!(f, Feedback::Merged { .. })),
                seen.feedback(|f| matches!(f, Feedback::Closed)),
            );
            let expected = (state == Some(PullRequestState::Merged), state == Some(PullRequestState::Closed));
            if (merged, closed) != expected {
                wrong.push(format!("{}: {state:?}, but taken in as {:?}", seen.name(), seen.run.summary.outcome));
            }
            if !closed {
                continue;
            }
            let later =
                self.seen.iter().filter(|l| l.run.case == seen.run.case && l.run.generation > seen.run.generation);
            for later in later {
                let again = later.detected().iter().any(|f| seen.chosen().contains(&f.fingerprint));
                if again {
                    wrong.push(format!("{} was closed and is worked on again", seen.name()));
                }
            }
        }
        let repo = &self.stage.git.repo;
        for (branch, theirs) in &self.people.tips {
            let Some(tip) = self.stage.git.tip(branch) else {
                if !self.people.ended.contains(branch) {
                    wrong.push(format!("{branch} with a person's commit is gone"));
                }
                continue;
            };
            let kept = tip == *theirs || repo.graph_descendant_of(oid(&tip), oid(theirs)).unwrap();
            if !kept {
                wrong.push(format!("a person's commit on {branch} is gone from it"));
            }
        }
        self.wrong.extend(wrong);
    }

    /// Once for each generation and finding, and once more for each answer that a fault lost.
    fn the_model_was_asked_once(&mut self, gate: &Gate) {
        let (asked, excused) = gate.asked();
        let Some(model) = &self.stage.model else { return };
        let calm = model.asked() - asked;
        let recorded: usize = self.seen.iter().map(questions).sum();
        let all = model.asked();
        self.hold(all <= recorded + excused, || {
            format!("the model was asked {all} times ({calm} in calm), {recorded} questions are recorded, {excused} were lost")
        });
    }

    /// Every bug that stands at the head is being healed, was told of, or is not wanted to be healed.
    async fn nothing_is_lost(&mut self) {
        let (git, repository) = (&self.stage.git, self.stage.repository());
        let Some(tip) = git.tip("develop") else { return };
        let mut lost = Vec::new();
        for name in ["a.py", "b.py"] {
            let Some(path) = super::people::whereabouts(self.stage, name) else { continue };
            let bytes = git.file_at(&tip, &path);
            let scan = |path: &str| detector().scan(&repository.id, &RepoPath::new(path).unwrap(), &bytes).findings;
            // A finding is also known by where its file was before.
            let mut places = vec![path.clone()];
            while let Some((from, _)) = self.people.moved.iter().find(|(_, to)| Some(to) == places.last()) {
                places.push(from.clone());
            }
            let names: Vec<Vec<Finding>> = places.iter().map(|place| scan(place)).collect();
            for nth in 0..names[0].len() {
                let mut accounts = Vec::new();
                for known_as in &names {
                    accounts.push(self.account(&known_as[nth]).await);
                }
                if !accounts.iter().any(Result::is_ok) {
                    lost.push(format!("{} is lost: {accounts:?}", names[0][nth].headline()));
                }
            }
        }
        self.wrong.extend(lost);
    }

    /// What became of a finding under this path, or how its case stands.
    async fn account(&self, finding: &Finding) -> Result<&'static str, String> {
        let case = CaseId::of(&self.stage.repository().id, &finding.rule.id, &finding.path);
        let records = trail::findings(&*self.stage.state, &case).await.unwrap();
        let record: Option<FindingRecord> = records.into_iter().find(|r| r.fingerprint == finding.fingerprint);
        let runs: Vec<&Seen> = self.seen.iter().filter(|seen| seen.run.case == case).collect();
        let open = runs.iter().any(|seen| seen.is_open());
        let healed = runs.iter().any(|seen| seen.is_open() && seen.chosen().contains(&finding.fingerprint));
        let holds = |seen: &&&Seen| seen.detected().iter().any(|f| f.fingerprint == finding.fingerprint);
        let ended = |outcome| runs.iter().filter(holds).any(|seen| seen.run.summary.outcome == outcome);
        let failed = runs.iter().filter(holds).any(|seen| seen.run.state == RunState::Failed);
        match record.as_ref().map(|record| record.status) {
            Some(FindingStatus::Suppressed) if runs.iter().any(|s| s.feedback(|f| matches!(f, Feedback::Closed))) => {
                Ok("closed")
            }
            Some(FindingStatus::Escalated) if ended(CaseOutcome::Escalated) => Ok("escalated"),
            // A part of a proposal that was left to people, who were told with it.
            Some(FindingStatus::Escalated) if runs.iter().filter(holds).any(|s| s.count("notified") == 1) => Ok("told"),
            Some(FindingStatus::Waiting) if open => Ok("waits"),
            Some(FindingStatus::Open) if healed => Ok("proposed"),
            _ if failed => Ok("failed and told"),
            _ => {
                let runs: Vec<String> = runs.iter().map(|s| format!("{} {}", s.name(), s.run.state)).collect();
                Err(format!("record {:?}, runs {runs:?}", record.map(|r| r.status)))
            }
        }
    }
}

/// Whether a branch is the one of this natural name, or was made for it under another.
fn belongs(name: &str, natural: &str) -> bool {
    name.strip_prefix(natural).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Findings that the model was asked about, as recorded.
fn questions(seen: &Seen) -> usize {
    let asked = |e: &AuditEvent| match &e.kind {
        EventKind::Consulted(c) if c.source == Source::Model => match c.outcome {
            ConsultOutcome::Answered | ConsultOutcome::NothingFound => c.answers.len(),
            _ => 0,
        },
        _ => 0,
    };
    seen.events.iter().map(asked).sum()
}
