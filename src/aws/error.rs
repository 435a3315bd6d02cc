//! What an answer of AWS means for the caller.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::ports::{ErrorKind, PortError};

/// How long to wait when AWS throttles and does not say for how long.
const THROTTLED: Duration = Duration::from_secs(1);

/// Longest text of an error that is passed on, characters.
const SHOWN: usize = 400;

/// What went wrong, in AWS's words, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{said}{remedy}")]
struct Said {
    said: String,
    /// Empty, or begins with `; `.
    remedy: Cow<'static, str>,
}

/// Turns an error of the SDK into one of ours. `attempted` completes "could not …".
#[must_use]
pub fn port_error<E>(port: &'static str, attempted: impl Into<String>, error: &SdkError<E, HttpResponse>) -> PortError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let kind = kind(error);
    let remedy = remedy(&kind, error);
    PortError::new(port, attempted, kind).caused_by(Said { said: said(error), remedy: remedy.into() })
}

/// The same where a service means something of its own by it: the caller knows the kind and the remedy.
#[must_use]
pub fn explained<E>(
    port: &'static str,
    attempted: impl Into<String>,
    error: &SdkError<E, HttpResponse>,
    (kind, remedy): (ErrorKind, impl fmt::Display),
) -> PortError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    PortError::new(port, attempted, kind).caused_by(Said { said: said(error), remedy: format!("; {remedy}").into() })
}

/// The code and the message of an error that the service itself answered with; empty for every other.
#[must_use]
pub fn words<E>(error: &SdkError<E, HttpResponse>) -> (&str, &str)
where
    E: ProvideErrorMetadata,
{
    let told = error.as_service_error();
    let part = |of: fn(&E) -> Option<&str>| told.and_then(of).unwrap_or_default();
    (short(part(ProvideErrorMetadata::code)), part(ProvideErrorMetadata::message))
}

/// Query-protocol errors come as `AWS.SimpleQueueService.NonExistentQueue`, others as `prefix#Code`.
fn short(code: &str) -> &str {
    code.rsplit(['#', '.']).next().unwrap_or(code)
}

/// Whether a request was refused because its time is not AWS's: nothing was done. The SDK took AWS's time from the answer and signs
/// the next request of the same client by it.
#[must_use]
pub fn is_mistimed<E>(error: &SdkError<E, HttpResponse>) -> bool
where
    E: ProvideErrorMetadata,
{
    match words(error) {
        ("RequestTimeTooSkewed" | "RequestExpired", _) => true,
        ("InvalidSignatureException" | "SignatureDoesNotMatch", said) => is_about_time(said),
        _ => false,
    }
}

/// Whether a refusal in AWS's words is about the time of a signature.
fn is_about_time(said: &str) -> bool {
    let said = said.to_lowercase();
    said.contains("signature expired") || said.contains("signature not yet current")
}

/// The kind of an error, told from its code first, then from the status.
#[must_use]
pub fn kind<E>(error: &SdkError<E, HttpResponse>) -> ErrorKind
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ConstructionFailure(_) => ErrorKind::Malformed,
        SdkError::DispatchFailure(_) if without_credentials(error) => ErrorKind::Denied,
        SdkError::ServiceError(_) if is_mistimed(error) => ErrorKind::Unavailable,
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or_default();
            of_code(code, service.raw()).unwrap_or_else(|| of_status(service.raw()))
        }
        // An answer that broke off counts like none; one that makes no sense comes from the wrong server, or one in trouble.
        SdkError::ResponseError(response) if !broke_off(error) => of_status(response.raw()),
        _ => ErrorKind::Unavailable,
    }
}

fn of_code(code: &str, response: &HttpResponse) -> Option<ErrorKind> {
    Some(match short(code) {
        "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "ProvisionedThroughputExceededException"
        | "ProvisionedThroughputExceeded"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "OverLimit"
        | "TooManyRequestsException"
        | "LimitExceededException"
        | "KmsThrottled" => ErrorKind::Throttled(wait(response)),
        "AccessDeniedException"
        | "AccessDenied"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "OptInRequired"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "KmsAccessDenied" => ErrorKind::Denied,
        "ResourceNotFoundException" | "QueueDoesNotExist" | "NonExistentQueue" => ErrorKind::Missing,
        "ConditionalCheckFailedException" | "IdempotentParameterMismatchException" => ErrorKind::Conflict,
        "InternalServerError" | "InternalFailure" | "ServiceUnavailable" | "InternalServiceError" => {
            ErrorKind::Unavailable
        }
        _ => return None,
    })
}

fn of_status(response: &HttpResponse) -> ErrorKind {
    match response.status().as_u16() {
        401 | 403 => ErrorKind::Denied,
        404 => ErrorKind::Missing,
        408 | 500.. => ErrorKind::Unavailable,
        429 => ErrorKind::Throttled(wait(response)),
        _ => ErrorKind::Malformed,
    }
}

/// The wait that the answer asks for, if it does.
fn wait(response: &HttpResponse) -> Duration {
    let seconds = response.headers().get("retry-after").and_then(|text| text.trim().parse().ok());
    seconds.map_or(THROTTLED, Duration::from_secs)
}

/// The errors behind an error, itself first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}

/// Whether the answer ended before it was complete. The HTTP client keeps the type of this error to itself.
fn broke_off(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| cause.is::<std::io::Error>() || cause.to_string().contains("reading a body"))
}

fn without_credentials(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| cause.is::<CredentialsError>())
}

fn said<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let SdkError::ServiceError(service) = error {
        let status = service.raw().status().as_u16();
        let code = service.err().code().unwrap_or("an error without a code");
        let message = service.err().message().unwrap_or("no message");
        return shortened(format_args!("{code} ({status}): {message}"));
    }
    let words: Vec<String> = causes(error).map(ToString::to_string).collect();
    shortened(format_args!("{}", words.join(": ")))
}

fn shortened(text: fmt::Arguments<'_>) -> String {
    text.to_string().chars().take(SHOWN).collect()
}

fn remedy<E>(kind: &ErrorKind, error: &SdkError<E, HttpResponse>) -> &'static str
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or_default();
    match kind {
        ErrorKind::Denied if without_credentials(error) => {
            "; give the process a role, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        }
        ErrorKind::Denied if code.contains("Expired") => "; renew the credentials (aws sso login, or a new session)",
        ErrorKind::Denied => "; check the credentials and allow the role this action",
        ErrorKind::Unavailable if is_mistimed(error) => "; set this machine's clock: it is minutes away from AWS's",
        ErrorKind::Missing => "; create it, or mend its name and the region in the configuration",
        ErrorKind::Unavailable => "; check the network and the endpoint if this goes on",
        ErrorKind::Malformed => "; check that the endpoint is that of this service",
        ErrorKind::Throttled(_) | ErrorKind::Conflict => "",
    }
}
