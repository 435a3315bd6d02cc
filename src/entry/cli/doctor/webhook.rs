//! The way from GitHub to the receiver: what the App hears of, where its webhook points, whether somebody answers there who knows
//! the secret, and how GitHub's last deliveries went.

use super::{Check, Status};
use crate::config::{Config, origin};
use crate::entry::cli::ping;
use crate::entry::cli::setup::manifest;
use crate::github::registration::GitHubApp;
use crate::ports::ErrorKind;
use crate::wiring::{Backends, Mode};

pub async fn checks(config: &Config, given: Option<&str>) -> Vec<Check> {
    let backends = Backends::new(config, Mode::Read);
    let mut checks = Vec::new();
    let app = match backends.app() {
        Ok(app) => app,
        Err(error) => return vec![Check::new("app", Status::Bad, error.chain())],
    };
    let mut url = given.map(str::to_owned);
    if let Some(app) = &app {
        checks.push(subscribed(app, config).await);
        let (check, found) = pointed(app, given).await;
        checks.push(check);
        url = url.or(found);
        checks.push(delivered(app).await);
    }
    if let Some(url) = url {
        checks.push(answered(config, &backends, &url).await);
    }
    checks
}

async fn subscribed(app: &GitHubApp, config: &Config) -> Check {
    const NAME: &str = "app";
    let facts = match app.facts().await {
        Ok(facts) => facts,
        Err(error) => return Check::new(NAME, Status::Bad, error.chain()),
    };
    let checks = config.services.github.as_ref().is_some_and(|github| github.checks);
    let missing = manifest::missing(&facts, checks);
    if missing.is_empty() {
        return Check::new(NAME, Status::Ok, format!("{} hears of all that it must", facts.name.slug));
    }
    let told = format!(
        "{} lacks {}: add them in its settings, under Permissions & events",
        facts.name.slug,
        missing.join(", ")
    );
    Check::new(NAME, Status::Bad, told)
}

/// Where the webhook points, and the address when it is one.
async fn pointed(app: &GitHubApp, given: Option<&str>) -> (Check, Option<String>) {
    const NAME: &str = "webhook";
    let remedy = "`codehealer setup --webhook-url URL` points it";
    let hook = match app.hook().await {
        Ok(hook) => hook,
        Err(error) if error.kind == ErrorKind::Missing => {
            return (Check::new(NAME, Status::Bad, format!("the App has no webhook: {remedy}")), None);
        }
        Err(error) => return (Check::new(NAME, Status::Bad, error.chain()), None),
    };
    let shown = origin::without_login(&hook.url);
    let check = match () {
        () if hook.url.is_empty() || hook.url.contains(".example/") => {
            return (Check::new(NAME, Status::Bad, format!("the App's webhook points nowhere: {remedy}")), None);
        }
        () if hook.content_type != "json" => {
            Check::new(NAME, Status::Bad, format!("{shown} is sent forms, not JSON: {remedy}"))
        }
        () if given.is_some_and(|given| given != hook.url) => Check::new(
            NAME,
            Status::Bad,
            format!("the App's webhook points to {shown}, not to the address given: {remedy}"),
        ),
        () => Check::new(NAME, Status::Ok, format!("it points to {shown}")),
    };
    (check, Some(hook.url))
}

async fn delivered(app: &GitHubApp) -> Check {
    const NAME: &str = "deliveries";
    let all = match app.deliveries().await {
        Ok(all) => all,
        Err(error) => return Check::new(NAME, Status::Warn, error.chain()),
    };
    let failed = |one: &&crate::github::registration::HookDelivery| !(200..300).contains(&one.status_code);
    match all.iter().find(failed) {
        None if all.is_empty() => Check::new(NAME, Status::Ok, "GitHub remembers none"),
        None => Check::new(NAME, Status::Ok, format!("the last {} arrived", all.len())),
        Some(newest) => {
            let count = all.iter().filter(failed).count();
            let told = format!(
                "{count} of the last {} failed, the newest ({}, answered {}) at {}: mend the cause, then scripts/replay_delivery.sh \
                 --failed",
                all.len(),
                newest.event,
                newest.status_code,
                newest.delivered_at
            );
            Check::new(NAME, Status::Warn, told)
        }
    }
}

/// A signed ping with each secret; the first is the one that GitHub signs with.
async fn answered(config: &Config, backends: &Backends<'_>, url: &str) -> Check {
    const NAME: &str = "receiver";
    let Some(source) = config.serve.webhook_secrets.first() else {
        return Check::new(NAME, Status::Warn, "it was not asked: no webhook secret is configured");
    };
    let secret = match backends.credential(source).read().await {
        Ok(secret) => secret,
        Err(error) => return Check::new(NAME, Status::Warn, format!("it was not asked: {}", error.chain())),
    };
    Check::of(
        NAME,
        ping::signed(url, &secret).await.map(|()| "it answers what is signed with the first secret".to_owned()),
    )
}
