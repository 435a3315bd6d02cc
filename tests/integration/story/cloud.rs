//! A whole deployment: the real program as both functions, each under a Runtime API; DynamoDB, SQS, Secrets Manager and
//! OpenSearch as others wrote them; GitHub and Slack as we did; and a model's endpoint whose answers the test writes.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use codehealer::aws::dynamodb::DynamoState;
use codehealer::local::clock::SystemClock;
use codehealer::model::{AuditEvent, PastFix};
use codehealer::ports::Clock as _;
use codehealer::state::run::RunHead;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::endpoint::Endpoint;
use crate::aws::aws;
use crate::lambda::program::Process;
use crate::lambda::{Shape, answered, post, schedule, sqs_record};
use crate::support::clock::VirtualClock;
use crate::support::git::{TestRepo, commit_id};
use crate::support::github_api::{APP_ID, Delivery, GitHubApi, Hosted, Pull, World as GitHub, app_key};
use crate::support::runtime_api::{Ended, RuntimeApi};
use crate::support::servers;
use crate::support::slack_api::{BOT_TOKEN, SlackServer};

pub const NAME: &str = "acme/shop";
pub const NOTICES: &str = "C09NOTICES";
pub const SENIOR: &str = "U77SENIOR";
const SECRET: &str = "what GitHub and we know";
/// Time that an invocation has.
const TIME: Duration = Duration::from_secs(120);

/// One of the two functions; it ends with the test.
struct Function {
    api: RuntimeApi,
    _process: Process,
}

