//! `codehealer setup`: from a manifest to an App that works, against our emulator of GitHub and moto's Secrets Manager.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use aws_sdk_secretsmanager::Client;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use codehealer::local::clock::SystemClock;
use reqwest::Url;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;
use uuid::Uuid;

use crate::push::receiver::sign;
use crate::support::aws::aws;
use crate::support::github_api::{APP_ID, GitHubApi, app_key};
use crate::support::proxy::{Answer, Fault, Proxy, Seen};
use crate::support::servers;

const CONVERSION: &str = "POST /app-manifests/{code}/conversions";
const CODE: &str = "a180b1a3d263c81bc6441d7b990bae27d4c10679";

/// GitHub, and somebody's machine.
struct World {
    github: GitHubApi,
    home: TempDir,
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl World {
    async fn new() -> Self {
        let github = GitHubApi::start(Arc::new(SystemClock)).await;
        github.with(|world| world.hand_out(CODE));
        Self { github, home: tempfile::tempdir().unwrap() }
    }

    /// Where `setup` keeps things by itself.
    fn kept(&self) -> PathBuf {
        self.home.path().join("state/setup")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_codehealer"));
        command.arg("setup").args(["--api-url", &self.github.url()]).args(args);
        command.current_dir(self.home.path()).env_clear().env("HOME", self.home.path());
        command.env("CODEHEALER_STATE", self.home.path().join("state"));
        for (name, value) in
            [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "eu-central-1")]
        {
            command.env(name, value);
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    async fn run(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let ran = Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) };
        self.assert_shows_no_secret(&ran.out);
        self.assert_shows_no_secret(&ran.err);
        ran
    }

    fn assert_shows_no_secret(&self, text: &str) {
        let secret = self.github.with(|world| world.registration.hook_secret.clone());
        assert!(secret.is_empty() || !text.contains(&secret), "{text}");
        for line in app_key().lines().filter(|line| line.len() > 40) {
            assert!(!text.contains(line), "{text}");
        }
        assert!(!text.contains("client-0123456789"), "{text}");
    }

    /// With the App registered.
    async fn registered() -> Self {
        let world = Self::new().await;
        world.run(&["--code", CODE, "--json"]).await.ended(0);
        world
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.kept().join(name)).unwrap()
    }
}

