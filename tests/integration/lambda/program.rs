//! The real program as a function: under a Runtime API of ours, which writes everything down, and under cargo-lambda's.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use codehealer::local::clock::SystemClock;
use codehealer::local::store::{FILE_NAME, Options, Store};
use codehealer::ports::Inbox as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{LONG, SHAPES, Shape, answered, get, post, schedule, sqs_record};
use crate::push::receiver::sign;
use crate::support::git::TestRepo;
use crate::support::runtime_api::{Ended, RuntimeApi, Said};
use crate::support::servers;
use crate::support::world::{BAD, files};

const SECRET: &str = "s3cret of the function";

/// A repository, the operator's configuration, and what functions leave behind.
struct Deployment {
    git: TestRepo,
    folder: TempDir,
}

impl Deployment {
    fn new(secret: &str) -> Self {
        let (git, folder) = (TestRepo::new(), tempfile::tempdir().unwrap());
        git.on("develop").file("README.md", "a shop\n").commit("begin");
        std::fs::write(folder.path().join("secret"), secret).unwrap();
        let config = format!(
            "state = 'state'\n[serve]\nwebhook_secrets = ['file:{}']\n[[repository]]\nname = 'acme/shop'\npath = '{}'\n",
            folder.path().join("secret").display(),
            git.path().display()
        );
        std::fs::write(folder.path().join("codehealer.toml"), config).unwrap();
        Self { git, folder }
    }

    /// Starts the program as this function.
    fn start(&self, api: &str, role: &str) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_codehealer"));
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.folder.path());
        command.env("AWS_LAMBDA_RUNTIME_API", api).env("CODEHEALER_ROLE", role);
        command.env("AWS_LAMBDA_FUNCTION_NAME", role).env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST");
        command.env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256");
        command.env("CODEHEALER_CONFIG", self.folder.path().join("codehealer.toml"));
        let output = |name: &str| std::fs::File::create(self.folder.path().join(name)).unwrap();
        command.stdin(Stdio::null()).stdout(output("metrics")).stderr(output("log"));
        Process(command.spawn().unwrap())
    }

    fn store(&self) -> Store {
        Store::open(&self.folder.path().join("state").join(FILE_NAME), Options::new(Arc::new(SystemClock))).unwrap()
    }

    /// The lines that a function wrote, each a JSON object.
    fn lines(&self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join(name)).unwrap();
        let parsed = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{name}: not JSON: {line}"));
        text.lines().map(parsed).collect()
    }

    fn push(&self) -> Value {
        let before = self.git.tip("develop").unwrap();
        let after = self.git.on("develop").file("src/config.py", BAD).commit("read the configuration");
        json!({"ref": "refs/heads/develop", "before": before.to_string(), "after": after.to_string(),
            "repository": {"id": 7, "full_name": "acme/shop"}, "pusher": {"name": "ann"}, "commits": []})
    }

    /// What the event source would hand over now.
    async fn batch(&self) -> (Value, usize) {
        let taken = self.store().inbox().take(10, Duration::from_secs(60)).await.unwrap();
        let record =
            |(n, t): (usize, &codehealer::ports::Taken)| sqs_record(&format!("m-{n}"), &t.receipt, &t.body, t.attempts);
        (json!({ "Records": taken.iter().enumerate().map(record).collect::<Vec<_>>() }), taken.len())
    }
}

pub struct Process(pub Child);

