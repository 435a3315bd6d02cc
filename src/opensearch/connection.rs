//! The way to the cluster: one client, made when it is first needed, with time limits and bounded answers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_config::Region;
use aws_credential_types::provider::SharedCredentialsProvider;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::BoxFuture;
use opensearch::auth::Credentials;
use opensearch::http::headers::{ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderValue};
use opensearch::http::transport::{SingleNodeConnectionPool, Transport, TransportBuilder};
use opensearch::http::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OnceCell;

use super::error::{failed, not_understood, refused, unanswered};
use super::signing::Kept;
use crate::ports::{Credential, ErrorKind, PortResult};

/// Longest time of one request, its answer included.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer that is read where it says how large it is, bytes: a handful of the largest fixes that are stored.
const ANSWER_BYTES: u64 = 64 * 1024 * 1024;

/// Who asks.
#[derive(Clone)]
pub enum Auth {
    /// Nobody in particular: a cluster without the security plugin.
    None,
    /// A user of the security plugin. The password is read for each request: a rotated one takes effect without a restart.
    Basic { user: String, password: Credential },
    /// An AWS role; requests are signed. `service` is `es` for a domain, `aoss` for a serverless collection.
    Aws { service: &'static str, identity: IdentitySource },
}

/// Gives the role when the first request needs it. What fails is asked again.
pub type IdentitySource = Arc<dyn Fn() -> BoxFuture<'static, PortResult<AwsIdentity>> + Send + Sync>;

/// Whose signature, and for which region.
#[derive(Debug, Clone)]
pub struct AwsIdentity {
    /// What it gives is kept until five minutes before it runs out.
    pub credentials: SharedCredentialsProvider,
    /// Such as `eu-central-1`.
    pub region: String,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Basic { user, password } => write!(f, "Basic({user}, {password:?})"),
            Self::Aws { service, .. } => write!(f, "Aws({service})"),
        }
    }
}

/// The cluster at one address.
pub(super) struct Connection {
    url: Url,
    auth: Auth,
    transport: OnceCell<Transport>,
}

/// One request. `attempted` completes "could not …".
pub(super) struct Request<'a> {
    pub attempted: &'a str,
    pub method: Method,
    /// Without a slash at the front.
    pub path: String,
    pub query: Vec<(&'static str, String)>,
    pub body: Option<Vec<u8>>,
}

/// What came back: a success, or one of 400, 404 and 409, which mean different things to different requests.
pub(super) struct Answer {
    pub status: u16,
    /// Seconds that the server wants to be left alone.
    wait: Option<String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// This answer as the error that it is.
    pub fn refused(&self, attempted: &str) -> crate::ports::PortError {
        refused(attempted, self.status, self.wait.as_deref(), &self.body)
    }

    /// The answer's JSON.
    ///
    /// # Errors
    /// When it is a refusal, or makes no sense.
    pub fn json<T: serde::de::DeserializeOwned>(&self, attempted: &str) -> PortResult<T> {
        if !self.is_success() {
            return Err(self.refused(attempted));
        }
        let said = |e: serde_json::Error| format!("an answer that makes no sense ({:?})", e.classify());
        serde_json::from_slice(&self.body).map_err(|e| not_understood(attempted, said(e)))
    }
}

impl Connection {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// `Malformed` when the address is none or has a password in it, `Denied` when it is unencrypted and of another machine.
    pub fn new(url: &str, auth: Auth) -> PortResult<Self> {
        const ATTEMPTED: &str = "use opensearch.url";
        let malformed = |said: &str, remedy: &str| failed(ATTEMPTED, ErrorKind::Malformed, said, remedy);
        let mut url = Url::parse(url).map_err(|_| malformed("it is no address", "write https://…"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(malformed("it has a login in it", "set opensearch.user and opensearch.password instead"));
        }
        if !is_private_enough(&url) {
            let said = "it would send code over the network unencrypted";
            return Err(failed(ATTEMPTED, ErrorKind::Denied, said, "use https, or http on this machine only"));
        }
        // Names are appended to it.
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Self { url, auth, transport: OnceCell::new() })
    }

    /// Sends the request, once. Nothing is repeated but a request that was refused for an old password.
    ///
    /// # Errors
    /// Whatever is no success, except for 400, 404 and 409.
    pub async fn call(&self, request: &Request<'_>) -> PortResult<Answer> {
        let Auth::Basic { user, password } = &self.auth else {
            return settled(request, self.send(request, None).await?);
        };
        let known = password.read().await?;
        let mut answer = self.send(request, Some((user, &known))).await?;
        if answer.status == 401 {
            let fresh = password.fresh().await?;
            if fresh.expose_secret() != known.expose_secret() {
                answer = self.send(request, Some((user, &fresh))).await?;
            }
        }
        settled(request, answer)
    }