pub struct Cloud {
    pub git: TestRepo,
    pub github: GitHubApi,
    pub slack: SlackServer,
    pub model: Endpoint,
    config: String,
    environment: Vec<(&'static str, String)>,
    folder: TempDir,
    functions: Vec<Function>,
    sqs: aws_sdk_sqs::Client,
    queue: String,
    dead: String,
    index: String,
    /// The last push that was taken.
    last: Option<Delivery>,
}

/// What the functions have to know, stored as an operator stores it.
async fn secrets(moto: &str, name: &str) {
    let secrets = aws_sdk_secretsmanager::Client::new(aws(moto).config("secrets").await.unwrap());
    for (secret, value) in [("webhook", SECRET), ("app", app_key()), ("slack", BOT_TOKEN)] {
        let secret = format!("{name}/{secret}");
        secrets.create_secret().name(secret).secret_string(value).send().await.unwrap();
    }
}

/// What the operator of this deployment would write.
fn configuration(name: &str, [github, slack, queue, dead, opensearch]: [&str; 5]) -> String {
    format!(
        r#"
organisation = 'acme'
[serve]
webhook_secrets = ['aws:{name}/webhook']
# The story is of a team that has nothing to begin with.
starter = false
[github]
api_url = '{github}'
app_id = {APP_ID}
private_key = 'aws:{name}/app'
[slack]
api_url = '{slack}'
bot_token = 'aws:{name}/slack'
channels = ['security']
notices = '{NOTICES}'
senior = '{SENIOR}'
[aws]
region = 'eu-central-1'
table = '{name}'
queue = '{queue}'
dead_letter_queue = '{dead}'
[opensearch]
url = '{opensearch}'
auth = 'none'
index = '{name}'
[sagemaker]
model_endpoint = 'llama'
[limits]
pull_requests_per_hour = 100
open_pull_requests = 100
[[repository]]
name = '{NAME}'
"#
    )
}

/// The queue and the one for dead letters, as a deployment makes them.
async fn queues(sqs: &aws_sdk_sqs::Client, name: &str) -> (String, String) {
    let made = async |name: String, with: Vec<(QueueAttributeName, String)>| {
        let made = sqs.create_queue().queue_name(name).set_attributes(Some(with.into_iter().collect()));
        made.send().await.unwrap().queue_url.unwrap()
    };
    let kept = vec![(QueueAttributeName::MessageRetentionPeriod, "1209600".to_owned())];
    let dead = made(format!("{name}-dead"), kept).await;
    let policy = json!({
        "deadLetterTargetArn": format!("arn:aws:sqs:eu-central-1:123456789012:{name}-dead"), "maxReceiveCount": 10,
    });
    let with = vec![
        (QueueAttributeName::VisibilityTimeout, "720".to_owned()),
        (QueueAttributeName::RedrivePolicy, policy.to_string()),
    ];
    (made(name.to_owned(), with).await, dead)
}

impl Cloud {
    /// Everything is there, and one harmless commit stands on `develop`.
    pub async fn new() -> Self {
        let git = TestRepo::bare();
        git.on("develop").file("README.md", "a shop\n").commit("begin");
        let github = GitHubApi::hosting(Arc::new(SystemClock), NAME, true, &git.git_dir()).await;
        let clock = VirtualClock::new();
        clock.advance(Duration::from_millis(SystemClock.now() - clock.now()));
        let slack = SlackServer::start(&clock).await;
        slack.with(|world| {
            world.channel("C01SECURITY", "security", false);
            world.channel(NOTICES, "code-health", false);
        });
        let model = Endpoint::start().await;
        let (dynamodb, moto, opensearch) = tokio::join!(servers::dynamodb(), servers::moto(), servers::opensearch());
        let name = format!("story-{}", uuid::Uuid::new_v4().simple());
        let table = DynamoState::new(aws(&dynamodb), name.clone(), Arc::new(SystemClock));
        table.create_table().await.unwrap();
        table.enable_expiry().await.unwrap();
        let sqs = aws_sdk_sqs::Client::new(aws(&moto).config("inbox").await.unwrap());
        let (queue, dead) = queues(&sqs, &name).await;
        secrets(&moto, &name).await;
        let config = configuration(&name, [&github.url(), &slack.url(), &queue, &dead, &opensearch]);
        let environment = vec![
            ("AWS_REGION", "eu-central-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb),
            ("AWS_ENDPOINT_URL_SQS", moto.clone()),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", moto),
            ("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", model.url()),
        ];
        let index = format!("{opensearch}/{name}");
        let folder = tempfile::tempdir().unwrap();
        let mut cloud = Self {
            git,
            github,
            slack,
            model,
            config,
            environment,
            folder,
            functions: Vec::new(),
            sqs,
            queue,
            dead,
            index,
            last: None,
        };
        for role in ["receiver", "worker"] {
            let api = RuntimeApi::start().await;
            let process = cloud.start(&api.address, role);
            cloud.functions.push(Function { api, _process: process });
        }
        cloud
    }

    /// The program with the deployment's configuration.
    fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_codehealer"));
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.folder.path());
        command.env("CODEHEALER_CONFIG_TEXT", &self.config).current_dir(self.folder.path());
        command.envs(self.environment.iter().map(|(name, value)| (*name, value)));
        command
    }

    fn start(&self, api: &str, role: &str) -> Process {
        let mut command = self.program();
        command.env("AWS_LAMBDA_RUNTIME_API", api).env("CODEHEALER_ROLE", role);
        command.env("AWS_LAMBDA_FUNCTION_NAME", role).env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST");
        command.env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512");
        let output = |kind: &str| std::fs::File::create(self.folder.path().join(format!("{role}.{kind}"))).unwrap();
        command.stdin(Stdio::null()).stdout(output("metrics")).stderr(output("log"));
        Process(command.spawn().unwrap())
    }

    /// Everything that a function wrote to its log and its metrics.
    pub fn said(&self, role: &str) -> String {
        let read = |kind: &str| std::fs::read_to_string(self.folder.path().join(format!("{role}.{kind}"))).unwrap();
        read("log") + &read("metrics")
    }

    async fn invoke(&self, function: usize, event: Value) -> Value {
        match self.functions[function].api.invoke(event, TIME).await {
            Ended::Answered(answer) => answer,
            Ended::Failed(error) => panic!("{error}\n{}\n{}", self.said("receiver"), self.said("worker")),
        }
    }

    /// GitHub calls us; this is what it hears.
    async fn delivered(&self, delivery: &Delivery) -> i64 {
        let headers = delivery.headers(SECRET);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let event = post(Shape::HttpEncoded, &headers, delivery.body.as_bytes());
        answered(Shape::Http, &self.invoke(0, event).await).0
    }

