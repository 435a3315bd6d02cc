//! What the operator allows, and how a repository's own configuration tightens it. It can never loosen anything.

use std::collections::BTreeSet;
use std::time::Duration;

use globset::{GlobSet, GlobSetBuilder};
use serde::Deserialize;

use super::{BreakerPolicy, Caps, HealError, Healer, ModelPolicy};
use crate::fix::verify::Limits;
use crate::model::{CommitId, Confidence, REPOSITORY_CONFIG, RepoPath, Repository, Thresholds};

/// What the operator allows. A repository's own configuration can only tighten it.
#[derive(Debug, Clone)]
pub struct Policy {
    pub thresholds: Thresholds,
    pub limits: Limits,
    /// How long a lease lives without being prolonged.
    pub lease: Duration,
    /// A run at whose next step this many workers died has failed.
    pub max_attempts: u32,
    /// A deferred run is looked at again after this.
    pub defer: Duration,
    /// A decision this soon after its branch was read is delivered without reading the branch again; zero reads it always.
    pub fresh_head: Duration,
    /// One model call may take this long.
    pub model_timeout: Duration,
    /// How a model is asked.
    pub model: ModelPolicy,
    /// Bounds on what people get to see of us; `None` on a laptop, where nobody else is bothered.
    pub caps: Option<Caps>,
    pub breaker: BreakerPolicy,
    /// Who is asked to review where the repository names no owners: logins, or teams as `organisation/team`.
    pub reviewers: Vec<String>,
    /// Labels of our pull requests.
    pub labels: Vec<String>,
    /// Globs of paths that are never looked at.
    pub ignore_paths: Vec<String>,
    /// Rules that are not applied.
    pub ignore_rules: BTreeSet<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            thresholds: Thresholds::default(),
            limits: Limits::default(),
            lease: Duration::from_secs(20),
            max_attempts: 5,
            defer: Duration::from_secs(15 * 60),
            fresh_head: Duration::ZERO,
            model_timeout: Duration::from_secs(60),
            model: ModelPolicy::default(),
            caps: None,
            breaker: BreakerPolicy::default(),
            reviewers: Vec::new(),
            labels: Vec::new(),
            ignore_paths: Vec::new(),
            ignore_rules: BTreeSet::new(),
        }
    }
}

/// [`Policy::fresh_head`] on a forge across the network, where each question takes time and counts against a limit. A push that comes
/// within this time is as one that comes right after the branch was read.
pub const FRESH_HEAD: Duration = Duration::from_secs(5);

/// Why a repository's configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("{REPOSITORY_CONFIG} is refused: {0}")]
    Unreadable(#[from] toml::de::Error),
    #[error("the glob {glob:?} is refused")]
    Glob { glob: String, source: globset::Error },
    #[error("{REPOSITORY_CONFIG} would loosen {what} from {from} to {to}; a repository can only tighten")]
    Loosens { what: &'static str, from: String, to: String },
}

/// `.codehealer.toml`: everything is optional, unknown keys are refused by name.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = ".codehealer.toml")]
pub struct RepositoryConfig {
    pub ignore: Ignore,
    pub thresholds: RepositoryThresholds,
    pub limits: RepositoryLimits,
}

/// What is never looked at.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ignore {
    /// Globs such as `docs/**`.
    pub paths: Vec<String>,
    /// Rule ids.
    pub rules: Vec<String>,
}

/// Percent; can only be raised.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RepositoryThresholds {
    pub open: Option<u8>,
    pub draft: Option<u8>,
}

/// Can only be lowered.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RepositoryLimits {
    pub changed_lines: Option<usize>,
    /// Pull requests opened in an hour.
    pub pull_requests_per_hour: Option<u64>,
    /// Pull requests open at a time.
    pub open_pull_requests: Option<usize>,
    /// Cases of one push that are healed at once.
    pub cases_a_push: Option<usize>,
}

