//! A whole world for tests: a repository and its people, one store, a clock to turn, and as many worker processes as one likes.
//! Everything is the real thing except for the model, which is scripted, and the faults around the ports.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use codehealer::aws::dynamodb::DynamoState;
use codehealer::detect::{Detector, Limits, RuleSet};
use codehealer::healer::{Directory, Healer, Policy, Ports, ScanRequest, Worker, trail};
use codehealer::local::embedder::StructuralEmbedder;
use codehealer::local::git::LocalForge;
use codehealer::local::notifier::FileNotifier;
use codehealer::local::store::Store;
use codehealer::model::{AuditEvent, CommitId, Finding, PastFix, PushTask, Repository, RunState, Task, sha256_hex};
use codehealer::ports::{
    Completion, Embedder, ExternalScanner, FixMemory, Forge, Inbox, Model, Notice, PortResult, Prompt, PullRequest,
    Sampling, State, TeamKnowledge,
};
use codehealer::state::run::{RunHead, record};
use codehealer::state::{Index, QueryOf};
use tempfile::TempDir;

use super::clock::VirtualClock;
use super::faults::{Fault, Healthy, Under};
use super::git::TestRepo;
use super::stores::Storage;

/// A file with one finding whose curated fix opens a pull request.
pub const BAD: &str =
    "import yaml\n\n\ndef load(path):\n    with open(path) as f:\n        return yaml.load(f, Loader=yaml.Loader)\n";
/// The same, healed.
pub const GOOD: &str =
    "import yaml\n\n\ndef load(path):\n    with open(path) as f:\n        return yaml.safe_load(f)\n";
/// A file with one finding that only a model can heal.
pub const UNKNOWN: &str = "def tell(name):\n    return \"%s has %s\" % (name,)\n";
/// What a good model makes of it.
pub const ANSWERED: &str = "def tell(name):\n    return \"%s has\" % (name,)\n";

pub const DEVELOP: &str = "refs/heads/develop";

pub fn detector() -> Arc<Detector> {
    static DETECTOR: OnceLock<Arc<Detector>> = OnceLock::new();
    let make = || Arc::new(Detector::new(RuleSet::built_in(), Limits::default()));
    Arc::clone(DETECTOR.get_or_init(make))
}

type Script = dyn Fn(&Prompt) -> PortResult<String> + Send + Sync;

/// A model that answers as the test says, and remembers what it was asked.
pub struct ScriptedModel {
    script: Box<Script>,
    pub prompts: Mutex<Vec<Prompt>>,
}

impl ScriptedModel {
    pub fn answering(script: impl Fn(&Prompt) -> PortResult<String> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { script: Box::new(script), prompts: Mutex::default() })
    }

    /// Rewrites the region it is shown and claims this confidence.
    pub fn rewriting(from: &str, to: &str, claim: &str) -> Arc<Self> {
        let (from, to, claim) = (from.to_owned(), to.to_owned(), claim.to_owned());
        Self::answering(move |prompt| Ok(rewrite(prompt, &claim, |region| region.replace(&from, &to))))
    }

    pub fn asked(&self) -> usize {
        self.prompts.lock().unwrap().len()
    }

    fn completion(&self, text: String, (input_tokens, output_tokens): (u64, u64)) -> Completion {
        let model = "scripted".into();
        Completion { text, model, input_tokens, output_tokens, estimated: false, truncated: false }
    }
}

/// The answer of a model that changes the region by `change`.
pub fn rewrite(prompt: &Prompt, claim: &str, change: impl Fn(&str) -> String) -> String {
    let nonce = prompt.system.split("`BEGIN ").nth(1).unwrap().split('`').next().unwrap();
    let region = prompt.user.rsplit(&format!("DATA-{nonce}\n")).nth(1).unwrap();
    format!("BEGIN {nonce}\n{}\nEND {nonce}\nCONFIDENCE {claim}\n", change(region).trim_end_matches('\n'))
}

#[async_trait]
impl Model for ScriptedModel {
    async fn complete(&self, prompt: &Prompt) -> PortResult<Completion> {
        self.prompts.lock().unwrap().push(prompt.clone());
        let text = (self.script)(prompt)?;
        Ok(self.completion(text, (100, 50)))
    }

