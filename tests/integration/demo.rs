//! The demo as a person starts it: one child process, a folder, and what is in that folder afterwards.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use codehealer::healer::trail::{self, TrailCheck};
use codehealer::local::clock::SystemClock;
use codehealer::local::git::open::open;
use codehealer::local::store::{Options, Store};
use codehealer::model::{Decided, Decision, EventKind, Evidence, Generation, Provenance, RunState, Source};
use codehealer::ports::FixMemory;
use codehealer::state::chain::{PushEvent, PushEventKind};
use codehealer::state::run::{RunHead, record};
use codehealer::state::{Index, QueryOf, keys};
use git2::{BranchType, Oid, Repository};
use tempfile::TempDir;

fn demo(folder: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_codehealer"));
    // A person's own settings must not lead the demo to their real state.
    command.env("CODEHEALER_STATE", folder.join("elsewhere")).env("CODEHEALER_MODEL_URL", "http://127.0.0.1:9/v1");
    command.arg("demo").arg("--dir").arg(folder.join("demo")).args(more).output().unwrap()
}

/// A finished demo and its state.
struct Finished {
    folder: TempDir,
    said: String,
    store: Store,
    runs: Vec<RunHead>,
}

impl Finished {
    async fn run() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let output = demo(folder.path(), &[]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        let file = folder.path().join("demo/state/codehealer.db");
        let store = Store::open(&file, Options::new(Arc::new(SystemClock))).unwrap();
        let mut demo = Self { folder, said, store, runs: Vec::new() };
        let items = demo.items(QueryOf::Index {
            index: Index::Repository,
            hash: demo.repository_id(),
            from: String::new(),
            to: keys::LAST.to_owned(),
        });
        demo.runs = items.await.iter().map(|item| record(item).unwrap()).collect();
        demo
    }

    fn shop(&self) -> PathBuf {
        self.folder.path().join("demo/shop")
    }

    fn git(&self) -> Repository {
        Repository::open(self.shop()).unwrap()
    }

    fn repository_id(&self) -> String {
        open(&self.shop()).unwrap().default_id().0
    }

    async fn items(&self, of: QueryOf) -> Vec<codehealer::state::Item> {
        trail::all(&self.store.state(), of).await.unwrap()
    }

    /// The one run with this decision and source.
    async fn decided(&self, decision: Decision, source: Option<Source>) -> Decided {
        let fits = |run: &&RunHead| run.summary.decision == Some(decision) && run.summary.source == source;
        let [run] = self.runs.iter().filter(fits).collect::<Vec<_>>()[..] else {
            panic!("not one run is {decision} from {source:?}:\n{}", self.said);
        };
        let events = trail::events(&self.store.state(), &run.case, run.generation).await.unwrap();
        let decided = events.into_iter().find_map(|e| match e.kind {
            EventKind::Decided(decided) => Some(*decided),
            _ => None,
        });
        decided.unwrap()
    }

    fn branches(&self) -> BTreeSet<String> {
        let git = self.git();
        let all = git.branches(Some(BranchType::Local)).unwrap();
        all.map(|found| found.unwrap().0.name().unwrap().unwrap().to_owned()).collect()
    }
}

/// Commits of the shop's history that fixed the rule by hand and agree with the fix `id`, which was used.
async fn teachers(demo: &Finished, decided: &Decided) -> BTreeSet<String> {
    let Evidence::PastFix { fix, supports, .. } = &decided.chosen[0].candidate.evidence else {
        panic!("the change is not from a past fix");
    };
    let memory = demo.store.memory();
    let rule = memory.get(fix).await.unwrap().unwrap().rule;
    let fixes = memory.list(None, 1_000).await.unwrap();
    let mined = fixes.into_iter().filter(|known| known.rule == rule).filter_map(|known| match known.provenance {
        Provenance::Mined { commit } => Some(commit),
        _ => None,
    });
    let mined: BTreeSet<String> = mined.collect();
    assert!(*supports >= mined.len() as f64, "only {supports} of {} past fixes agree", mined.len());
    mined
}

/// The lines of the demo's output that `README.md` shows.
fn promised_by_the_readme() -> Vec<String> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let block = page.split("```\n").find(|block| block.starts_with("PULL REQUEST")).unwrap();
    let lines = block.lines().map(str::trim).filter(|line| !line.is_empty() && *line != "…");
    lines.map(str::to_owned).collect()
}

