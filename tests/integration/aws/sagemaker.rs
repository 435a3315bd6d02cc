//! The model and the embedder of SageMaker against our own runtime, whose answers are made up, and against moto's with canned ones.

use std::sync::Arc;
use std::time::Duration;

use codehealer::aws::client::Aws;
use codehealer::aws::sagemaker::{EmbedderOptions, ModelOptions, Profile, SageMakerEmbedder, SageMakerModel};
use codehealer::model::{Language, Span};
use codehealer::ports::{Embedder, ErrorKind, Model, PortResult, Prompt};
use serde_json::{Value, json};

use super::{aws, options};
use crate::support::proxy::{Answer, Fault, Proxy};
use crate::support::sagemaker::{Reply, SYNTHETIC, SageMakerServer};
use crate::support::servers;

const BUSY: ErrorKind = ErrorKind::Throttled(Duration::from_secs(10));

fn prompt() -> Prompt {
    Prompt { system: "Repair it.".to_owned(), user: "eval(x)".to_owned(), max_tokens: 2_000 }
}

fn model(url: &str, endpoint: &str, profile: Profile) -> SageMakerModel {
    model_of(url, ModelOptions { endpoint: endpoint.to_owned(), component: None, profile, model: None })
}

fn model_of(url: &str, options: ModelOptions) -> SageMakerModel {
    SageMakerModel::new(aws(url), options)
}

fn embedder(url: &str, dimensions: usize) -> SageMakerEmbedder {
    let options = EmbedderOptions { endpoint: "embed".to_owned(), component: None, dimensions };
    SageMakerEmbedder::new(aws(url), options)
}

async fn embed(embedder: &SageMakerEmbedder, text: &str) -> PortResult<Vec<f32>> {
    embedder.embed(Language::Python, text, Span { start: 0, end: text.len() }).await
}

#[tokio::test]
async fn every_profile_is_asked_and_read() {
    let server = SageMakerServer::start().await;
    for (name, profile, counts) in [
        ("chat", Profile::Chat, (21, 4, false)),
        ("lmi", Profile::Lmi, (6, 4, true)),
        ("tgi", Profile::Tgi, (6, 4, true)),
    ] {
        let answer = model(server.url(), name, profile).complete(&prompt()).await.unwrap();
        assert_eq!((answer.text.as_str(), answer.truncated), (SYNTHETIC, false), "{name}");
        assert_eq!((answer.input_tokens, answer.output_tokens, answer.estimated), counts, "{name}");
        assert_eq!(answer.model, if name == "chat" { "llama" } else { name });
        let short = Prompt { max_tokens: 30, ..prompt() };
        let answer = model(server.url(), name, profile).complete(&short).await.unwrap();
        assert_eq!(answer.truncated, name != "chat", "{name}");
    }
    assert!(server.seen().iter().all(|seen| seen.component.is_none()));
}

#[tokio::test]
async fn component_and_name_of_the_model_travel_with_the_question() {
    let server = SageMakerServer::start().await;
    let named = |name: &str| ModelOptions {
        endpoint: "chat".to_owned(),
        component: Some("llama-part".to_owned()),
        profile: Profile::Chat,
        model: Some(name.to_owned()),
    };
    model_of(server.url(), named("llama")).complete(&prompt()).await.unwrap();
    let seen = server.seen().remove(0);
    assert_eq!((seen.endpoint.as_str(), seen.component.as_deref()), ("chat", Some("llama-part")));
    assert_eq!(seen.body["model"], "llama");
    let error = model_of(server.url(), named("other")).complete(&prompt()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Missing);
    assert!(error.chain().contains("sagemaker.model_name"), "{}", error.chain());
    let part = EmbedderOptions { endpoint: "embed".into(), component: Some("e-part".into()), dimensions: 4 };
    embed(&SageMakerEmbedder::new(aws(server.url()), part), "x").await.unwrap();
    assert_eq!(server.seen().last().unwrap().component.as_deref(), Some("e-part"));
}

