//! GitHub's own example deliveries, all of them, at both receivers: the function and the local server.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use codehealer::entry::body::Room;
use codehealer::entry::http::{Receiver, router};
use codehealer::entry::lambda::{Function, LambdaReceiver};
use codehealer::entry::metrics::Metrics;
use codehealer::ports::Inbox as _;
use codehealer::webhook::{WatchList, Watched, WebhookSecrets};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::receiver::{SECRET, Vault};
use super::{Shape, answered, invoke, post};
use crate::push::receiver::sign;
use crate::support::servers::counterpart;
use crate::support::world::{DEVELOP, World};

/// Every example with the name of its event.
fn examples() -> Vec<(String, Value)> {
    let folder = counterpart("webhooks").join("node_modules/@octokit/webhooks-examples");
    let text = std::fs::read_to_string(folder.join("api.github.com/index.json")).unwrap();
    let kinds: Vec<Value> = serde_json::from_str(&text).unwrap();
    let all = kinds.iter().flat_map(|kind| {
        let name = kind["name"].as_str().unwrap();
        kind["examples"].as_array().unwrap().iter().map(|example| (name.to_owned(), example.clone()))
    });
    all.collect()
}

/// All repositories of the examples are watched, and their default branches too.
fn watch_list(examples: &[(String, Value)]) -> WatchList {
    let named = examples.iter().filter_map(|(_, example)| example["repository"]["full_name"].as_str());
    let branches = vec![DEVELOP.to_owned(), "refs/heads/master".to_owned(), "refs/heads/main".to_owned()];
    named
        .map(|name| (name.to_lowercase(), Watched { repository: None, branches: branches.clone(), installation: None }))
        .collect()
}

struct Receivers {
    world: World,
    function: Function,
    server: axum::Router,
}

impl Receivers {
    async fn start(watched: WatchList) -> Self {
        let world = World::new().await;
        let credentials = Vault::with(&[("webhook", SECRET)]).credentials(&["webhook"]);
        let inbox = Arc::new(world.store.inbox());
        let function = LambdaReceiver::new(credentials, watched.clone(), inbox.clone(), world.clock.clone()).await;
        let server = router(Arc::new(Receiver {
            secrets: WebhookSecrets::new(vec![SECRET.to_owned().into()]).unwrap(),
            watched,
            inbox,
            state: Arc::new(world.store.state()),
            metrics: Arc::new(Metrics::default()),
            room: Room::default(),
            wake: Arc::default(),
        }));
        Self { function: Function::Receiver(function.unwrap()), server, world }
    }

    /// Status and message; both receivers say the same.
    async fn deliver(&self, shape: Shape, kind: &str, body: &str) -> (i64, String) {
        let signature = sign(SECRET, body.as_bytes());
        let headers =
            [("X-GitHub-Event", kind), ("X-GitHub-Delivery", "d-1"), ("X-Hub-Signature-256", signature.as_str())];
        let event = post(shape, &headers, body.as_bytes());
        let from_function = answered(shape, &invoke(&self.function, &event).await.unwrap());
        let request =
            headers.iter().fold(Request::post("/webhook"), |request, (name, value)| request.header(*name, *value));
        let response = self.server.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let status = i64::from(response.status().as_u16());
        let answer: Value = serde_json::from_slice(&to_bytes(response.into_body(), 10_000).await.unwrap()).unwrap();
        assert_eq!(from_function, (status, answer["message"].as_str().unwrap().to_owned()), "{kind}");
        from_function
    }
}

#[tokio::test]
async fn every_example_of_github_is_answered_alike_by_both_receivers() {
    let all = examples();
    assert!(all.len() > 200, "{} examples", all.len());
    let receivers = Receivers::start(watch_list(&all)).await;
    let mut handled = 0;
    for (number, (kind, example)) in all.iter().enumerate() {
        let shape = super::SHAPES[number % 4];
        let (status, message) = receivers.deliver(shape, kind, &example.to_string()).await;
        match kind.as_str() {
            "push" | "pull_request" | "issue_comment" | "ping" => {
                assert!([200, 202].contains(&status), "{kind}: {status} {message}");
                handled += 1;
            }
            // An App is sent these whatever it asked for: they are no failures.
            "installation" | "installation_repositories" | "installation_target" | "github_app_authorization" => {
                assert_eq!(status, 200, "{kind}: {message}");
            }
            other => {
                assert_eq!(status, 422, "{kind}: {message}");
                assert!(message.contains(&format!("{other:?}")), "refused by name: {message}");
            }
        }
    }
    assert!(handled > 30, "{handled} examples are of events that we handle");
}

#[tokio::test]
async fn pushes_to_develop_made_from_the_examples_are_let_in() {
    let all = examples();
    let receivers = Receivers::start(watch_list(&all)).await;
    let mut accepted = 0;
    for (_, example) in all.iter().filter(|(kind, _)| kind == "push") {
        let mut push = example.clone();
        push["ref"] = json!(DEVELOP);
        push["deleted"] = json!(false);
        push["before"] = json!("1".repeat(40));
        push["after"] = json!("2".repeat(40));
        if let Some(commit) = push["commits"].as_array().and_then(|commits| commits.first()).cloned() {
            let mut second = commit;
            second["modified"] = json!(["src/a.py", "src/ü b#c.py"]);
            push["commits"].as_array_mut().unwrap().push(second);
        }
        let (status, message) = receivers.deliver(Shape::HttpEncoded, "push", &push.to_string()).await;
        assert_eq!((status, message.as_str()), (202, "accepted"));
        accepted += 2; // one by each receiver
        push["ref"] = json!("refs/heads/develop2");
        assert_eq!(receivers.deliver(Shape::Rest, "push", &push.to_string()).await.0, 200);
        push["repository"]["full_name"] = json!("evil/shop");
        assert_eq!(receivers.deliver(Shape::Rest, "push", &push.to_string()).await.0, 404);
    }
    assert!(accepted >= 10, "{accepted}");
    let waiting = receivers.world.store.inbox().take(50, std::time::Duration::from_secs(60)).await.unwrap();
    assert_eq!(waiting.len(), accepted);
    assert!(waiting.iter().all(|message| message.body.len() < 2_048), "small whatever the push");
}
