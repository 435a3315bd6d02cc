//! What can go wrong between us and GitHub: answers that are lost, limits, credentials that end, answers that are none.

use std::time::Duration;

use codehealer::github::{Auth, GitHubForge, GitHubOptions};
use codehealer::model::{CommitId, Notice, NoticeKind};
use codehealer::ports::{BranchOutcome, Decoration, ErrorKind, Forge, PortError, PortResult, PullRequestState};

use super::world::{OnGitHub, Setup};
use crate::contract::forge::hosted::Hosted;
use crate::contract::forge::{BRANCH, World, plan, pull_request};
use crate::support::git::path;
use crate::support::github_api::{APP_ID, Fault, permissions};
use crate::support::proxy::{self, Proxy, Seen};

const TOKENS: &str = "POST /app/installations/{installation_id}/access_tokens";
const REFS: &str = "POST /repos/{owner}/{repo}/git/refs";
const PULLS: &str = "POST /repos/{owner}/{repo}/pulls";

/// Everything that we write, in the order in which it happens.
const WRITES: [&str; 10] = [
    "POST /repos/{owner}/{repo}/git/trees",
    "POST /repos/{owner}/{repo}/git/commits",
    REFS,
    PULLS,
    "POST /repos/{owner}/{repo}/issues/{issue_number}/comments",
    "PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}",
    "POST /repos/{owner}/{repo}/pulls/{pull_number}/requested_reviewers",
    "POST /repos/{owner}/{repo}/issues/{issue_number}/labels",
    "POST /repos/{owner}/{repo}/commits/{commit_sha}/comments",
    "PATCH /repos/{owner}/{repo}/pulls/{pull_number}",
];

pub fn notice() -> Notice {
    Notice {
        key: "case-1#g1".to_owned(),
        kind: NoticeKind::Escalation,
        headline: "SQL_INJECTION in a.py line 1".to_owned(),
        body: "Look.".to_owned(),
        repository: "acme/shop".to_owned(),
        link: None,
        for_senior: false,
        earlier: None,
        since: 0,
    }
}

/// Nothing that is secret is in an error, wherever it came from.
fn told(error: &PortError) -> String {
    let text = format!("{} {error:?}", error.chain());
    for secret in ["ghs_", "ghp_", "BEGIN", "eyJ", "x-access"] {
        assert!(!text.contains(secret), "{text}");
    }
    text
}

/// Does it, and once more with a forge that remembers nothing if the first try says that it may help.
macro_rules! at_last {
    ($world:expr, |$forge:ident| $call:expr) => {{
        let first: &GitHubForge = &$world.forge;
        let done: PortResult<_> = {
            let $forge = first;
            $call.await
        };
        match done {
            Err(error) if error.kind == ErrorKind::Unavailable => {
                let second = $world.another();
                let $forge = &second;
                $call.await.unwrap()
            }
            done => done.unwrap(),
        }
    }};
}

/// One case from the branch to its end.
async fn everything(world: &OnGitHub, parent: &CommitId) {
    let repository = world.repository();
    let plan = plan(parent, &[("a.py", "a = 2\n")]);
    at_last!(world, |forge| forge.ensure_branch(&repository, &plan));
    let (pull, _) = at_last!(world, |forge| forge.ensure_pull_request(&repository, &pull_request()));
    at_last!(world, |forge| forge.ensure_comment(&repository, pull.number, "k", "One."));
    at_last!(world, |forge| forge.ensure_comment(&repository, pull.number, "k", "Two."));
    let with = Decoration { labels: vec!["codehealer".to_owned()], reviewers: vec!["ann".to_owned()] };
    at_last!(world, |forge| forge.decorate(&repository, pull.number, &with));
    at_last!(world, |forge| forge.annotate(&repository, parent, "k", &notice()));
    at_last!(world, |forge| forge.close_pull_request(&repository, pull.number));
}

