//! The only code that joins pure decisions to ports: scan, heal, feedback, reconcile.
//!
//! One run is healed step by step: replay its events, ask [`crate::decide::Walk::next`] what comes next, do that one
//! thing through a port, record it, repeat. Every step can be done twice without harm, so a worker may die anywhere.

mod again;
pub mod audit;
mod command;
mod consult;
mod deliver;
mod directory;
mod error;
mod feedback;
mod heal;
mod hindsight;
mod judge;
mod later;
mod learn;
mod lease;
mod look;
mod policy;
mod push_trail;
mod quota;
mod reconcile;
mod record;
mod redrive;
mod scan;
mod spend;
mod starter;
mod stray;
pub mod trail;
mod veto;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::detect::Detector;
use crate::model::UnixMillis;
use crate::ports::{Clock, Embedder, ExternalScanner, FixMemory, Forge, Model, Notifier, State, TeamKnowledge};

pub use consult::{ModelPolicy, Prices};
pub use directory::Directory;
pub use error::HealError;
pub use heal::{CaseReport, Progress};
pub use hindsight::Place;
pub use learn::{HistoricalChange, LearnReport, Studied};
pub use policy::{FRESH_HEAD, Policy, PolicyError, RepositoryConfig};
pub use quota::{BreakerPolicy, Caps};
pub use reconcile::Reconciled;
pub use scan::{ScanReport, ScanRequest};
pub use spend::{Budgets, Limit};
pub use starter::StarterReport;
pub use worker::{Observation, Observer, Settled, Worker};

/// The services a healer works through. Sources that the operator did not configure are `None`.
#[derive(Clone)]
pub struct Ports {
    pub forge: Arc<dyn Forge>,
    pub state: Arc<dyn State>,
    pub team: Option<Arc<dyn TeamKnowledge>>,
    pub memory: Arc<dyn FixMemory>,
    pub embedder: Arc<dyn Embedder>,
    pub model: Option<Arc<dyn Model>>,
    /// Asked where the model cannot be reached.
    pub fallback_model: Option<Arc<dyn Model>>,
    /// A larger one, asked where the model abstains.
    pub large_model: Option<Arc<dyn Model>>,
    pub notifier: Arc<dyn Notifier>,
    pub external: Option<Arc<dyn ExternalScanner>>,
    pub clock: Arc<dyn Clock>,
}

/// Finds, heals and follows up the cases of repositories.
#[derive(Clone)]
pub struct Healer {
    ports: Ports,
    detector: Arc<Detector>,
    policy: Policy,
    /// Name of this worker in leases; each lease adds a number, so that two tasks of one worker are rivals too.
    worker: String,
    leases: Arc<AtomicU64>,
    /// Stops each run before its first effect outside of the store.
    preview: bool,
    /// Work has to be laid down, its state saved, by this time.
    deadline: Option<UnixMillis>,
}

impl Healer {
    #[must_use]
    pub fn new(ports: Ports, detector: Arc<Detector>, policy: Policy, worker: String) -> Self {
        Self { ports, detector, policy, worker, leases: Arc::default(), preview: false, deadline: None }
    }

    #[must_use]
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    fn next_owner(&self) -> String {
        format!("{}#{}", self.worker, self.leases.fetch_add(1, Ordering::Relaxed))
    }

    /// A healer that lays its work down in time, its state saved, to go on when it is asked again.
    #[must_use]
    pub fn until(self, deadline: UnixMillis) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// A healer that decides but delivers nothing.
    #[must_use]
    pub fn preview(self) -> Self {
        Self { preview: true, ..self }
    }
}
