//! Whether GitHub is set up so that we can work: for an operator who asks before something fails.

use std::fmt;

use serde::Deserialize;

use super::GitHubForge;
use super::access::Auth;
use super::failure::{Asked, Failure};
use super::wire::Call;
use crate::ports::PortResult;

/// What was found. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitHubCheck {
    /// Our name there.
    pub login: String,
    /// The repository's name as of now.
    pub repository: String,
    /// The configured name is an old one.
    pub renamed: bool,
    pub archived: bool,
    /// Permissions that we need and do not have, as `name: level`.
    pub missing: Vec<String>,
    /// Calls left of those that are allowed in an hour; `None` where GitHub does not count.
    pub calls_left: Option<(u64, u64)>,
}

impl GitHubCheck {
    /// Whether nothing stands in the way of our work.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        !self.archived && self.missing.is_empty()
    }
}

impl fmt::Display for GitHubCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.login, self.repository)?;
        if let Some((left, limit)) = self.calls_left {
            write!(f, ", {left} of {limit} calls left in this hour")?;
        }
        if self.renamed {
            write!(f, "; the repository was renamed: use this name in the configuration")?;
        }
        if self.archived {
            write!(f, "; {}", super::failure::archived())?;
        }
        if !self.missing.is_empty() {
            write!(f, "; missing permissions: {}: grant and accept them", self.missing.join(", "))?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Limits {
    resources: Resources,
}

#[derive(Deserialize)]
struct Resources {
    core: Core,
}

#[derive(Deserialize)]
struct Core {
    limit: u64,
    remaining: u64,
}

impl GitHubForge {
    /// Who we are in GitHub, and whether we can work on this repository (`owner/name`).
    ///
    /// # Errors
    /// Names the first thing that keeps GitHub from telling, and what to do about it.
    pub async fn check(&self, name: &str) -> PortResult<GitHubCheck> {
        self.checked(name).await.map_err(|failure| failure.into_port(format!("look at {name} on GitHub")))
    }

    async fn checked(&self, name: &str) -> Asked<GitHubCheck> {
        let login = self.login().await?;
        let mut missing = match &self.access.auth {
            Auth::App { .. } => {
                let found = self.access.look_up_installation(name).await?;
                let (installation, _) = found.ok_or_else(|| {
                    Failure::missing("the app is not installed for this repository, or there is no such repository")
                })?;
                let given = installation.permissions;
                let enough = |name: &str, level: &str| {
                    given.get(name).is_some_and(|given| given == level || given == "write" || given == "admin")
                };
                let needed = self.access.permissions().into_iter();
                needed
                    .filter(|(name, level)| !enough(name, level))
                    .map(|(name, level)| format!("{name}: {level}"))
                    .collect()
            }
            Auth::Token(_) => Vec::new(),
        };
        if !missing.is_empty() {
            // No token with all of them can be had, so that nothing more can be asked.
            let repository = name.to_owned();
            return Ok(GitHubCheck { login, repository, renamed: false, archived: false, missing, calls_left: None });
        }
        let gone =
            || Failure::missing("there is no such repository, or we may not see it; give the app or token access");
        let (info, token) = self.access.find(name).await?.ok_or_else(gone)?;
        if matches!(self.access.auth, Auth::Token(_))
            && info.permissions.is_some_and(|may| may.get("push") == Some(&false))
        {
            missing.push("contents: write".to_owned());
        }
        let limits = self.access.wire.send(&token, &Call::get("/rate_limit")).await?;
        let calls_left = match limits.is_success() {
            true => limits
                .json::<Limits>()
                .ok()
                .map(|limits| (limits.resources.core.remaining, limits.resources.core.limit)),
            false => None,
        };
        let renamed = !info.full_name.eq_ignore_ascii_case(name);
        let archived = info.archived || info.disabled;
        Ok(GitHubCheck { login, repository: info.full_name, renamed, archived, missing, calls_left })
    }
}