    /// One request and its answer, whatever it is.
    async fn send(&self, request: &Request<'_>, login: Option<(&str, &SecretString)>) -> PortResult<Answer> {
        let Request { attempted, method, path, query, body } = request;
        let transport = self.transport.get_or_try_init(|| self.transport()).await?;
        let mut headers = HeaderMap::new();
        // Without it the client asks for a packed answer, whose size nobody knows beforehand.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some((user, password)) = login {
            headers.insert(AUTHORIZATION, basic(user, password)?);
        }
        let response = transport
            .send(*method, path, headers, Some(query), body.as_deref(), None)
            .await
            .map_err(|e| unanswered(attempted, &e))?;
        // The client follows redirects, and what another address says of its documents is not about ours.
        if !self.url.join(path).is_ok_and(|asked| is_same_place(&asked, response.url())) {
            return Err(not_understood(attempted, "the answer came from another address, by a redirect"));
        }
        let status = response.status_code().as_u16();
        let wait = response.headers().get("retry-after").and_then(|value| value.to_str().ok()).map(str::to_owned);
        // Gateways, and servers over HTTP/2, need not say how long an answer is: such a one ends with the time of the request.
        if response.content_length().is_some_and(|length| length > ANSWER_BYTES) {
            return Err(not_understood(attempted, "an answer of more than 64 MiB"));
        }
        let body = response.bytes().await.map_err(|e| unanswered(attempted, &e))?.to_vec();
        Ok(Answer { status, wait, body })
    }

    async fn transport(&self) -> PortResult<Transport> {
        let mut builder = TransportBuilder::new(SingleNodeConnectionPool::new(self.url.clone())).timeout(TIMEOUT);
        // A server over plain HTTP is this machine's, which no proxy on the way to the internet can reach.
        if self.url.scheme() == "http" {
            builder = builder.disable_proxy();
        }
        if let Auth::Aws { service, identity } = &self.auth {
            let AwsIdentity { credentials, region } = identity().await?;
            let credentials = SharedCredentialsProvider::new(Kept::new(credentials));
            builder = builder.auth(Credentials::AwsSigV4(credentials, Region::new(region))).service_name(service);
        }
        let remedy = "check the machine's certificates";
        builder.build().map_err(|e| failed("make an HTTP client", ErrorKind::Unavailable, e.to_string(), remedy))
    }
}

/// The answer as it is where it means different things to different requests, else an error.
fn settled(request: &Request<'_>, answer: Answer) -> PortResult<Answer> {
    match answer.status {
        200..300 | 400 | 404 | 409 => Ok(answer),
        _ => Err(answer.refused(request.attempted)),
    }
}

fn is_same_place(a: &Url, b: &Url) -> bool {
    a.origin() == b.origin() && a.path() == b.path()
}

/// https to anywhere, http to this machine only.
fn is_private_enough(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    url.scheme() == "https" || (url.scheme() == "http" && loopback)
}

fn basic(user: &str, password: &SecretString) -> PortResult<HeaderValue> {
    let login = BASE64_STANDARD.encode(format!("{user}:{}", password.expose_secret()));
    let mut value = HeaderValue::from_str(&format!("Basic {login}"))
        .map_err(|_| not_understood("send the password", "it does not fit into a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_travels_unencrypted_on_this_machine_only() {
        for fine in
            ["https://x.eu-central-1.es.amazonaws.com", "http://127.0.0.1:9200/", "http://[::1]:1", "http://localhost"]
        {
            assert!(Connection::new(fine, Auth::None).is_ok(), "{fine}");
        }
        for refused in ["http://opensearch:9200", "http://10.0.0.1", "http://localhost.evil.example", "ftp://127.0.0.1"]
        {
            assert_eq!(
                Connection::new(refused, Auth::None).err().map(|e| e.kind),
                Some(ErrorKind::Denied),
                "{refused}"
            );
        }
        for wrong in ["opensearch", "https://admin:hunter2@search.example"] {
            let error = Connection::new(wrong, Auth::None).err().expect(wrong);
            assert_eq!(error.kind, ErrorKind::Malformed);
            assert!(!error.chain().contains("hunter2"), "{}", error.chain());
        }
    }
}