    /// GitHub tells of everything that happened, and everything that waits is worked on. What we do ourselves is told too, and
    /// must lead to nothing.
    pub async fn hear(&mut self) {
        for _ in 0..10 {
            let deliveries = self.github.deliveries();
            if deliveries.is_empty() {
                return;
            }
            for delivery in deliveries {
                let status = self.delivered(&delivery).await;
                assert!(matches!(status, 200 | 202), "{status} for {delivery:?}\n{}", self.said("receiver"));
                if status == 202 && delivery.event == "push" {
                    self.last = Some(delivery);
                }
            }
            self.work().await;
        }
        panic!("what we do leads to more and more: {:?}", self.github.deliveries());
    }

    /// Somebody pushes a file to `develop`.
    pub async fn pushed(&mut self, file: &str, text: &str) {
        self.git.on("develop").file(file, text).commit(&format!("change {file}"));
        self.hear().await;
    }

    /// The last push is delivered again under its id, and its body under another.
    pub async fn delivered_again(&mut self) {
        let last = self.last.clone().expect("something was pushed");
        for id in [last.id.clone(), "00000000-0000-4000-8000-000000000000".to_owned()] {
            assert_eq!(self.delivered(&Delivery { id, ..last.clone() }).await, 202);
        }
        self.work().await;
    }

    async fn people(&mut self, act: impl FnOnce(&mut GitHub)) {
        self.github.with(act);
        self.hear().await;
    }

    /// Ann merges a pull request; a draft is made ready first.
    pub async fn merged(&mut self, number: u64) {
        self.people(|github| {
            if github.repo(NAME).pulls[&number].draft {
                github.ready(NAME, number, "ann");
            }
            github.merge(NAME, number, "ann");
        })
        .await;
    }

    pub async fn closed(&mut self, number: u64) {
        self.people(|github| github.close(NAME, number, "bob")).await;
    }

    /// Bob takes back what a merged pull request brought.
    pub async fn reverted(&mut self, number: u64) {
        let merge = self.hosted(|repo| repo.pulls[&number].merged.clone().expect("it was merged").commit);
        self.people(|github| {
            github.revert(NAME, "develop", &commit_id(merge), "bob");
        })
        .await;
    }

    /// The schedule calls the worker, and then everything that waits is worked on.
    pub async fn tick(&self) {
        assert_eq!(self.invoke(1, schedule()).await, Value::Null);
        self.work().await;
    }

    /// Plays the event source: hands messages to the worker until there are none.
    pub async fn work(&self) {
        for _ in 0..200 {
            let asked = self.sqs.receive_message().queue_url(&self.queue).max_number_of_messages(10);
            let asked = asked.message_system_attribute_names(MessageSystemAttributeName::All);
            let messages = asked.send().await.unwrap().messages.unwrap_or_default();
            if messages.is_empty() {
                if self.left().await == 0 {
                    return;
                }
                // Given back with a delay, or perhaps laid down by a limit.
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
            let records: Vec<Value> = messages
                .iter()
                .map(|m| {
                    let count = &m.attributes.as_ref().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount];
                    let (id, receipt) = (m.message_id.as_deref().unwrap(), m.receipt_handle.as_deref().unwrap());
                    sqs_record(id, receipt, m.body.as_deref().unwrap(), count.parse().unwrap())
                })
                .collect();
            let answer = self.invoke(1, json!({ "Records": records })).await;
            let failed = answer["batchItemFailures"].as_array().unwrap();
            for message in &messages {
                if failed.iter().all(|item| item["itemIdentifier"] != message.message_id.as_deref().unwrap()) {
                    let removed = self.sqs.delete_message().queue_url(&self.queue);
                    // The worker was first; SQS does not mind.
                    let _ = removed.receipt_handle(message.receipt_handle.as_deref().unwrap()).send().await;
                }
            }
        }
        panic!("there is always more to do\n{}", self.said("worker"));
    }