#[tokio::test]
async fn the_demo_shows_every_outcome_and_leaves_everything_in_order() {
    let demo = Finished::run().await;
    assert_eq!(demo.runs.len(), 4, "{}", demo.said);
    assert!(demo.runs.iter().all(|run| run.state == RunState::Done && run.generation == Generation(1)));

    let team = demo.decided(Decision::Open, Some(Source::TeamKnowledge)).await;
    let Evidence::TeamKnowledge { permalink, confirmed: true, .. } = &team.chosen[0].candidate.evidence else {
        panic!("the answer is not a confirmed one");
    };
    let past = demo.decided(Decision::Open, Some(Source::PastFix)).await;
    let learned_from = teachers(&demo, &past).await;
    let draft = demo.decided(Decision::Draft, Some(Source::PastFix)).await;
    assert!((60..85).contains(&draft.confidence.percent()));
    assert!(demo.decided(Decision::Escalate, None).await.edits.is_empty());

    let git = demo.git();
    let tip = git.refname_to_id("refs/heads/develop").unwrap();
    assert!(learned_from.len() >= 5, "learned from {learned_from:?}");
    for commit in &learned_from {
        assert!(git.graph_descendant_of(tip, Oid::from_str(commit).unwrap()).unwrap(), "{commit}");
        assert!(demo.said.contains(&commit[..12]), "the output does not name {commit}:\n{}", demo.said);
    }
    assert!(demo.said.contains(permalink.as_str()));
    for line in promised_by_the_readme() {
        assert!(demo.said.contains(&line), "README.md shows {line:?}, but the demo says:\n{}", demo.said);
    }

    assert!(demo.said.contains("4 run(s) in 4 case(s) and of 1 push(es): all as written"), "{}", demo.said);
    for run in &demo.runs {
        let checked = trail::check(&demo.store.state(), run).await.unwrap();
        assert!(matches!(checked, TrailCheck::Whole { .. }), "{checked:?}");
    }
}

#[tokio::test]
async fn the_same_delivery_again_makes_nothing_new_and_the_clone_stays_clean() {
    let demo = Finished::run().await;
    let git = demo.git();
    let tip = git.refname_to_id("refs/heads/develop").unwrap();
    let after = codehealer::model::CommitId::new(tip.to_string()).unwrap();
    let repository = codehealer::model::RepositoryId(demo.repository_id());
    let pk = keys::push_partition(&repository, "refs/heads/develop", &after);
    let events = demo.items(QueryOf::Partition { pk, prefix: keys::PUSH_EVENTS.to_owned() }).await;
    let events: Vec<PushEvent> = events.iter().map(|item| record(item).unwrap()).collect();
    let scanned = events.iter().filter(|e| matches!(e.kind, PushEventKind::Scanned { .. })).count();
    assert_eq!(scanned, 2, "both deliveries were worked on");

    let expected: BTreeSet<String> = demo
        .runs
        .iter()
        .filter(|run| run.summary.decision != Some(Decision::Escalate))
        .map(|run| run.case.branch(&run.summary.rule, run.generation))
        .chain(["develop".to_owned()])
        .collect();
    assert_eq!(demo.branches(), expected, "three branches, each once");
    let notices = std::fs::read_dir(demo.folder.path().join("demo/state/notices")).unwrap().count();
    assert_eq!(notices, 4, "one notice a case");

    assert_eq!(git.head().unwrap().name().ok(), Some("refs/heads/develop"));
    assert!(git.statuses(None).unwrap().is_empty(), "the work tree and the index were not touched");
    assert!(!demo.folder.path().join("elsewhere").exists(), "the person's own state was not touched");
}

#[test]
fn a_folder_with_something_in_it_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("demo")).unwrap();
    std::fs::write(folder.path().join("demo/thesis.txt"), "do not delete").unwrap();
    for more in [&[][..], &["--replace"]] {
        let refused = demo(folder.path(), more);
        assert_eq!(refused.status.code(), Some(2));
        let why = String::from_utf8(refused.stderr).unwrap();
        assert!(why.contains("is not empty; name another folder"), "{why}");
        assert!(folder.path().join("demo/thesis.txt").exists());
    }
}

#[test]
fn what_an_earlier_demo_left_is_replaced_only_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("demo");
    std::fs::create_dir(&old).unwrap();
    for name in [".codehealer-demo", "left-over"] {
        std::fs::write(old.join(name), "").unwrap();
    }
    let refused = demo(folder.path(), &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("add --replace"));
    assert!(old.join("left-over").exists());

    let replaced = demo(folder.path(), &["--replace"]);
    assert!(replaced.status.success(), "{}", String::from_utf8_lossy(&replaced.stderr));
    assert!(!old.join("left-over").exists() && old.join("shop/.git").exists());
}
