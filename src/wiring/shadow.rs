//! The wiring of a shadow: the same healer over the same clone, with an empty state and an empty memory that are gone afterwards, and
//! nobody to tell.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;

use super::{Backends, Clone, Mode, detector, external, local_forge, policy, worker_name};
use crate::config::Config;
use crate::detect::Detector;
use crate::healer::{Healer, Policy, Ports};
use crate::local::clock::SystemClock;
use crate::local::store::{Options, Store};
use crate::ports::{ErrorKind, Notice, Notifier, PortError, PortResult};

/// Which sources a shadow may ask beside its own memory and the curated fixes. What they know may be newer than what is replayed,
/// and a model costs money.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ask {
    pub team: bool,
    pub model: bool,
}

/// Makes healers that share a memory, each with an empty state.
pub struct Shadow {
    ports: Ports,
    detector: Arc<Detector>,
    policy: Policy,
}

impl Shadow {
    /// # Errors
    /// Says which part of the configuration cannot be used, and why.
    pub fn of(config: &Config, clone: &Clone, ask: Ask) -> Result<Self> {
        let backends = Backends::new(config, Mode::DryRun);
        let forge = local_forge(config, std::slice::from_ref(clone));
        let store = empty()?;
        let ports = Ports {
            external: external(config, &forge),
            forge,
            state: Arc::new(store.state()),
            team: if ask.team { backends.team()? } else { None },
            memory: Arc::new(store.memory()),
            embedder: backends.embedder(),
            model: if ask.model { backends.model()? } else { None },
            fallback_model: if ask.model { backends.fallback_model()? } else { None },
            large_model: if ask.model { backends.large_model()? } else { None },
            notifier: Arc::new(Nobody),
            clock: backends.clock(),
        };
        Ok(Self { ports, detector: detector(config)?, policy: Policy { caps: None, ..policy(config) } })
    }

    /// A healer that has seen nothing yet and delivers nothing. What one learns all of them remember.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn healer(&self) -> PortResult<Healer> {
        let ports = Ports { state: Arc::new(empty()?.state()), ..self.ports.clone() };
        Ok(Healer::new(ports, Arc::clone(&self.detector), self.policy.clone(), worker_name()).preview())
    }
}

fn empty() -> PortResult<Store> {
    Store::in_memory(Options::new(Arc::new(SystemClock)))
}

/// Nobody is told: a shadow stops before it would.
struct Nobody;

#[async_trait]
impl Notifier for Nobody {
    async fn ensure_notice(&self, _notice: &Notice) -> PortResult<String> {
        Err(PortError::new("notifier", "tell somebody of a replay", ErrorKind::Denied))
    }
}
