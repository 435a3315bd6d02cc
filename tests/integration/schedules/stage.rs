//! Where a schedule is played: a small repository, the stores, the services, and as many processes as it wants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use codehealer::detect::{Detector, Limits, RuleSet};
use codehealer::healer::{Directory, Healer, Policy, Ports, Worker, trail};
use codehealer::local::embedder::StructuralEmbedder;
use codehealer::local::git::LocalForge;
use codehealer::local::store::{Options, Store};
use codehealer::model::{PushTask, Repository, RuleOrigin, Task, sha256_hex};
use codehealer::ports::{Clock, FixMemory, Forge, Inbox, Model, Notice, Notifier, PortResult, State, Taken};
use codehealer::state::run::{RunHead, fields, record};
use codehealer::state::{Condition, Index, Item, Key, Page, Query, QueryOf, Transaction, Write};
use serde_json::json;
use tempfile::TempDir;

use super::hub::{Hub, Ledger, Told};
use super::people::Range;
use crate::support::clock::VirtualClock;
use crate::support::faults::{Call, Fault, Healthy, Under};
use crate::support::git::TestRepo;
use crate::support::world::{DEVELOP, Process, ScriptedModel};

/// What a run of schedules goes without. The product has no switch for any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    Nothing,
    /// Writes to a run's head no longer ask whether it is still the writer's.
    Fence,
    /// Nobody looks what time alone asks for.
    Reconciler,
    /// Deliveries are believed.
    LevelTrigger,
    /// Branches are named as it happens.
    NaturalName,
}

/// Two rules: one with a curated fix, one that only a model can heal.
pub fn detector() -> Arc<Detector> {
    static DETECTOR: OnceLock<Arc<Detector>> = OnceLock::new();
    let make = || {
        let files = [
            ("py-yaml-unsafe-load.yml", include_str!("../../../rules/python/py-yaml-unsafe-load.yml")),
            ("py-yaml-unsafe-load.fix.yml", include_str!("../../../rules/python/py-yaml-unsafe-load.fix.yml")),
            ("py-format-arguments.yml", include_str!("../../../rules/python/py-format-arguments.yml")),
        ];
        let files = files.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec();
        let rules = RuleSet::parse(files, RuleOrigin::BuiltIn).unwrap();
        Arc::new(Detector::new(Arc::new(rules), Limits::default()))
    };
    Arc::clone(DETECTOR.get_or_init(make))
}

/// Notices by their key, each with how often people were told anew.
#[derive(Default)]
pub struct Board(Mutex<BTreeMap<String, Notice>>);

impl Board {
    pub fn notices(&self) -> BTreeMap<String, Notice> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl Notifier for Board {
    async fn ensure_notice(&self, notice: &Notice) -> PortResult<String> {
        self.0.lock().unwrap().insert(notice.key.clone(), notice.clone());
        Ok(format!("board/{}", notice.key))
    }
}

pub struct Stage {
    pub git: TestRepo,
    pub clock: Arc<VirtualClock>,
    pub store: Store,
    pub state: Arc<dyn State>,
    pub local: Arc<LocalForge>,
    pub ledger: Arc<Mutex<Ledger>>,
    pub board: Arc<Board>,
    pub model: Option<Arc<ScriptedModel>>,
    pub policy: Policy,
    pub removed: Removed,
    /// The state is behind a network, and the runtime's time goes by.
    pub real_time: bool,
    processes: AtomicUsize,
    deliveries: AtomicUsize,
    _folder: TempDir,
}

impl Stage {
    /// A repository with one harmless commit on `develop`, which was seen before. The state is the embedded store's unless
    /// another one is given.
    pub async fn new(clock: Arc<VirtualClock>, removed: Removed, state: Option<Arc<dyn State>>) -> Self {
        let (git, folder) = (TestRepo::bare(), tempfile::tempdir().unwrap());
        let store = Store::in_memory(Options::new(clock.clone())).unwrap();
        let real_time = state.is_some();
        let state = state.unwrap_or_else(|| Arc::new(store.state()));
        let local = Arc::new(LocalForge::new(folder.path(), [(git.described().id, git.git_dir())]));
        let stage = Self {
            git,
            clock,
            store,
            state,
            local,
            ledger: Arc::default(),
            board: Arc::default(),
            model: None,
            policy: Policy::default(),
            removed,
            real_time,
            processes: AtomicUsize::new(0),
            deliveries: AtomicUsize::new(0),
            _folder: folder,
        };
        stage.git.on("develop").file("README.md", "a shop\n").commit("begin");
        stage.process(Arc::new(Healthy)).worker.reconcile().await.unwrap();
        stage
    }

