//! An app is registered from a manifest, and looks after itself: its webhook, what that delivered, where it is installed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::auth::app_key;
use super::http::{Answer, Outcome, Request};
use super::shapes::{BORN, date};
use super::world::World;

/// How long the code of a manifest is good, seconds.
const CODE_LIFETIME: u64 = 3600;

/// What GitHub keeps of registrations and of the app's webhook.
pub struct Registration {
    /// Codes that were handed out, and when, seconds since the epoch.
    codes: BTreeMap<String, u64>,
    pub hook_url: String,
    pub hook_secret: String,
    /// Status of each delivery of a ping, the oldest first.
    pub pings: Vec<u16>,
    /// What the next delivery is answered with.
    pub next_answer: u16,
}

impl Default for Registration {
    /// With the address that the manifest has before there is one.
    fn default() -> Self {
        let hook_url = "https://codehealer.example/webhook".to_owned();
        Self { codes: BTreeMap::new(), hook_url, hook_secret: String::new(), pings: Vec::new(), next_answer: 200 }
    }
}

impl World {
    /// GitHub sends somebody back with this code.
    pub fn hand_out(&mut self, code: &str) {
        let now = self.seconds();
        self.registration.codes.insert(code.to_owned(), now);
    }

    pub(super) fn post_conversion(&mut self, request: &Request) -> Outcome {
        let made = self.registration.codes.remove(request.part("code"));
        if made.is_none_or(|made| self.seconds() > made + CODE_LIFETIME) {
            return Err(Answer::not_found());
        }
        self.registration.hook_secret = "hook-0123456789abcdef0123456789abcdef".to_owned();
        let mut app = self.app_json();
        app["client_secret"] = "client-0123456789".into();
        app["webhook_secret"] = self.registration.hook_secret.clone().into();
        app["pem"] = app_key().into();
        Answer::created(app)
    }

    fn hook_json(&self) -> Value {
        json!({"content_type": "json", "insecure_ssl": "0", "secret": "********", "url": self.registration.hook_url})
    }

    pub(super) fn get_hook(&mut self, _: &Request) -> Outcome {
        Answer::ok(self.hook_json())
    }

    pub(super) fn patch_hook(&mut self, request: &Request) -> Outcome {
        if let Some(url) = request.text("url") {
            url.clone_into(&mut self.registration.hook_url);
        }
        if let Some(secret) = request.text("secret") {
            secret.clone_into(&mut self.registration.hook_secret);
        }
        Answer::ok(self.hook_json())
    }

    pub(super) fn list_hook_deliveries(&mut self, request: &Request) -> Outcome {
        let at = date(self.now());
        let one = |(number, status): (usize, &u16)| {
            json!({
                "id": number + 1, "guid": format!("58474f00-b361-11eb-836d-{number:012}"), "delivered_at": at,
                "redelivery": number > 0, "duration": 0.03, "status": if *status == 200 { "OK" } else { "failed" },
                "status_code": status, "event": "ping", "action": null, "installation_id": null, "repository_id": null,
                "throttled_at": null,
            })
        };
        let all: Vec<Value> = self.registration.pings.iter().enumerate().map(one).rev().collect();
        Ok(request.paged(all, Value::Array))
    }

    pub(super) fn post_attempt(&mut self, request: &Request) -> Outcome {
        let number = usize::try_from(request.number("delivery_id")).unwrap();
        if number == 0 || number > self.registration.pings.len() {
            return Err(Answer::error(422, "Validation Failed"));
        }
        self.registration.pings.push(self.registration.next_answer);
        Ok(Answer::new(202, json!({})))
    }

    pub(super) fn list_installations(&mut self, request: &Request) -> Outcome {
        let listed = self.installations.iter().map(|one| {
            let mut told = self.installation_json(one);
            // The description of this one answer makes each account a user and an enterprise at once.
            let also = [("name", "Acme"), ("slug", "acme"), ("created_at", BORN), ("updated_at", BORN)];
            for (key, value) in also {
                told["account"][key] = value.into();
            }
            told
        });
        let all: Vec<Value> = listed.collect();
        Ok(request.paged(all, Value::Array))
    }
}
