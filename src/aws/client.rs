//! What all AWS clients share: region, credentials, time limits, and one HTTPS client.
//!
//! Nothing is read or connected before the first call: a cold start pays only for the services that it uses. Loading the SDK's
//! configuration takes about 4 ms, every TLS client of its own 3 to 5 ms.

use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use tokio::sync::OnceCell;

use crate::ports::{ErrorKind, PortError, PortResult};

pub use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;

/// How AWS is reached.
#[derive(Debug, Clone)]
pub struct AwsOptions {
    /// Such as `eu-central-1`; by default what the SDK finds (`AWS_REGION`, the profile, the instance).
    pub region: Option<String>,
    /// Named profile of the AWS configuration files; by default what the SDK finds (`AWS_PROFILE`).
    pub profile: Option<String>,
    /// Base URL of one server for all services, in place of AWS's own; by default what the SDK finds (`AWS_ENDPOINT_URL`).
    pub endpoint: Option<String>,
    /// Fixed credentials; by default what the SDK finds (environment, profile, role).
    pub credentials: Option<Credentials>,
    pub connect_timeout: Duration,
    /// Longest time of one attempt, connecting included.
    pub attempt_timeout: Duration,
}

impl Default for AwsOptions {
    fn default() -> Self {
        Self {
            region: None,
            profile: None,
            endpoint: None,
            credentials: None,
            connect_timeout: Duration::from_secs(2),
            attempt_timeout: Duration::from_secs(10),
        }
    }
}

/// The way to AWS. Clones share everything.
#[derive(Debug, Clone)]
pub struct Aws(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: AwsOptions,
    config: OnceCell<SdkConfig>,
}

#[derive(Debug, thiserror::Error)]
#[error("no AWS region is known: set `region` in the configuration, or AWS_REGION")]
struct NoRegion;

#[derive(Debug, thiserror::Error)]
#[error("no AWS credentials are configured: give the process a role, or set AWS_PROFILE")]
struct NoRole;

impl Aws {
    /// Costs nothing: everything is loaded by the first call.
    #[must_use]
    pub fn new(options: AwsOptions) -> Self {
        Self(Arc::new(Shared { options, config: OnceCell::new() }))
    }

    /// What the client of a service is built from. It carries time limits and **no retries**: a conditional write whose answer
    /// was lost would find its own effect on the second try and report a conflict. Calls that may be repeated say so
    /// themselves ([`repeatable`]).
    ///
    /// # Errors
    /// `Denied` when no region is known.
    pub async fn config(&self, port: &'static str) -> PortResult<&SdkConfig> {
        let config = self.0.config.get_or_init(|| load(&self.0.options)).await;
        if config.region().is_none() {
            return Err(PortError::new(port, "reach AWS", ErrorKind::Denied).caused_by(NoRegion));
        }
        Ok(config)
    }

    /// Whose requests are signed, and the region, for a service that is asked without the SDK.
    ///
    /// # Errors
    /// `Denied` when no region is known, or nobody can tell who we are.
    pub async fn identity(&self, port: &'static str) -> PortResult<(SharedCredentialsProvider, String)> {
        let config = self.config(port).await?;
        match (config.credentials_provider(), config.region()) {
            (Some(credentials), Some(region)) => Ok((credentials, region.to_string())),
            _ => Err(PortError::new(port, "reach AWS", ErrorKind::Denied).caused_by(NoRole)),
        }
    }
}

/// Retries for calls that change nothing: at most two more, with the SDK's back-off and jitter.
#[must_use]
pub fn repeatable() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(3).with_max_backoff(Duration::from_secs(2))
}

async fn load(options: &AwsOptions) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(options.connect_timeout)
        .operation_attempt_timeout(options.attempt_timeout)
        .build();
    // A server over plain HTTP stands nearby: an emulator, which no proxy on the way to the internet can reach.
    let nearby = options.endpoint.as_ref().is_some_and(|url| url.starts_with("http://"));
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .timeout_config(timeouts)
        .retry_config(RetryConfig::disabled())
        .http_client(https_client(nearby));
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(profile) = &options.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(endpoint) = &options.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(credentials) = &options.credentials {
        loader = loader.credentials_provider(credentials.clone());
    }
    loader.load().await
}

/// The SDK makes one client for each service unless it is given one.
fn https_client(nearby: bool) -> impl aws_sdk_dynamodb::config::HttpClient + 'static {
    let proxy = if nearby { ProxyConfig::disabled() } else { ProxyConfig::from_env() };
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut builder = ConnectorBuilder::default().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
        builder.set_connector_settings(settings.cloned());
        builder.set_proxy_config(Some(proxy.clone()));
        if let Some(components) = components {
            builder.set_sleep_impl(components.sleep_impl());
        }
        builder.build()
    })
}

#[cfg(test)]
mod tests {
    use aws_credential_types::provider::ProvideCredentials;

    use super::*;

    #[tokio::test]
    async fn what_was_told_is_what_every_client_gets() {
        let aws = Aws::new(AwsOptions {
            region: Some("eu-central-1".into()),
            endpoint: Some("http://127.0.0.1:9".into()),
            credentials: Some(Credentials::new("id", "hidden", None, None, "test")),
            ..AwsOptions::default()
        });
        let config = aws.config("state").await.unwrap();
        assert_eq!(config.region().map(Region::as_ref), Some("eu-central-1"));
        assert_eq!(config.endpoint_url(), Some("http://127.0.0.1:9"));
        assert_eq!(config.retry_config().map(RetryConfig::max_attempts), Some(1), "writes are never repeated blindly");
        let limits = config.timeout_config().unwrap();
        assert_eq!(limits.connect_timeout(), Some(Duration::from_secs(2)));
        assert_eq!(limits.operation_attempt_timeout(), Some(Duration::from_secs(10)));
        assert!(config.http_client().is_some(), "one for all services");
        assert!(!format!("{aws:?}").contains("hidden"));
        let (credentials, region) = aws.identity("fix memory").await.unwrap();
        assert_eq!(region, "eu-central-1");
        assert_eq!(credentials.provide_credentials().await.unwrap().secret_access_key(), "hidden");
    }
}
