//! Which of Lambda's events this is. Only a few keys are looked at; the rest is parsed once it is known what it must be.

use std::collections::BTreeMap;

use aws_lambda_events::sqs::SqsEvent;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::http::HttpRequest;

/// What the two functions are invoked with.
#[derive(Debug)]
pub enum Event {
    /// A request to API Gateway or to the function's own URL.
    Http(HttpRequest),
    /// Messages of the inbox.
    Batch(SqsEvent),
    /// The schedule: look for everything that time alone asks for.
    Reconcile,
}

/// Why an event is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    #[error(
        "{0} is not handled; CodeHealer takes requests of API Gateway or a function URL, batches of SQS, and schedules"
    )]
    Unknown(String),
    #[error("{kind} cannot be read: {reason}")]
    Malformed { kind: &'static str, reason: String },
}

impl Event {
    /// Tells what was sent and parses it as that.
    ///
    /// # Errors
    /// Names what was sent when it is nothing we handle, or says what is wrong with it.
    pub fn parse(raw: &RawValue) -> Result<Self, EventError> {
        let Ok(keys) = serde_json::from_str::<Keys<'_>>(raw.get()) else {
            return Err(EventError::Unknown("an event that is no JSON object".to_owned()));
        };
        if let Some(records) = keys.get("Records") {
            return batch(raw, records);
        }
        if let Some(context) = keys.get("requestContext") {
            return request(raw, &keys, context);
        }
        if let (Some(source), Some(kind)) = (text(&keys, "source"), text(&keys, "detail-type")) {
            return schedule(&source, &kind);
        }
        // What an operator gives a rule of EventBridge as constant input, or types into a test.
        match text(&keys, "task").as_deref() {
            Some("reconcile") => Ok(Self::Reconcile),
            _ => Err(EventError::Unknown(unnamed(&keys))),
        }
    }

    /// For messages to people.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Http(_) => "an HTTP request",
            Self::Batch(_) => "a batch of SQS",
            Self::Reconcile => "a schedule",
        }
    }
}

/// Top-level keys with their unparsed values.
type Keys<'a> = BTreeMap<String, &'a RawValue>;

fn text(keys: &Keys<'_>, name: &str) -> Option<String> {
    serde_json::from_str(keys.get(name)?.get()).ok()
}

fn typed<T: DeserializeOwned>(kind: &'static str, raw: &RawValue) -> Result<T, EventError> {
    serde_json::from_str(raw.get()).map_err(|error| EventError::Malformed { kind, reason: error.to_string() })
}

#[derive(Deserialize)]
struct RecordOrigin {
    #[serde(alias = "EventSource", rename = "eventSource")]
    source: Option<String>,
}

fn batch(raw: &RawValue, records: &RawValue) -> Result<Event, EventError> {
    let origins: Vec<RecordOrigin> = typed("a batch of records", records)?;
    match origins.into_iter().find(|origin| origin.source.as_deref() != Some("aws:sqs")) {
        None => typed("a batch of SQS", raw).map(Event::Batch),
        Some(other) => {
            let source = other.source.map_or_else(|| "an unnamed source".to_owned(), |source| short(&source));
            Err(EventError::Unknown(format!("a record of {source}")))
        }
    }
}

fn request(raw: &RawValue, keys: &Keys<'_>, context: &RawValue) -> Result<Event, EventError> {
    let context: Keys<'_> = serde_json::from_str(context.get()).unwrap_or_default();
    if context.contains_key("elb") {
        return Err(EventError::Unknown("a request of an Application Load Balancer".to_owned()));
    }
    if context.contains_key("connectionId") {
        return Err(EventError::Unknown("a message of an API Gateway WebSocket".to_owned()));
    }
    if context.contains_key("http") {
        return HttpRequest::of_version_2(raw).map(Event::Http);
    }
    if keys.contains_key("httpMethod") {
        return HttpRequest::of_version_1(raw).map(Event::Http);
    }
    Err(EventError::Unknown(unnamed(keys)))
}

