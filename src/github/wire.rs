//! How calls travel: through octocrab, over a client with time limits that follows no redirect and reads no endless answer.
//!
//! octocrab's own client would follow a redirect to any host and logs addresses, which name the files of private
//! repositories; so it gets a service of ours, which knows one address.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, Response, Uri};
use octocrab::{AuthState, OctoBody, Octocrab, OctocrabBuilder};
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Body, Client, Url};
use secrecy::SecretString;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::failure::{Answer, Asked, Failure};
use crate::ports::{ErrorKind, PortError, PortResult};

/// Largest answer that is read, bytes. Trees of the largest repositories and blobs of 23 MB fit.
const ANSWER_LIMIT: usize = 32 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For a whole call; GitHub ends its own work after 10 s.
const TIMEOUT: Duration = Duration::from_secs(30);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One call. The path is that of the API, with its query, encoded.
pub(super) struct Call {
    pub method: Method,
    pub path: String,
    pub body: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Patch,
}

impl Call {
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::Get, path: path.into(), body: None }
    }

    pub fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::Post, path: path.into(), body: Some(body) }
    }

    pub fn patch(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::Patch, path: path.into(), body: Some(body) }
    }
}

/// Sends calls to one address. Costs nothing until the first.
pub(super) struct Wire {
    base: Arc<Base>,
    client: OnceCell<Octocrab>,
}

/// Where the API is.
struct Base {
    url: Url,
    /// Where GraphQL is: beside the REST API, not below it, on an Enterprise Server.
    graphql: Url,
}

impl Wire {
    /// # Errors
    /// When the address is none, or would send tokens unencrypted to another machine.
    pub fn new(api_url: &str) -> PortResult<Self> {
        let failed = |what: &str, kind| PortError::new("forge", what, kind);
        let url = Url::parse(api_url.trim_end_matches('/')).ok().filter(Url::has_host);
        let url =
            url.ok_or_else(|| failed("use github.api_url as an address; write https://…", ErrorKind::Malformed))?;
        if !is_private_enough(&url) {
            let what = "send a token to github.api_url unencrypted; use https, or http on this machine only";
            return Err(failed(what, ErrorKind::Denied));
        }
        let mut graphql = url.clone();
        graphql.set_path(&format!("{}/graphql", url.path().trim_end_matches('/').trim_end_matches("/v3")));
        Ok(Self { base: Arc::new(Base { url, graphql }), client: OnceCell::new() })
    }

    /// Sends one call, once.
    pub async fn send(&self, token: &SecretString, call: &Call) -> Asked<Answer> {
        let client = self.client().await?.user_access_token(token.clone()).map_err(|error| unreachable(&error))?;
        execute(&client, call).await
    }

    /// The same with nothing that says who we are.
    pub async fn send_openly(&self, call: &Call) -> Asked<Answer> {
        execute(self.client().await?, call).await
    }

    async fn client(&self) -> Asked<&Octocrab> {
        self.client.get_or_try_init(|| async { connect(Arc::clone(&self.base)) }).await
    }

    /// The path of the API that an answer redirects to; `None` when it is elsewhere.
    pub fn redirected(&self, answer: &Answer) -> Option<String> {
        let place = self.base.url.join(answer.header(LOCATION.as_str())?).ok()?;
        if place.origin() != self.base.url.origin() {
            return None;
        }
        let below = place.path().strip_prefix(self.base.url.path().trim_end_matches('/'))?;
        Some(place.query().map_or_else(|| below.to_owned(), |query| format!("{below}?{query}")))
    }
}

async fn execute(client: &Octocrab, call: &Call) -> Asked<Answer> {
    let path = call.path.as_str();
    let sent = match call.method {
        Method::Get => client._get(path).await,
        Method::Post => client._post(path, call.body.as_ref()).await,
        Method::Patch => client._patch(path, call.body.as_ref()).await,
    };
    let response = sent.map_err(|error| unreachable(&error))?;
    read(reqwest::Response::from(response.map(Body::wrap))).await
}

/// https to anywhere, http to this machine only.
fn is_private_enough(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    url.scheme() == "https" || (url.scheme() == "http" && loopback)
}

