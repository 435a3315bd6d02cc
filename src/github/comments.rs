//! What we say beside the code: comments, found again by a mark that readers do not see, and check runs.

use serde::Deserialize;
use serde_json::{Value, json};

use super::GitHubForge;
use super::access::Auth;
use super::failure::{Asked, Failure, nullable};
use super::wire::{Call, encoded};
use crate::model::{CommitId, Repository, sha256_hex};
use crate::ports::Notice;

const PAGE: usize = 100;
/// Pages of comments that are read.
const PAGES: usize = 20;
/// Longest comment, characters; GitHub takes 65,536.
const LONGEST: usize = 65_000;
/// Name of our check runs.
const CHECK: &str = "CodeHealer";

#[derive(Deserialize)]
struct Comment {
    id: u64,
    html_url: String,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    user: Option<Author>,
    #[serde(default)]
    performed_via_github_app: Option<ByApp>,
}

#[derive(Deserialize)]
struct Author {
    login: String,
}

#[derive(Deserialize)]
struct ByApp {
    id: u64,
}

#[derive(Deserialize)]
struct CheckRuns {
    #[serde(default, deserialize_with = "nullable")]
    check_runs: Vec<CheckRun>,
}

#[derive(Deserialize)]
struct CheckRun {
    #[serde(default)]
    html_url: Option<String>,
    #[serde(default)]
    external_id: Option<String>,
}

#[derive(Deserialize)]
struct Me {
    /// Of a person.
    #[serde(default)]
    login: Option<String>,
    /// Of an app.
    #[serde(default)]
    slug: Option<String>,
}

/// Where comments are.
struct Place {
    list: String,
    /// Where one is edited, before its number.
    one: &'static str,
}

impl GitHubForge {
    pub(super) async fn comment(
        &self,
        repository: &Repository,
        number: u64,
        key: &str,
        markdown: &str,
    ) -> Asked<String> {
        let place = Place { list: format!("/issues/{number}/comments"), one: "/issues/comments" };
        let text = marked(markdown, key);
        match self.our_comment(repository, &place, key).await? {
            Some(comment) if comment.body.as_deref() == Some(&text) => Ok(comment.html_url),
            Some(comment) => {
                let call = Call::patch(format!("{}/{}", place.one, comment.id), json!({ "body": text }));
                self.access.done(repository, call).await.map(|_| comment.html_url)
            }
            None => self.post_comment(repository, &place, key, &text).await,
        }
    }

    pub(super) async fn note(
        &self,
        repository: &Repository,
        commit: &CommitId,
        key: &str,
        notice: &Notice,
    ) -> Asked<Option<String>> {
        // Only an app can make check runs.
        if self.checks && matches!(self.access.auth, Auth::App { .. }) {
            return self.check_run(repository, commit, key, notice).await;
        }
        let place = Place { list: format!("/commits/{commit}/comments"), one: "/comments" };
        if let Some(comment) = self.our_comment(repository, &place, key).await? {
            return Ok(Some(comment.html_url));
        }
        let text = marked(&format!("**{}**\n\n{}", notice.headline, notice.body), key);
        self.post_comment(repository, &place, key, &text).await.map(Some)
    }