impl Process {
    fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.0.id()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    fn ended(&mut self, within: Duration) -> Option<ExitStatus> {
        let begun = Instant::now();
        while begun.elapsed() < within {
            if let Some(status) = self.0.try_wait().unwrap() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn signed(body: &Value) -> (String, String) {
    let body = body.to_string();
    let signature = sign(SECRET, body.as_bytes());
    (body, signature)
}

async fn answer(api: &RuntimeApi, event: Value) -> Value {
    match api.invoke(event, LONG).await {
        Ended::Answered(answer) => answer,
        Ended::Failed(error) => panic!("the invocation failed: {error}"),
    }
}

#[tokio::test]
async fn the_program_is_both_functions_and_heals_a_push() {
    let deployment = Deployment::new(SECRET);
    let api = RuntimeApi::start().await;
    let mut worker = deployment.start(&api.address, "worker");
    // The first sight of the branch.
    assert_eq!(answer(&api, schedule()).await, Value::Null);
    worker.signal(rustix::process::Signal::TERM);
    assert!(worker.ended(Duration::from_secs(5)).is_some(), "a function that is asked to end does");

    let (body, signature) = signed(&deployment.push());
    let receivers = RuntimeApi::start().await;
    let receiver = deployment.start(&receivers.address, "receiver");
    let headers =
        [("X-GitHub-Event", "push"), ("X-GitHub-Delivery", "d-77"), ("X-Hub-Signature-256", signature.as_str())];
    for shape in SHAPES {
        let event = post(shape, &headers, body.as_bytes());
        assert_eq!(answered(shape, &answer(&receivers, event).await), (202, "accepted".to_owned()));
    }
    let health = answer(&receivers, get(Shape::Http, "/health")).await;
    assert_eq!(answered(Shape::Http, &health).0, 200);
    let refused = receivers.invoke(json!({"Records": [{"eventSource": "aws:s3"}]}), LONG).await;
    let Ended::Failed(error) = refused else { panic!("{refused:?}") };
    assert_eq!(error["errorType"], "UnknownEvent", "{error}");
    drop(receiver);
    let metrics = deployment.lines("metrics");
    let deliveries = metrics.iter().filter(|line| line["Outcome"] == "accepted");
    assert_eq!(deliveries.map(|line| line["Deliveries"].as_u64().unwrap()).sum::<u64>(), 4);
    let log = deployment.lines("log");
    let accepted: Vec<_> = log.iter().filter(|line| line["message"] == "a delivery was accepted").collect();
    assert_eq!(accepted.len(), 4, "{log:?}");
    for line in accepted {
        assert_eq!(line["delivery"], "d-77");
        assert!(line["spans"][0]["request_id"].as_str().unwrap().starts_with("request-"), "{line}");
    }
    let all = std::fs::read_to_string(deployment.folder.path().join("log")).unwrap();
    assert!(!all.contains(SECRET) && !all.contains("\"ref\""), "no secret and no body: {all}");

    let worker = deployment.start(&api.address, "worker");
    for _ in 0..4 {
        let (event, records) = deployment.batch().await;
        if records > 0 {
            assert_eq!(answer(&api, event).await, json!({"batchItemFailures": []}));
        }
    }
    drop(worker);
    let pulls = files(&deployment.folder.path().join("state").join("pulls"));
    assert_eq!(pulls.iter().filter(|file| file.extension().is_some_and(|e| e == "json")).count(), 1, "{pulls:?}");
    let metrics = deployment.lines("metrics");
    assert!(metrics.iter().any(|line| line["Findings"] == 1), "{metrics:?}");
    assert!(metrics.iter().any(|line| line["State"] == "done" && line["Decision"] == "open"), "{metrics:?}");
    let log = deployment.lines("log");
    let of_case =
        |line: &&Value| line["spans"].as_array().is_some_and(|s| s.iter().any(|span| span["case"].is_string()));
    assert!(log.iter().any(|line| of_case(&line)) || log.iter().all(|line| line["level"] == "INFO"), "{log:?}");
    let first = api.log().into_iter().find(|said| !matches!(said, Said::Registered(_)));
    assert_eq!(first, Some(Said::Next), "registered before the first event was asked for");
}

#[tokio::test]
async fn what_keeps_a_function_from_starting_is_reported_with_the_remedy() {
    for (role, secret, words) in
        [("reciever", SECRET, "CODEHEALER_ROLE is \"reciever\""), ("receiver", "\n", "see [serve]")]
    {
        let deployment = Deployment::new(secret);
        let api = RuntimeApi::start().await;
        let mut process = deployment.start(&api.address, role);
        let init = |said: &Said| match said {
            Said::InitError(error) => Some(error.clone()),
            _ => None,
        };
        let error = api.heard(init).await;
        let message = error["errorMessage"].as_str().unwrap();
        assert!(message.contains(words), "{role}: {message}");
        let status = process.ended(Duration::from_secs(5)).expect("it ends");
        assert!(!status.success());
        assert!(!api.log().contains(&Said::Next), "no event was asked for");
    }
}

#[tokio::test]
async fn the_program_runs_under_the_runtime_api_of_cargo_lambda() {
    let deployment = Deployment::new(SECRET);
    let api = servers::runtime_api().await;
    let function = "lone-receiver";
    let _receiver = deployment.start(&format!("{api}/.rt/{function}"), "receiver");
    let (body, signature) = signed(&deployment.push());
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
    let request = client.post(format!("{api}/lambda-url/{function}/webhook"));
    let request = request.header("x-github-event", "push").header("x-github-delivery", "d-1");
    let response = request.header("x-hub-signature-256", signature).body(body).send().await.unwrap();
    let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
    assert_eq!((status, text.as_str()), (202, r#"{"message":"accepted"}"#), "{}", log(deployment.folder.path()));
    assert_eq!(deployment.store().inbox().depth().await.unwrap().ready, 1);
    let response = client.get(format!("{api}/lambda-url/{function}/health")).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}