impl Ran {
    fn ended(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "out: {}\nerr: {}", self.out, self.err);
        self
    }

    /// Status and detail of a step.
    fn step(&self, name: &str) -> (String, String) {
        let told: Value = serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {}", self.out));
        let steps = told["steps"].as_array().unwrap();
        let step = steps.iter().find(|step| step["step"] == name).unwrap_or_else(|| panic!("no {name} in {told}"));
        (step["status"].as_str().unwrap().to_owned(), step["detail"].as_str().unwrap().to_owned())
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_becomes_an_app_whose_secrets_only_this_user_can_read() {
    let world = World::new().await;
    let ran = world.run(&["--code", CODE, "--json"]).await;
    let told: Value = serde_json::from_str(&ran.ended(0).out).unwrap();
    assert_eq!(told["app"]["id"], APP_ID);
    assert_eq!(ran.step("permissions").0, "done");
    assert_eq!(ran.step("installation").0, "waits", "nobody installed it yet");
    assert_eq!(world.file("private-key.pem"), app_key());
    assert_eq!(world.file("webhook-secret"), world.github.with(|world| world.registration.hook_secret.clone()));
    assert_eq!(mode(&world.kept()), 0o700);
    for name in ["private-key.pem", "webhook-secret", "app.json"] {
        assert_eq!(mode(&world.kept().join(name)), 0o600, "{name}");
    }
    // What it prints is a configuration that the program takes.
    let repository = "[[repository]]\nname = \"acme/shop\"\n";
    let text = format!("{}{repository}", told["configuration"].as_str().unwrap());
    std::fs::write(world.home.path().join("codehealer.toml"), text).unwrap();
    let checked = world.run_other(&["config", "check"]).await;
    checked.ended(0);
    // Again, and nothing more is asked for or changed.
    world.run(&["--json"]).await.ended(0);
    assert_eq!(world.github.calls(CONVERSION).len(), 1);
    assert_eq!(world.file("private-key.pem"), app_key());
}

impl World {
    async fn run_other(&self, args: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_codehealer"));
        command.args(args).current_dir(self.home.path()).env_clear().env("HOME", self.home.path());
        let output = command.stdin(Stdio::null()).output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// What stands between these two in a page.
fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}")).1;
    rest.split_once(after).unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_comes_back_with_the_state_that_it_was_given_or_not_at_all() {
    let world = World::new().await;
    let mut command = world.command(&["--organisation", "acme", "--name", "Acme's <Healer>"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).await.unwrap();
    let page_url = Url::parse(between(&line, "Open ", " in a browser")).unwrap();
    let browser = reqwest::Client::builder().no_proxy().build().unwrap();

    // Another name for this machine, as a page of elsewhere would have.
    let rebound = browser.get(page_url.clone()).header("host", "evil.example").send().await.unwrap();
    assert_eq!(rebound.status(), StatusCode::FORBIDDEN);
    let page = browser.get(page_url.clone()).send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(
        policy.contains(&format!("form-action {}", world.github.url())) && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    let page = page.text().await.unwrap();
    let action = Url::parse(between(&page, "action=\"", "\"")).unwrap();
    assert_eq!(action.path(), "/organizations/acme/settings/apps/new");
    let state = action.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let manifest = between(&page, "name=\"manifest\" value=\"", "\"").replace("&quot;", "\"").replace("&#39;", "'");
    let manifest = manifest.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["name"], "Acme's <Healer>");
    let back = Url::parse(manifest["redirect_url"].as_str().unwrap()).unwrap();
    assert_eq!((back.origin(), back.path()), (page_url.origin(), "/registered"));

    let returns = |query: String| browser.get(format!("{back}?{query}")).send();
    for wrong in [
        format!("code={CODE}"),
        format!("code={CODE}&state="),
        format!("code={CODE}&state={}", state.to_uppercase()),
        format!("code={CODE}&state={}", &state[1..]),
        format!("state={state}"),
    ] {
        let refused = returns(wrong.clone()).await.unwrap();
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{wrong}");
    }
    assert_eq!(world.github.calls(CONVERSION).len(), 0, "no code was believed");
    let taken = returns(format!("code={CODE}&state={state}")).await.unwrap();
    assert_eq!(taken.status(), StatusCode::OK);
    let output = child.wait_with_output().await.unwrap();
    let mut rest = String::new();
    said.read_to_string(&mut rest).await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{rest}");
    world.assert_shows_no_secret(&(line + &rest + &String::from_utf8_lossy(&output.stdout)));
    assert_eq!(world.github.calls(CONVERSION).len(), 1);
    assert_eq!(world.file("private-key.pem"), app_key());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_was_used_or_ran_out_is_told_and_leaves_nothing() {
    let world = World::new().await;
    world.github.with(|world| world.skew += 3601 * 1000);
    let late = world.run(&["--code", CODE, "--json"]).await;
    assert!(late.ended(3).err.contains("good once and for an hour"), "{}", late.err);
    assert!(!world.kept().join("app.json").exists() && !world.kept().join("private-key.pem").exists());
    let nonsense = world.run(&["--code", "../../user", "--json"]).await;
    assert!(nonsense.ended(3).err.contains("does not take the code"), "{}", nonsense.err);
    let nothing = world.run(&["--json"]).await;
    assert!(nothing.ended(2).err.contains("give --code"), "{}", nothing.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_is_missing_is_named_with_who_gives_it() {
    let world = World::registered().await;
    let git = crate::support::git::TestRepo::bare();
    world.github.with(|world| world.host("acme", "shop", true, &git.git_dir()));
    let fine = world.run(&["--json"]).await;
    assert_eq!(fine.ended(0).step("installation"), ("done".into(), "on acme".into()));
    world.github.with(|world| {
        world.app.permissions.remove("issues");
        world.app.events.retain(|event| event != "push");
        world.installations[0].permissions.insert("contents".into(), "read".into());
    });
    let ran = world.run(&["--json"]).await;
    let (status, detail) = ran.ended(1).step("permissions");
    assert_eq!(status, "bad");
    assert!(
        detail.contains("issues: read") && detail.contains("the event push") && detail.contains("settings"),
        "{detail}"
    );
    let (status, detail) = ran.step("installation");
    assert!(status == "bad" && detail.contains("acme has not accepted contents: write"), "{detail}");
    world.github.with(|world| world.installations[0].suspended = true);
    assert!(world.run(&["--json"]).await.step("installation").1.contains("suspended"));
}

/// A receiver that knows this secret; the signatures that it was sent.
async fn receiver(secret: &str) -> (String, Arc<Mutex<Vec<bool>>>) {
    let seen: Arc<Mutex<Vec<bool>>> = Arc::default();
    let (secret, noted) = (secret.to_owned(), Arc::clone(&seen));
    let handle = post(move |headers: HeaderMap, body: Bytes| async move {
        let right = headers["x-hub-signature-256"] == sign(&secret, &body) && headers["x-github-event"] == "ping";
        noted.lock().unwrap().push(right);
        if right { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/webhook", handle)).await.unwrap() });
    (url, seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_webhook_is_pointed_tried_and_a_failed_ping_sent_again() {
    let world = World::registered().await;
    let (url, seen) = receiver(&world.file("webhook-secret")).await;
    world.github.with(|world| (world.registration.pings, world.registration.next_answer) = (vec![502], 200));
    let ran = world.run(&["--webhook-url", &url, "--json"]).await;
    for step in ["webhook", "receiver", "delivery"] {
        assert_eq!(ran.ended(0).step(step).0, "done", "{step}: {}", ran.out);
    }
    assert_eq!(world.github.with(|world| world.registration.hook_url.clone()), url);
    assert_eq!(world.github.with(|world| world.registration.pings.clone()), [502, 200]);
    assert_eq!(*seen.lock().unwrap(), [true]);
    world.run(&["--webhook-url", &url, "--json"]).await.ended(0);
    assert_eq!(world.github.calls("PATCH /app/hook/config").len(), 1, "it pointed there already");
    assert_eq!(world.github.with(|world| world.registration.pings.len()), 2, "it was answered already");

    let (other, _) = receiver("another secret").await;
    let ran = world.run(&["--webhook-url", &other, "--json"]).await;
    let (status, detail) = ran.ended(1).step("receiver");
    assert!(status == "bad" && detail.contains("does not know this secret"), "{detail}");
    let ran = world.run(&["--webhook-url", "http://127.0.0.1:9/webhook", "--json"]).await;
    assert!(ran.ended(1).step("receiver").1.contains("cannot be reached"), "{}", ran.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_move_to_secrets_manager_and_only_then_leave_this_machine() {
    let world = World::registered().await;
    let moto = servers::moto().await;
    let name = format!("setup-{}", Uuid::new_v4().simple());
    let store = format!("aws:{name}");
    let configured = |endpoint: &str| {
        let text = format!("[aws]\nregion = \"eu-central-1\"\nendpoint = \"{endpoint}\"\n");
        std::fs::write(world.home.path().join("codehealer.toml"), text).unwrap();
    };
    configured("http://127.0.0.1:9");
    let ran = world.run(&["--store", &store, "--json"]).await;
    let (status, detail) = ran.ended(1).step("secrets");
    assert!(status == "bad" && detail.contains("they stay in file:"), "{detail}");
    assert_eq!(world.file("private-key.pem"), app_key());

    // A store that says yes and keeps nothing.
    let proxy = Proxy::before(&moto).await;
    let creates =
        |request: &Seen| request.header("x-amz-target").is_some_and(|target| target.ends_with(".CreateSecret"));
    proxy.spoil(creates, [Fault::Instead(Answer::new(200, "{}")), Fault::Instead(Answer::new(200, "{}"))]);
    configured(proxy.url());
    let (status, detail) = world.run(&["--store", &store, "--json"]).await.ended(1).step("secrets");
    assert!(status == "bad" && detail.contains("they stay in file:"), "{detail}");
    assert_eq!((world.file("private-key.pem").as_str(), proxy.left()), (app_key(), 0));

    let client = Client::new(aws(&moto).config("secrets").await.unwrap());
    // Terraform makes it without a value.
    client.create_secret().name(format!("{name}/webhook")).send().await.unwrap();
    let ran = world.run(&["--store", &store, "--json"]).await;
    assert_eq!(ran.ended(0).step("secrets"), ("done".into(), format!("{store}/github-app and {store}/webhook")));
    let value = async |part: &str| {
        let found = client.get_secret_value().secret_id(format!("{name}/{part}")).send().await.unwrap();
        (found.secret_string.unwrap(), found.version_id.unwrap())
    };
    let (key, version) = value("github-app").await;
    assert_eq!(key, app_key().trim_end());
    assert_eq!(value("webhook").await.0, world.github.with(|world| world.registration.hook_secret.clone()));
    for gone in ["private-key.pem", "webhook-secret"] {
        assert!(!world.kept().join(gone).exists(), "{gone} is still on this machine");
    }
    // Back into files and there again: what is there already is not stored anew, which would put the secret of before out.
    let files = format!("file:{}", world.home.path().join("elsewhere").display());
    for place in [&store, &files, &store] {
        world.run(&["--store", place, "--json"]).await.ended(0);
    }
    assert_eq!(value("github-app").await.1, version);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_app_does_not_take_the_key_of_the_first_with_it() {
    let world = World::registered().await;
    std::fs::write(world.kept().join("private-key.pem"), "the key of the first").unwrap();
    world.github.with(|world| world.hand_out("second"));
    world.run(&["--code", "second", "--again", "--json"]).await.ended(0);
    assert_eq!(world.file("private-key.pem"), app_key());
    assert_eq!(world.file(&format!("private-key.pem.before-{APP_ID}")), "the key of the first");
}
