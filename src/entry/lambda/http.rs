//! Requests as API Gateway and function URLs hand them over, and answers as they take them back.
//!
//! The requests are read into types of our own: what strangers can put into them (header values of any bytes, missing maps) must
//! end in an answer, not in an event that cannot be parsed.

use std::fmt;

use aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::event::EventError;
use crate::entry::answer::Answer;
use crate::entry::body::{LIMIT, Unread};

/// API Gateway joins the values of a header that came twice by commas (payload version 2). No signature has one.
const SIGNATURE: &str = "x-hub-signature-256";

/// One request, whichever way it came.
#[derive(Debug)]
pub struct HttpRequest {
    version: Version,
    /// Upper case.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// By lower-case name, every value kept.
    pub headers: Vec<(String, String)>,
    body: String,
    encoded: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    /// REST APIs, and HTTP APIs that were told so.
    One,
    /// HTTP APIs and function URLs.
    Two,
}

/// Why a body cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("the body is not base64, which the event says it is")]
    NotBase64,
    #[error(transparent)]
    Unread(#[from] Unread),
}

/// An answer in the shape of the request's version.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum HttpResponse {
    One(ApiGatewayProxyResponse),
    Two(ApiGatewayV2httpResponse),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VersionOne {
    http_method: String,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    headers: Option<Headers>,
    #[serde(default)]
    multi_value_headers: Option<Headers>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VersionTwo {
    #[serde(default)]
    raw_path: Option<String>,
    #[serde(default)]
    headers: Option<Headers>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: Option<bool>,
    request_context: ContextTwo,
}

#[derive(Deserialize)]
struct ContextTwo {
    http: HttpTwo,
}

#[derive(Deserialize)]
struct HttpTwo {
    method: String,
    #[serde(default)]
    path: Option<String>,
}

impl HttpRequest {
    /// # Errors
    /// When the event is not what API Gateway writes.
    pub fn of_version_1(raw: &RawValue) -> Result<Self, EventError> {
        let event: VersionOne = typed(raw)?;
        // The map of single values has the last one of each; it stands alone in hand-written events only.
        let headers = event.multi_value_headers.filter(|map| !map.0.is_empty()).or(event.headers);
        Ok(Self {
            version: Version::One,
            method: event.http_method.to_uppercase(),
            path: event.path.unwrap_or_default(),
            headers: headers.unwrap_or_default().0,
            body: event.body.unwrap_or_default(),
            encoded: event.is_base64_encoded.unwrap_or_default(),
        })
    }

    /// # Errors
    /// When the event is not what API Gateway or a function URL writes.
    pub fn of_version_2(raw: &RawValue) -> Result<Self, EventError> {
        let event: VersionTwo = typed(raw)?;
        let http = event.request_context.http;
        let apart = |(name, value): (String, String)| -> Vec<(String, String)> {
            if name != SIGNATURE {
                return vec![(name, value)];
            }
            value.split(',').map(|part| (name.clone(), part.trim().to_owned())).collect()
        };
        Ok(Self {
            version: Version::Two,
            method: http.method.to_uppercase(),
            path: event.raw_path.or(http.path).unwrap_or_default(),
            headers: event.headers.unwrap_or_default().0.into_iter().flat_map(apart).collect(),
            body: event.body.unwrap_or_default(),
            encoded: event.is_base64_encoded.unwrap_or_default(),
        })
    }

    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The last part of the path: what stands before it is a stage or a mapping.
    #[must_use]
    pub fn route(&self) -> &str {
        self.path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
    }

    /// The bytes that were sent.
    ///
    /// # Errors
    /// When they are more than GitHub sends, or not what the event says.
    pub fn body(&self) -> Result<Vec<u8>, BodyError> {
        let most = if self.encoded { LIMIT.div_ceil(3) * 4 } else { LIMIT };
        if self.body.len() > most {
            return Err(Unread::TooLarge.into());
        }
        if !self.encoded {
            return Ok(self.body.clone().into_bytes());
        }
        STANDARD.decode(&self.body).map_err(|_| BodyError::NotBase64)
    }

    /// The answer in the shape that this request's sender understands: a line of text as JSON.
    #[must_use]
    pub fn respond(&self, answer: &Answer) -> HttpResponse {
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, json)]);
        let status = i64::from(answer.status.as_u16());
        let body = Some(Body::Text(serde_json::json!({ "message": answer.message }).to_string()));
        match self.version {
            Version::One => {
                let mut response = ApiGatewayProxyResponse::default();
                response.status_code = status;
                response.multi_value_headers.clone_from(&headers);
                response.headers = headers;
                response.body = body;
                HttpResponse::One(response)
            }
            Version::Two => {
                let mut response = ApiGatewayV2httpResponse::default();
                response.status_code = status;
                response.headers = headers;
                response.body = body;
                HttpResponse::Two(response)
            }
        }
    }
}

fn typed<T: for<'de> Deserialize<'de>>(raw: &RawValue) -> Result<T, EventError> {
    let malformed = |error: serde_json::Error| EventError::Malformed { kind: "the request", reason: error.to_string() };
    serde_json::from_str(raw.get()).map_err(malformed)
}

