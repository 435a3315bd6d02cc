//! `rules test --watch`: the cases again whenever a rule or a case changed.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::test::{TestArgs, folders, test};
use crate::entry::cli::{Exit, Session, Sources, usage};
use crate::model::sha256_hex;
use crate::wiring;

/// Between two looks at the folders. What counts is what the files hold, so no notification is lost and no clock is trusted.
const PAUSE: Duration = Duration::from_millis(300);

/// Runs until interrupted.
pub async fn watch(session: &Session, args: &TestArgs) -> Result<Exit> {
    let config = session.config(&Sources::default())?;
    let watched = folders(args, &config);
    if watched.is_empty() {
        return Err(usage("--watch needs a folder with rules: name it, or configure `rules`"));
    }
    let mut seen = None;
    loop {
        let now = content(&watched);
        if seen.as_ref() != Some(&now) {
            seen = Some(now);
            // While somebody types, a document is often broken for a moment.
            if let Err(error) = test(session, args) {
                session.output.error(&error);
            }
            session.output.note("waiting for a change; Ctrl-C ends");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// One hash of the names and texts of all rule files; of the error where they cannot be read.
fn content(folders: &[&Path]) -> String {
    let mut parts: Vec<String> = Vec::new();
    for folder in folders {
        match wiring::rule_files(folder) {
            Ok(files) => parts.extend(files.into_iter().flat_map(|(name, text)| [name, text])),
            Err(error) => parts.push(error.to_string()),
        }
    }
    let bytes: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
    sha256_hex(&bytes)
}