/// R2: whichever write is done and not heard of, or answered by an error, there is one of each in the end and at most two
/// writes were sent.
#[tokio::test]
async fn each_write_has_one_effect_whatever_becomes_of_its_answer() {
    for fault in [Fault::LostAnswer, Fault::DoneAnd(502), Fault::Status(500)] {
        for write in WRITES {
            let world = OnGitHub::new().await;
            world.person("ann", "write").await;
            let parent = world.git.write("a.py", "a = 1\n");
            world.api.fails(write, fault.clone());
            everything(&world, &parent).await;
            let what = format!("{write} {fault:?}");
            assert!(world.api.calls(write).len() <= 2, "{what}: {:?}", world.api.writes());
            let number = world.api.with(|world| {
                assert_eq!(world.repos[0].pulls.len(), 1, "{what}");
                *world.repos[0].pulls.keys().next().unwrap()
            });
            let comments = world.comments(number).await;
            assert!(comments.len() == 1 && comments[0].1.starts_with("Two."), "{what}: {comments:?}");
            assert_eq!(world.notes(&parent).await.len(), 1, "{what}");
            assert_eq!(world.labels(number).await.len(), 1, "{what}");
            assert_eq!(world.reviewers(number).await.len(), 1, "{what}");
            assert_eq!(world.git.file_at(&world.git.tip(BRANCH).unwrap(), "a.py"), b"a = 2\n", "{what}");
        }
    }
}

/// A rival, or our own earlier attempt, was faster.
#[tokio::test]
async fn a_branch_that_appears_while_its_answer_is_lost_is_adopted() {
    let world = OnGitHub::new().await;
    let parent = world.git.write("a.py", "a = 1\n");
    let plan = plan(&parent, &[("a.py", "a = 2\n")]);
    world.api.fails(REFS, Fault::LostAnswer);
    let made = world.forge.ensure_branch(&world.repository(), &plan).await.unwrap();
    assert_eq!(made, BranchOutcome::Created(world.git.tip(BRANCH).unwrap()));
    let found = world.another().ensure_branch(&world.repository(), &plan).await.unwrap();
    assert_eq!(found, BranchOutcome::Adopted(world.git.tip(BRANCH).unwrap()));
}

/// R11: that there was no pull request is not believed for longer than a minute; a rival's may have been closed since.
#[tokio::test]
async fn a_pull_request_that_came_and_went_since_the_branch_was_made_is_found() {
    let world = OnGitHub::new().await;
    let parent = world.git.write("a.py", "a = 1\n");
    let repository = world.repository();
    world.forge.ensure_branch(&repository, &plan(&parent, &[("a.py", "a = 2\n")])).await.unwrap();
    let (rivals, _) = world.another().ensure_pull_request(&repository, &pull_request()).await.unwrap();
    world.close(BRANCH).await;
    world.clock.advance(Duration::from_secs(61));
    let (found, new) = world.forge.ensure_pull_request(&repository, &pull_request()).await.unwrap();
    assert_eq!((found.number, found.state, new), (rivals.number, PullRequestState::Closed, false));
    assert_eq!(world.api.with(|world| world.repos[0].pulls.len()), 1);
}

/// A rival was faster within the minute in which we believe that there is none.
#[tokio::test]
async fn a_rivals_pull_request_is_adopted() {
    let world = OnGitHub::new().await;
    let parent = world.git.write("a.py", "a = 1\n");
    let repository = world.repository();
    world.forge.ensure_branch(&repository, &plan(&parent, &[("a.py", "a = 2\n")])).await.unwrap();
    let (rivals, new) = world.another().ensure_pull_request(&repository, &pull_request()).await.unwrap();
    assert!(new);
    assert_eq!(world.forge.ensure_pull_request(&repository, &pull_request()).await.unwrap(), (rivals, false));
}

