//! `codehealer serve`: the receiver, the workers and the reconciler in one process, stopped gracefully.

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
use crate::webhook::WebhookSecrets;
use crate::wiring::{self, Backends, Deployment, Mode};

/// Workers look into the inbox at least this often, also when nobody wakes them.
const IDLE: Duration = Duration::from_millis(500);
/// Steps under way get this long to end after a signal.
const GRACE: Duration = Duration::from_secs(20);

/// Runs until a signal arrives. `ready` is told the address once the server listens.
///
/// # Errors
/// Says which part of the configuration cannot be used; nothing has begun then.
pub async fn serve(config: &Config, ready: impl FnOnce(std::net::SocketAddr)) -> Result<()> {
    let secrets = secrets(config).await?;
    let show = Arc::new(|notice: &crate::ports::Notice| {
        tracing::info!(senior = notice.for_senior, "{}", notice.headline);
    });
    let Deployment { watched, worker, state, inbox } = wiring::deploy(config, show)?;
    let metrics = Arc::new(Metrics::default());
    let observer = Arc::clone(&metrics);
    let worker = worker.observed_by(Arc::new(move |seen| observer.observe(seen)));
    // The first sight of a branch records where it stands, before any delivery can arrive.
    worker.reconcile().await.context("look at the watched branches")?;

    let listener = TcpListener::bind(config.serve.listen).await;
    let listener =
        listener.with_context(|| format!("listen on {}; is another server running?", config.serve.listen))?;
    let address = listener.local_addr()?;
    let wake = Arc::new(Notify::new());
    let receiver =
        Arc::new(Receiver { secrets, watched, inbox, state, metrics, room: Room::default(), wake: Arc::clone(&wake) });
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    for _ in 0..config.serve.workers {
        tasks.spawn(work(worker.clone(), Arc::clone(&wake), stopped.clone()));
    }
    if config.serve.starter {
        tasks.spawn(begin_memory(worker.clone(), config.organisation.clone(), stopped.clone()));
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

/// The secrets that may have signed a delivery. Without one, or with an empty one, nothing starts.
async fn secrets(config: &Config) -> Result<WebhookSecrets> {
    let backends = Backends::new(config, Mode::Read);
    let mut secrets = Vec::new();
    for source in &config.serve.webhook_secrets {
        secrets.push(backends.credential(source).read().await.context("read the webhook secret")?);
    }
    WebhookSecrets::new(secrets).map_err(|why| anyhow::anyhow!("{why}; see [serve] webhook_secrets"))
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

/// Gives an empty memory something to begin with, beside the work. Without it the server does its work as well.
async fn begin_memory(worker: Worker, organisation: String, mut stopped: watch::Receiver<bool>) {
    let begun = tokio::select! {
        begun = worker.healer().begin_with_starter(&organisation) => begun,
        _ = stopped.changed() => return,
    };
    match begun {
        Ok(None) => {}
        Ok(Some(report)) => tracing::info!(fixes = report.fixes(), "the starter memory was taken in"),
        Err(error) => {
            tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "the starter memory was not taken in");
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
