//! The steps after the registration: secrets to their place, permissions and installations, the webhook.

use std::time::Duration;

use anyhow::Result;
use secrecy::SecretString;

use super::kept::{Kept, Progress};
use super::manifest::{self, Wanted};
use super::place::Place;
use super::{Status, Step};
use crate::config::{Config, SecretSource};
use crate::entry::cli::ping;
use crate::github::registration::{GitHubApp, HookDelivery, lacking};
use crate::ports::PortResult;
use crate::wiring::{Backends, Mode};

/// How often and how long GitHub is asked whether a ping that we asked for was answered.
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// What all steps need.
pub struct Work<'w> {
    pub config: &'w Config,
    pub kept: &'w Kept,
    pub wanted: &'w Wanted,
}

impl Work<'_> {
    /// Brings the secrets to where they are wanted, and takes our own copies away once they are elsewhere.
    pub async fn secrets(&self, progress: &mut Progress, wanted: Option<&Place>) -> Step {
        let kept = format!("{} and {}", progress.key, progress.webhook);
        let Some(place) = wanted.filter(|place| place.key().to_string() != progress.key) else {
            return match self.read(progress).await {
                Ok(_) => Step::new("secrets", Status::Done, kept),
                Err(why) => Step::new("secrets", Status::Bad, why),
            };
        };
        match self.moved(progress, place).await {
            Ok(()) => Step::new("secrets", Status::Done, format!("{} and {}", progress.key, progress.webhook)),
            Err(why) => Step::new("secrets", Status::Bad, format!("{why}; they stay in {kept}")),
        }
    }

    async fn read(&self, progress: &Progress) -> Result<(SecretString, SecretString), String> {
        let backends = Backends::new(self.config, Mode::Read);
        let mut found = Vec::new();
        for place in [&progress.key, &progress.webhook] {
            let source = SecretSource::parse("setup", place).map_err(|error| error.to_string())?;
            found.push(backends.credential(&source).fresh().await.map_err(|error| error.chain())?);
        }
        match <[SecretString; 2]>::try_from(found) {
            Ok([key, webhook]) => Ok((key, webhook)),
            Err(_) => Err("a secret is missing".to_owned()),
        }
    }

    async fn moved(&self, progress: &mut Progress, place: &Place) -> Result<(), String> {
        let (key, webhook) = self.read(progress).await?;
        match place {
            Place::Files(_) => self.kept.put(place, &key, &webhook).map_err(|error| format!("{error:#}"))?,
            Place::Aws(name) => {
                let vault = Backends::new(self.config, Mode::Record).vault();
                for (part, value) in [("github-app", &key), ("webhook", &webhook)] {
                    vault.store(&format!("{name}/{part}"), value).await.map_err(|error| error.chain())?;
                }
            }
        }
        let moved = Progress { key: place.key().to_string(), webhook: place.webhook().to_string(), ..progress.clone() };
        // Only what can be read there is taken away here.
        self.read(&moved).await?;
        self.kept.note(&moved).map_err(|error| format!("{error:#}"))?;
        *progress = moved;
        if *place != self.kept.place() {
            self.kept.forget().map_err(|error| format!("{error:#}"))?;
        }
        Ok(())
    }

    fn github(&self, progress: &Progress) -> Result<GitHubApp> {
        let source = SecretSource::parse("setup", &progress.key)?;
        let key = Backends::new(self.config, Mode::Read).credential(&source);
        Ok(GitHubApp::new(&progress.api_url, progress.app.id, key, super::clock())?)
    }

    /// What the App may do, and where it is installed.
    ///
    /// # Errors
    /// When GitHub cannot be asked at all.
    pub async fn app(&self, progress: &Progress) -> Result<Vec<Step>> {
        let github = self.github(progress)?;
        let facts = match github.facts().await {
            Ok(facts) => facts,
            Err(error) => return Ok(vec![Step::new("permissions", Status::Bad, error.chain())]),
        };
        let missing = manifest::missing(&facts, self.wanted.checks);
        let permissions = if missing.is_empty() {
            Step::new("permissions", Status::Done, "the App has all that the work needs")
        } else {
            let told =
                format!("the App lacks {}: add them in its settings, under Permissions & events", missing.join(", "));
            Step::new("permissions", Status::Bad, told)
        };
        Ok(vec![permissions, self.installations(&github, progress).await])
    }

    async fn installations(&self, github: &GitHubApp, progress: &Progress) -> Step {
        const STEP: &str = "installation";
        let found = match github.installations().await {
            Ok(found) => found,
            Err(error) => return Step::new(STEP, Status::Bad, error.chain()),
        };
        if found.is_empty() {
            let url = progress.app.html_url.trim_end_matches('/');
            return Step::new(
                STEP,
                Status::Waits,
                format!("install the App on your repositories: {url}/installations/new"),
            );
        }
        let mut wrong = Vec::new();
        for one in &found {
            let missing = lacking(&one.permissions, &manifest::permissions(self.wanted.checks));
            if one.suspended {
                wrong.push(format!("{} has suspended it: its owner can end that", one.account));
            } else if !missing.is_empty() {
                wrong.push(format!(
                    "{} has not accepted {}: its owner is asked in the settings",
                    one.account,
                    missing.join(", ")
                ));
            }
        }
        let accounts: Vec<&str> = found.iter().map(|one| one.account.as_str()).collect();
        match wrong.is_empty() {
            true => Step::new(STEP, Status::Done, format!("on {}", accounts.join(", "))),
            false => Step::new(STEP, Status::Bad, wrong.join("; ")),
        }
    }

    /// Points the webhook to the receiver, asks the receiver itself, then asks GitHub how its own last ping went.
    ///
    /// # Errors
    /// When what was done cannot be noted.
    pub async fn webhook(&self, progress: &mut Progress, url: Option<&str>) -> Result<Vec<Step>> {
        let Some(url) = url else {
            return Ok(vec![Step::new("webhook", Status::Waits, "no address was given yet (--webhook-url)")]);
        };
        let github = self.github(progress)?;
        let secret = match self.read(progress).await {
            Ok((_, secret)) => secret,
            Err(why) => return Ok(vec![Step::new("webhook", Status::Bad, why)]),
        };
        let pointed = match self.pointed(&github, progress, url, &secret).await {
            Ok(told) => Step::new("webhook", Status::Done, told),
            Err(error) => return Ok(vec![Step::new("webhook", Status::Bad, error.chain())]),
        };
        self.kept.note(progress)?;
        let answered = match ping::signed(url, &secret).await {
            Ok(()) => Step::new("receiver", Status::Done, "it takes what is signed with this secret"),
            Err(why) => Step::new("receiver", Status::Bad, why),
        };
        let reachable = answered.status == Status::Done;
        let mut steps = vec![pointed, answered];
        if reachable {
            steps.push(pinged(&github).await);
        }
        Ok(steps)
    }

    async fn pointed(
        &self,
        github: &GitHubApp,
        progress: &mut Progress,
        url: &str,
        secret: &SecretString,
    ) -> PortResult<String> {
        let there = github.hook().await?;
        if progress.known_to_github && there.url == url && there.content_type == "json" {
            return Ok(format!("it points to {url}"));
        }
        github.point_hook(url, secret).await?;
        progress.known_to_github = true;
        Ok(format!("it points to {url} now"))
    }
}

/// GitHub's last ping; one that was not answered well is sent again.
async fn pinged(github: &GitHubApp) -> Step {
    const STEP: &str = "delivery";
    let last = |all: Vec<HookDelivery>| all.into_iter().find(|one| one.event == "ping");
    let mut asked_again = false;
    for _ in 0..LOOKS {
        match github.deliveries().await.map(last) {
            Err(error) => return Step::new(STEP, Status::Bad, error.chain()),
            Ok(None) => {
                return Step::new(
                    STEP,
                    Status::Waits,
                    "GitHub has sent no ping in three days; the next push shows whether it arrives",
                );
            }
            Ok(Some(ping)) if (200..300).contains(&ping.status_code) => {
                return Step::new(
                    STEP,
                    Status::Done,
                    format!("GitHub's ping of {} was answered with {}", ping.delivered_at, ping.status_code),
                );
            }
            Ok(Some(ping)) if !asked_again => {
                asked_again = true;
                if let Err(error) = github.redeliver(ping.id).await {
                    return Step::new(STEP, Status::Bad, error.chain());
                }
            }
            Ok(Some(_)) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
    Step::new(STEP, Status::Waits, "GitHub was asked to send its ping again; call this again to see how it went")
}