/// An old name may belong to somebody else by now.
#[tokio::test]
async fn a_name_that_leads_to_another_repository_is_not_followed() {
    let world = OnGitHub::new().await;
    world.git.write("a.py", "a = 1\n");
    let proxy = Proxy::before(&world.api.url()).await;
    let moved = proxy::Answer::new(301, "{}").with("location", format!("{}/repositories/999/x", world.api.url()));
    proxy.spoil(|request: &Seen| request.path.contains("/git/ref/"), [proxy::Fault::Instead(moved)]);
    let other = proxy::Answer::new(200, r#"{"id":999,"full_name":"acme/elsewhere","private":true}"#);
    proxy.spoil(|request: &Seen| request.path == "/repos/acme/shop", [proxy::Fault::Instead(other)]);
    let error = world.at(proxy.url()).head(&world.repository(), "refs/heads/main").await.unwrap_err();
    assert_eq!((error.kind.clone(), proxy.left()), (ErrorKind::Denied, 0), "{}", told(&error));
    assert!(told(&error).contains("another repository has this name"), "{}", told(&error));
    assert!(proxy.seen().iter().all(|request| !request.path.contains("elsewhere")), "it is not asked");
}

/// R17: what GitHub names, and a minute where it names nothing; nothing is sent in between by us.
#[tokio::test]
async fn limits_say_how_long_to_wait() {
    let world = OnGitHub::new().await;
    world.git.write("a.py", "a = 1\n");
    let head = "GET /repos/{owner}/{repo}/git/ref/{ref}";
    for (fault, least, most) in [
        (Fault::SecondaryLimit(Some(17)), 17, 17),
        (Fault::SecondaryLimit(None), 60, 60),
        (Fault::TooManyRequests(Some(90)), 90, 90),
        (Fault::TooManyRequests(None), 60, 60),
        (Fault::PrimaryLimit(600), 600, 602),
    ] {
        world.api.fails(head, fault.clone());
        let before = world.api.calls(head).len();
        let error = world.forge.head(&world.repository(), "refs/heads/main").await.unwrap_err();
        let ErrorKind::Throttled(wait) = error.kind else { panic!("{fault:?}: {}", told(&error)) };
        assert!((least..=most).contains(&wait.as_secs()), "{fault:?}: {wait:?}");
        assert_eq!(world.api.calls(head).len(), before + 1, "asked once");
        world.clock.advance(wait);
    }
    assert!(world.forge.head(&world.repository(), "refs/heads/main").await.unwrap().is_some());
    assert!(world.api.early().is_empty(), "{:?}", world.api.early());
}

/// The time of the reset is one of GitHub's clock.
#[tokio::test]
async fn a_limit_is_waited_for_by_the_clock_that_names_it() {
    for minutes in [-20, 20] {
        let world = OnGitHub::new().await;
        world.git.write("a.py", "a = 1\n");
        world.api.with(|world| world.skew = minutes * 60_000);
        world.forge.head(&world.repository(), "refs/heads/main").await.unwrap();
        world.api.fails("GET /repos/{owner}/{repo}/git/ref/{ref}", Fault::PrimaryLimit(600));
        let error = world.forge.head(&world.repository(), "refs/heads/main").await.unwrap_err();
        let ErrorKind::Throttled(wait) = error.kind else { panic!("{}", told(&error)) };
        assert!((600..=602).contains(&wait.as_secs()), "{minutes}: {wait:?}");
    }
}

/// S14: a token for one repository, with what is needed and no more, used until shortly before its end.
#[tokio::test]
async fn tokens_are_narrow_and_short_lived() {
    let world = OnGitHub::new().await;
    world.git.write("a.py", "a = 1\n");
    let repository = world.repository();
    let head = async || world.forge.head(&world.repository(), "refs/heads/main").await.unwrap().unwrap();
    head().await;
    world.clock.advance(Duration::from_secs(54 * 60));
    head().await;
    let minted = world.api.calls(TOKENS);
    assert_eq!(minted.len(), 1);
    assert_eq!(minted[0].body["repository_ids"], serde_json::json!([repository.id.0.parse::<u64>().unwrap()]));
    let exactly = serde_json::json!({"contents": "write", "metadata": "read", "pull_requests": "write"});
    assert_eq!(minted[0].body["permissions"], exactly);
    world.clock.advance(Duration::from_secs(2 * 60));
    head().await;
    assert_eq!(world.api.calls(TOKENS).len(), 2, "five minutes before its end a token is replaced");
    let with_checks = OnGitHub::with(Setup { checks: true, personal: false }).await;
    with_checks.git.write("a.py", "a = 1\n");
    with_checks.forge.head(&with_checks.repository(), "refs/heads/main").await.unwrap();
    assert_eq!(with_checks.api.calls(TOKENS)[0].body["permissions"]["checks"], "write");
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once() {
    let world = OnGitHub::new().await;
    let parent = world.git.write("a.py", "a = 1\n");
    let repository = world.repository();
    let revoke = || world.api.with(|world| world.tokens.values_mut().for_each(|token| token.revoked = true));
    world.forge.head(&repository, "refs/heads/main").await.unwrap();
    revoke();
    // In the middle of a write, too: what was refused was not done.
    let made = world.forge.ensure_branch(&repository, &plan(&parent, &[("a.py", "a = 2\n")])).await.unwrap();
    assert!(matches!(made, BranchOutcome::Created(_)));
    assert_eq!(world.api.calls(TOKENS).len(), 2);
    revoke();
    assert!(world.forge.repository("acme/shop").await.unwrap().is_some());
    for _ in 0..2 {
        world.api.fails("GET /repos/{owner}/{repo}/git/ref/{ref}", Fault::Status(401));
    }
    let error = world.forge.head(&repository, "refs/heads/main").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{}", told(&error));
}

#[tokio::test]
async fn a_persons_token_is_read_again_when_it_is_refused() {
    let world = OnGitHub::with(Setup { checks: false, personal: true }).await;
    world.git.write("a.py", "a = 1\n");
    let repository = world.repository();
    world.api.with(|world| world.tokens.get_mut("ghp_ours").unwrap().revoked = true);
    let error = world.forge.head(&repository, "refs/heads/main").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(told(&error).contains("store a new one"));
    world.api.with(|world| world.personal_token("ghp_new", "healer", "repo"));
    world.key.rotate("ghp_new\n");
    assert!(world.forge.head(&repository, "refs/heads/main").await.unwrap().is_some());
}

#[tokio::test]
async fn clocks_that_differ_by_minutes_do_no_harm() {
    for minutes in [-20, -5, 5, 20] {
        let world = OnGitHub::new().await;
        world.git.write("a.py", "a = 1\n");
        world.api.with(|world| world.skew = minutes * 60_000);
        for _ in 0..2 {
            let found = world.forge.head(&world.repository(), "refs/heads/main").await;
            assert!(found.unwrap().is_some(), "{minutes}");
        }
        // The token counts as good for an hour of GitHub's, not of ours.
        world.clock.advance(Duration::from_secs(54 * 60));
        world.forge.head(&world.repository(), "refs/heads/main").await.unwrap();
        let minted = world.api.calls(TOKENS).iter().filter(|call| call.status == 201).count();
        assert_eq!(minted, 1, "{minutes}");
    }
}

#[tokio::test]
async fn credentials_that_cannot_work_say_what_to_do() {
    let world = OnGitHub::new().await;
    world.git.write("a.py", "a = 1\n");
    let denied = async |remedy: &str, kind: ErrorKind| {
        let forge = world.another();
        for error in [
            forge.head(&world.repository(), "refs/heads/main").await.unwrap_err(),
            forge.repository("acme/shop").await.err().unwrap_or_else(|| PortError::new("forge", remedy, kind.clone())),
        ] {
            assert_eq!(error.kind, kind, "{}", told(&error));
            assert!(told(&error).contains(remedy), "{}", told(&error));
        }
    };
    world.key.rotate("not a key");
    world.key.credential().fresh().await.unwrap();
    denied("PEM", ErrorKind::Malformed).await;
    world.key.rotate(crate::support::github_api::app_key());
    world.key.credential().fresh().await.unwrap();
    world.api.with(|world| world.installations[0].permissions = permissions(&[("contents", "read")]));
    denied("pull_requests: write", ErrorKind::Denied).await;
    world.api.with(|world| world.installations[0].suspended = true);
    denied("suspended", ErrorKind::Denied).await;
    world.api.with(|world| world.installations.clear());
    denied("not installed", ErrorKind::Missing).await;
}

/// A token for another repository than was asked for is not used.
#[tokio::test]
async fn a_foreign_repository_gets_no_token() {
    let world = OnGitHub::new().await;
    world.git.write("a.py", "a = 1\n");
    let proxy = Proxy::before(&world.api.url()).await;
    let body =
        r#"{"token":"ghs_x","expires_at":"2099-01-01T00:00:00Z","repositories":[{"id":1,"full_name":"evil/shop"}]}"#;
    let is_mint = |request: &Seen| request.path.ends_with("/access_tokens");
    proxy.spoil(is_mint, [1, 2].map(|_| proxy::Fault::Instead(proxy::Answer::new(201, body))));
    let forge = world.at(proxy.url());
    let error = forge.head(&world.repository(), "refs/heads/main").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{}", told(&error));
    let error = forge.repository("acme/shop").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{}", told(&error));
    assert!(proxy.seen().iter().all(|request| !request.path.contains("/git/") && request.path != "/repos/acme/shop"));
}

/// S3: a repository that another installation of the app covers is not worked in.
#[tokio::test]
async fn a_repository_of_another_installation_gets_no_token() {
    let world = OnGitHub::new().await;
    let parent = world.git.write("a.py", "a = 1\n");
    let ours = world.api.with(|world| world.installations[0].id);
    let of = |installation: u64| {
        let auth = Auth::App { id: APP_ID, private_key: world.key.credential(), installation: Some(installation) };
        let (organisation, clock) = ("acme".to_owned(), world.clock.clone());
        GitHubForge::new(GitHubOptions { api_url: world.api.url(), auth, checks: false, organisation, clock }).unwrap()
    };
    let forge = of(ours + 1);
    for error in [
        forge.head(&world.repository(), "refs/heads/main").await.unwrap_err(),
        forge.repository("acme/shop").await.unwrap_err(),
        forge.ensure_branch(&world.repository(), &plan(&parent, &[("a.py", "a = 2\n")])).await.unwrap_err(),
    ] {
        assert_eq!(error.kind, ErrorKind::Denied, "{}", told(&error));
        assert!(told(&error).contains("github.installation"), "{}", told(&error));
    }
    assert!(world.api.calls(TOKENS).iter().all(|call| call.status == 404), "no token was made");
    assert_eq!(world.git.tip(BRANCH), None);
    assert!(of(ours).head(&world.repository(), "refs/heads/main").await.unwrap().is_some());
}

#[tokio::test]
async fn what_the_repository_forbids_names_the_remedy() {
    let world = OnGitHub::new().await;
    let parent = world.git.write("a.py", "a = 1\n");
    let plan = plan(&parent, &[("a.py", "a = 2\n")]);
    world.api.with(|world| world.repo("acme/shop").protected.insert("codehealer/*".to_owned()));
    let error = world.forge.ensure_branch(&world.repository(), &plan).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{}", told(&error));
    assert!(told(&error).contains("ruleset"), "{}", told(&error));
    world.api.with(|world| {
        world.repo("acme/shop").protected.clear();
        world.repo("acme/shop").archived = true;
    });
    let error = world.forge.ensure_branch(&world.repository(), &plan).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{}", told(&error));
    assert!(told(&error).contains("unarchive"), "{}", told(&error));
    assert_eq!(world.git.tip(BRANCH), None);
}

/// A repository that cannot be seen is an error, never an absence.
#[tokio::test]
async fn a_repository_that_is_gone_is_not_taken_for_an_empty_one() {
    let world = OnGitHub::with(Setup { checks: false, personal: true }).await;
    world.git.write("a.py", "a = 1\n");
    let repository = world.repository();
    world.api.with(|world| world.repo("acme/shop").collaborators.clear());
    let forge = &world.forge;
    let errors = [
        forge.head(&repository, "refs/heads/main").await.unwrap_err(),
        forge.pull_request(&repository, 1).await.unwrap_err(),
        forge.find_pull_request(&repository, BRANCH, "main").await.unwrap_err(),
        forge.permission(&repository, "ann").await.unwrap_err(),
        forge.read(&repository, &CommitId::new("d".repeat(40)).unwrap(), &path("a.py")).await.unwrap_err(),
    ];
    assert!(errors.iter().all(|error| error.kind == ErrorKind::Missing), "{errors:?}");
    assert_eq!(forge.repository("acme/shop").await.unwrap(), None);
}

/// What is not public is private, by whichever word.
#[tokio::test]
async fn an_internal_repository_is_private() {
    let world = OnGitHub::new().await;
    world.git.write("a.py", "a = 1\n");
    for (private, visibility, expected) in
        [(false, "internal", true), (false, "public", false), (true, "private", true)]
    {
        let proxy = Proxy::before(&world.api.url()).await;
        let id = world.repository().id.0;
        let body = format!(r#"{{"id":{id},"full_name":"acme/shop","private":{private},"visibility":"{visibility}"}}"#);
        let answer = proxy::Fault::Instead(proxy::Answer::new(200, body));
        proxy.spoil(|request: &Seen| request.path == "/repos/acme/shop", [answer]);
        let found = world.at(proxy.url()).repository("acme/shop").await.unwrap().unwrap();
        assert_eq!((found.private, proxy.left()), (expected, 0), "{visibility}");
    }
}

/// Answers that no GitHub gives.
#[tokio::test]
async fn odd_answers_are_errors_and_are_never_followed() {
    let world = OnGitHub::new().await;
    let commit = world.git.write("a.py", "a = 1\n");
    let blob = world.forge.read(&world.repository(), &commit, &path("a.py")).await.unwrap().unwrap().blob;
    let elsewhere = OnGitHub::new().await;
    let away =
        |status| proxy::Answer::new(status, "").with("location", format!("{}/repos/acme/shop", elsewhere.api.url()));
    let huge = format!("{{\"content\":\"{}\"}}", "A".repeat(33 * 1024 * 1024));
    let other = r#"{"content":"YiA9IDEK","encoding":"base64","sha":"x","size":6}"#;
    for (answer, kind) in [
        (away(302), ErrorKind::Denied),
        (away(307), ErrorKind::Denied),
        (proxy::Answer::new(200, huge), ErrorKind::Malformed),
        (proxy::Answer::new(200, "[".repeat(100_000)), ErrorKind::Malformed),
        (proxy::Answer::new(200, "<html>"), ErrorKind::Malformed),
        (proxy::Answer::new(200, "{}"), ErrorKind::Malformed),
        (proxy::Answer::new(200, other), ErrorKind::Malformed),
        (proxy::Answer::new(503, "s3cret"), ErrorKind::Unavailable),
        (proxy::Answer::new(451, "s3cret"), ErrorKind::Denied),
    ] {
        let proxy = Proxy::before(&world.api.url()).await;
        let what = format!("{} {:.40}", answer.status, answer.body);
        // The repository's own address is asked where one is sent away.
        let is_spoilt = |request: &Seen| request.path.contains("/git/blobs/") || request.path == "/repos/acme/shop";
        proxy.spoil(is_spoilt, [1, 2].map(|_| proxy::Fault::Instead(answer.clone())));
        let error = world.at(proxy.url()).read_blob(&world.repository(), &blob).await.unwrap_err();
        assert_eq!(error.kind, kind, "{what}: {}", told(&error));
        assert!(!told(&error).contains("s3cret"), "{what}");
        assert_eq!(told(&error).contains("32 MB"), what.contains("AAAA"), "one that does not end is not read: {what}");
    }
    assert!(elsewhere.api.log().is_empty(), "nobody followed");
}

/// S15 and S4: the branch of a fork may have the name of ours.
#[tokio::test]
async fn a_forks_branch_is_never_taken_for_ours() {
    let world = OnGitHub::new().await;
    world.git.write("a.py", "a = 1\n");
    let fork = |number: u64| {
        serde_json::json!({
            "number": number, "html_url": "https://github.com/acme/shop/pull/7", "state": "open", "draft": false,
            "head": {"ref": BRANCH, "sha": "d".repeat(40), "repo": if number == 7 { serde_json::json!({"id": 1}) } else { serde_json::Value::Null }},
            "base": {"ref": "main", "sha": "d".repeat(40), "repo": {"id": world.repository().id.0.parse::<u64>().unwrap()}},
        })
    };
    let proxy = Proxy::before(&world.api.url()).await;
    let list = serde_json::json!([fork(7), fork(8)]).to_string();
    let answer = |body: String| proxy::Fault::Instead(proxy::Answer::new(200, body));
    proxy.spoil(|request| request.path.contains("/pulls?"), [answer(list.clone()), answer(list)]);
    proxy.spoil(
        |request| request.path.ends_with("/pulls/7"),
        [answer(fork(7).to_string()), answer(fork(7).to_string())],
    );
    let (forge, repository) = (world.at(proxy.url()), world.repository());
    assert_eq!(forge.find_pull_request(&repository, BRANCH, "main").await.unwrap(), None);
    assert_eq!(forge.open_pull_requests(&repository, "codehealer/").await.unwrap(), []);
    let found = forge.pull_request(&repository, 7).await.unwrap().unwrap();
    assert!(!found.branch.starts_with("codehealer/"), "{found:?}");
    assert_eq!(forge.close_pull_request(&repository, 7).await.unwrap_err().kind, ErrorKind::Denied);
    assert_eq!(proxy.left(), 0);
}
