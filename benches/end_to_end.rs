//! From a push to its pull request on GitHub, each call of which takes 200 ms; the fix is remembered, so no model is asked.
//!
//! GitHub is the emulator of the tests, over a real git repository; state, inbox and memory are those of a laptop, in memory. What the
//! state would cost in DynamoDB is reckoned by AWS's rules.
#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

// The emulator, the repositories and the clock of the tests; most of their support is not needed here.
#[allow(dead_code, unused_imports, unused_macros)]
#[path = "../tests/integration/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use codehealer::github::{Auth, GitHubForge, GitHubOptions};
use codehealer::healer::{Caps, Directory, FRESH_HEAD, Healer, Policy, Ports, Worker};
use codehealer::local::clock::SystemClock;
use codehealer::local::embedder::StructuralEmbedder;
use codehealer::local::notifier::FileNotifier;
use codehealer::local::secrets::LocalSecrets;
use codehealer::local::store::{Options, Store};
use codehealer::model::{PushTask, RepositoryId, Task, sha256_hex};
use codehealer::ports::{Clock as _, Credential, Forge as _, Inbox as _};
use secrecy::SecretString;

use support::git::TestRepo;
use support::github_api::{APP_ID, GitHubApi, app_key};
use support::world::{BAD, DEVELOP, detector};
use support::write_units::Counting;

const NAME: &str = "acme/shop";
const LATENCY: Duration = Duration::from_millis(200);
const PUSHES: usize = 30;
const WRITE_UNITS: u64 = 60;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let git = TestRepo::bare();
    git.on("develop").file("README.md", "a shop\n").commit("begin");
    let github = GitHubApi::hosting(Arc::new(SystemClock), NAME, true, &git.git_dir()).await;
    let key = BTreeMap::from([("key".to_owned(), SecretString::from(app_key()))]);
    let private_key = Credential::new(Arc::new(LocalSecrets::new(key, None)), "key");
    let forge = Arc::new(
        GitHubForge::new(GitHubOptions {
            api_url: github.url(),
            auth: Auth::App { id: APP_ID, private_key, installation: None },
            checks: false,
            organisation: "acme".to_owned(),
            clock: Arc::new(SystemClock),
        })
        .unwrap(),
    );
    let store = Store::in_memory(Options::new(Arc::new(SystemClock))).unwrap();
    let counting = Counting::over(Arc::new(store.state()), None);
    let folder = tempfile::tempdir().unwrap();
    let ports = Ports {
        forge: forge.clone(),
        state: counting.clone(),
        team: None,
        memory: Arc::new(store.memory()),
        embedder: Arc::new(StructuralEmbedder),
        model: None,
        fallback_model: None,
        large_model: None,
        notifier: Arc::new(FileNotifier::new(folder.path().to_path_buf(), Arc::new(|_| {}))),
        external: None,
        clock: Arc::new(SystemClock),
    };
    let caps = Caps { per_hour: 1_000, open: 1_000, ..Caps::default() };
    let policy =
        Policy { caps: Some(caps), fresh_head: FRESH_HEAD, labels: vec!["codehealer".to_owned()], ..Policy::default() };
    let inbox = Arc::new(store.inbox());
    let directory = Directory::of_names([(NAME.to_owned(), vec![DEVELOP.to_owned()])]);
    let worker = Worker::new(Healer::new(ports, detector(), policy, "bench".to_owned()), inbox.clone(), directory);
    // The first sight of the branch; from then on it is a warm function.
    worker.reconcile().await.unwrap();
    let repository = forge.repository(NAME).await.unwrap().unwrap();
    github.takes(LATENCY);

    let (mut times, mut whole, mut calls, mut units) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for number in 0..PUSHES {
        let task = push(&git, repository.id.clone(), number);
        inbox.enqueue(&serde_json::to_string(&task).unwrap(), None, Duration::ZERO).await.unwrap();
        let (heard, at, begun, written) = (github.log().len(), SystemClock.now(), Instant::now(), counting.total());
        while worker.work(10).await.unwrap() > 0 {}
        whole.push(begun.elapsed());
        units.push(counting.total() - written);
        let log = github.log();
        let opened = log[heard..].iter().position(|c| c.method == "POST" && c.route == "/repos/{owner}/{repo}/pulls");
        let opened = opened.unwrap_or_else(|| panic!("push {number} led to no pull request: {:#?}", &log[heard..]));
        times.push(Duration::from_millis(log[heard + opened].at - at) + LATENCY);
        calls.push(opened + 1);
        if number == 0 {
            println!("calls of GitHub for one pull request, from the push on:");
            for call in &log[heard..] {
                println!("  {} {} -> {}", call.method, call.route, call.status);
            }
        }
        // What shows comes a second apart; the next push is not to wait for this one.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
    }
    println!("{PUSHES} pushes, 200 ms a call:");
    report("  push to open pull request", &mut times);
    report("  push to notice and labels", &mut whole);
    counted("  calls until it is open", calls);
    counted(&format!("  DynamoDB write units until the run is done (goal at most {WRITE_UNITS})"), units);
}

/// Somebody pushes a file with a bug that a remembered fix heals.
fn push(git: &TestRepo, repository: RepositoryId, number: usize) -> Task {
    let before = git.tip("develop");
    let after = git.on("develop").file(&format!("shop/config_{number}.py"), BAD).commit("read the configuration");
    Task::Push(PushTask {
        repository,
        name: NAME.to_owned(),
        reference: DEVELOP.to_owned(),
        before,
        after,
        delivery: format!("delivery-{number}"),
        body_sha: sha256_hex(&[number.to_string().as_bytes()]),
        pusher: Some("ann".to_owned()),
    })
}

fn counted<N: Ord + std::fmt::Display>(label: &str, mut counts: Vec<N>) {
    counts.sort_unstable();
    println!("{label}: median {}, most {}", counts[counts.len() / 2], counts[counts.len() - 1]);
}

fn report(label: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |q: usize| times[(times.len() - 1) * q / 100].as_secs_f64();
    println!("{label}: p50 {:.2} s, p95 {:.2} s", at(50), at(95));
}
