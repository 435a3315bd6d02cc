//! From the configuration to a function, with no more than it needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, bail};
use secrecy::SecretString;

use super::{Function, LambdaReceiver, LambdaWorker, Role};
use crate::config::{Config, Environment, Flags};
use crate::entry::serve::watch_list;
use crate::local::clock::SystemClock;
use crate::local::secrets::LocalSecrets;
use crate::ports::{Credential, Notice, Secrets};
use crate::wiring::{self, Mode};

/// The function that `CODEHEALER_ROLE` names, over the configured backends.
///
/// # Errors
/// Says which variable, file or secret is wrong, and what to do.
pub async fn prepare(environment: &Environment) -> Result<Function> {
    let Some(role) = &environment.role else {
        bail!("CODEHEALER_ROLE is not set; set it to `receiver` or `worker`");
    };
    let role: Role = role.parse()?;
    let config = Config::load(environment, Flags::default())?;
    match role {
        Role::Receiver => Ok(Function::Receiver(receiver(&config).await?)),
        Role::Worker => Ok(Function::Worker(Box::new(worker(&config)?))),
    }
}

/// The queue, the secrets and the allow-list: nothing else is made.
async fn receiver(config: &Config) -> Result<LambdaReceiver> {
    let (_, watched, _) = watch_list(config)?;
    let store = wiring::open_store(config, Mode::Record)?;
    let credentials = credentials(config)?;
    Ok(LambdaReceiver::new(credentials, watched, Arc::new(store.inbox()), Arc::new(SystemClock)).await?)
}

fn credentials(config: &Config) -> Result<Vec<Credential>> {
    let mut given: BTreeMap<String, SecretString> = BTreeMap::new();
    for source in &config.serve.webhook_secrets {
        given.insert(source.to_string(), source.read()?);
    }
    let names: Vec<String> = given.keys().cloned().collect();
    let secrets: Arc<dyn Secrets> = Arc::new(LocalSecrets::new(given, None));
    Ok(names.into_iter().map(|name| Credential::new(Arc::clone(&secrets), name)).collect())
}

fn worker(config: &Config) -> Result<LambdaWorker> {
    let (clones, _, branches) = watch_list(config)?;
    let show = Arc::new(|notice: &Notice| tracing::info!(senior = notice.for_senior, "{}", notice.headline));
    let wired = wiring::wire(config, clones, Mode::Record, show)?;
    let inbox = Arc::new(wired.store.inbox());
    Ok(LambdaWorker::new(wired.worker(&branches), inbox, Arc::new(SystemClock)))
}