fn schedule(source: &str, kind: &str) -> Result<Event, EventError> {
    // Rules of EventBridge call themselves `aws.events`, EventBridge Scheduler `aws.scheduler`.
    if kind == "Scheduled Event" && matches!(source, "aws.events" | "aws.scheduler") {
        return Ok(Event::Reconcile);
    }
    Err(EventError::Unknown(format!("the EventBridge event {:?} of {}", short(kind), short(source))))
}

fn unnamed(keys: &Keys<'_>) -> String {
    let names: Vec<String> = keys.keys().take(5).map(|name| short(name)).collect();
    if names.is_empty() { "an empty event".to_owned() } else { format!("an event with the keys {}", names.join(", ")) }
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Event, EventError> {
        Event::parse(&RawValue::from_string(json.to_owned()).unwrap())
    }

    #[test]
    fn each_source_is_told_by_its_keys() {
        let v2 =
            r#"{"version":"2.0","rawPath":"/webhook","requestContext":{"http":{"method":"POST","path":"/webhook"}}}"#;
        assert!(matches!(parse(v2), Ok(Event::Http(_))));
        let v1 = r#"{"httpMethod":"POST","path":"/webhook","requestContext":{"stage":"prod"},"headers":null}"#;
        assert!(matches!(parse(v1), Ok(Event::Http(_))));
        let sqs = r#"{"Records":[{"messageId":"m","receiptHandle":"r","body":"{}","eventSource":"aws:sqs"}]}"#;
        assert!(matches!(parse(sqs), Ok(Event::Batch(batch)) if batch.records.len() == 1));
        assert!(matches!(parse(r#"{"Records":[]}"#), Ok(Event::Batch(_))));
        for source in ["aws.events", "aws.scheduler"] {
            let json = format!(r#"{{"source":"{source}","detail-type":"Scheduled Event","detail":"{{}}"}}"#);
            assert!(matches!(parse(&json), Ok(Event::Reconcile)), "{source}");
        }
        assert!(matches!(parse(r#"{"task":"reconcile"}"#), Ok(Event::Reconcile)));
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        for (json, name) in [
            (r#"{"Records":[{"eventSource":"aws:s3"}]}"#, "aws:s3"),
            (r#"{"Records":[{"EventSource":"aws:sns"}]}"#, "aws:sns"),
            (r#"{"Records":[{"eventSource":"aws:sqs","body":""},{"eventSource":"aws:kinesis"}]}"#, "aws:kinesis"),
            (r#"{"Records":[{}]}"#, "unnamed"),
            (r#"{"httpMethod":"GET","requestContext":{"elb":{}}}"#, "Load Balancer"),
            (r#"{"requestContext":{"connectionId":"x","routeKey":"$connect"}}"#, "WebSocket"),
            (r#"{"source":"aws.ec2","detail-type":"EC2 Instance State-change Notification"}"#, "aws.ec2"),
            (r#"{"source":"me","detail-type":"Scheduled Event"}"#, "of me"),
            (r#"{"task":"push","after":"x"}"#, "after, task"),
            (r#"{"awslogs":{"data":"x"}}"#, "awslogs"),
            ("{}", "empty"),
            ("null", "no JSON object"),
            ("[1]", "no JSON object"),
        ] {
            let error = parse(json).unwrap_err();
            assert!(matches!(error, EventError::Unknown(_)), "{json}: {error}");
            assert!(error.to_string().contains(name), "{json}: {error}");
        }
    }

    #[test]
    fn depth_and_wrong_types_are_refused_without_harm() {
        let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        assert!(matches!(parse(&deep), Err(EventError::Unknown(_))));
        for json in [
            r#"{"Records":7}"#,
            r#"{"Records":[7]}"#,
            r#"{"requestContext":{"http":7},"version":"2.0"}"#,
            r#"{"requestContext":{},"httpMethod":7}"#,
        ] {
            assert!(matches!(parse(json), Err(EventError::Malformed { .. })), "{json}");
        }
    }
}
