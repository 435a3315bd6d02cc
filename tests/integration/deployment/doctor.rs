//! `codehealer doctor` against a deployment: each thing that is amiss is named, with what to do, and nothing else is.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use codehealer::aws::dynamodb::DynamoState;
use codehealer::local::clock::SystemClock;
use codehealer::model::RunState;
use codehealer::ports::{Clock as _, State as _};
use codehealer::state::run::head_item;
use codehealer::state::{Transaction, Write};
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

use crate::push::receiver::sign;
use crate::support::aws::aws;
use crate::support::git::TestRepo;
use crate::support::github_api::{APP_ID, GitHubApi, app_key};
use crate::support::proxy::{Answer, Fault, Proxy};
use crate::support::servers;
use crate::support::world::{BAD, World};

const SECRET: &str = "a-webhook-secret";

/// Table and queues in moto behind a proxy, the App on our GitHub, and a receiver that knows the secret.
struct Deployed {
    github: GitHubApi,
    proxy: Proxy,
    table: DynamoState,
    queues: Client,
    dead: String,
    home: TempDir,
    _git: TestRepo,
}

impl Deployed {
    async fn new() -> Self {
        let (moto, clock) = (servers::moto().await, Arc::new(SystemClock));
        let (git, proxy) = (TestRepo::bare(), Proxy::before(&moto).await);
        let github = GitHubApi::hosting(clock.clone(), "acme/shop", true, &git.git_dir()).await;
        let name = format!("doctor-{}", Uuid::new_v4().simple());
        let table = DynamoState::new(aws(&moto), name.clone(), clock);
        table.create_table().await.unwrap();
        table.enable_expiry().await.unwrap();
        let queues = Client::new(aws(&moto).config("inbox").await.unwrap());
        let dead = queue(&queues, &format!("{name}-dead"), &[("MessageRetentionPeriod", "1209600")]).await;
        let arn = format!("arn:aws:sqs:eu-central-1:123456789012:{name}-dead");
        let redrive = format!("{{\"deadLetterTargetArn\":\"{arn}\",\"maxReceiveCount\":10}}");
        let tasks = queue(&queues, &name, &[("RedrivePolicy", &redrive)]).await;
        let home = tempfile::tempdir().unwrap();
        for (file, text) in [("key.pem", app_key()), ("hook", SECRET)] {
            std::fs::write(home.path().join(file), text).unwrap();
        }
        let config = format!(
            "[github]\napi_url = \"{}\"\napp_id = {APP_ID}\nprivate_key = \"file:{folder}/key.pem\"\n[aws]\nregion = \"eu-central-1\"\n\
             endpoint = \"{}\"\ntable = \"{name}\"\nqueue = \"{tasks}\"\ndead_letter_queue = \"{dead}\"\n[serve]\n\
             webhook_secrets = [\"file:{folder}/hook\"]\nlisten = \"127.0.0.1:0\"\n[[repository]]\nname = \"acme/shop\"\n",
            github.url(),
            proxy.url(),
            folder = home.path().display(),
        );
        std::fs::write(home.path().join("codehealer.toml"), config).unwrap();
        let url = receiver(SECRET).await;
        github.with(|world| (world.registration.hook_url, world.registration.pings) = (url, vec![200]));
        Self { github, proxy, table, queues, dead, home, _git: git }
    }

    /// Every check by its name: status and detail.
    async fn doctor(&self, args: &[&str]) -> Vec<(String, String, String)> {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_codehealer"));
        command.args(["doctor", "--format", "json"]).args(args).current_dir(self.home.path()).env_clear();
        command.env("HOME", self.home.path()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test").stdin(Stdio::null());
        let output = command.output().await.unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(!told.contains(SECRET), "{told}");
        let checks: Vec<Value> = serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error} in {told}"));
        let text = |check: &Value, key: &str| check[key].as_str().unwrap().to_owned();
        let all: Vec<_> = checks.iter().map(|c| (text(c, "name"), text(c, "status"), text(c, "detail"))).collect();
        let bad = all.iter().any(|(_, status, _)| status == "bad");
        assert_eq!(output.status.code(), Some(i32::from(bad)), "{all:#?}");
        all
    }

    /// What differs from a deployment where all is well: this one check, with this status, that says each of these.
    async fn only(&self, args: &[&str], name: &str, status: &str, says: &[&str]) {
        let all = self.doctor(args).await;
        let odd: Vec<_> =
            all.iter().filter(|(name, status, _)| status != "ok" && !EXPECTED.contains(&name.as_str())).collect();
        assert_eq!(odd.len(), 1, "{odd:#?}");
        assert_eq!((odd[0].0.as_str(), odd[0].1.as_str()), (name, status), "{odd:?}");
        for words in says {
            assert!(odd[0].2.contains(words), "{words}: {}", odd[0].2);
        }
    }
}

