//! Waiting for the server's work to end, by reading the state file beside it.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::shop::{BRANCH, Push};
use crate::config::Config;
use crate::healer::trail;
use crate::local::git::open::open;
use crate::local::store::Store;
use crate::model::RepositoryId;
use crate::state::chain::{PushEvent, PushEventKind};
use crate::state::run::{RunHead, record};
use crate::state::{Index, QueryOf, keys};
use crate::wiring::{self, Mode};

/// Healing the demo's push takes a second or two; a loaded machine may take longer.
const PATIENCE: Duration = Duration::from_secs(180);
const PAUSE: Duration = Duration::from_millis(100);

/// The state file, and the push that is looked for in it.
pub struct Watch {
    pub store: Store,
    repository: RepositoryId,
    push: String,
}

impl Watch {
    pub fn open(config: &Config, push: &Push) -> Result<Self> {
        let clone = config.repositories.first().and_then(|r| r.path.as_deref()).map(open).transpose()?;
        let Some(clone) = clone else { bail!("the demo's configuration names no repository") };
        let repository = clone.default_id();
        let push = keys::push_partition(&repository, BRANCH, &push.after);
        Ok(Self { store: wiring::open_store(config, Mode::Record)?, repository, push })
    }

    /// Waits until the push was scanned so many times and every run has ended.
    pub async fn until_healed(&self, scans: usize) -> Result<()> {
        let begun = Instant::now();
        loop {
            let runs = self.runs().await?;
            if self.scans().await? >= scans && runs.iter().all(|run| run.state.is_terminal()) {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                let open = runs.iter().filter(|run| !run.state.is_terminal()).count();
                bail!("{open} case(s) did not end within {} s", PATIENCE.as_secs());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The runs of the shop, oldest first.
    pub async fn runs(&self) -> Result<Vec<RunHead>> {
        let of = QueryOf::Index {
            index: Index::Repository,
            hash: self.repository.0.clone(),
            from: String::new(),
            to: keys::LAST.to_owned(),
        };
        let items = trail::all(&self.store.state(), of).await?;
        items.iter().map(|item| Ok(record(item)?)).collect()
    }

    /// The last hash of every run's trail: equal exactly when nothing happened in between.
    pub async fn trails(&self) -> Result<Vec<String>> {
        Ok(self.runs().await?.into_iter().map(|run| run.head_hash).collect())
    }

    async fn scans(&self) -> Result<usize> {
        let of = QueryOf::Partition { pk: self.push.clone(), prefix: keys::PUSH_EVENTS.to_owned() };
        let events = trail::all(&self.store.state(), of).await?;
        let events: Result<Vec<PushEvent>, _> = events.iter().map(record).collect();
        Ok(events?.iter().filter(|event| matches!(event.kind, PushEventKind::Scanned { .. })).count())
    }
}