/// Headers by lower-case name, in order: single values, lists, and names that differ in case only are all kept.
#[derive(Debug, Default)]
struct Headers(Vec<(String, String)>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Many(Vec<String>),
    Other(serde::de::IgnoredAny),
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of headers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
                let mut found = Vec::new();
                while let Some((name, values)) = map.next_entry::<String, Values>()? {
                    let name = name.to_ascii_lowercase();
                    match values {
                        Values::One(value) => found.push((name, value)),
                        Values::Many(values) => found.extend(values.into_iter().map(|value| (name.clone(), value))),
                        Values::Other(_) => {}
                    }
                }
                Ok(Headers(found))
            }
        }
        deserializer.deserialize_map(Map)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use serde_json::{Value, json};

    use super::*;

    fn raw(value: &Value) -> Box<RawValue> {
        RawValue::from_string(value.to_string()).unwrap()
    }

    fn one(value: Value) -> HttpRequest {
        HttpRequest::of_version_1(&raw(&value)).unwrap()
    }

    fn two(mut value: Value) -> HttpRequest {
        value["requestContext"] = json!({"http": {"method": "post", "path": "/prod/webhook"}});
        HttpRequest::of_version_2(&raw(&value)).unwrap()
    }

    fn values<'r>(request: &'r HttpRequest, name: &str) -> Vec<&'r str> {
        request.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
    }

    #[test]
    fn a_header_that_came_twice_is_seen_twice() {
        let both = json!({"httpMethod": "POST", "headers": {"X-Hub-Signature-256": "b"},
            "multiValueHeaders": {"X-Hub-Signature-256": ["a", "b"]}});
        assert_eq!(values(&one(both), SIGNATURE), ["a", "b"]);
        let cases = json!({"httpMethod": "POST", "headers": {"X-Hub-Signature-256": "a", "x-hub-signature-256": "b"}});
        assert_eq!(values(&one(cases), SIGNATURE), ["a", "b"]);
        let joined = two(json!({"headers": {"x-hub-signature-256": "a, b", "accept": "x,y"}}));
        assert_eq!((values(&joined, SIGNATURE), values(&joined, "accept")), (vec!["a", "b"], vec!["x,y"]));
        let text = r#"{"httpMethod":"POST","multiValueHeaders":{"a":["1"],"a":["2"],"b":null,"c":[7]}}"#;
        let twice = HttpRequest::of_version_1(&RawValue::from_string(text.into()).unwrap()).unwrap();
        assert_eq!(values(&twice, "a"), ["1", "2"]);
    }

    #[test]
    fn single_value_headers_count_where_there_are_no_others() {
        for empty in [json!(null), json!({})] {
            let event = json!({"httpMethod": "POST", "headers": {"X-A": "é"}, "multiValueHeaders": empty});
            assert_eq!(values(&one(event), "x-a"), ["é"]);
        }
    }

    #[test]
    fn bodies_are_the_bytes_that_were_sent() {
        assert_eq!(two(json!({"body": "a\r\né"})).body(), Ok("a\r\né".as_bytes().to_vec()));
        assert_eq!(two(json!({"body": "/wA=", "isBase64Encoded": true})).body(), Ok(vec![0xff, 0]));
        assert_eq!(two(json!({"body": null, "isBase64Encoded": null})).body(), Ok(Vec::new()));
        for bad in ["%%%", "abc", "YQ", "YQ==\n", "é"] {
            let request = two(json!({"body": bad, "isBase64Encoded": true}));
            assert_eq!(request.body(), Err(BodyError::NotBase64), "{bad}");
        }
        let large = two(json!({"body": "x".repeat(LIMIT + 1)}));
        assert_eq!(large.body(), Err(BodyError::Unread(Unread::TooLarge)));
    }

    #[test]
    fn stages_before_the_route_do_not_matter() {
        let route = |path: &str| two(json!({"rawPath": path})).route().to_owned();
        assert_eq!([route("/webhook"), route("/prod/webhook/"), route("/")], ["webhook", "webhook", ""]);
        assert_eq!(two(json!({})).route(), "webhook", "the context has a path too");
    }

    #[test]
    fn answers_have_the_shape_of_their_version() {
        let answer = Answer::new("nothing", StatusCode::OK, "pong");
        let first = serde_json::to_value(one(json!({"httpMethod": "POST"})).respond(&answer)).unwrap();
        assert_eq!(first["multiValueHeaders"]["content-type"], json!(["application/json"]));
        let second = serde_json::to_value(two(json!({})).respond(&answer)).unwrap();
        assert_eq!(second["cookies"], json!([]));
        for response in [first, second] {
            assert_eq!(response["statusCode"], 200);
            assert_eq!(response["isBase64Encoded"], false);
            assert_eq!(response["headers"]["content-type"], "application/json");
            assert_eq!(response["body"], r#"{"message":"pong"}"#);
        }
    }
}