/// What is no part of these deployments: they are worked on from a folder without a repository, and their table is for trying.
const EXPECTED: [&str; 3] = ["repository", "table: keep", "state table"];

async fn queue(client: &Client, name: &str, attributes: &[(&str, &str)]) -> String {
    let mut request = client.create_queue().queue_name(name);
    for (key, value) in attributes {
        request = request.attributes((*key).into(), *value);
    }
    request.send().await.unwrap().queue_url.unwrap()
}

async fn receiver(secret: &'static str) -> String {
    let handle = post(move |headers: HeaderMap, body: Bytes| async move {
        if headers["x-hub-signature-256"] == sign(secret, &body) { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/webhook", handle)).await.unwrap() });
    url
}

fn called(target: &'static str) -> impl Fn(&crate::support::proxy::Seen) -> bool + Send + 'static {
    move |request| request.header("x-amz-target").is_some_and(|found| found.ends_with(target))
}

fn denied() -> [Fault; 4] {
    let body = r#"{"__type":"com.amazonaws.dynamodb.v20120810#AccessDeniedException","Message":"User: ann is not authorized"}"#;
    std::array::from_fn(|_| Fault::Instead(Answer::new(400, body)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_in_which_all_is_well_is_called_so() {
    let deployed = Deployed::new().await;
    let all = deployed.doctor(&[]).await;
    let odd: Vec<_> =
        all.iter().filter(|(name, status, _)| status != "ok" && !EXPECTED.contains(&name.as_str())).collect();
    assert!(odd.is_empty(), "{odd:#?}");
    for name in [
        "github",
        "table: read",
        "table: write",
        "due work",
        "queue",
        "app",
        "webhook",
        "deliveries",
        "receiver",
        "webhook secret",
    ] {
        assert!(all.iter().any(|(found, ..)| found == name), "{name} was not looked at: {all:#?}");
    }
    let keep = all.iter().find(|(name, ..)| name == "table: keep").unwrap();
    assert!(keep.1 == "warn" && keep.2.contains("deletion_protection"), "{keep:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_from_github_is_walked_and_each_gap_named() {
    let deployed = Deployed::new().await;
    deployed.github.with(|world| world.registration.pings = vec![200, 502, 200]);
    deployed.only(&[], "deliveries", "warn", &["1 of the last 3 failed", "502", "replay_delivery.sh"]).await;
    deployed.github.with(|world| world.registration.pings = vec![200]);
    let other = receiver("another secret").await;
    deployed.github.with(|world| world.registration.hook_url.clone_from(&other));
    deployed.only(&[], "receiver", "bad", &["401", "does not know this secret"]).await;
    deployed.github.with(|world| world.registration.hook_url = "http://127.0.0.1:9/webhook".to_owned());
    deployed.only(&[], "receiver", "bad", &["cannot be reached"]).await;
    deployed.github.with(|world| world.registration.hook_url = "https://codehealer.example/webhook".to_owned());
    deployed.only(&[], "webhook", "bad", &["points nowhere", "codehealer setup --webhook-url"]).await;
    let right = receiver(SECRET).await;
    deployed.only(&["--webhook-url", &right], "webhook", "bad", &["points nowhere"]).await;
    deployed.github.with(|world| world.registration.hook_url = right);
    deployed.github.with(|world| world.app.events.retain(|event| event != "issue_comment"));
    deployed.only(&[], "app", "bad", &["the event issue_comment", "settings"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_role_may_not_do_with_the_table_is_told() {
    let deployed = Deployed::new().await;
    deployed.proxy.spoil(called("TransactWriteItems"), denied());
    deployed.proxy.spoil(called("PutItem"), denied());
    deployed.only(&[], "table: write", "warn", &["may only read", "table_writers"]).await;
    let deployed = Deployed::new().await;
    deployed.proxy.spoil(called(".GetItem"), denied());
    deployed.only(&[], "table: read", "bad", &["dynamodb:GetItem", "not authorized"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_nobody_does_and_tasks_that_were_put_aside_are_told() {
    let deployed = Deployed::new().await;
    deployed.queues.send_message().queue_url(&deployed.dead).message_body("{}").send().await.unwrap();
    deployed.only(&[], "queue", "warn", &["1 put aside", "inbox list", "inbox redrive"]).await;
    deployed.queues.purge_queue().queue_url(&deployed.dead).send().await.unwrap();
    let world = World::new().await;
    world.pushed("src/a.py", BAD).await;
    world.settle().await;
    let mut head = world.run().await;
    let late = SystemClock.now() - u64::try_from(Duration::from_secs(2 * 60 * 60).as_millis()).unwrap();
    (head.state, head.due, head.lease_until, head.owner) = (RunState::Detected, Some(late), 0, None);
    let put = Write::Put { item: head_item(&head), when: Vec::new() };
    deployed.table.commit(&Transaction { writes: vec![put], token: None }).await.unwrap();
    deployed.only(&[], "due work", "bad", &["1 runs", "120 min", "schedule"]).await;
}