    /// Messages that are not done.
    async fn left(&self) -> u32 {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let asked = self.sqs.get_queue_attributes().queue_url(&self.queue).set_attribute_names(Some(names.to_vec()));
        let found = asked.send().await.unwrap().attributes.unwrap();
        names.iter().map(|name| found[name].parse::<u32>().unwrap()).sum()
    }

    /// Messages that could not be worked on.
    pub async fn dead(&self) -> u32 {
        let name = QueueAttributeName::ApproximateNumberOfMessages;
        let asked = self.sqs.get_queue_attributes().queue_url(&self.dead).attribute_names(name.clone());
        asked.send().await.unwrap().attributes.unwrap()[&name].parse().unwrap()
    }

    /// What the command line says on the operator's machine, of the deployment.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let output = self.program().args(arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            matches!(output.status.code(), Some(0 | 1)),
            "{arguments:?}: {}\n{text}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    /// All runs, oldest first, as the command line tells.
    pub fn runs(&self) -> Vec<RunHead> {
        let listed: Value = serde_json::from_str(&self.cli(&["audit", "list", "--format", "json"])).unwrap();
        let mut runs: Vec<RunHead> = serde_json::from_value(listed["runs"].clone()).unwrap();
        runs.reverse();
        runs
    }

    /// The only run of a file's latest generation.
    pub fn run_of(&self, file: &str) -> RunHead {
        let runs = self.runs().into_iter().filter(|run| run.summary.path.as_str() == file);
        runs.max_by_key(|run| run.generation).unwrap_or_else(|| panic!("no run of {file}: {:#?}", self.runs()))
    }

    pub fn events(&self, run: &RunHead) -> Vec<AuditEvent> {
        let generation = run.generation.0.to_string();
        let shown = self.cli(&["audit", "show", run.case.as_str(), "--generation", &generation, "--format", "json"]);
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["broken"], json!([]));
        serde_json::from_value(shown["events"].clone()).unwrap()
    }

    /// What is remembered. The search index is brought up to date first.
    pub async fn memory(&self) -> Vec<PastFix> {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client.post(format!("{}/_refresh", self.index)).send().await.unwrap();
        serde_json::from_str(&self.cli(&["memory", "list", "--format", "json"])).unwrap()
    }

    /// The pull request of a file's latest run.
    pub fn pull_of(&self, file: &str) -> Pull {
        let run = self.run_of(file);
        let url = run.summary.pull_request.clone().unwrap_or_else(|| panic!("no pull request: {run:#?}"));
        let number: u64 = url.rsplit('/').next().unwrap().parse().unwrap();
        assert!(url.ends_with(&format!("/{NAME}/pull/{number}")), "{url}");
        self.hosted(|repo| repo.pulls[&number].clone())
    }

    /// A file as a branch has it.
    pub fn file_on(&self, branch: &str, file: &str) -> String {
        let tip = self.git.tip(branch).unwrap_or_else(|| panic!("there is no branch {branch}"));
        String::from_utf8(self.git.file_at(&tip, file)).unwrap()
    }

    /// No secret stands in what the functions wrote, in pull requests, notices, the trail or the memory.
    pub async fn assert_nothing_leaked(&self) {
        let told = format!("{:?}{:?}", self.pulls(), self.notices());
        let trail = self.cli(&["audit", "export", "--pushes"]);
        let memory = self.cli(&["memory", "list", "--format", "json"]);
        let key = app_key().lines().nth(1).unwrap();
        for text in [self.said("receiver"), self.said("worker"), told, trail, memory] {
            for secret in [SECRET, key, BOT_TOKEN, "ghs_"] {
                assert!(!text.contains(secret), "{secret} in {text}");
            }
        }
    }

    pub fn hosted<T>(&self, act: impl FnOnce(&mut Hosted) -> T) -> T {
        self.github.with(|world| act(world.repo(NAME)))
    }

    pub fn pulls(&self) -> Vec<Pull> {
        self.hosted(|repo| repo.pulls.values().cloned().collect())
    }

    /// Messages in the channel for notices.
    pub fn notices(&self) -> Vec<Value> {
        self.slack.with(|world| world.find(NOTICES).unwrap().messages.iter().cloned().map(Value::Object).collect())
    }
}
