//! GitHub's API for tests, over real git repositories: as strict as GitHub, and held to GitHub's own description of it.
//!
//! Every request and every answer is checked against that description. What breaks it is answered 500 and fails the test that
//! owns the server, when the server is dropped at the latest.

mod auth;
mod compare;
mod faults;
mod graphql;
mod http;
mod objects;
pub mod openapi;
mod people;
mod pulls;
mod registration;
mod routes;
mod shapes;
mod talk;
mod webhooks;
mod world;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use codehealer::ports::Clock;
use serde_json::Value;
use tokio::task::JoinHandle;

pub use auth::{
    MANIFEST, Permissions, app_key, grants, manifest_events, manifest_permissions, permissions, unsupported_events,
};
pub use faults::Fault;
use faults::Planned;
use http::Answer;
pub use webhooks::{Delivery, check as check_payload};
pub use world::{APP_ID, Hosted, Pull, World};

/// One call as it arrived, and what became of it.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: String,
    /// The path as GitHub's reference spells it, such as `/repos/{owner}/{repo}/pulls`; as it came where there is none.
    pub route: String,
    /// As it came.
    pub path: String,
    pub query: String,
    pub body: Value,
    /// Milliseconds since the epoch, by GitHub's clock.
    pub at: u64,
    /// What came for authorization.
    pub credential: Option<String>,
    /// What was answered; 0 while it is being answered.
    pub status: u16,
}

impl Call {
    pub fn is_write(&self) -> bool {
        self.method != "GET" && self.route != "/graphql" && !self.route.starts_with("/app/")
    }
}

/// What the server shares with the test.
struct Shared {
    world: World,
    log: Vec<Call>,
    faults: Vec<Planned>,
    /// What broke GitHub's description.
    violations: Vec<String>,
    /// Calls that came before the time that an earlier answer named.
    early: Vec<Call>,
    /// Until when nobody should call, milliseconds since the epoch.
    quiet_until: u64,
    latency: Duration,
}

/// A running server; it ends with the test, which fails if the description was broken.
pub struct GitHubApi {
    shared: Arc<Mutex<Shared>>,
    address: String,
    task: JoinHandle<()>,
}

impl Drop for GitHubApi {
    fn drop(&mut self) {
        self.task.abort();
        if !std::thread::panicking() {
            self.assert_lawful();
        }
    }
}

impl GitHubApi {
    /// An empty GitHub, whose clock is this one.
    pub async fn start(clock: Arc<dyn Clock>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Mutex::new(Shared {
            world: World::new(clock, address.clone()),
            log: Vec::new(),
            faults: Vec::new(),
            violations: Vec::new(),
            early: Vec::new(),
            quiet_until: 0,
            latency: Duration::ZERO,
        }));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { shared, address, task }
    }

    /// The same with one repository.
    pub async fn hosting(clock: Arc<dyn Clock>, name: &str, private: bool, git_dir: &Path) -> Self {
        let api = Self::start(clock).await;
        let (owner, short) = name.split_once('/').unwrap();
        api.with(|world| world.host(owner, short, private, git_dir));
        api
    }

    pub fn url(&self) -> String {
        self.address.clone()
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the world, or changes it. What was pushed meanwhile is seen.
    pub fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let mut shared = self.shared();
        let pusher = shared.world.pusher.clone();
        shared.world.settle(&pusher);
        act(&mut shared.world)
    }

    /// What was delivered since this was last asked, in order; what was pushed meanwhile is among it.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.with(|world| std::mem::take(&mut world.deliveries))
    }

    /// The next call of this kind, such as `POST /repos/{owner}/{repo}/pulls`, meets this fault. `*` is any call.
    pub fn fails(&self, kind: &str, fault: Fault) {
        self.fails_at(kind, 1, fault);
    }

    /// The call of this number from now on, beginning with 1, meets this fault.
    pub fn fails_at(&self, kind: &str, number: usize, fault: Fault) {
        self.shared().faults.push(Planned { kind: kind.to_owned(), after: number - 1, fault });
    }

    /// How long every answer takes from now on.
    pub fn takes(&self, latency: Duration) {
        self.shared().latency = latency;
    }

    pub fn log(&self) -> Vec<Call> {
        self.shared().log.clone()
    }

    /// Calls of this kind, such as `POST /repos/{owner}/{repo}/pulls`.
    pub fn calls(&self, kind: &str) -> Vec<Call> {
        self.shared().log.iter().filter(|call| format!("{} {}", call.method, call.route) == kind).cloned().collect()
    }

    /// How many writes of a kind were done: their answers were 2xx, heard or not.
    pub fn writes_of(&self, kind: &str) -> usize {
        self.calls(kind).iter().filter(|call| call.is_write() && (200..300).contains(&call.status)).count()
    }

    /// All calls that wanted to change something.
    pub fn writes(&self) -> Vec<Call> {
        self.shared().log.iter().filter(|call| call.is_write()).cloned().collect()
    }

    /// Calls that came before the time that an earlier answer had named.
    pub fn early(&self) -> Vec<Call> {
        self.shared().early.clone()
    }

    /// What broke GitHub's description so far; it is forgotten then.
    pub fn violations(&self) -> Vec<String> {
        let mut shared = self.shared();
        let unlawful = std::mem::take(&mut shared.world.unlawful);
        std::mem::take(&mut shared.violations).into_iter().chain(unlawful).collect()
    }

    /// # Panics
    /// When a request or an answer broke GitHub's description.
    pub fn assert_lawful(&self) {
        let violations = self.violations();
        assert!(violations.is_empty(), "against GitHub's description:\n{}", violations.join("\n"));
    }
}

async fn answer(
    State(shared): State<Arc<Mutex<Shared>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let (given, fault, latency) = {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let latency = shared.latency;
        let (answer, fault) = shared.answer(&method, &uri, &headers, &body);
        (answer, fault, latency)
    };
    tokio::time::sleep(latency).await;
    faults::send(given, fault).await
}

impl Shared {
    /// Answers a call, unless a fault keeps it from being done.
    fn answer(&mut self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> (Answer, Option<Fault>) {
        let pusher = self.world.pusher.clone();
        self.world.settle(&pusher);
        let call = Call {
            method: method.to_string(),
            route: routes::template(&self.world, method.as_str(), uri.path()),
            path: uri.path().to_owned(),
            query: uri.query().unwrap_or_default().to_owned(),
            body: serde_json::from_slice(body).unwrap_or_default(),
            at: self.world.now(),
            credential: auth::credential(headers),
            status: 0,
        };
        let kind = format!("{} {}", call.method, call.route);
        if call.at < self.quiet_until {
            self.early.push(call.clone());
        }
        self.log.push(call.clone());
        let fault = faults::next(&mut self.faults, &kind);
        let refusal = fault.as_ref().and_then(|fault| fault.instead(&self.world));
        let mut answer = match refusal {
            Some(refusal) => refusal,
            None => {
                let (answer, violations) = routes::handle(&mut self.world, &call, headers, body);
                self.violations.extend(violations);
                answer
            }
        };
        if let Some(seconds) = fault.as_ref().and_then(|fault| fault.quiet(&self.world)) {
            self.quiet_until = self.quiet_until.max(self.world.now() + seconds * 1000);
        }
        if !matches!(fault, Some(Fault::Silence)) {
            self.log.last_mut().unwrap().status = answer.status;
        }
        self.world.dress(&mut answer);
        (answer, fault)
    }
}
