//! Small Slack exports for tests.

use std::sync::Arc;

use codehealer::local::slack_export::{ExportOptions, SlackExport};
use codehealer::ports::TeamKnowledge;
use serde_json::{Value, json};
use tempfile::TempDir;

const USERS: &str = r#"[
    {"id":"U1","name":"ann"}, {"id":"U2","name":"bob"},
    {"id":"G1","name":"guest","is_restricted":true}, {"id":"B1","name":"bot","is_bot":true}
]"#;

/// A thread: its messages as user and text; those of `confirmed` are confirmed by Ann.
pub struct Chat<'a> {
    pub messages: &'a [(&'a str, &'a str)],
    pub confirmed: bool,
}

impl Chat<'_> {
    /// The export as the team's knowledge.
    pub fn open(&self) -> (TempDir, Arc<dyn TeamKnowledge>) {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("users.json", USERS);
        write("channels.json", r#"[{"id":"C1","name":"fixes"}]"#);
        std::fs::create_dir(folder.path().join("fixes")).unwrap();
        write("fixes/2026-01-02.json", &Value::Array(self.day()).to_string());
        let team = SlackExport::open(&ExportOptions {
            path: folder.path().to_path_buf(),
            organisation: "acme".into(),
            channels: Vec::new(),
            confirm: vec!["white_check_mark".into()],
            workspace: None,
        });
        (folder, Arc::new(team.unwrap()))
    }

    fn day(&self) -> Vec<Value> {
        let message = |(number, (user, text)): (usize, &(&str, &str))| {
            let reactions = if self.confirmed && number > 0 {
                json!([{"name": "white_check_mark", "users": ["U1"], "count": 1}])
            } else {
                json!([])
            };
            json!({
                "ts": format!("17000000{number:02}.000100"),
                "thread_ts": "1700000000.000100",
                "user": user,
                "text": text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"),
                "reactions": reactions,
            })
        };
        self.messages.iter().enumerate().map(message).collect()
    }
}
