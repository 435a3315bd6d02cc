//! A way to a server on this machine that stands for AWS.

use std::time::Duration;

use codehealer::aws::client::{Aws, AwsOptions, Credentials};

/// A way to a server on this machine. The access key tells DynamoDB Local's databases apart.
pub fn aws(endpoint: &str) -> Aws {
    Aws::new(options(endpoint))
}

pub fn options(endpoint: &str) -> AwsOptions {
    AwsOptions {
        region: Some("eu-central-1".to_owned()),
        endpoint: Some(endpoint.to_owned()),
        credentials: Some(Credentials::new("test", "test", None, None, "tests")),
        // A busy machine is not what is tried.
        attempt_timeout: Duration::from_secs(60),
        ..AwsOptions::default()
    }
}