    /// One call, as of a server that gives several answers at once.
    async fn draw(&self, prompt: &Prompt, sampling: &Sampling) -> PortResult<Vec<Completion>> {
        self.prompts.lock().unwrap().push(prompt.clone());
        let tokens = |number| if number == 0 { (100, 50) } else { (0, 0) };
        (0..sampling.count).map(|number| Ok(self.completion((self.script)(prompt)?, tokens(number)))).collect()
    }
}

/// Everything that outlives a process.
pub struct World {
    pub git: TestRepo,
    pub clock: Arc<VirtualClock>,
    /// Holds the inbox and the memory of fixes, and the state unless that is elsewhere.
    pub store: Store,
    pub state: Arc<dyn State>,
    /// Set when the state is in DynamoDB.
    pub table: Option<DynamoState>,
    pub forge: Arc<dyn Forge>,
    pub team: Option<Arc<dyn TeamKnowledge>>,
    pub memory: Arc<dyn FixMemory>,
    pub embedder: Arc<dyn Embedder>,
    pub model: Option<Arc<dyn Model>>,
    pub fallback_model: Option<Arc<dyn Model>>,
    pub large_model: Option<Arc<dyn Model>>,
    /// The operator's own scanner.
    pub external: Option<Arc<dyn ExternalScanner>>,
    pub policy: Policy,
    /// Who pushes, as the webhook names them.
    pub pusher: String,
    /// Whether workers look the repository up by its name at the forge, as they do in the cloud.
    pub by_name: bool,
    pub shown: Arc<Mutex<Vec<Notice>>>,
    folder: TempDir,
    processes: AtomicUsize,
    deliveries: AtomicUsize,
}

impl World {
    /// [`Storage::world`] in the embedded store.
    pub async fn new() -> Self {
        Storage::InMemory.world().await
    }

    pub(super) fn over(
        folder: TempDir,
        store: Store,
        (state, table): (Arc<dyn State>, Option<DynamoState>),
        clock: Arc<VirtualClock>,
    ) -> Self {
        let git = TestRepo::new();
        let forge: Arc<dyn Forge> = Arc::new(LocalForge::new(folder.path(), [(git.described().id, git.git_dir())]));
        let (memory, embedder): (Arc<dyn FixMemory>, Arc<dyn Embedder>) =
            (Arc::new(store.memory()), Arc::new(StructuralEmbedder));
        let (processes, deliveries) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (team, model, shown, policy) = (None, None, Arc::default(), Policy::default());
        Self {
            git,
            clock,
            store,
            state,
            table,
            forge,
            team,
            memory,
            embedder,
            model,
            fallback_model: None,
            large_model: None,
            external: None,
            policy,
            pusher: "ann".to_owned(),
            by_name: false,
            shown,
            folder,
            processes,
            deliveries,
        }
    }

    pub fn with_model(mut self, model: &Arc<ScriptedModel>) -> Self {
        self.model = Some(Arc::clone(model) as Arc<dyn Model>);
        self
    }

    pub fn repository(&self) -> Repository {
        self.git.described()
    }

    /// Where everything is that is not in the repository: state, pull requests, notices.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A worker process in which nothing goes wrong.
    pub fn process(&self) -> Process {
        self.process_under(Arc::new(Healthy))
    }

