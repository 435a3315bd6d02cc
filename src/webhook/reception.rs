//! From a request to what is answered and what is put into the inbox.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::event::{Event, EventError, PushEvent};
use super::signature::{SignatureError, WebhookSecrets, verify};
use crate::model::{PushTask, RepositoryId};

/// A repository that the operator watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    pub repository: RepositoryId,
    /// Full reference names.
    pub branches: Vec<String>,
}

/// Watched repositories by the name in the payload: `owner/name` in lower case.
pub type WatchList = BTreeMap<String, Watched>;

/// A request as it arrived: headers by their lower-case name, every value kept.
pub struct Request<'a> {
    pub headers: &'a [(&'a str, &'a [u8])],
    pub body: &'a [u8],
}

/// What is answered to a delivery, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reception {
    /// To be put into the inbox, then answered with 202.
    Accepted(Box<PushTask>),
    /// Nothing to do, and that is fine: 200.
    Nothing(String),
    /// Not signed by one of our secrets: 401.
    Unsigned(SignatureError),
    /// Signed, but not something we handle: 422.
    Refused(EventError),
    /// Signed, but the repository is not watched: 404.
    Foreign(String),
}

impl Request<'_> {
    fn all<'r>(&'r self, name: &'r str) -> impl Iterator<Item = &'r [u8]> {
        self.headers.iter().filter(move |(n, _)| *n == name).map(|(_, value)| *value)
    }

    fn text(&self, name: &str) -> Option<&str> {
        let value = self.headers.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)?;
        std::str::from_utf8(value).ok()
    }
}

/// Judges a delivery: signature over the raw bytes first, then one parse, then the allow-list.
#[must_use]
pub fn receive(secrets: &WebhookSecrets, watched: &WatchList, request: &Request<'_>) -> Reception {
    if let Err(error) = verify(secrets, request.all("x-hub-signature-256"), request.body) {
        return Reception::Unsigned(error);
    }
    match Event::parse(request.text("x-github-event"), request.body) {
        Ok(Event::Ping) => Reception::Nothing("pong".to_owned()),
        Ok(Event::Push(push)) => relevance(watched, request, push),
        Err(error) => Reception::Refused(error),
    }
}

fn relevance(watched: &WatchList, request: &Request<'_>, push: PushEvent) -> Reception {
    let Some(target) = watched.get(&push.repository.to_lowercase()) else {
        return Reception::Foreign(push.repository);
    };
    if !target.branches.contains(&push.reference) {
        return Reception::Nothing(format!("{} is not watched", push.reference));
    }
    let Some(after) = push.after else {
        return Reception::Nothing(format!("{} was deleted", push.reference));
    };
    Reception::Accepted(Box::new(PushTask {
        repository: target.repository.clone(),
        reference: push.reference,
        before: push.before,
        after,
        // Neither signed nor trusted: kept only to find the delivery on GitHub's side.
        delivery: request.text("x-github-delivery").map(|id| id.chars().take(64).collect()).unwrap_or_default(),
        body_sha: hex::encode(Sha256::digest(request.body)),
        pusher: push.pusher,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hmac::{Hmac, KeyInit, Mac};
    use secrecy::SecretString;

    const AFTER: &str = "1111111111111111111111111111111111111111";
    const ZERO: &str = "0000000000000000000000000000000000000000";

    fn push(reference: &str, repository: &str, after: &str) -> Vec<u8> {
        format!(
            r#"{{"ref":"{reference}","before":"{ZERO}","after":"{after}","repository":{{"id":7,"full_name":"{repository}"}},"pusher":{{"name":"ann"}}}}"#
        )
        .into_bytes()
    }

    fn deliver(kind: &str, body: &[u8]) -> Reception {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"s3cret").unwrap();
        mac.update(body);
        let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        let secrets = WebhookSecrets::new(vec![SecretString::from("s3cret")]).unwrap();
        let target = Watched { repository: RepositoryId("7".into()), branches: vec!["refs/heads/develop".into()] };
        let watched = WatchList::from([("acme/shop".to_owned(), target)]);
        let headers: [(&str, &[u8]); 3] = [
            ("x-hub-signature-256", signature.as_bytes()),
            ("x-github-event", kind.as_bytes()),
            ("x-github-delivery", b"d-1"),
        ];
        receive(&secrets, &watched, &Request { headers: &headers, body })
    }

    #[test]
    fn a_push_to_a_watched_branch_is_accepted() {
        let Reception::Accepted(task) = deliver("push", &push("refs/heads/develop", "Acme/Shop", AFTER)) else {
            panic!("not accepted");
        };
        assert_eq!((task.after.as_str(), task.before, task.delivery.as_str()), (AFTER, None, "d-1"));
    }

    #[test]
    fn other_references_need_nothing() {
        for reference in ["refs/heads/develop2", "refs/heads/main", "refs/tags/develop", "develop"] {
            let reception = deliver("push", &push(reference, "acme/shop", AFTER));
            assert!(matches!(reception, Reception::Nothing(_)), "{reference}");
        }
        assert!(matches!(deliver("push", &push("refs/heads/develop", "acme/shop", ZERO)), Reception::Nothing(_)));
    }

    #[test]
    fn a_foreign_repository_is_refused() {
        let reception = deliver("push", &push("refs/heads/develop", "evil/shop", AFTER));
        assert_eq!(reception, Reception::Foreign("evil/shop".to_owned()));
    }

    #[test]
    fn a_relabelled_or_unknown_event_is_refused_by_name() {
        let body = push("refs/heads/develop", "acme/shop", AFTER);
        assert!(matches!(deliver("ping", &body), Reception::Refused(EventError::Malformed { kind: "ping", .. })));
        let unknown = deliver("workflow_run", &body);
        assert_eq!(unknown, Reception::Refused(EventError::Unknown("workflow_run".to_owned())));
    }

    #[test]
    fn deep_or_broken_json_is_refused_without_harm() {
        let deep = "[".repeat(10_000);
        for body in [deep.as_bytes(), b"{", b"\xff", b""] {
            assert!(matches!(deliver("push", body), Reception::Refused(EventError::Malformed { .. })));
        }
    }
}
