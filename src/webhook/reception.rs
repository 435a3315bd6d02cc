//! From a request to what is answered and what is put into the inbox.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::event::{CommentEvent, Event, EventError, Origin, PullRequestEvent, PushEvent};
use super::signature::{SignatureError, WebhookSecrets, verify};
use crate::model::{BRANCH_PREFIX, CommandTask, PushTask, RepositoryId, Task};

/// How a comment begins that is meant for us.
const COMMAND: &str = "/codehealer";
/// Characters of a command that are kept.
const COMMAND_CHARS: usize = 500;

/// A repository that the operator watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Its own number in our store; `None` where the forge's number is used.
    pub repository: Option<RepositoryId>,
    /// Full reference names.
    pub branches: Vec<String>,
    /// The only App installation whose deliveries are taken; `None`: any.
    pub installation: Option<u64>,
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
    Accepted(Box<Task>),
    /// Nothing to do, and that is fine: 200.
    Nothing(String),
    /// Not signed by one of our secrets: 401.
    Unsigned(SignatureError),
    /// Signed, but not something we handle: 422.
    Refused(EventError),
    /// Signed, but the repository is not watched, or the installation is another one: 404.
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
        Ok(Event::Push(push)) => watched_push(watched, request, push),
        Ok(Event::PullRequest(event)) => ended_pull_request(watched, event),
        Ok(Event::Comment(event)) => command(watched, event),
        Ok(Event::Other(why)) => Reception::Nothing(why),
        Err(error) => Reception::Refused(error),
    }
}

/// The entry of the list that a delivery is for, and the number of its repository in our store.
fn target<'w>(watched: &'w WatchList, origin: &Origin) -> Result<(&'w Watched, RepositoryId), Reception> {
    let foreign = || Reception::Foreign(origin.repository.clone());
    let entry = watched.get(&origin.repository.to_lowercase()).ok_or_else(foreign)?;
    if entry.installation.is_some() && entry.installation != origin.installation {
        return Err(foreign());
    }
    let id = entry.repository.clone().unwrap_or_else(|| RepositoryId(origin.repository_id.to_string()));
    Ok((entry, id))
}

fn watched_push(watched: &WatchList, request: &Request<'_>, push: PushEvent) -> Reception {
    let (entry, repository) = match target(watched, &push.origin) {
        Ok(found) => found,
        Err(refused) => return refused,
    };
    if !entry.branches.contains(&push.reference) {
        return Reception::Nothing(format!("{} is not watched", push.reference));
    }
    let Some(after) = push.after else {
        return Reception::Nothing(format!("{} was deleted", push.reference));
    };
    Reception::Accepted(Box::new(Task::Push(PushTask {
        repository,
        name: push.origin.repository,
        reference: push.reference,
        before: push.before,
        after,
        // Neither signed nor trusted: kept only to find the delivery on GitHub's side.
        delivery: request.text("x-github-delivery").map(|id| id.chars().take(64).collect()).unwrap_or_default(),
        body_sha: hex::encode(Sha256::digest(request.body)),
        pusher: push.pusher,
    })))
}

fn ended_pull_request(watched: &WatchList, event: PullRequestEvent) -> Reception {
    match target(watched, &event.origin) {
        Err(refused) => refused,
        Ok(_) if !event.branch.starts_with(BRANCH_PREFIX) => {
            Reception::Nothing("the pull request is not one of ours".to_owned())
        }
        Ok((_, repository)) => {
            Reception::Accepted(Box::new(Task::FollowUp { repository, name: event.origin.repository }))
        }
    }
}