    /// A worker process with a fault around every port.
    pub fn process_under(&self, fault: Arc<dyn Fault>) -> Process {
        let seen = Arc::clone(&self.shown);
        let show = Arc::new(move |notice: &Notice| seen.lock().unwrap().push(notice.clone()));
        let inbox: Arc<dyn Inbox> = Arc::new(self.store.inbox());
        let named = self.by_name.then(|| self.repository());
        let ports = Ports {
            forge: Arc::new(Under { inner: Arc::clone(&self.forge), fault: Arc::clone(&fault), named }),
            state: Under::new(Arc::clone(&self.state), &fault),
            team: self.team.clone().map(|team| Under::new(team, &fault) as Arc<dyn TeamKnowledge>),
            memory: Under::new(Arc::clone(&self.memory), &fault),
            embedder: Under::new(Arc::clone(&self.embedder), &fault),
            model: self.model.clone().map(|model| Under::new(model, &fault) as Arc<dyn Model>),
            fallback_model: self.fallback_model.clone(),
            large_model: self.large_model.clone(),
            notifier: Under::<dyn codehealer::ports::Notifier>::new(
                Arc::new(FileNotifier::new(self.folder().join("notices"), show)),
                &fault,
            ),
            external: self.external.clone(),
            clock: self.clock.clone(),
        };
        let name = format!("p{}", self.processes.fetch_add(1, Ordering::SeqCst));
        let healer = Healer::new(ports, detector(), self.policy.clone(), name);
        let inbox: Arc<dyn Inbox> = Under::new(inbox, &fault);
        let branches = vec![DEVELOP.to_owned()];
        let repositories = match self.by_name {
            true => Directory::of_names([(self.repository().name, branches)]),
            false => Directory::of_clones([(self.repository(), branches)]),
        };
        Process { worker: Worker::new(healer, inbox, repositories) }
    }

    /// Somebody pushes a file to `develop`. The webhook has not arrived yet.
    pub fn push(&self, file: &str, text: impl AsRef<[u8]>) -> Push {
        let before = self.git.tip("develop");
        let after = self.git.on("develop").file(file, text).commit(&format!("change {file}"));
        Push { before, after }
    }

    /// The webhook of a push arrives and is put into the inbox; each time under a new delivery id.
    pub async fn deliver(&self, push: &Push) {
        let number = self.deliveries.fetch_add(1, Ordering::SeqCst);
        let task = Task::Push(PushTask {
            repository: self.repository().id,
            name: self.repository().name,
            reference: DEVELOP.to_owned(),
            before: push.before.clone(),
            after: push.after.clone(),
            delivery: format!("delivery-{number}"),
            body_sha: sha256_hex(&[push.after.as_str().as_bytes()]),
            pusher: Some(self.pusher.clone()),
        });
        let body = serde_json::to_string(&task).unwrap();
        self.store.inbox().enqueue(&body, None, Duration::ZERO).await.unwrap();
    }

    /// Somebody pushes a file and the webhook arrives.
    pub async fn pushed(&self, file: &str, text: impl AsRef<[u8]>) -> Push {
        let push = self.push(file, text);
        self.deliver(&push).await;
        push
    }

    /// Everything at the head of `develop` is asked for, as `heal --all` does, together with what another scanner found.
    pub async fn heal_head(&self, external: Vec<Finding>) {
        let request = ScanRequest {
            repository: self.repository(),
            reference: DEVELOP.to_owned(),
            base: None,
            head: self.git.tip("develop").unwrap(),
            pusher: None,
            external,
        };
        self.process().worker.healer().scan(&request).await.unwrap();
        self.settle().await;
    }

    /// Time passes and healthy processes work until nothing is left to be done.
    pub async fn settle(&self) {
        for _ in 0..60 {
            let process = self.process();
            process.worker.reconcile().await.unwrap();
            process.drain().await.unwrap();
            let depth = self.store.inbox().depth().await.unwrap();
            if depth.ready + depth.hidden == 0 && self.runs().await.iter().all(|run| run.due.is_none()) {
                return;
            }
            self.clock.advance(Duration::from_secs(120));
        }
        panic!("two hours later there is still work: {:#?}", self.runs().await);
    }

    /// Days may pass: every quarter of an hour the reconciler and a worker look what there is to do.
    pub async fn pass(&self, time: Duration) {
        let quarter = Duration::from_secs(901);
        for _ in 0..time.as_secs() / quarter.as_secs() {
            let process = self.process();
            process.worker.reconcile().await.unwrap();
            process.drain().await.unwrap();
            self.clock.advance(quarter);
        }
    }

    /// The heads of all runs, oldest first.
    pub async fn runs(&self) -> Vec<RunHead> {
        let hash = self.repository().id.0;
        let of = QueryOf::Index { index: Index::Repository, hash, from: String::new(), to: "\u{10ffff}".into() };
        let items = trail::all(&*self.state, of).await.unwrap();
        items.iter().map(|item| record(item).unwrap()).collect()
    }

