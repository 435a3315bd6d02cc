//! The laptop's chat and notices under the same contracts as Slack's.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use codehealer::local::notifier::FileNotifier;
use codehealer::local::slack_export::{ExportOptions, SlackExport};
use codehealer::ports::Notifier;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::contract::notifier::Told;
use crate::contract::team::{Chat, Heard, Line, Room, people};

/// An export of the rooms.
struct Exported;

fn message(line: &Line, at: usize, root: Option<usize>) -> Value {
    let ts = |at: usize| format!("17000{at:05}.000100");
    let mut message = json!({"type": "message", "user": line.user, "text": line.text, "ts": ts(at)});
    if let Some(root) = root {
        message["thread_ts"] = ts(root).into();
    }
    if let Some(subtype) = line.subtype {
        message["subtype"] = subtype.into();
    }
    let reaction = |(name, users): &(&str, Vec<&str>)| json!({"name": name, "users": users, "count": users.len()});
    message["reactions"] = line.reactions.iter().map(reaction).collect();
    message
}

fn day(room: &Room) -> Vec<Value> {
    let mut messages = Vec::new();
    for line in &room.lines {
        let root = messages.len();
        messages.push(message(line, root, (!line.replies.is_empty()).then_some(root)));
        for reply in &line.replies {
            messages.push(message(reply, messages.len(), Some(root)));
        }
    }
    messages
}

#[async_trait]
impl Chat for Exported {
    async fn hear(&self, rooms: &[Room], named: &[&str]) -> Heard {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, value: Value| fs::write(folder.path().join(name), value.to_string()).unwrap();
        let list = |private: bool| -> Value {
            let kept = rooms.iter().filter(|room| room.private == private);
            kept.map(|room| json!({"id": room.id, "name": room.name})).collect()
        };
        write("users.json", people().into());
        write("channels.json", list(false));
        write("groups.json", list(true));
        for room in rooms {
            fs::create_dir(folder.path().join(room.name)).unwrap();
            write(&format!("{}/2026-01-02.json", room.name), day(room).into());
        }
        let team = SlackExport::open(&ExportOptions {
            path: folder.path().to_path_buf(),
            organisation: "acme".into(),
            channels: named.iter().map(ToString::to_string).collect(),
            confirm: vec!["white_check_mark".into()],
            workspace: Some("https://acme.slack.com".into()),
        });
        Heard { team: Arc::new(team.unwrap()), _keep: Box::new(folder) }
    }
}

#[tokio::test]
async fn an_export_keeps_the_contract_of_team_knowledge() {
    crate::contract::team::contract(&Exported).await;
}

/// Files in a folder.
struct Files {
    folder: Arc<TempDir>,
    times: Arc<AtomicUsize>,
    notifier: FileNotifier,
}

impl Files {
    fn open(folder: Arc<TempDir>, times: Arc<AtomicUsize>) -> Self {
        let counter = Arc::clone(&times);
        let show = Arc::new(move |_: &codehealer::model::Notice| {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        let notifier = FileNotifier::new(folder.path().join("notices"), show);
        Self { folder, times, notifier }
    }
}

impl Told for Files {
    fn notifier(&self) -> &dyn Notifier {
        &self.notifier
    }

    fn times(&self) -> usize {
        self.times.load(Ordering::SeqCst)
    }

    fn text(&self, reference: &str) -> String {
        fs::read_to_string(PathBuf::from(reference)).unwrap()
    }

    fn again(&self) -> Box<dyn Told> {
        Box::new(Self::open(Arc::clone(&self.folder), Arc::clone(&self.times)))
    }
}

#[tokio::test]
async fn files_keep_the_contract_of_notices() {
    let make = async || Files::open(Arc::new(tempfile::tempdir().unwrap()), Arc::default());
    crate::contract::notifier::contract(make).await;
}