impl Policy {
    /// The policy under a repository's own configuration.
    ///
    /// # Errors
    /// When the text is not as described by `RepositoryConfig`, or would loosen something.
    pub fn tighten(&self, text: &str) -> Result<Self, PolicyError> {
        let config: RepositoryConfig = toml::from_str(text)?;
        let mut policy = self.clone();
        glob_set(&config.ignore.paths)?;
        policy.ignore_paths.extend(config.ignore.paths);
        policy.ignore_rules.extend(config.ignore.rules);
        let thresholds = &mut policy.thresholds;
        raise("thresholds.open", &mut thresholds.open, config.thresholds.open)?;
        raise("thresholds.draft", &mut thresholds.draft, config.thresholds.draft)?;
        let limits = &config.limits;
        lower("limits.changed_lines", &mut policy.limits.changed_lines, limits.changed_lines)?;
        if let Some(caps) = &mut policy.caps {
            lower("limits.pull_requests_per_hour", &mut caps.per_hour, limits.pull_requests_per_hour)?;
            lower("limits.open_pull_requests", &mut caps.open, limits.open_pull_requests)?;
            lower("limits.cases_a_push", &mut caps.cases_a_push, limits.cases_a_push)?;
        }
        Ok(policy)
    }

    /// The ignored paths, ready to match.
    ///
    /// # Errors
    /// When a glob is not valid.
    pub fn ignored(&self) -> Result<GlobSet, PolicyError> {
        glob_set(&self.ignore_paths)
    }
}

fn raise(what: &'static str, threshold: &mut Confidence, to: Option<u8>) -> Result<(), PolicyError> {
    let Some(to) = to else { return Ok(()) };
    let wanted = Confidence::new(to.min(100)).unwrap_or(*threshold);
    if wanted < *threshold {
        return Err(PolicyError::Loosens { what, from: threshold.to_string(), to: to.to_string() });
    }
    *threshold = wanted;
    Ok(())
}

fn lower<T: Copy + PartialOrd + std::fmt::Display>(
    what: &'static str,
    limit: &mut T,
    to: Option<T>,
) -> Result<(), PolicyError> {
    let Some(to) = to else { return Ok(()) };
    if to > *limit {
        return Err(PolicyError::Loosens { what, from: limit.to_string(), to: to.to_string() });
    }
    *limit = to;
    Ok(())
}

/// Globs of whole paths; `*` does not cross a `/`.
fn glob_set(globs: &[String]) -> Result<GlobSet, PolicyError> {
    let refused = |glob: &str| {
        let glob = glob.to_owned();
        move |source| PolicyError::Glob { glob, source }
    };
    let mut builder = GlobSetBuilder::new();
    for glob in globs {
        let parsed = globset::GlobBuilder::new(glob).literal_separator(true).build();
        builder.add(parsed.map_err(refused(glob))?);
    }
    builder.build().map_err(refused("together"))
}

impl Healer {
    /// This healer under what the repository's configuration at `commit` tightens.
    ///
    /// # Errors
    /// When the forge cannot be asked, or the configuration is refused.
    pub async fn under_policy_of(&self, repository: &Repository, commit: &CommitId) -> Result<Self, HealError> {
        let Ok(path) = RepoPath::new(REPOSITORY_CONFIG) else { return Ok(self.clone()) };
        let Some(file) = self.ports.forge.read(repository, commit, &path).await? else { return Ok(self.clone()) };
        let policy = self.policy.tighten(&String::from_utf8_lossy(&file.bytes))?;
        Ok(Self { policy, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_can_raise_thresholds_and_ignore_more() {
        let tight = Policy::default()
            .tighten("[ignore]\npaths = ['docs/**']\nrules = ['py-none-comparison']\n[thresholds]\nopen = 95\n")
            .unwrap();
        assert_eq!(tight.thresholds.open.percent(), 95);
        assert!(tight.ignored().unwrap().is_match("docs/a/b.py"));
        assert!(tight.ignore_rules.contains("py-none-comparison"));
    }

    #[test]
    fn a_repository_can_not_lower_a_threshold_or_raise_a_limit() {
        for text in ["[thresholds]\nopen = 50", "[thresholds]\ndraft = 10", "[limits]\nchanged_lines = 5000"] {
            assert!(matches!(Policy::default().tighten(text), Err(PolicyError::Loosens { .. })), "{text}");
        }
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        let error = Policy::default().tighten("[model]\nurl = 'http://evil'").unwrap_err();
        assert!(error.to_string().contains("model"), "{error}");
    }

    #[test]
    fn a_broken_glob_is_refused_by_name() {
        let error = Policy::default().tighten("[ignore]\npaths = ['a[']").unwrap_err();
        assert!(error.to_string().contains("a["), "{error}");
    }
}
