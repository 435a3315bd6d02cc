//! The AWS backends against AWS's own DynamoDB and against moto.

mod batch;
mod faults;
mod inbox;
mod sagemaker;
mod secrets;
mod state;
mod units;

use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use codehealer::aws::error::port_error;
use codehealer::ports::ErrorKind;

use crate::support::servers;

pub use crate::support::aws::{aws, options};

#[tokio::test]
async fn one_way_leads_to_every_service() {
    let local = aws(&servers::dynamodb().await);
    let tables = aws_sdk_dynamodb::Client::new(local.config("state").await.unwrap());
    tables.list_tables().send().await.unwrap();
    let emulator = aws(&servers::moto().await);
    let queues = aws_sdk_sqs::Client::new(emulator.config("inbox").await.unwrap());
    queues.list_queues().send().await.unwrap();
    let secrets = aws_sdk_secretsmanager::Client::new(emulator.config("secrets").await.unwrap());
    let missing = secrets.get_secret_value().secret_id("none").send().await.unwrap_err();
    let error = port_error("secrets", "read the secret none", &missing);
    assert_eq!(error.kind, ErrorKind::Missing, "{}", error.chain());
    assert!(error.chain().contains("create it"), "{}", error.chain());
}

/// Starts a server and waits to be killed: see the test below.
#[tokio::test]
async fn starts_a_server_and_is_killed() {
    let Ok(file) = std::env::var("CODEHEALER_TEST_SERVER_URL_FILE") else { return };
    std::fs::write(file, servers::moto().await).unwrap();
    std::thread::sleep(Duration::from_secs(120));
}

/// A test run that is killed cannot clean up after itself.
#[test]
fn no_server_outlives_the_tests_even_when_they_are_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    let mut run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "aws::starts_a_server_and_is_killed"])
        .env("CODEHEALER_TEST_SERVER_URL_FILE", &file)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let url = until(Duration::from_secs(200), || std::fs::read_to_string(&file).ok().filter(|url| !url.is_empty()));
    let address = url.expect("the server started").trim_start_matches("http://").to_owned();
    assert!(TcpStream::connect(&address).is_ok());

    run.kill().unwrap();
    run.wait().unwrap();
    let gone = until(Duration::from_secs(20), || TcpStream::connect(&address).is_err().then_some(()));
    assert!(gone.is_some(), "the server at {address} lives on");
}

fn until<T>(patience: Duration, mut tried: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    while begun.elapsed() < patience {
        if let Some(found) = tried() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    None
}