    pub fn repository(&self) -> Repository {
        self.git.described()
    }

    /// The forge, as one more process sees it.
    pub fn hub(&self) -> Hub {
        let (inner, ledger) = (Arc::clone(&self.local), Arc::clone(&self.ledger));
        Hub { inner, ledger, removed: self.removed, told: Told::default() }
    }

    /// A worker process with a fault around every port.
    pub fn process(&self, fault: Arc<dyn Fault>) -> Process {
        let (removed, hub) = (self.removed, self.hub());
        let told = Arc::clone(&hub.told);
        let hub: Arc<dyn Forge> = Arc::new(hub);
        let memory: Arc<dyn FixMemory> = Arc::new(self.store.memory());
        let shelf = Shelf { inner: Under::new(Arc::clone(&self.state), &fault), removed, told: Arc::clone(&told) };
        let model = self.model.clone().map(|model| model as Arc<dyn Model>);
        let board: Arc<dyn Notifier> = self.board.clone();
        let ports = Ports {
            forge: Under::new(hub, &fault),
            state: Arc::new(shelf),
            team: None,
            memory: Under::new(memory, &fault),
            embedder: Arc::new(StructuralEmbedder),
            model: model.map(|model| Under::new(model, &fault) as Arc<dyn Model>),
            fallback_model: None,
            large_model: None,
            notifier: Under::new(board, &fault),
            external: None,
            clock: self.clock.clone(),
        };
        let name = format!("p{}", self.processes.fetch_add(1, Ordering::SeqCst));
        let healer = Healer::new(ports, detector(), self.policy.clone(), name);
        let inbox: Arc<dyn Inbox> = Arc::new(self.store.inbox());
        let inbox: Arc<dyn Inbox> = Under::new(inbox, &fault);
        let directory = Directory::of_clones([(self.repository(), vec![DEVELOP.to_owned()])]);
        Process { worker: Worker::new(healer, Arc::new(Postman { inner: inbox, told }), directory) }
    }

    /// The webhook of a push arrives, each time under a new delivery id.
    pub async fn deliver(&self, (before, after): &Range) {
        let number = self.deliveries.fetch_add(1, Ordering::SeqCst);
        let task = Task::Push(PushTask {
            repository: self.repository().id,
            name: self.repository().name,
            reference: DEVELOP.to_owned(),
            before: before.clone(),
            after: after.clone(),
            delivery: format!("delivery-{number}"),
            body_sha: sha256_hex(&[after.as_str().as_bytes()]),
            pusher: Some("ann".to_owned()),
        });
        let body = serde_json::to_string(&task).unwrap();
        self.store.inbox().enqueue(&body, None, Duration::ZERO).await.unwrap();
    }

    /// Time passes for everybody.
    pub async fn pass(&self, millis: u64) {
        // Where the runtime's time is real only our own clock is turned.
        tokio::time::sleep(Duration::from_millis(if self.real_time { 1 } else { millis })).await;
        self.clock.advance(Duration::from_millis(millis));
    }

    /// Healthy processes work until nothing is left to be done. False when that takes more than days.
    pub async fn settle(&self) -> bool {
        let mut before = None;
        for round in 0..80 {
            let process = self.process(Arc::new(Healthy));
            // What it could not do it does next time.
            let reconciles = self.removed != Removed::Reconciler;
            let reconciled = !reconciles || process.worker.reconcile().await.is_ok();
            while process.worker.work(10).await.unwrap() > 0 {}
            let depth = self.store.inbox().depth().await.unwrap();
            let runs = self.runs().await;
            let at_rest = !reconciles || runs.iter().all(|run| run.due.is_none());
            let now = runs.into_iter().map(|run| (run.case, run.generation, run.sequence)).collect::<Vec<_>>();
            // What people did with a run that has only just ended is seen by the reconciliation after that.
            let nothing_new = before.replace(now.clone()) == Some(now);
            if depth.ready + depth.hidden == 0 && reconciled && at_rest && nothing_new {
                return true;
            }
            self.pass(if round < 40 { 120_000 } else { 3_600_000 }).await;
        }
        false
    }

