//! Reading exports, whole and broken.

use super::*;
use crate::model::AuthorKind;

const USERS: &str = r#"[
    {"id":"U1","name":"ann","real_name":"Ann"},
    {"id":"U2","name":"bob"},
    {"id":"G1","name":"guest","is_restricted":true},
    {"id":"B1","name":"ci","is_bot":true}
]"#;

fn export(day: &str) -> (tempfile::TempDir, ExportOptions) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("users.json", USERS);
    write("channels.json", r#"[{"id":"C1","name":"fixes"},{"id":"C2","name":"silent"}]"#);
    std::fs::create_dir(folder.path().join("fixes")).unwrap();
    write("fixes/2026-01-02.json", day);
    let options = ExportOptions {
        path: folder.path().to_path_buf(),
        organisation: "acme".into(),
        channels: Vec::new(),
        confirm: vec!["white_check_mark".into()],
        workspace: Some("https://acme.slack.com/".into()),
    };
    (folder, options)
}

fn query(terms: &[&str]) -> TeamQuery {
    TeamQuery {
        organisation: "acme".into(),
        private: true,
        terms: terms.iter().map(ToString::to_string).collect(),
        limit: 5,
    }
}

const THREAD: &str = r#"[
    {"ts":"1700000000.000100","user":"U1","text":"yaml.load &amp; friends? &lt;ask <@U2>&gt;"},
    {"ts":"1700000001.000100","thread_ts":"1700000000.000100","user":"U2","text":"see <https://github.com/a/b/pull/7|this>",
     "reactions":[{"name":"white_check_mark","users":["U1"],"count":1}]},
    {"ts":"1700000002.000100","thread_ts":"1700000000.000100","user":"U2","text":"own",
     "reactions":[{"name":"white_check_mark","users":["U2","G1","B1"],"count":3}]},
    {"ts":"1700000003.000100","thread_ts":"1700000000.000100","user":"G1","text":"guest"},
    {"ts":"1700000009.000000","subtype":"bot_message","bot_id":"B9","text":"deployed"}
]"#;

#[tokio::test]
async fn a_thread_is_put_together_and_its_markup_undone() {
    let (_folder, options) = export(THREAD);
    let found = SlackExport::open(&options).unwrap().search(&query(&["yaml.load"])).await.unwrap();
    let [thread] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(thread.permalink, "https://acme.slack.com/archives/C1/p1700000000000100");
    assert_eq!(thread.messages[0].text, "yaml.load & friends? <ask bob>");
    assert_eq!(thread.messages[1].pull_requests, ["https://github.com/a/b/pull/7"]);
    assert_eq!(thread.messages[3].author.kind, AuthorKind::Guest);
}

#[tokio::test]
async fn only_another_full_member_confirms() {
    let (_folder, options) = export(THREAD);
    let found = SlackExport::open(&options).unwrap().search(&query(&["yaml.load"])).await.unwrap();
    let confirmed: Vec<bool> = found[0].messages.iter().map(|m| m.confirmed).collect();
    assert_eq!(confirmed, [false, true, false, false]);
}

#[tokio::test]
async fn another_organisation_finds_nothing() {
    let (_folder, options) = export(THREAD);
    let export = SlackExport::open(&options).unwrap();
    let foreign = TeamQuery { organisation: "other".into(), ..query(&["yaml.load"]) };
    assert!(export.search(&foreign).await.unwrap().is_empty());
    assert!(export.search(&query(&["nowhere"])).await.unwrap().is_empty());
}

#[test]
fn a_broken_export_names_its_file_and_the_remedy() {
    for day in ["{", "[{\"text\":1}]", "[[]]"] {
        let (_folder, options) = export(day);
        let error = SlackExport::open(&options).err().unwrap();
        assert!(error.to_string().contains("2026-01-02.json"), "{error}");
        assert!(error.to_string().contains("export the workspace again"), "{error}");
    }
    let (folder, options) = export("[]");
    std::fs::remove_file(folder.path().join("users.json")).unwrap();
    assert!(SlackExport::open(&options).err().unwrap().to_string().contains("users.json"));
}

#[test]
fn a_channel_name_cannot_leave_the_export() {
    let (folder, options) = export("[]");
    std::fs::write(folder.path().join("channels.json"), r#"[{"id":"C1","name":"../../etc"}]"#).unwrap();
    assert!(SlackExport::open(&options).is_err());
}
