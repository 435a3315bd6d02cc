//! The way over a person's browser: a page on this machine that sends the manifest to GitHub, and the address that GitHub sends
//! the browser back to with a code.
//!
//! The code counts only with the state that this page gave along: a code from elsewhere would make somebody else's App ours.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use reqwest::Url;
use tokio::sync::mpsc;

use super::manifest::Wanted;

/// What the page and the way back share.
struct Shared {
    page: String,
    state: String,
    /// `127.0.0.1:PORT`: a page of elsewhere whose name was pointed at this machine has another.
    host: String,
    /// Where the page's form may go.
    form: String,
    codes: mpsc::Sender<String>,
}

/// Waits for the code. `told` is given the address to open.
///
/// # Errors
/// When the address is taken, or nobody came back in time.
pub async fn code(listen: SocketAddr, wanted: &Wanted, patience: Duration, told: impl FnOnce(&str)) -> Result<String> {
    let taken = || format!("listen on {listen} for the browser; name another address with --listen");
    let listener = tokio::net::TcpListener::bind(listen).await.with_context(taken)?;
    let host = listener.local_addr()?.to_string();
    let state = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    let page = wanted.page(&state, &format!("http://{host}/registered"));
    let (codes, mut found) = mpsc::channel(1);
    let shared = Shared { page, state, host: host.clone(), form: wanted.web(), codes };
    let routes = Router::new().route("/", get(page_of)).route("/registered", get(back)).with_state(Arc::new(shared));
    let server = tokio::spawn(async move { axum::serve(listener, routes).await });
    told(&format!("http://{host}/"));
    let waited = tokio::time::timeout(patience, found.recv()).await;
    // The answer to the browser is on its way: it may leave first.
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.abort();
    match waited {
        Ok(Some(code)) => Ok(code),
        _ => bail!("nobody came back from GitHub in time; call `codehealer setup` again"),
    }
}

async fn page_of(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if !shared.is_meant(&headers) {
        return shared.dressed((StatusCode::FORBIDDEN, Html(told("This page is for this machine only."))));
    }
    shared.dressed(Html(shared.page.clone()))
}

async fn back(State(shared): State<Arc<Shared>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let parsed = Url::parse(&format!("http://here/?{query}"));
    let value = |name: &str| {
        let pairs = parsed.as_ref().map(Url::query_pairs).ok()?;
        pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    if !shared.is_meant(&headers) || value("state").as_deref() != Some(shared.state.as_str()) {
        let text = "This does not come from the page that codehealer setup showed. Nothing was done; begin there.";
        return shared.dressed((StatusCode::BAD_REQUEST, Html(told(text))));
    }
    match value("code").filter(|code| !code.is_empty()) {
        // A second one is of no use: whoever waits has one.
        Some(code) => drop(shared.codes.try_send(code)),
        None => {
            let text = "GitHub sent no code. Begin again on the page before.";
            return shared.dressed((StatusCode::BAD_REQUEST, Html(told(text))));
        }
    }
    shared.dressed(Html(told("GitHub made the App. Go back to the terminal: it does the rest.")))
}

impl Shared {
    fn is_meant(&self, headers: &HeaderMap) -> bool {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let port = self.host.rsplit(':').next().unwrap_or_default();
        host == self.host || host == format!("localhost:{port}")
    }

    /// With headers that keep the page from being framed, kept, or made to send its form elsewhere.
    fn dressed(&self, answer: impl IntoResponse) -> Response {
        let policy = format!(
            "default-src 'none'; style-src 'unsafe-inline'; form-action {}; frame-ancestors 'none'; base-uri 'none'",
            self.form
        );
        let headers = [
            (header::CONTENT_SECURITY_POLICY, policy.as_str()),
            (header::CACHE_CONTROL, "no-store"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (headers.map(|(name, value)| (name, value.to_owned())), answer).into_response()
    }
}

fn told(text: &str) -> String {
    format!("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>CodeHealer</title><p>{text}</p>")
}
