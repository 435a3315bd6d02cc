//! The real program as a process: killed at any moment and started again until all is done; and what strangers cost it.

use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use codehealer::healer::trail;
use codehealer::local::clock::SystemClock;
use codehealer::local::git::open::open;
use codehealer::local::store::{Access, FILE_NAME, Options, Store};
use codehealer::model::{CommitId, RepositoryId, RunState};
use codehealer::ports::{FixMemory as _, PortResult};
use codehealer::state::run::{RunHead, record};
use codehealer::state::{Index, QueryOf};
use tempfile::TempDir;

use super::receiver::sign;
use crate::support::git::TestRepo;
use crate::support::world::{BAD, files};

const SECRET: &str = "s3cret";
/// Files with a finding each.
const CASES: usize = 4;

/// A repository with a push to heal, and the operator's configuration.
struct Shop {
    git: TestRepo,
    folder: TempDir,
    base: CommitId,
    address: SocketAddr,
}

impl Shop {
    fn new() -> Self {
        let (git, folder) = (TestRepo::new(), tempfile::tempdir().unwrap());
        let base = git.write("README.md", "a shop\n");
        let shop = Self { git, folder, base, address: free_address() };
        std::fs::write(shop.folder.path().join("secret"), SECRET).unwrap();
        let config = format!(
            "state = 'state'\n[limits]\nlease_seconds = 1\n[serve]\nlisten = '{}'\nwebhook_secrets = ['file:{}']\nreconcile_seconds = 1\nstarter = false\n\
             [[repository]]\nname = 'acme/shop'\npath = '{}'\nbranches = ['main']\n",
            shop.address,
            shop.folder.path().join("secret").display(),
            shop.git.path().display()
        );
        std::fs::write(shop.folder.path().join("codehealer.toml"), config).unwrap();
        shop
    }

    fn push(&self) -> CommitId {
        let mut change = self.git.on("main");
        for number in 0..CASES {
            change =
                change.file(&format!("src/part{number}.py"), BAD.replace("load(path)", &format!("load{number}(path)")));
        }
        change.commit("four files")
    }

    fn start(&self, arguments: &[&str]) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_codehealer"));
        command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.folder.path());
        command.env("CODEHEALER_CONFIG", self.folder.path().join("codehealer.toml"));
        let log = std::fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    fn state(&self) -> std::path::PathBuf {
        self.folder.path().join("state")
    }

    fn id(&self) -> RepositoryId {
        open(self.git.path()).unwrap().default_id()
    }

    fn store(&self) -> PortResult<Store> {
        let options = Options { access: Access::Read, ..Options::new(Arc::new(SystemClock)) };
        Store::open(&self.state().join(FILE_NAME), options)
    }

    async fn runs(&self) -> Vec<RunHead> {
        let Ok(store) = self.store() else { return Vec::new() };
        let of = QueryOf::Index {
            index: Index::Repository,
            hash: self.id().0,
            from: String::new(),
            to: "\u{10ffff}".into(),
        };
        trail::all(&store.state(), of).await.unwrap().iter().map(|item| record(item).unwrap()).collect()
    }

    async fn is_done(&self) -> bool {
        let runs = self.runs().await;
        runs.len() == CASES && runs.iter().all(|run| run.state.is_terminal())
    }

    /// One branch, pull request, notice and memory a case; whole trails; an end.
    async fn assert_ok(&self) {
        let runs = self.runs().await;
        assert_eq!(runs.len(), CASES, "{runs:#?}");
        let store = self.store().unwrap();
        for run in &runs {
            assert_eq!(run.state, RunState::Done, "{run:#?}");
            let check = trail::check(&store.state(), run).await.unwrap();
            assert!(matches!(check, trail::TrailCheck::Whole { .. }), "{check:?}");
        }
        let branches = self.git.references().into_keys().filter(|name| name.starts_with("refs/heads/codehealer/"));
        assert_eq!(branches.count(), CASES, "branches");
        let of_kind = |folder: &str, extension: &str| {
            let all = files(&self.state().join(folder));
            all.into_iter().filter(|file| file.extension().is_some_and(|e| e == extension)).count()
        };
        assert_eq!((of_kind("pulls", "json"), of_kind("notices", "md")), (CASES, CASES), "pull requests and notices");
        assert_eq!(store.memory().list(None, 100).await.unwrap().len(), CASES, "memories");
        assert_eq!(store.inbox().buried(10).await.unwrap(), []);
    }
}

/// A port that stays the same over restarts; below those that the system gives to clients.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 500).unwrap() * 20;
    let ports = std::iter::repeat_with(|| 20_000 + (first + NEXT.fetch_add(1, Ordering::SeqCst)) % 12_000);
    let mut addresses = ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    addresses.find(|address| std::net::TcpListener::bind(address).is_ok()).unwrap()
}