fn command(watched: &WatchList, event: CommentEvent) -> Reception {
    let repository = match target(watched, &event.origin) {
        Ok((_, repository)) => repository,
        Err(refused) => return refused,
    };
    let line = event.body.trim_start().lines().next().unwrap_or_default();
    if line.split_whitespace().next() != Some(COMMAND) {
        return Reception::Nothing("the comment is not for us".to_owned());
    }
    Reception::Accepted(Box::new(Task::Command(CommandTask {
        repository,
        name: event.origin.repository,
        number: event.number,
        comment: event.comment,
        updated_at: event.updated_at.chars().take(40).collect(),
        login: event.login.chars().take(100).collect(),
        text: line.chars().take(COMMAND_CHARS).collect(),
    })))
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
        let target = Watched { repository: None, branches: vec!["refs/heads/develop".into()], installation: None };
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
        let reception = deliver("push", &push("refs/heads/develop", "Acme/Shop", AFTER));
        let Reception::Accepted(task) = reception else { panic!("not accepted") };
        let Task::Push(task) = *task else { panic!("not a push") };
        assert_eq!((task.repository.0.as_str(), task.name.as_str()), ("7", "Acme/Shop"));
        assert_eq!((task.after.as_str(), task.before, task.delivery.as_str()), (AFTER, None, "d-1"));
    }

    #[test]
    fn a_push_as_a_form_is_accepted_and_known_by_its_bytes() {
        let json = String::from_utf8(push("refs/heads/develop", "acme/shop", AFTER)).unwrap();
        let form = json.bytes().fold("payload=".to_owned(), |form, byte| format!("{form}%{byte:02X}"));
        let Reception::Accepted(task) = deliver("push", form.as_bytes()) else { panic!("not accepted") };
        let Task::Push(task) = *task else { panic!("not a push") };
        assert_eq!((task.after.as_str(), task.body_sha), (AFTER, hex::encode(Sha256::digest(&form))));
        assert!(matches!(deliver("push", b"payload=%7B"), Reception::Refused(EventError::Malformed { .. })));
    }

    #[test]
    fn what_an_app_hears_of_itself_needs_nothing() {
        for kind in ["installation", "installation_repositories", "installation_target", "github_app_authorization"] {
            let told = deliver(kind, br#"{"action":"suspend","installation":{"id":7}}"#);
            assert!(matches!(&told, Reception::Nothing(why) if why.contains("suspend")), "{kind}: {told:?}");
            let relabelled = deliver(kind, &push("refs/heads/develop", "acme/shop", AFTER));
            assert!(matches!(relabelled, Reception::Refused(EventError::Malformed { .. })), "{kind}");
        }
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

    fn ended(action: &str, branch: &str, head_repository: u64) -> Vec<u8> {
        format!(
            r#"{{"action":"{action}","number":3,"pull_request":{{"head":{{"ref":"{branch}","repo":{{"id":{head_repository},"full_name":"x/y"}}}}}},"repository":{{"id":7,"full_name":"acme/shop"}}}}"#
        )
        .into_bytes()
    }

    #[test]
    fn only_our_own_pull_requests_are_followed_up() {
        let ours = deliver("pull_request", &ended("closed", "codehealer/x-g1", 7));
        let expected = Task::FollowUp { repository: RepositoryId("7".into()), name: "acme/shop".into() };
        assert_eq!(ours, Reception::Accepted(Box::new(expected)));
        for (action, branch, head) in [
            ("opened", "codehealer/x-g1", 7),
            ("closed", "feature/codehealer/x", 7),
            ("closed", "codehealer/x-g1", 8), // a fork may name its branches as it likes
        ] {
            let reception = deliver("pull_request", &ended(action, branch, head));
            assert!(matches!(reception, Reception::Nothing(_)), "{action} {branch} {head}");
        }
    }

    fn comment(body: &str, kind: &str, on: &str) -> Vec<u8> {
        let body = serde_json::Value::from(body);
        format!(
            r#"{{"action":"created","issue":{{"number":3{on}}},"comment":{{"id":9,"updated_at":"2026-11-20T10:00:00Z","body":{body},"user":{{"login":"ann","type":"{kind}"}}}},"repository":{{"id":7,"full_name":"acme/shop"}}}}"#
        )
        .into_bytes()
    }

    #[test]
    fn commands_are_first_lines_for_us_by_people_on_pull_requests() {
        let on = r#","pull_request":{"url":"https://x"}"#;
        let body = comment("/codehealer ignore generated\nmore", "User", on);
        let Reception::Accepted(task) = deliver("issue_comment", &body) else { panic!("not accepted") };
        let Task::Command(command) = *task else { panic!("not a command") };
        assert_eq!((command.text.as_str(), command.login.as_str()), ("/codehealer ignore generated", "ann"));
        assert_eq!((command.number, command.comment), (3, 9));
        for other in [
            comment("/codehealer ignore", "Bot", on),
            comment("/codehealer ignore", "User", ""),
            comment("see /codehealer ignore", "User", on),
            comment("/codehealerx ignore", "User", on),
        ] {
            assert!(matches!(deliver("issue_comment", &other), Reception::Nothing(_)));
        }
    }
}
