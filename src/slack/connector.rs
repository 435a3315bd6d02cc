//! How slack-morphism's calls travel: over a client with time limits that follows no redirect and reads no endless answer.
//!
//! Everything is sent as POST. Slack takes the arguments of reads as a form as well as in the address, and an address is
//! what proxies and libraries log: the words that we search for stay out of it.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;
use slack_morphism::errors::{
    SlackClientApiError, SlackClientError, SlackClientHttpError, SlackClientHttpProtocolError,
    SlackClientProtocolError, SlackRateLimitError, map_serde_error,
};
use slack_morphism::multipart_form::{FileMultipartData, create_multipart_file_content};
use slack_morphism::{
    ClientResult, SlackClientApiCallContext, SlackClientHttpConnector, SlackClientId, SlackClientSecret,
};

use crate::ports::{ErrorKind, PortError, PortResult};

/// Largest answer that is read, bytes: a page of long messages has a few megabytes.
const ANSWER_LIMIT: usize = 32 * 1024 * 1024;
/// Where the scopes of the token are put in the answer: Slack sends them as a header, which typed calls do not see.
pub const SCOPES: &str = "x-oauth-scopes";
const BOUNDARY: &str = "codehealer-slack-form-boundary";

type Pending<'a, T> = Pin<Box<dyn Future<Output = ClientResult<T>> + Send + 'a>>;

/// Sends the calls to one base address.
#[derive(Debug)]
pub struct Connector {
    client: Client,
    base: String,
}

impl Connector {
    /// `base` is the address before the method's name.
    ///
    /// # Errors
    /// When the address is none, or would send the token unencrypted to another machine.
    pub fn new(base: &str, connect: Duration, answer: Duration) -> PortResult<Self> {
        let base = base.trim_end_matches('/');
        let failed = |what: String, kind| PortError::new("slack", what, kind);
        let url = Url::parse(base).map_err(|e| {
            failed(format!("use {base} as Slack's address; write https://…"), ErrorKind::Malformed).caused_by(e)
        })?;
        if !is_private_enough(&url) {
            let what = format!("send a token to {base} unencrypted; use https, or http on this machine only");
            return Err(failed(what, ErrorKind::Denied));
        }
        // A redirect could carry the token to another host.
        let client = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(connect)
            .timeout(answer)
            .build()
            .map_err(|e| failed("make an HTTP client".to_owned(), ErrorKind::Unavailable).caused_by(e))?;
        Ok(Self { client, base: base.to_owned() })
    }

    fn post(&self, url: Url, context: &SlackClientApiCallContext<'_>) -> RequestBuilder {
        let request = self.client.post(url);
        match context.token {
            Some(token) => request.bearer_auth(&token.token_value.0),
            None => request,
        }
    }
}

/// https to anywhere, http to this machine only.
fn is_private_enough(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    url.scheme() == "https" || (url.scheme() == "http" && loopback)
}