    /// The heads of all runs, oldest first.
    pub async fn runs(&self) -> Vec<RunHead> {
        let hash = self.repository().id.0;
        let of = QueryOf::Index { index: Index::Repository, hash, from: String::new(), to: "\u{10ffff}".into() };
        let items = trail::all(&*self.state, of).await.unwrap();
        items.iter().map(|item| record(item).unwrap()).collect()
    }

    /// Branches of ours that are there now, without `refs/heads/`.
    pub fn branches(&self) -> BTreeSet<String> {
        let all = self.git.references().into_keys();
        all.filter_map(|name| name.strip_prefix("refs/heads/").map(str::to_owned))
            .filter(|name| name.starts_with("codehealer/"))
            .collect()
    }
}

/// The state as one process sees it.
struct Shelf {
    inner: Arc<Under<dyn State>>,
    removed: Removed,
    told: Told,
}

impl Shelf {
    /// The push that is believed about this record.
    fn believed(&self, key: &Key) -> Option<PushTask> {
        let told = self.told.lock().unwrap().clone();
        told.filter(|_| self.removed == Removed::LevelTrigger && key.sk == "HEAD" && key.pk.starts_with("REPO#"))
    }

    fn stripped(&self, mut transaction: Transaction) -> Transaction {
        for write in &mut transaction.writes {
            let believed = self.believed(write.key()).is_some();
            let head = write.key().sk.ends_with("#STATE");
            let (Write::Put { when, .. } | Write::Delete { when, .. } | Write::Check { when, .. }) = write;
            if believed {
                when.clear();
            }
            if self.removed == Removed::Fence && head {
                when.retain(|condition| matches!(condition, Condition::Absent | Condition::Present));
            }
        }
        transaction
    }
}

#[async_trait]
impl State for Shelf {
    async fn get(&self, key: &Key) -> PortResult<Option<Item>> {
        if let Some(before) = self.believed(key).and_then(|push| push.before) {
            let fields = fields(&json!({ "last_scanned": before }));
            return Ok(Some(Item { key: key.clone(), fields, indexes: Vec::new(), expires: None }));
        }
        self.inner.around(Call::read("state", "get"), self.inner.inner.get(key)).await
    }

    async fn query(&self, query: &Query) -> PortResult<Page> {
        self.inner.around(Call::read("state", "query"), self.inner.inner.query(query)).await
    }

    async fn commit(&self, transaction: &Transaction) -> PortResult<()> {
        let is_step = transaction.writes.iter().any(|write| {
            let key = write.key();
            key.pk.starts_with("CASE#") && key.sk.contains("#EVT#")
        });
        let first = transaction.writes.first().map(|write| format!("{}/{}", write.key().pk, write.key().sk));
        let kind = if is_step { "step" } else { "write" };
        let call = Call::write("state", "commit", format!("{kind} {}", first.unwrap_or_default()));
        let transaction = self.stripped(transaction.clone());
        self.inner.around(call, self.inner.inner.commit(&transaction)).await
    }
}

/// The inbox, which remembers whose delivery is being worked on.
struct Postman {
    inner: Arc<dyn Inbox>,
    told: Told,
}

#[async_trait]
impl Inbox for Postman {
    async fn enqueue(&self, body: &str, dedupe: Option<&str>, delay: Duration) -> PortResult<()> {
        self.inner.enqueue(body, dedupe, delay).await
    }

    async fn take(&self, limit: usize, visibility: Duration) -> PortResult<Vec<Taken>> {
        *self.told.lock().unwrap() = None;
        let taken = self.inner.take(limit, visibility).await?;
        if let Some(Ok(Task::Push(push))) = taken.first().map(|taken| serde_json::from_str(&taken.body)) {
            *self.told.lock().unwrap() = Some(push);
        }
        Ok(taken)
    }

    async fn done(&self, receipt: &str) -> PortResult<()> {
        self.inner.done(receipt).await
    }

    async fn retry(&self, receipt: &str, delay: Duration) -> PortResult<()> {
        self.inner.retry(receipt, delay).await
    }

    async fn bury(&self, receipt: &str, reason: &str) -> PortResult<()> {
        self.inner.bury(receipt, reason).await
    }
}

/// Milliseconds since the epoch.
pub fn now(stage: &Stage) -> u64 {
    stage.clock.now()
}