/// A process that is killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// SIGKILL after this time, unless it ended by itself before.
    async fn killed_after(mut self, time: Duration) -> Option<ExitStatus> {
        tokio::time::sleep(time).await;
        self.0.try_wait().unwrap()
    }

    async fn ends(&mut self) -> ExitStatus {
        until("the process ends", || self.0.try_wait().unwrap()).await
    }

    fn memory(&self, line: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with(line)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

async fn until<T>(what: &str, mut looked: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = looked() {
            return seen;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "a minute later still not: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Moments that look random and are the same in each run, milliseconds.
fn moments(seed: u64, limit: u64) -> impl Iterator<Item = Duration> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Duration::from_millis(state % limit)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heal_is_killed_again_and_again_and_ends_well() {
    let shop = Shop::new();
    shop.push();
    let path = shop.git.path().to_str().unwrap();
    let heal = ["heal", path, "--base", shop.base.as_str()];
    // Later and later, so that some kills hit the work on a slow machine as on a fast one; the first come before any work.
    let (mut kills, mut moment) = (0, Duration::from_millis(20));
    while moment < Duration::from_secs(10) && shop.start(&heal).killed_after(moment).await.is_none() {
        kills += 1;
        moment = moment.mul_f64(1.3);
    }
    assert!(kills > 2, "it ended before it was killed often enough");
    assert!(shop.start(&heal).ends().await.success());
    shop.assert_ok().await;
    let made = || (shop.git.references(), files(&shop.state().join("notices")), files(&shop.state().join("pulls")));
    let before = made();
    assert!(shop.start(&heal).ends().await.success());
    assert_eq!(made(), before, "a second run makes nothing new");
}

async fn get(address: SocketAddr, path: &str) -> Option<u16> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(1)).build().unwrap();
    let answer = client.get(format!("http://{address}{path}")).send().await.ok()?;
    Some(answer.status().as_u16())
}

async fn is_ready(address: SocketAddr) {
    let begun = Instant::now();
    while get(address, "/ready").await != Some(200) {
        assert!(begun.elapsed() < Duration::from_secs(60), "the server is not ready after a minute");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_is_killed_again_and_again_and_loses_nothing() {
    let shop = Shop::new();
    let serve = shop.start(&["serve"]);
    is_ready(shop.address).await;
    let after = shop.push();
    let body = format!(
        r#"{{"ref":"refs/heads/main","before":"{}","after":"{after}","repository":{{"id":7,"full_name":"acme/shop"}}}}"#,
        shop.base
    );
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(format!("http://{}/webhook", shop.address)).header("x-github-event", "push");
    let request = request.header("x-hub-signature-256", sign(SECRET, body.as_bytes())).body(body);
    assert_eq!(request.send().await.unwrap().status().as_u16(), 202, "from here on it is promised");
    drop(serve);
    for moment in moments(0xdead_5eed, 500).take(7) {
        let serve = shop.start(&["serve"]);
        is_ready(shop.address).await;
        serve.killed_after(moment).await;
    }
    let mut serve = shop.start(&["serve"]);
    is_ready(shop.address).await;
    let begun = Instant::now();
    while !shop.is_done().await {
        let log = || std::fs::read_to_string(shop.folder.path().join("log")).unwrap_or_default();
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "not done after a minute: {}\n{:#?}",
            log(),
            shop.runs().await
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(serve.0.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(serve.ends().await.success(), "it stops gracefully");
    shop.assert_ok().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_secret_does_not_start() {
    let shop = Shop::new();
    for empty in ["", "\n", "  \n"] {
        std::fs::write(shop.folder.path().join("secret"), empty).unwrap();
        assert!(!shop.start(&["serve"]).ends().await.success(), "{empty:?}");
        assert_eq!(get(shop.address, "/health").await, None);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_bodies_of_twenty_megabytes_cost_less_than_fifty() {
    const BODY: usize = 20 * 1024 * 1024;
    let shop = Shop::new();
    let serve = shop.start(&["serve"]);
    is_ready(shop.address).await;
    let before = serve.memory("VmRSS:");
    let large: &'static [u8] = Box::leak(vec![b'['; BODY].into_boxed_slice());
    let url = format!("http://{}/webhook", shop.address);
    let sends: Vec<_> = (0..20)
        .map(|_| {
            let request = reqwest::Client::builder().no_proxy().build().unwrap().post(&url).body(large);
            tokio::spawn(async move { request.send().await.map(|answer| answer.status().as_u16()) })
        })
        .collect();
    let mut refused = 0;
    for sent in sends {
        match sent.await.unwrap() {
            Ok(401) => refused += 1,
            // On a slow machine some of them wait too long for room.
            Ok(408) | Err(_) => {}
            Ok(other) => panic!("{other}"),
        }
    }
    assert!(refused > 0, "some of them were read");
    let grown = serve.memory("VmHWM:").saturating_sub(before);
    assert!(grown < 50 * 1024, "it took {grown} KB");
    assert_eq!(get(shop.address, "/health").await, Some(200));
}
