//! The only place that names backends: from a configuration to ports, healer and worker.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};

use crate::config::Config;
use crate::detect::{Detector, Limits, RuleSet};
use crate::healer::{Directory, Healer, Ports, Worker};
use crate::local::clock::SystemClock;
use crate::local::embedder::StructuralEmbedder;
use crate::local::git::LocalForge;
use crate::local::git::open::LocalRepository;
use crate::local::model::OpenAiModel;
use crate::local::notifier::{FileNotifier, Show};
use crate::local::slack_export::{ExportOptions, SlackExport};
use crate::local::store::{Access, Options, Store};
use crate::local::verify_command::VerifyCommand;
use crate::model::{Repository, RepositoryId, RuleId, RuleOrigin};
use crate::ports::{ExternalScanner, Model, PortResult, TeamKnowledge};

/// How the stores are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// What is done is recorded.
    Record,
    /// Everything happens on a copy in memory and is gone afterwards.
    DryRun,
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

/// Everything a command needs, made from the configuration.
pub struct Wiring {
    pub store: Store,
    pub detector: Arc<Detector>,
    pub healer: Healer,
    pub forge: Arc<LocalForge>,
    pub clones: Vec<Clone>,
}

/// Path of the state file.
#[must_use]
pub fn state_file(config: &Config) -> PathBuf {
    config.state.join("codehealer.db")
}

/// Opens the state file, making it and its folder when there is none.
///
/// # Errors
/// Says what is wrong with the file and what to do.
pub fn open_store(config: &Config, mode: Mode) -> PortResult<Store> {
    let options = Options::new(Arc::new(SystemClock));
    let file = state_file(config);
    match mode {
        Mode::Record => Store::open(&file, options),
        Mode::DryRun if file.exists() => Store::snapshot_in_memory(&file, options),
        Mode::DryRun => Store::in_memory(options),
    }
}

/// Opens the state file for reading; where nothing was ever recorded the store is empty, and no file is made.
///
/// # Errors
/// Says what is wrong with the file and what to do.
pub fn open_store_to_read(config: &Config) -> PortResult<Store> {
    let options = Options { access: Access::Read, ..Options::new(Arc::new(SystemClock)) };
    let file = state_file(config);
    if file.exists() { Store::open(&file, options) } else { Store::in_memory(options) }
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

/// Makes everything for these clones. `show` is called for each new notice.
///
/// # Errors
/// Says which part of the configuration cannot be used, and why.
pub fn wire(config: &Config, clones: Vec<Clone>, mode: Mode, show: Show) -> Result<Wiring> {
    let store = open_store(config, mode)?;
    let detector = detector(config)?;
    let git_dirs = clones.iter().map(|c| (c.repository.id.clone(), c.local.git_dir.clone()));
    let git_dirs: BTreeMap<RepositoryId, PathBuf> = git_dirs.collect();
    let forge = Arc::new(LocalForge::new(&config.state, git_dirs));
    let ports = Ports {
        forge: forge.clone(),
        state: Arc::new(store.state()),
        team: team(config)?,
        memory: Arc::new(store.memory()),
        embedder: Arc::new(StructuralEmbedder),
        model: model(config)?,
        notifier: Arc::new(FileNotifier::new(config.state.join("notices"), show)),
        external: external(config, &forge),
        clock: Arc::new(SystemClock),
    };
    let worker = format!("{}-{}", std::process::id(), uuid::Uuid::new_v4().simple());
    let mut policy = config.policy.clone();
    if let Some(model) = &config.model {
        policy.model_timeout = model.timeout;
    }
    let healer = Healer::new(ports, detector.clone(), policy, worker);
    Ok(Wiring { store, detector, healer, forge, clones })
}

impl Wiring {
    /// A worker over the store's inbox for all clones, with the branches that are watched in each.
    #[must_use]
    pub fn worker(&self, branches: &BTreeMap<RepositoryId, Vec<String>>) -> Worker {
        let watched = |c: &Clone| (c.repository.clone(), branches.get(&c.repository.id).cloned().unwrap_or_default());
        let directory = Directory::of_clones(self.clones.iter().map(watched));
        Worker::new(self.healer.clone(), Arc::new(self.store.inbox()), directory)
    }
}

/// The team's chat, read from the configured export.
///
/// # Errors
/// Names the file of the export that cannot be read.
pub fn slack_export(config: &Config) -> PortResult<Option<SlackExport>> {
    let Some(export) = &config.slack_export else { return Ok(None) };
    let options = ExportOptions {
        path: export.path.clone(),
        organisation: config.organisation.clone(),
        channels: export.channels.clone(),
        confirm: export.confirm.clone(),
        workspace: export.workspace.clone(),
    };
    SlackExport::open(&options).map(Some)
}

fn team(config: &Config) -> Result<Option<Arc<dyn TeamKnowledge>>> {
    let export = slack_export(config)?;
    Ok(export.map(|export| -> Arc<dyn TeamKnowledge> { Arc::new(export) }))
}

/// The configured model; nothing is asked of it yet.
///
/// # Errors
/// When its key cannot be read.
pub fn model(config: &Config) -> Result<Option<Arc<dyn Model>>> {
    let Some(model) = &config.model else { return Ok(None) };
    let key = model.key.as_ref().map(crate::config::SecretSource::read).transpose()?;
    Ok(Some(Arc::new(OpenAiModel::new(&model.url, &model.name, key, model.timeout)?)))
}

fn external(config: &Config, forge: &Arc<LocalForge>) -> Option<Arc<dyn ExternalScanner>> {
    let verify = config.verify.as_ref()?;
    let command = VerifyCommand::new(verify.command.clone(), config.search_path.clone(), forge.clone());
    Some(Arc::new(command.with_timeout(verify.timeout)))
}
