//! The two functions: events as AWS writes them, in this process and in the real program under a Runtime API.

mod examples;
pub mod program;
mod receiver;
mod worker;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use codehealer::entry::lambda::{Function, Refused};
use lambda_runtime::{Context, LambdaEvent};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The shapes in which one request reaches a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Rest,
    RestEncoded,
    Http,
    HttpEncoded,
}

pub const SHAPES: [Shape; 4] = [Shape::Rest, Shape::RestEncoded, Shape::Http, Shape::HttpEncoded];

/// A POST to the webhook with these headers, as API Gateway hands it over.
pub fn post(shape: Shape, headers: &[(&str, &str)], body: &[u8]) -> Value {
    let encoded = matches!(shape, Shape::RestEncoded | Shape::HttpEncoded);
    let body = if encoded { STANDARD.encode(body) } else { String::from_utf8(body.to_vec()).unwrap() };
    let mut lists = serde_json::Map::new();
    for (name, value) in headers {
        lists.entry(*name).or_insert_with(|| json!([])).as_array_mut().unwrap().push(json!(value));
    }
    let joined = |by: fn(Vec<&str>) -> String| {
        let single = |(name, values): (&String, &Value)| {
            let values = values.as_array().unwrap().iter().map(|value| value.as_str().unwrap()).collect();
            (name.clone(), json!(by(values)))
        };
        Value::Object(lists.iter().map(single).collect())
    };
    match shape {
        Shape::Rest | Shape::RestEncoded => json!({
            "resource": "/webhook", "path": "/webhook", "httpMethod": "POST",
            "headers": joined(|values| (*values.last().unwrap()).to_owned()),
            "multiValueHeaders": lists.clone(),
            "queryStringParameters": null, "pathParameters": null, "stageVariables": null,
            "requestContext": {"accountId": "123456789012", "stage": "prod", "path": "/prod/webhook", "httpMethod": "POST"},
            "body": body, "isBase64Encoded": encoded,
        }),
        Shape::Http | Shape::HttpEncoded => json!({
            "version": "2.0", "routeKey": "POST /webhook", "rawPath": "/prod/webhook", "rawQueryString": "",
            "headers": joined(|values| values.join(",")),
            "requestContext": {"accountId": "123456789012", "stage": "prod",
                "http": {"method": "POST", "path": "/prod/webhook", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"}},
            "body": body, "isBase64Encoded": encoded,
        }),
    }
}

pub fn get(shape: Shape, path: &str) -> Value {
    let mut event = post(shape, &[], b"");
    if matches!(shape, Shape::Rest | Shape::RestEncoded) {
        (event["httpMethod"], event["path"]) = (json!("GET"), json!(path));
    } else {
        (event["requestContext"]["http"]["method"], event["rawPath"]) = (json!("GET"), json!(path));
    }
    event
}

pub fn epoch_millis() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Works on an event until its deadline, milliseconds of the function's clock; answers as JSON.
pub async fn invoke_until(function: &Function, event: &Value, deadline: u64) -> Result<Value, Refused> {
    let mut context = Context::default();
    context.request_id = "request-1".to_owned();
    context.deadline = deadline;
    let payload = RawValue::from_string(event.to_string()).unwrap();
    let outcome = function.invoke(LambdaEvent::new(payload, context)).await?;
    Ok(serde_json::to_value(outcome).unwrap())
}

pub async fn invoke(function: &Function, event: &Value) -> Result<Value, Refused> {
    invoke_until(function, event, epoch_millis() + 30_000).await
}

/// Status and message of an answer, whose shape is checked by AWS's own types.
pub fn answered(shape: Shape, answer: &Value) -> (i64, String) {
    use aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayV2httpResponse};
    use aws_lambda_events::encodings::Body;
    let (status, headers, body, encoded) = match shape {
        Shape::Rest | Shape::RestEncoded => {
            let typed: ApiGatewayProxyResponse = serde_json::from_value(answer.clone()).unwrap();
            assert_eq!(typed.multi_value_headers["content-type"], "application/json");
            (typed.status_code, typed.headers, typed.body, typed.is_base64_encoded)
        }
        Shape::Http | Shape::HttpEncoded => {
            let typed: ApiGatewayV2httpResponse = serde_json::from_value(answer.clone()).unwrap();
            assert_eq!(answer["cookies"], json!([]));
            (typed.status_code, typed.headers, typed.body, typed.is_base64_encoded)
        }
    };
    assert_eq!((&headers["content-type"], encoded), (&"application/json".parse().unwrap(), false));
    assert_eq!(answer["isBase64Encoded"], false);
    let Some(Body::Text(body)) = body else { panic!("not a text: {answer}") };
    let body: Value = serde_json::from_str(&body).unwrap();
    (status, body["message"].as_str().unwrap().to_owned())
}

/// One message as the event source hands it over.
pub fn sqs_record(id: &str, receipt: &str, body: &str, attempts: u32) -> Value {
    json!({
        "messageId": id, "receiptHandle": receipt, "body": body,
        "attributes": {"ApproximateReceiveCount": attempts.to_string(), "SentTimestamp": "1545082649183",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO", "ApproximateFirstReceiveTimestamp": "1545082649185"},
        "messageAttributes": {}, "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3", "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:codehealer", "awsRegion": "eu-central-1",
    })
}

pub fn schedule() -> Value {
    json!({
        "version": "0", "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa", "detail-type": "Scheduled Event",
        "source": "aws.events", "account": "123456789012", "time": "2026-11-20T16:53:06Z", "region": "eu-central-1",
        "resources": ["arn:aws:events:eu-central-1:123456789012:rule/codehealer"], "detail": {},
    })
}

pub const LONG: Duration = Duration::from_secs(60);
