//! `codehealer serve`: the receiver, the workers and the reconciler in one process, stopped gracefully.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::body::Room;
use super::http::{Receiver, router};
use super::metrics::Metrics;
use crate::config::Config;
use crate::healer::Worker;
use crate::local::git::open::open;
use crate::model::RepositoryId;
use crate::webhook::{WatchList, Watched, WebhookSecrets};
use crate::wiring::{self, Clone, Mode};

/// Workers look into the inbox at least this often, also when nobody wakes them.
const IDLE: Duration = Duration::from_millis(500);
/// Steps under way get this long to end after a signal.
const GRACE: Duration = Duration::from_secs(20);

/// Branches that are watched, by repository.
pub(super) type Branches = BTreeMap<RepositoryId, Vec<String>>;

/// Runs until a signal arrives. `ready` is told the address once the server listens.
///
/// # Errors
/// Says which part of the configuration cannot be used; nothing has begun then.
pub async fn serve(config: &Config, ready: impl FnOnce(std::net::SocketAddr)) -> Result<()> {
    let secrets: Result<Vec<_>, _> = config.serve.webhook_secrets.iter().map(|s| s.read()).collect();
    let secrets = WebhookSecrets::new(secrets?).map_err(|why| anyhow::anyhow!("{why}; see [serve] webhook_secrets"))?;
    let (clones, watched, branches) = watch_list(config)?;
    let show = Arc::new(|notice: &crate::ports::Notice| {
        tracing::info!(senior = notice.for_senior, "{}", notice.headline);
    });
    let wired = wiring::wire(config, clones, Mode::Record, show)?;
    let metrics = Arc::new(Metrics::default());
    let observer = Arc::clone(&metrics);
    let worker = wired.worker(&branches).observed_by(Arc::new(move |seen| observer.observe(seen)));
    // The first sight of a branch records where it stands, before any delivery can arrive.
    worker.reconcile().await.context("look at the watched branches")?;

    let listener = TcpListener::bind(config.serve.listen).await;
    let listener =
        listener.with_context(|| format!("listen on {}; is another server running?", config.serve.listen))?;
    let address = listener.local_addr()?;
    let wake = Arc::new(Notify::new());
    let receiver = Arc::new(Receiver {
        secrets,
        watched,
        inbox: Arc::new(wired.store.inbox()),
        state: Arc::new(wired.store.state()),
        metrics,
        room: Room::default(),
        wake: Arc::clone(&wake),
    });
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    for _ in 0..config.serve.workers {
        tasks.spawn(work(worker.clone(), Arc::clone(&wake), stopped.clone()));
    }
    tasks.spawn(reconcile(worker, config.serve.reconcile, stopped.clone()));
    let mut signals = Signals::listen().context("listen for signals")?;
    ready(address);
    let mut ended = stopped;
    let server = axum::serve(listener, router(receiver)).with_graceful_shutdown(async move {
        let _ = ended.wait_for(|stop| *stop).await;
    });
    let server = tokio::spawn(server.into_future());
    signals.arrive().await;
    tracing::info!("stopping: no new work is taken");
    stop.send_replace(true);
    let drained = tokio::time::timeout(GRACE, async { while tasks.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!("a step did not end in time; it is taken up at the next start");
    }
    let _ = tokio::time::timeout(Duration::from_secs(2), server).await;
    Ok(())
}

/// What is watched: the clones, the allow-list of deliveries, and the branches of each clone.
pub(super) fn watch_list(config: &Config) -> Result<(Vec<Clone>, WatchList, Branches)> {
    anyhow::ensure!(
        !config.repositories.is_empty(),
        "no repository is configured; add a [[repository]] with name and path to codehealer.toml"
    );
    let (mut clones, mut watched, mut branches) = (Vec::new(), WatchList::new(), Branches::new());
    for entry in &config.repositories {
        let path = entry.path.as_deref().with_context(|| format!("the clone of {} is not named", entry.name))?;
        let local = open(path).with_context(|| format!("open the clone of {}", entry.name))?;
        let mut clone = Clone::of(config, local);
        clone.repository.name.clone_from(&entry.name);
        clone.repository.private = entry.private.unwrap_or(true);
        let names = if entry.branches.is_empty() { vec!["develop".to_owned()] } else { entry.branches.clone() };
        let references: Vec<String> = names.iter().map(|name| format!("refs/heads/{name}")).collect();
        let id = clone.repository.id.clone();
        branches.insert(id.clone(), references.clone());
        let entered = Watched { repository: Some(id), branches: references, installation: None };
        let twice = watched.insert(entry.name.to_lowercase(), entered);
        anyhow::ensure!(twice.is_none(), "repository {} is configured twice", entry.name);
        clones.push(clone);
    }
    Ok((clones, watched, branches))
}

/// One worker: takes a task, works on it, takes the next.
async fn work(worker: Worker, wake: Arc<Notify>, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        match worker.work(1).await {
            Ok(0) => {
                tokio::select! {
                    () = wake.notified() => {}
                    () = tokio::time::sleep(IDLE) => {}
                    _ = stopped.changed() => {}
                }
            }
            // There may be more: wake a colleague before going on.
            Ok(_) => wake.notify_one(),
            Err(error) => {
                tracing::error!(error = error.chain(), "the inbox does not answer");
                tokio::time::sleep(IDLE * 4).await;
            }
        }
    }
}

async fn reconcile(worker: Worker, every: Duration, mut stopped: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            _ = stopped.changed() => return,
        }
        if let Err(error) = worker.reconcile().await {
            tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "a reconciliation was not finished");
        }
    }
}

/// What asks the server to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on SIGTERM and Ctrl-C no longer end the process by themselves.
    fn listen() -> Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn arrive(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
