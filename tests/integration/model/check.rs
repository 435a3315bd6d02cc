//! `codehealer model check` against a server whose answers are written here.

use std::process::Command;

use serde_json::Value;

use super::stage::good_case;
use crate::support::model_server::{ModelServer, Play};

struct Ran {
    code: i32,
    out: String,
    err: String,
}

async fn run(arguments: Vec<String>) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let output = tokio::task::spawn_blocking(move || {
        Command::new(env!("CARGO_BIN_EXE_codehealer"))
            .args(["model", "check"])
            .args(arguments)
            .current_dir(folder.path())
            .env_clear()
            .env("HOME", folder.path())
            .output()
            .unwrap()
    })
    .await
    .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

async fn check(server: &ModelServer, more: &[&str]) -> Ran {
    let mut arguments = vec!["--model-url".to_owned(), format!("{}/v1", server.url())];
    arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
    run(arguments).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_answer_is_shown_with_its_edit_verdict_and_price() {
    let server = ModelServer::playing(|asked, _| good_case(asked)).await;
    let json = check(&server, &["--json"]).await;
    assert_eq!(json.code, 0, "{}", json.err);
    let report: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&report["passed"], report["answers"].as_array().unwrap().len()), (&Value::Bool(true), 3));
    assert!(report["question"]["user"].as_str().unwrap().contains("SELECT * FROM users"));
    assert!(report["answers"][0]["diff"].as_str().unwrap().contains("(name,)"));
    assert_eq!((report["tokens"]["input"].as_u64(), report["tokens"]["output"].as_u64()), (Some(11), Some(21)));
    let text = check(&server, &[]).await;
    assert_eq!(text.code, 0, "{}", text.err);
    for part in ["The question", "Answer 1, from synthetic", "the edit:", "passed", "11 tokens in", "21 out"] {
        assert!(text.out.contains(part), "{part} is not in:\n{}", text.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_no_use_ends_with_one_and_says_why() {
    let server = ModelServer::saying("Use a parameterized query.").await;
    let ran = check(&server, &[]).await;
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.out.contains("refused: there is no rewritten region"), "{}", ran.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn troubles_name_the_remedy() {
    let server = ModelServer::saying("x").await;
    for (play, says) in [
        (Play::Refuses(404, None, "no such model"), "HTTP 404"),
        (Play::Refuses(401, None, "who?"), "access denied"),
        (Play::Body("<html>".to_owned()), "profile"),
    ] {
        server.plan([play]);
        let ran = check(&server, &[]).await;
        assert_eq!(ran.code, 3, "{}", ran.out);
        assert!(ran.err.contains(says), "{says} is not in {}", ran.err);
    }
    let nobody = run(Vec::new()).await;
    assert_eq!(nobody.code, 2);
    assert!(nobody.err.contains("--model-url"), "{}", nobody.err);
}
