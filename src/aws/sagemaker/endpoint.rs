//! One endpoint, invoked once for each question, and what its refusals mean.

use std::time::Duration;

use aws_sdk_sagemakerruntime::Client;
use aws_sdk_sagemakerruntime::config::Config;
use aws_sdk_sagemakerruntime::config::http::HttpResponse;
use aws_sdk_sagemakerruntime::config::timeout::TimeoutConfig;
use aws_sdk_sagemakerruntime::error::SdkError;
use aws_sdk_sagemakerruntime::operation::invoke_endpoint::InvokeEndpointError;
use aws_sdk_sagemakerruntime::primitives::Blob;
use aws_sdk_sagemakerruntime::types::error::ModelError;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::aws::client::Aws;
use crate::aws::error::{explained, kind, port_error, words};
use crate::ports::{ErrorKind, PortError, PortResult};
use crate::recall::completion::BadAnswer;

/// SageMaker ends an invocation after this.
pub const INVOCATION: Duration = Duration::from_secs(60);
/// How long to stay away from a container that has too much to do.
const BUSY: Duration = Duration::from_secs(10);

pub struct Endpoint {
    aws: Aws,
    name: String,
    component: Option<String>,
    port: &'static str,
    client: OnceCell<Client>,
}

impl Endpoint {
    pub fn new(aws: Aws, name: String, component: Option<String>, port: &'static str) -> Self {
        Self { aws, name, component, port, client: OnceCell::new() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    async fn client(&self) -> PortResult<&Client> {
        self.client.get_or_try_init(async || Ok(Client::new(self.aws.config(self.port).await?))).await
    }

    /// Sends a body and gives back the container's answer.
    pub async fn invoke(&self, body: &Value) -> PortResult<Vec<u8>> {
        let limit = TimeoutConfig::builder().operation_timeout(INVOCATION).operation_attempt_timeout(INVOCATION);
        let request = self
            .client()
            .await?
            .invoke_endpoint()
            .endpoint_name(&self.name)
            .set_inference_component_name(self.component.clone())
            .content_type("application/json")
            .accept("application/json")
            .body(Blob::new(body.to_string()));
        let answer = request.customize().config_override(Config::builder().timeout_config(limit.build())).send().await;
        let answer = answer.map_err(|error| self.refused(&error))?;
        Ok(answer.body.map(Blob::into_inner).unwrap_or_default())
    }

    /// What an answer with status 200 means that is an error, or nothing to use.
    pub fn unusable(&self, why: BadAnswer) -> PortError {
        let kind = match &why {
            BadAnswer::InBand { code: Some(code), .. } => of_container(*code),
            // A container in trouble answers so, too; trying later may help.
            BadAnswer::InBand { code: None, .. } => ErrorKind::Unavailable,
            _ => ErrorKind::Malformed,
        };
        let advice = match (&why, &kind) {
            (BadAnswer::Empty(_) | BadAnswer::NotJson(_), _) => {
                "set sagemaker.model_profile to what its container speaks"
            }
            (_, ErrorKind::Malformed) => "see that the question fits into the model's context, and the endpoint's log",
            _ => "see the endpoint's log in CloudWatch",
        };
        PortError::new(self.port, self.using(), kind).caused_by(format!("{why}; {advice}"))
    }

    /// An answer that is nothing to use, whatever is tried.
    pub fn malformed(&self, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> PortError {
        PortError::new(self.port, self.using(), ErrorKind::Malformed).caused_by(why)
    }

    fn using(&self) -> String {
        format!("use the answer of the endpoint {}", self.name)
    }

    fn refused(&self, error: &SdkError<InvokeEndpointError, HttpResponse>) -> PortError {
        let attempted = format!("invoke the endpoint {}", self.name);
        let meaning = match error.as_service_error() {
            Some(InvokeEndpointError::ModelError(answer)) => Some(container_said(answer)),
            Some(_) => self.meaning(error),
            None if matches!(error, SdkError::TimeoutError(_)) => {
                let remedy = format!(
                    "it did not answer within {} s: a smaller model or a larger machine does",
                    INVOCATION.as_secs()
                );
                Some((ErrorKind::Unavailable, remedy))
            }
            None => None,
        };
        match meaning {
            Some(meaning) => explained(self.port, attempted, error, meaning),
            None => port_error(self.port, attempted, error),
        }
    }

    fn meaning(&self, error: &SdkError<InvokeEndpointError, HttpResponse>) -> Option<(ErrorKind, String)> {
        let Self { name, component, .. } = self;
        let (code, said) = words(error);
        let said = said.to_lowercase();
        Some(match code {
            "ModelNotReadyException" => (
                ErrorKind::Unavailable,
                "its model is being loaded or scaled up from zero: this takes minutes".to_owned(),
            ),
            // SageMaker says it so when all copies of a component were scaled in.
            "ValidationError" | "ValidationException" if said.contains("no capacity") => {
                let remedy = "it was scaled in to zero; it comes back by its scaling policy, or raise its copy count";
                (ErrorKind::Unavailable, remedy.to_owned())
            }
            "ValidationError" | "ValidationException" if said.contains("not found") => {
                let component =
                    component.as_ref().map(|part| format!(" with the component {part}")).unwrap_or_default();
                let remedy = format!(
                    "there is no endpoint {name}{component} in this region: create it (terraform apply), or mend its name in \
                     the section sagemaker of the configuration"
                );
                (ErrorKind::Missing, remedy)
            }
            "ValidationError" | "ValidationException" if said.contains("inference component") => {
                (ErrorKind::Malformed, "set sagemaker.model_component to one of the endpoint's components".to_owned())
            }
            "InternalDependencyException" => (ErrorKind::Unavailable, "a service behind it is in trouble".to_owned()),
            _ if kind(error) == ErrorKind::Denied && code.starts_with("AccessDenied") => {
                (ErrorKind::Denied, format!("allow the role sagemaker:InvokeEndpoint on the endpoint {name}"))
            }
            _ => return None,
        })
    }
}

/// What the status of a container means. 424 is LMI's word for a model that failed.
fn of_container(status: u16) -> ErrorKind {
    match status {
        429 => ErrorKind::Throttled(BUSY),
        0 | 408 | 424 | 500.. => ErrorKind::Unavailable,
        401 | 403 => ErrorKind::Denied,
        404 => ErrorKind::Missing,
        _ => ErrorKind::Malformed,
    }
}

/// What the error of a container means, and what an operator does about it. SageMaker gives 0 for one that said nothing.
fn container_said(answer: &ModelError) -> (ErrorKind, String) {
    let status = answer.original_status_code().and_then(|status| u16::try_from(status).ok()).unwrap_or(0);
    let kind = of_container(status);
    let log = answer.log_stream_arn().map(|log| format!(" ({log})")).unwrap_or_default();
    let advice = match kind {
        ErrorKind::Missing => "set sagemaker.model_name and model_profile to what the container serves".to_owned(),
        ErrorKind::Malformed => format!(
            "set sagemaker.model_profile to what the container speaks, and see that the question fits into its context{log}"
        ),
        ErrorKind::Throttled(_) => "let more copies of it run, or fewer workers ask".to_owned(),
        _ => format!("see the container's log in CloudWatch{log}"),
    };
    (kind, format!("the container answered with {status}: {advice}"))
}
