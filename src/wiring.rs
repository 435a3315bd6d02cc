//! The only place that names backends: from a configuration to ports, healer and worker.

mod backends;
mod keyring;
mod shadow;
mod watched;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};

use crate::config::Config;
use crate::detect::{Detector, Limits, RuleSet};
use crate::healer::{FRESH_HEAD, Healer, Policy, Ports, Worker};
use crate::local::clock::SystemClock;
use crate::local::git::LocalForge;
use crate::local::git::open::LocalRepository;
use crate::local::notifier::Show;
use crate::local::store::{Access, Options, Store};
use crate::local::verify_command::VerifyCommand;
use crate::model::{Repository, RepositoryId, RuleId, RuleOrigin};
use crate::ports::{ExternalScanner, Forge, Inbox, PortResult, State};
use crate::webhook::WatchList;

pub use backends::Backends;
pub use shadow::{Ask, Shadow};
pub use watched::Watch;

/// How the stores are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// What is done is recorded.
    Record,
    /// Everything happens on a copy in memory and is gone afterwards.
    DryRun,
    /// Only read; where nothing was ever recorded, no file is made.
    Read,
}

/// A clone that commands work on.
#[derive(Debug, Clone)]
pub struct Clone {
    pub repository: Repository,
    pub local: LocalRepository,
}

impl Clone {
    /// The clone under its own name, as `heal` and `learn` see it.
    #[must_use]
    pub fn of(config: &Config, local: LocalRepository) -> Self {
        let described = local.describe(local.default_id());
        let repository = Repository { organisation: config.organisation.clone(), ..described };
        Self { repository, local }
    }
}

/// Everything that a command on a clone needs.
pub struct Wiring {
    pub healer: Healer,
    pub forge: Arc<LocalForge>,
}

/// Everything that watching repositories needs.
pub struct Deployment {
    pub watched: WatchList,
    pub worker: Worker,
    pub state: Arc<dyn State>,
    pub inbox: Arc<dyn Inbox>,
}

/// Path of the state file.
#[must_use]
pub fn state_file(config: &Config) -> PathBuf {
    config.state.join("codehealer.db")
}

/// Opens the state file as `mode` asks for.
///
/// # Errors
/// Says what is wrong with the file and what to do.
pub fn open_store(config: &Config, mode: Mode) -> PortResult<Store> {
    let options = Options::new(Arc::new(SystemClock));
    let file = state_file(config);
    match mode {
        Mode::Record => Store::open(&file, options),
        Mode::DryRun if file.exists() => Store::snapshot_in_memory(&file, options),
        Mode::Read if file.exists() => Store::open(&file, Options { access: Access::Read, ..options }),
        Mode::DryRun | Mode::Read => Store::in_memory(options),
    }
}

/// The detector with the built-in rules and the operator's.
///
/// # Errors
/// Names the rule file that is wrong.
pub fn detector(config: &Config) -> Result<Arc<Detector>> {
    let mut rules = RuleSet::built_in();
    for folder in &config.rules {
        let own = RuleSet::parse(rule_files(folder)?, RuleOrigin::Operator)?;
        rules = Arc::new(rules.with(&own)?);
    }
    let mut limits = Limits::default();
    if let Some(bytes) = config.file_bytes {
        limits.max_bytes = bytes;
    }
    let ignored = config.policy.ignore_rules.iter().filter_map(|id| RuleId::new(id.clone()).ok());
    Ok(Arc::new(Detector::new(rules, limits).without(ignored)))
}

/// Every YAML file of a folder and its sub-folders, by its name.
///
/// # Errors
/// When the folder cannot be read.
pub fn rule_files(folder: &Path) -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    let walk = ignore::WalkBuilder::new(folder).standard_filters(false).sort_by_file_name(Ord::cmp).build();
    for entry in walk {
        let entry = entry.with_context(|| format!("read the rule folder {}", folder.display()))?;
        let path = entry.path();
        let is_rule = path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml");
        if !is_rule || !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let text = std::fs::read_to_string(path).with_context(|| format!("read the rule file {}", path.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push((name, text));
    }
    Ok(files)
}

/// Makes everything for commands on these clones. `show` is called for each new notice.
///
/// # Errors
/// Says which part of the configuration cannot be used, and why.
pub fn wire(config: &Config, clones: &[Clone], mode: Mode, show: Show) -> Result<Wiring> {
    let backends = Backends::new(config, mode);
    let forge = local_forge(config, clones);
    // Nobody is flooded by branches on his own machine.
    let policy = Policy { caps: None, ..policy(config) };
    let ports = ports(&backends, forge.clone(), external(config, &forge), show)?;
    Ok(Wiring { healer: Healer::new(ports, detector(config)?, policy, worker_name()), forge })
}

/// Makes everything for watching the configured repositories: on GitHub where it is configured, else their clones.
///
/// # Errors
/// Says which part of the configuration cannot be used, and why.
pub fn deploy(config: &Config, show: Show) -> Result<Deployment> {
    let backends = Backends::new(config, Mode::Record);
    let Watch { list, directory, clones } = Watch::of(config)?;
    let mut policy = policy(config);
    let (forge, external): (Arc<dyn Forge>, _) = match backends.github()? {
        Some(github) => {
            policy.fresh_head = FRESH_HEAD;
            if config.verify.is_some() {
                tracing::warn!("[verify] works on clones only; findings of other scanners are not re-checked");
            }
            (Arc::new(github), None)
        }
        None => {
            let forge = local_forge(config, &clones);
            (forge.clone(), external(config, &forge))
        }
    };
    let ports = ports(&backends, forge, external, show)?;
    let state = Arc::clone(&ports.state);
    let inbox = backends.inbox()?;
    let healer = Healer::new(ports, detector(config)?, policy, worker_name());
    Ok(Deployment { watched: list, worker: Worker::new(healer, Arc::clone(&inbox), directory), state, inbox })
}

fn ports(
    backends: &Backends<'_>,
    forge: Arc<dyn Forge>,
    external: Option<Arc<dyn ExternalScanner>>,
    show: Show,
) -> Result<Ports> {
    Ok(Ports {
        forge,
        state: backends.state()?,
        team: backends.team()?,
        memory: backends.memory()?,
        embedder: backends.embedder(),
        model: backends.model()?,
        fallback_model: backends.fallback_model()?,
        large_model: backends.large_model()?,
        notifier: backends.notifier(show)?,
        external,
        clock: backends.clock(),
    })
}

fn local_forge(config: &Config, clones: &[Clone]) -> Arc<LocalForge> {
    let git_dirs = clones.iter().map(|c| (c.repository.id.clone(), c.local.git_dir.clone()));
    let git_dirs: BTreeMap<RepositoryId, PathBuf> = git_dirs.collect();
    Arc::new(LocalForge::new(&config.state, git_dirs))
}

fn policy(config: &Config) -> Policy {
    config.policy.clone()
}

/// No two workers have the same name, in whatever process or on whatever machine.
fn worker_name() -> String {
    format!("{}-{}", std::process::id(), uuid::Uuid::new_v4().simple())
}

fn external(config: &Config, forge: &Arc<LocalForge>) -> Option<Arc<dyn ExternalScanner>> {
    let verify = config.verify.as_ref()?;
    let command = VerifyCommand::new(verify.command.clone(), config.search_path.clone(), forge.clone());
    Some(Arc::new(command.with_timeout(verify.timeout)))
}
