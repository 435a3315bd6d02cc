//! From the configuration to a function, with no more than it needs.

use std::sync::Arc;

use anyhow::{Result, bail};

use super::{Function, LambdaReceiver, LambdaWorker, Role};
use crate::config::{Config, Environment, Flags};
use crate::local::clock::SystemClock;
use crate::ports::{Credential, Notice};
use crate::wiring::{self, Backends, Deployment, Mode, Watch};

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
    let Watch { list, .. } = Watch::of(config)?;
    let backends = Backends::new(config, Mode::Record);
    let credentials: Vec<Credential> =
        config.serve.webhook_secrets.iter().map(|source| backends.credential(source)).collect();
    Ok(LambdaReceiver::new(credentials, list, backends.inbox()?, backends.clock()).await?)
}

fn worker(config: &Config) -> Result<LambdaWorker> {
    let show = Arc::new(|notice: &Notice| tracing::info!(senior = notice.for_senior, "{}", notice.headline));
    if config.services.aws.table.is_some() && config.services.opensearch.is_none() {
        tracing::warn!("there is no [opensearch]: what is learned is forgotten when this function ends");
    }
    let Deployment { worker, inbox, .. } = wiring::deploy(config, show)?;
    let worker = LambdaWorker::new(worker, inbox, Arc::new(SystemClock));
    // A memory that ends with the function is not worth the time.
    let lasts = config.serve.starter && config.services.opensearch.is_some();
    Ok(if lasts { worker.beginning_with_starter(config.organisation.clone()) } else { worker })
}