fn connect(base: Arc<Base>) -> Asked<Octocrab> {
    let accept = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/vnd.github+json"))]);
    let client = Client::builder()
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .user_agent(concat!("codehealer/", env!("CARGO_PKG_VERSION")))
        .default_headers(accept)
        .build()
        .map_err(|_| Failure::new(ErrorKind::Unavailable, "no HTTP client can be made"))?;
    let service = tower::service_fn(move |request| forward(client.clone(), Arc::clone(&base), request));
    let built = OctocrabBuilder::new_empty().with_service(service).with_auth(AuthState::None).build();
    let Ok(octocrab) = built;
    Ok(octocrab)
}

async fn forward(client: Client, base: Arc<Base>, request: Request<OctoBody>) -> Result<Response<Body>, BoxError> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let place = match path {
        "/graphql" => base.graphql.to_string(),
        path => format!("{}{path}", base.url.as_str().trim_end_matches('/')),
    };
    parts.uri = place.parse::<Uri>()?;
    let request = reqwest::Request::try_from(Request::from_parts(parts, Body::wrap(body)))?;
    Ok(Response::from(client.execute(request).await?))
}

async fn read(mut response: reqwest::Response) -> Asked<Answer> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut body = Vec::new();
    loop {
        let chunk = response.chunk().await;
        let chunk = chunk.map_err(|_| Failure::new(ErrorKind::Unavailable, "GitHub's answer broke off; try later"))?;
        let Some(chunk) = chunk else { return Ok(Answer { status, headers, body }) };
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_LIMIT {
            return Err(Failure::malformed("an answer of more than 32 MB, which is more than is read"));
        }
    }
}

/// What went wrong on the way, without addresses.
fn unreachable(error: &octocrab::Error) -> Failure {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    loop {
        if let Some(error) = cause.downcast_ref::<reqwest::Error>() {
            let reason = match () {
                () if error.is_timeout() => "GitHub did not answer in time; try later",
                () if error.is_connect() => "GitHub cannot be reached; check the network and github.api_url",
                () => "the connection to GitHub broke; try later",
            };
            return Failure::new(ErrorKind::Unavailable, reason);
        }
        match cause.source() {
            Some(inner) => cause = inner,
            None => break,
        }
    }
    match error {
        octocrab::Error::Service { .. } => Failure::new(ErrorKind::Unavailable, "the connection to GitHub broke"),
        _ => Failure::malformed("the call cannot be written as HTTP; is the token one line?"),
    }
}

/// One part of a path or a value of a query.
pub(super) fn encoded(part: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let mut text = String::with_capacity(part.len());
    for byte in part.bytes() {
        match plain(byte) {
            true => text.push(char::from(byte)),
            false => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// A path, its slashes kept.
pub(super) fn encoded_path(path: &str) -> String {
    path.split('/').map(encoded).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_travels_unencrypted_on_this_machine_only() {
        for fine in ["https://api.github.com", "https://host/api/v3/", "http://127.0.0.1:80", "http://[::1]:1"] {
            assert!(Wire::new(fine).is_ok(), "{fine}");
        }
        for refused in ["http://api.github.com", "http://10.0.0.1", "http://localhost.evil.example", "ftp://x", "x", ""]
        {
            assert!(Wire::new(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn graphql_is_beside_the_api_of_an_enterprise_server() {
        let graphql = |url: &str| Wire::new(url).unwrap().base.graphql.to_string();
        assert_eq!(graphql("https://api.github.com"), "https://api.github.com/graphql");
        assert_eq!(graphql("https://host.example/api/v3"), "https://host.example/api/graphql");
    }

    #[test]
    fn redirects_lead_to_the_same_api_or_nowhere() {
        let wire = Wire::new("https://host.example/api/v3").unwrap();
        let to = |location: &'static str| {
            let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(location))]);
            wire.redirected(&Answer { status: 301, headers, body: Vec::new() })
        };
        assert_eq!(to("https://host.example/api/v3/repositories/7?a=b").as_deref(), Some("/repositories/7?a=b"));
        assert_eq!(to("/api/v3/repositories/7").as_deref(), Some("/repositories/7"));
        for elsewhere in [
            "https://evil.example/api/v3/repositories/7",
            "http://host.example/api/v3/repositories/7",
            "https://host.example:8443/api/v3/x",
            "https://host.example/other",
            "//169.254.169.254/api/v3/latest",
        ] {
            assert_eq!(to(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn everything_but_plain_letters_is_encoded() {
        assert_eq!(encoded_path("a b/ü?#%/c..d"), "a%20b/%C3%BC%3F%23%25/c..d");
    }
}
