//! The contract of the model port, on our own servers in every profile, whole and as a stream, on our SageMaker runtime, on moto's, and
//! on a chat server written by others. No answer was made by a model.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use codehealer::aws::client::{Aws, AwsOptions};
use codehealer::aws::sagemaker::{ModelOptions as EndpointOptions, SageMakerModel};
use codehealer::local::model::{ModelOptions, UrlModel};
use codehealer::ports::Model;
use codehealer::recall::completion::Profile;
use serde_json::{Value, json};

use crate::contract::model::{Say, Served, all};
use crate::support::aws::{aws, options};
use crate::support::model_server::{ModelServer, Play};
use crate::support::sagemaker::{Reply, SageMakerServer};
use crate::support::servers;

const PROFILES: [Profile; 5] = [Profile::Chat, Profile::Vllm, Profile::Nim, Profile::Lmi, Profile::Tgi];
/// Parts of the suite.
const PARTS: usize = 7;

/// A body of status 200 as a container of the profile says it.
fn body(profile: Profile, say: &Say) -> String {
    let answer = |text: &str, cut: bool| -> Value {
        if profile.is_chat() {
            let message = json!({"role": "assistant", "content": text});
            let finish = if cut { "length" } else { "stop" };
            return json!({"model": "synthetic", "choices": [{"index": 0, "message": message, "finish_reason": finish}],
                "usage": {"prompt_tokens": 9, "completion_tokens": 4}});
        }
        let finish = if cut { "length" } else { "eos_token" };
        let one = json!({"generated_text": text, "details": {"finish_reason": finish, "generated_tokens": 4}});
        if profile == Profile::Tgi { json!([one]) } else { one }
    };
    match say {
        Say::Text(text) => answer(text, false).to_string(),
        Say::CutOff(text) => answer(text, true).to_string(),
        Say::Error(code) => json!({"error": {"message": "synthetic", "code": code}}).to_string(),
        Say::Rubbish => "<html>a proxy</html>".to_owned(),
    }
}

struct Loopback {
    server: ModelServer,
    model: UrlModel,
    profile: Profile,
}

#[async_trait]
impl Served for Loopback {
    fn model(&self) -> &dyn Model {
        &self.model
    }

    async fn will(&self, say: Say) -> bool {
        self.server.plan([match say {
            Say::Text(text) => Play::Says(text),
            Say::CutOff(text) => Play::CutOff(text),
            other => Play::Body(body(self.profile, &other)),
        }]);
        true
    }
}

fn at(url: String, profile: Profile, stall: Option<Duration>) -> UrlModel {
    let timeout = Duration::from_secs(60);
    UrlModel::new(ModelOptions { url, name: "any".to_owned(), profile, timeout, stall }, None).unwrap()
}

#[tokio::test]
async fn our_server_keeps_the_contract_in_every_profile_whole_and_as_a_stream() {
    for profile in PROFILES {
        for stall in [None, Some(Duration::from_secs(30))] {
            let server = ModelServer::saying("unplanned").await;
            let model = at(format!("{}/v1", server.url()), profile, stall);
            assert_eq!(all(&Loopback { server, model, profile }).await, PARTS, "{profile:?}");
        }
    }
}

struct Runtime {
    server: SageMakerServer,
    model: SageMakerModel,
    profile: Profile,
}

#[async_trait]
impl Served for Runtime {
    fn model(&self) -> &dyn Model {
        &self.model
    }

    async fn will(&self, say: Say) -> bool {
        self.server.plan([Reply::Says(body(self.profile, &say))]);
        true
    }
}

fn endpoint(aws: Aws, name: &str, profile: Profile) -> SageMakerModel {
    SageMakerModel::new(aws, EndpointOptions { endpoint: name.to_owned(), component: None, profile, model: None })
}

#[tokio::test]
async fn an_endpoint_of_sagemaker_keeps_the_contract_in_every_profile() {
    for profile in PROFILES {
        let server = SageMakerServer::start().await;
        let model = endpoint(aws(server.url()), "any", profile);
        assert_eq!(all(&Runtime { server, model, profile }).await, PARTS, "{profile:?}");
    }
}

/// moto answers each new question with the next body that it was given, one queue a region: this one is ours alone.
const REGION: &str = "eu-west-3";

struct Moto {
    url: String,
    model: SageMakerModel,
    profile: Profile,
}

#[async_trait]
impl Served for Moto {
    fn model(&self) -> &dyn Model {
        &self.model
    }

    async fn will(&self, say: Say) -> bool {
        let one = json!({"Body": body(self.profile, &say), "ContentType": "application/json",
            "InvokedProductionVariant": "v", "CustomAttributes": ""});
        let queued = json!({"region": REGION, "results": [one]});
        let route = format!("{}/moto-api/static/sagemaker/endpoint-results", self.url);
        let answer = reqwest::Client::new().post(route).json(&queued).send().await.unwrap();
        answer.status().is_success()
    }
}

#[tokio::test]
async fn motos_runtime_keeps_the_contract_in_every_profile() {
    let url = servers::moto().await;
    for profile in PROFILES {
        let aws = Aws::new(AwsOptions { region: Some(REGION.to_owned()), ..options(&url) });
        let model = endpoint(aws, &format!("contract-{profile:?}"), profile);
        assert_eq!(all(&Moto { url: url.clone(), model, profile }).await, PARTS, "{profile:?}");
    }
}

struct Independent(Arc<UrlModel>);

#[async_trait]
impl Served for Independent {
    fn model(&self) -> &dyn Model {
        &*self.0
    }

    async fn will(&self, _say: Say) -> bool {
        false
    }

    fn always(&self) -> Option<&str> {
        Some("a canned answer")
    }
}

#[tokio::test]
async fn an_independent_server_keeps_what_of_the_contract_it_can_be_asked_for() {
    let url = format!("{}/v1", servers::chat().await);
    for (profile, stall) in [
        (Profile::Chat, None),
        (Profile::Chat, Some(Duration::from_secs(30))),
        (Profile::Vllm, None),
        (Profile::Nim, None),
    ] {
        let model = at(url.clone(), profile, stall);
        assert_eq!(all(&Independent(Arc::new(model))).await, 2, "{profile:?}: one answer and several, no troubles");
    }
}