/// Sends a request and reads the answer, whatever it is.
async fn ask<RS: DeserializeOwned>(request: RequestBuilder) -> ClientResult<RS> {
    let mut response = request.send().await.map_err(unreachable)?;
    let (status, headers) = (response.status(), response.headers().clone());
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Err(hasty(&headers));
    }
    // What a page of an error says is of no use, and could be anything.
    if status != StatusCode::OK {
        return Err(SlackClientError::HttpError(SlackClientHttpError::new(status)));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_LIMIT {
            return Err(unreadable("an answer of more than 32 MB"));
        }
    }
    let mut answer: Value = serde_json::from_slice(&body).map_err(|e| map_serde_error(e, None))?;
    if let (Some(object), Some(scopes)) = (answer.as_object_mut(), header(&headers, SCOPES)) {
        object.insert(SCOPES.to_owned(), Value::String(scopes.to_owned()));
    }
    match answer.get("ok").and_then(Value::as_bool) {
        Some(true) => serde_json::from_value(answer).map_err(|e| map_serde_error(e, None)),
        // Some say so within an answer, with the time where it always is.
        Some(false) if is_haste(&answer) => Err(hasty(&headers)),
        Some(false) => Err(refused(&answer)),
        None => Err(unreadable("an answer that does not say whether it is one")),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

/// Slack was asked too often; the time to wait stands in a header.
fn hasty(headers: &HeaderMap) -> SlackClientError {
    SlackClientError::RateLimitError(SlackRateLimitError::new().opt_retry_after(retry_after(headers)))
}

fn is_haste(answer: &Value) -> bool {
    matches!(answer.get("error").and_then(Value::as_str), Some("ratelimited" | "rate_limited"))
}

/// `ok: false`, with the scope that is needed where Slack names one.
fn refused(answer: &Value) -> SlackClientError {
    let text = |field: &str| answer.get(field).and_then(Value::as_str).map(str::to_owned);
    let code = text("error").unwrap_or_else(|| "an error without a name".to_owned());
    SlackClientError::ApiError(SlackClientApiError::new(code).opt_warnings(text("needed").map(|needed| vec![needed])))
}

fn unreachable(error: reqwest::Error) -> SlackClientError {
    let cause = Box::new(error.without_url());
    SlackClientError::HttpProtocolError(SlackClientHttpProtocolError::new().with_cause(cause))
}

fn unreadable(what: &str) -> SlackClientError {
    let json_error = serde::de::Error::custom(what);
    SlackClientError::ProtocolError(SlackClientProtocolError::new(json_error))
}

impl SlackClientHttpConnector for Connector {
    fn create_method_uri_path(&self, method: &str) -> ClientResult<Url> {
        Ok(format!("{}/{method}", self.base).parse()?)
    }

    fn http_get_uri<'a, RS>(&'a self, mut uri: Url, context: SlackClientApiCallContext<'a>) -> Pending<'a, RS>
    where
        RS: for<'de> serde::Deserialize<'de> + Send + 'a,
    {
        let form = uri.query().unwrap_or_default().to_owned();
        uri.set_query(None);
        let request = self.post(uri, &context).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        Box::pin(ask(request))
    }

    fn http_get_with_client_secret<'a, RS>(
        &'a self,
        uri: Url,
        id: &'a SlackClientId,
        secret: &'a SlackClientSecret,
    ) -> Pending<'a, RS>
    where
        RS: for<'de> serde::Deserialize<'de> + Send + 'a,
    {
        Box::pin(ask(self.client.get(uri).basic_auth(&id.0, Some(&secret.0))))
    }

    fn http_post_uri<'a, RQ, RS>(
        &'a self,
        uri: Url,
        body: &'a RQ,
        context: SlackClientApiCallContext<'a>,
    ) -> Pending<'a, RS>
    where
        RQ: serde::Serialize + Send + Sync,
        RS: for<'de> serde::Deserialize<'de> + Send + 'a,
    {
        // Slack warns of JSON without a character set.
        let request = self.post(uri, &context).json(body).header(CONTENT_TYPE, "application/json; charset=utf-8");
        Box::pin(ask(request))
    }

    fn http_post_uri_multipart_form<'a, 'p, RS, PT, TS>(
        &'a self,
        uri: Url,
        file: Option<FileMultipartData<'p>>,
        params: &'p PT,
        context: SlackClientApiCallContext<'a>,
    ) -> Pending<'a, RS>
    where
        RS: for<'de> serde::Deserialize<'de> + Send + 'a,
        PT: IntoIterator<Item = (&'p str, Option<TS>)> + Clone,
        TS: AsRef<str> + 'p + Send,
    {
        match create_multipart_file_content(params, BOUNDARY, file) {
            Ok(form) => {
                let kind = format!("multipart/form-data; boundary={BOUNDARY}");
                Box::pin(ask(self.post(uri, &context).header(CONTENT_TYPE, kind).body(form)))
            }
            Err(error) => Box::pin(std::future::ready(Err(error.into()))),
        }
    }

    fn http_post_uri_binary<'a, 'p, RS>(
        &'a self,
        uri: Url,
        kind: String,
        data: &'a [u8],
        context: SlackClientApiCallContext<'a>,
    ) -> Pending<'a, RS>
    where
        RS: for<'de> serde::Deserialize<'de> + Send + 'a,
    {
        Box::pin(ask(self.post(uri, &context).header(CONTENT_TYPE, kind).body(data.to_vec())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(base: &str) -> PortResult<Connector> {
        Connector::new(base, Duration::from_secs(1), Duration::from_secs(1))
    }

    #[test]
    fn a_token_travels_unencrypted_on_this_machine_only() {
        for fine in ["https://slack.com/api", "http://127.0.0.1:80/api/", "http://[::1]:1/api", "http://localhost/api"]
        {
            assert!(new(fine).is_ok(), "{fine}");
        }
        for refused in [
            "http://slack.com/api",
            "http://10.0.0.1/api",
            "http://localhost.evil.example/api",
            "ftp://127.0.0.1",
            "slack",
        ] {
            assert!(new(refused).is_err(), "{refused}");
        }
    }
}