#[tokio::test]
async fn an_error_inside_an_answer_is_told_as_what_it_is() {
    let server = SageMakerServer::start().await;
    let model = model(server.url(), "chat", Profile::Chat);
    let cases = [
        (json!({"error": "CUDA out of memory"}), ErrorKind::Unavailable, "CUDA out of memory"),
        (json!({"code": 424, "message": "prediction failure"}), ErrorKind::Unavailable, "(424): prediction failure"),
        (json!({"object": "error", "message": "context length", "code": 400}), ErrorKind::Malformed, "context length"),
        (json!({"error": {"message": "slow down", "code": 429}}), BUSY, "slow down"),
        (json!({"choices": []}), ErrorKind::Malformed, "sagemaker.model_profile"),
        (json!({"generated_text": "x"}), ErrorKind::Malformed, "sagemaker.model_profile"),
        (json!("a text"), ErrorKind::Malformed, "sagemaker.model_profile"),
    ];
    for (answer, kind, says) in cases {
        server.plan([Reply::Says(answer.to_string())]);
        let error = model.complete(&prompt()).await.unwrap_err();
        assert_eq!(error.kind, kind, "{answer}: {}", error.chain());
        assert!(error.chain().contains(says) && error.chain().contains("endpoint chat"), "{}", error.chain());
    }
    for text in ["", "<html>", "{\"choices\":[{"] {
        server.plan([Reply::Says(text.to_owned())]);
        assert_eq!(model.complete(&prompt()).await.unwrap_err().kind, ErrorKind::Malformed, "{text}");
    }
    let much = json!({"choices": [{"message": {"content": "x".repeat(1024 * 1024)}}]});
    server.plan([Reply::Says(much.to_string())]);
    let error = model.complete(&prompt()).await.unwrap_err();
    assert!(error.kind == ErrorKind::Malformed && error.chain().len() < 1_000, "{}", error.chain().len());
    let half = json!({"choices": [{"message": {"content": "half"}, "finish_reason": "length"}]});
    server.plan([Reply::Says(half.to_string())]);
    let answer = model.complete(&prompt()).await.unwrap();
    assert_eq!((answer.text.as_str(), answer.truncated, answer.estimated), ("half", true, true));
}

#[tokio::test]
async fn a_refusal_of_sagemaker_names_the_remedy() {
    let server = SageMakerServer::start().await;
    let model = model(server.url(), "chat", Profile::Chat);
    let cases = [
        (400, "ValidationError", "Endpoint chat of account 1 not found.", ErrorKind::Missing, "terraform apply"),
        (
            400,
            "ValidationError",
            "Inference Component Name header is required for endpoints to which you plan to deploy inference components.",
            ErrorKind::Malformed,
            "sagemaker.model_component",
        ),
        (
            400,
            "ValidationError",
            "Inference component has no capacity to process this request.",
            ErrorKind::Unavailable,
            "scaled in to zero",
        ),
        (429, "ModelNotReadyException", "loading", ErrorKind::Unavailable, "takes minutes"),
        (400, "ThrottlingException", "Rate exceeded", ErrorKind::Throttled(Duration::from_secs(1)), "Rate exceeded"),
        (403, "AccessDeniedException", "not authorized", ErrorKind::Denied, "sagemaker:InvokeEndpoint"),
        (403, "ExpiredTokenException", "expired", ErrorKind::Denied, "renew the credentials"),
        (503, "ServiceUnavailable", "busy", ErrorKind::Unavailable, "busy"),
        (500, "InternalFailure", "oh", ErrorKind::Unavailable, "oh"),
        (530, "InternalDependencyException", "oh", ErrorKind::Unavailable, "behind it"),
    ];
    let count = cases.len();
    for (status, code, message, kind, says) in cases {
        server.plan([Reply::Refused(status, code, message.to_owned())]);
        let error = model.complete(&prompt()).await.unwrap_err();
        assert_eq!(error.kind, kind, "{code}: {}", error.chain());
        assert!(error.chain().contains(says) && error.chain().contains(message), "{}", error.chain());
    }
    assert_eq!(server.seen().len(), count, "a question is asked once, whatever the answer");
}

#[tokio::test]
async fn an_error_of_the_container_keeps_its_meaning() {
    let server = SageMakerServer::start().await;
    let model = model(server.url(), "chat", Profile::Chat);
    let cases = [
        (400, ErrorKind::Malformed, "context"),
        (422, ErrorKind::Malformed, "model_profile"),
        (404, ErrorKind::Missing, "model_name"),
        (429, BUSY, "more copies"),
        (424, ErrorKind::Unavailable, "CloudWatch"),
        (500, ErrorKind::Unavailable, "cloudwatch/home"),
        (503, ErrorKind::Unavailable, "CloudWatch"),
        (0, ErrorKind::Unavailable, "CloudWatch"),
    ];
    for (status, kind, says) in cases {
        server.plan([Reply::Container(status, "why it failed")]);
        let error = model.complete(&prompt()).await.unwrap_err();
        assert_eq!(error.kind, kind, "{status}: {}", error.chain());
        assert!(error.chain().contains(says) && error.chain().contains("why it failed"), "{}", error.chain());
    }
}