    async fn post_comment(&self, repository: &Repository, place: &Place, key: &str, text: &str) -> Asked<String> {
        let call = Call::post(place.list.clone(), json!({ "body": text }));
        match self.access.done(repository, call).await {
            Ok(answer) => Ok(answer.json::<Comment>()?.html_url),
            Err(failure) if failure.is_ambiguous() => {
                let found = self.our_comment(repository, place, key).await?;
                found.map(|comment| comment.html_url).ok_or(failure)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Our comment with this key. Anybody can write our mark into a comment of theirs; that one is not ours.
    async fn our_comment(&self, repository: &Repository, place: &Place, key: &str) -> Asked<Option<Comment>> {
        let mark = mark(key);
        for page in 1..=PAGES {
            let call = Call::get(format!("{}?per_page={PAGE}&page={page}", place.list));
            let answer = self.access.done(repository, call).await?;
            let comments: Vec<Comment> = answer.json()?;
            let last = answer.ends_list(comments.len(), PAGE);
            for comment in comments {
                let has_mark = comment.body.as_deref().is_some_and(|body| body.trim_end().ends_with(&mark));
                if has_mark && self.is_by_us(&comment).await? {
                    return Ok(Some(comment));
                }
            }
            if last {
                return Ok(None);
            }
        }
        // Too many to look through: saying it twice is worse than not at all.
        Err(Failure::malformed(format!("there are more than {} comments", PAGE * PAGES)))
    }

    async fn is_by_us(&self, comment: &Comment) -> Asked<bool> {
        if let (Auth::App { id, .. }, Some(app)) = (&self.access.auth, &comment.performed_via_github_app) {
            return Ok(*id == app.id);
        }
        let Some(author) = &comment.user else { return Ok(false) };
        Ok(author.login.eq_ignore_ascii_case(&self.login().await?))
    }

    /// Our name in GitHub; asked once.
    pub(super) async fn login(&self) -> Asked<String> {
        let name = self.me.get_or_try_init(|| async {
            let answer = match &self.access.auth {
                Auth::App { .. } => self.access.as_app(&Call::get("/app")).await?,
                Auth::Token(_) => {
                    self.access.wire.send(&self.access.personal(false).await?, &Call::get("/user")).await?
                }
            };
            if !answer.is_success() {
                return Err(self.access.failure(&answer));
            }
            let me: Me = answer.json()?;
            let name = me.slug.map(|slug| format!("{slug}[bot]")).or(me.login);
            name.ok_or_else(|| Failure::malformed("GitHub does not say who we are"))
        });
        name.await.cloned()
    }

    async fn check_run(
        &self,
        repository: &Repository,
        commit: &CommitId,
        key: &str,
        notice: &Notice,
    ) -> Asked<Option<String>> {
        let id = key_hash(key);
        if let Some(run) = self.our_check_run(repository, commit, &id).await? {
            return Ok(run.html_url);
        }
        let output = json!({
            "title": shortened(&notice.headline, 250),
            "summary": shortened(&notice.body, LONGEST),
        });
        // Neutral: what we could not mend must not keep people from merging.
        let body: Value = json!({
            "name": CHECK, "head_sha": commit.as_str(), "external_id": id, "status": "completed", "conclusion": "neutral",
            "output": output,
        });
        match self.access.done(repository, Call::post("/check-runs", body)).await {
            Ok(answer) => Ok(answer.json::<CheckRun>()?.html_url),
            Err(failure) if failure.is_ambiguous() => {
                let found = self.our_check_run(repository, commit, &id).await?;
                found.map(|run| run.html_url).ok_or(failure)
            }
            Err(failure) => Err(failure),
        }
    }

    async fn our_check_run(&self, repository: &Repository, commit: &CommitId, id: &str) -> Asked<Option<CheckRun>> {
        for page in 1..=PAGES {
            let query = format!("check_name={}&filter=all&per_page={PAGE}&page={page}", encoded(CHECK));
            let call = Call::get(format!("/commits/{commit}/check-runs?{query}"));
            let answer = self.access.done(repository, call).await?;
            let runs = answer.json::<CheckRuns>()?.check_runs;
            let last = answer.ends_list(runs.len(), PAGE);
            let ours = runs.into_iter().find(|run| run.external_id.as_deref() == Some(id));
            if ours.is_some() || last {
                return Ok(ours);
            }
        }
        Err(Failure::malformed(format!("there are more than {} check runs", PAGE * PAGES)))
    }
}

fn key_hash(key: &str) -> String {
    let hash = sha256_hex(&[b"comment-1", key.as_bytes()]);
    hash.get(..32).unwrap_or(&hash).to_owned()
}

fn mark(key: &str) -> String {
    format!("<!-- codehealer {} -->", key_hash(key))
}

fn marked(markdown: &str, key: &str) -> String {
    format!("{}\n\n{}", shortened(markdown, LONGEST), mark(key))
}

fn shortened(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.trim_end().to_owned();
    }
    text.chars().take(longest - 1).chain(['…']).collect()
}