    /// The only run.
    pub async fn run(&self) -> RunHead {
        let runs = self.runs().await;
        let [run] = runs.as_slice() else { panic!("not one run: {runs:#?}") };
        run.clone()
    }

    /// The only run of a file.
    pub async fn run_of(&self, file: &str) -> RunHead {
        let runs: Vec<RunHead> =
            self.runs().await.into_iter().filter(|run| run.summary.path.as_str() == file).collect();
        let [run] = runs.as_slice() else { panic!("not one run of {file}: {runs:#?}") };
        run.clone()
    }

    pub async fn events(&self, run: &RunHead) -> Vec<AuditEvent> {
        trail::events(&*self.state, &run.case, run.generation).await.unwrap()
    }

    /// Branches of ours, with their tips.
    pub fn branches(&self) -> BTreeMap<String, String> {
        self.git.references().into_iter().filter(|(name, _)| name.starts_with("refs/heads/codehealer/")).collect()
    }

    pub async fn pull_request(&self, run: &RunHead) -> Option<PullRequest> {
        let branch = run.case.branch(&run.summary.rule, run.generation);
        self.forge.find_pull_request(&self.repository(), &branch, "develop").await.unwrap()
    }

    pub fn pull_requests(&self) -> usize {
        files(&self.folder().join("pulls")).iter().filter(|file| file.extension().is_some_and(|e| e == "json")).count()
    }

    pub fn notices(&self) -> usize {
        files(&self.folder().join("notices")).len()
    }

    pub async fn memories(&self) -> Vec<PastFix> {
        self.store.memory().list(None, 100).await.unwrap()
    }

    /// Every run ended, and its trail is whole.
    pub async fn assert_ended(&self) {
        for run in self.runs().await {
            assert!(run.state.is_terminal(), "not ended: {run:#?}");
            let check = trail::check(&*self.state, &run).await.unwrap();
            assert!(matches!(check, trail::TrailCheck::Whole { .. }), "{check:?}");
        }
        assert_eq!(self.store.inbox().buried(10).await.unwrap(), [], "nothing is put aside");
    }

    /// What "OK" means after a fault: one branch, one pull request, one notice, one memory, a whole trail, an end.
    pub async fn assert_ok(&self) {
        let run = self.run().await;
        assert_eq!(run.state, RunState::Done, "{run:#?}");
        assert_eq!(self.branches().len(), 1, "{:?}", self.branches());
        assert_eq!(self.pull_requests(), 1, "pull requests");
        assert_eq!(self.notices(), 1, "notices");
        assert_eq!(self.memories().await.len(), 1, "memories");
        let names: BTreeSet<_> = self.events(&run).await.iter().map(|e| (e.kind.name(), e.sequence)).collect();
        for once in ["detected", "decided", "branched", "proposed", "notified", "learned"] {
            assert_eq!(names.iter().filter(|(name, _)| *name == once).count(), 1, "{once} in {names:?}");
        }
        self.assert_ended().await;
    }
}

/// All files below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let all = entries.map(|entry| entry.unwrap().path());
    all.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// A push: what the branch was and what it became.
#[derive(Debug, Clone)]
pub struct Push {
    pub before: Option<CommitId>,
    pub after: CommitId,
}

/// A worker process. Dropping it is killing it: nothing of it remains.
pub struct Process {
    pub worker: Worker,
}

impl World {
    /// Works, as time goes by, until neither the inbox nor the index of due work has anything for now.
    pub async fn work_off(&self, process: &Process) {
        for _ in 0..150 {
            let _ = process.worker.reconcile().await;
            while process.worker.work(10).await.unwrap_or(1) > 0 {}
            let depth = self.store.inbox().depth().await.unwrap();
            if depth.ready + depth.hidden == 0 {
                return;
            }
            self.clock.advance(Duration::from_secs(21));
        }
    }
}

impl Process {
    /// Works until nothing can be taken.
    pub async fn drain(&self) -> PortResult<()> {
        while self.worker.work(10).await? > 0 {}
        Ok(())
    }
}