#[tokio::test]
async fn a_model_that_hangs_is_left_after_a_minute() {
    let server = SageMakerServer::start().await;
    // The limit of other calls does not count here.
    let options =
        codehealer::aws::client::AwsOptions { attempt_timeout: Duration::from_secs(10), ..options(server.url()) };
    let plain = ModelOptions { endpoint: "chat".into(), component: None, profile: Profile::Chat, model: None };
    let model = Arc::new(SageMakerModel::new(Aws::new(options), plain));
    server.plan([Reply::Silence]);
    let asked = {
        let model = Arc::clone(&model);
        tokio::spawn(async move { model.complete(&prompt()).await })
    };
    server.arrival().await;
    // From here on nothing moves but the time.
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let error = asked.await.unwrap().unwrap_err();
    let waited = begun.elapsed();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.chain().contains("within 60 s"), "{}", error.chain());
    assert!((Duration::from_secs(50)..Duration::from_secs(61)).contains(&waited), "{waited:?}");
    assert_eq!(server.seen().len(), 1, "not asked again");
}

#[tokio::test]
async fn a_lost_answer_is_not_asked_for_again() {
    let server = SageMakerServer::start().await;
    let proxy = Proxy::before(server.url()).await;
    let model = model(proxy.url(), "chat", Profile::Chat);
    for (n, fault) in
        [Fault::AnswerLost, Fault::HalfAnswer, Fault::Afterwards(Answer::new(502, "<html>"))].into_iter().enumerate()
    {
        proxy.spoil(|_| true, [fault.clone()]);
        let error = model.complete(&prompt()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{fault:?}: {}", error.chain());
        assert_eq!(server.seen().len(), n + 1);
    }
    assert_eq!(model.complete(&prompt()).await.unwrap().text, SYNTHETIC);
}

#[tokio::test]
async fn code_is_embedded_as_a_unit_vector_without_its_secrets() {
    let server = SageMakerServer::start().await;
    let four = embedder(server.url(), 4);
    assert_eq!(four.id(), "sagemaker:embed:4");
    let vector = embed(&four, "eval(x)").await.unwrap();
    assert_eq!(vector, embed(&four, "eval(x)").await.unwrap());
    assert_ne!(vector, embed(&four, "yaml.load(f)").await.unwrap());
    let length = vector.iter().map(|x| x * x).sum::<f32>();
    assert!((length - 1.0).abs() < 1e-5, "{length}");
    embed(&four, "token = \"ghp_0123456789abcdefghijABCDEFGHIJ012345\"").await.unwrap();
    let sent = server.seen().last().unwrap().body.to_string();
    assert!(sent.contains("token") && !sent.contains("ghp_0123"), "{sent}");
}

#[tokio::test]
async fn vectors_of_another_length_are_refused() {
    let server = SageMakerServer::start().await;
    let error = embed(&embedder(server.url(), 768), "x").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Malformed);
    assert!(error.chain().contains("sagemaker.embedding_dimensions to 4"), "{}", error.chain());
    let four = embedder(server.url(), 4);
    for (answer, kind) in [
        (json!([0, 0, 0, 0]), ErrorKind::Malformed),
        (json!(["a", "b", "c", "d"]), ErrorKind::Malformed),
        (json!({"error": "overloaded", "code": 429}), BUSY),
        (json!({"error": "overloaded"}), ErrorKind::Unavailable),
    ] {
        server.plan([Reply::Says(answer.to_string())]);
        assert_eq!(embed(&four, "x").await.unwrap_err().kind, kind, "{answer}");
    }
}

/// Has moto answer the next questions with these bodies.
async fn canned(moto: &str, bodies: &[Value]) {
    let results: Vec<Value> = bodies
        .iter()
        .map(|body| json!({"Body": body.to_string(), "ContentType": "application/json", "InvokedProductionVariant": "v", "CustomAttributes": ""}))
        .collect();
    let body = json!({"region": "eu-central-1", "results": results});
    let url = format!("{moto}/moto-api/static/sagemaker/endpoint-results");
    let answer = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
}

/// One test for all: moto has one queue of results.
#[tokio::test]
async fn what_moto_was_given_is_read() {
    let moto = servers::moto().await;
    let chat = json!({"choices": [{"message": {"content": "from moto"}, "finish_reason": "length"}]});
    canned(&moto, &[chat, json!([{"generated_text": "tgi from moto"}]), json!([[3, 4]])]).await;
    let first = model(&moto, "moto-chat", Profile::Chat);
    for _ in 0..2 {
        let answer = first.complete(&prompt()).await.unwrap();
        assert_eq!((answer.text.as_str(), answer.truncated), ("from moto", true), "the same body, the same answer");
    }
    let answer = model(&moto, "moto-tgi", Profile::Tgi).complete(&prompt()).await.unwrap();
    assert_eq!((answer.text.as_str(), answer.model.as_str()), ("tgi from moto", "moto-tgi"));
    assert_eq!(embed(&embedder(&moto, 2), "eval(x)").await.unwrap(), [0.6, 0.8]);
}
