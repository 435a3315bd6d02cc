//! Looking fixes up: the search names candidates, their documents say what they are.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use opensearch::http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::connection::{Answer, Auth, Connection, Request};
use super::document::{self, Stored, key};
use super::error::{Detail, PORT, Refusal, failed, not_understood};
use super::query::Wanted;
use super::recent::Recent;
use super::schema;
use crate::model::{FixId, PastFix};
use crate::ports::{Clock, ErrorKind, FixMemory, FixQuery, PortError, PortResult};

/// Fixes looked at more closely than asked for, against rounding and documents that changed since the search knew them.
const SPARE: usize = 16;
/// Documents that are read with one request, which the node does one after the other, and requests at once.
const PORTION: usize = 16;
const AT_ONCE: usize = 4;
/// Ids that a page of a list names at most.
const PAGE: usize = 500;

/// Where the fixes are.
#[derive(Clone)]
pub struct OpenSearchOptions {
    /// Base address of the cluster, without a login.
    pub url: String,
    /// Name or alias of the one index; it is made by the first fix that is stored.
    pub index: String,
    pub auth: Auth,
    /// Stamps the versions of documents, in milliseconds.
    pub clock: Arc<dyn Clock>,
    /// Length of the embedder's vectors.
    pub dimensions: usize,
}

/// Remembered fixes in an OpenSearch index.
pub struct OpenSearchMemory {
    pub(super) connection: Connection,
    pub(super) index: String,
    pub(super) dimensions: usize,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) recent: Recent,
    /// Set once the index was seen to be as it should.
    fit: AtomicBool,
}

/// One document of an answer.
#[derive(Deserialize)]
struct Found {
    #[serde(rename = "_id")]
    key: String,
    #[serde(default)]
    found: bool,
    #[serde(rename = "_source")]
    source: Option<Stored>,
    error: Option<Detail>,
}

#[derive(Deserialize)]
struct Documents {
    docs: Vec<Found>,
}

#[derive(Deserialize)]
struct Searched {
    hits: Hits,
    timed_out: bool,
    #[serde(rename = "_shards")]
    shards: Shards,
}

#[derive(Deserialize)]
struct Shards {
    failed: u64,
}

#[derive(Deserialize)]
struct Hits {
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    #[serde(rename = "_id")]
    key: String,
    #[serde(default)]
    sort: Vec<Value>,
}

/// A fix with what it is ordered by.
struct Near {
    fix: PastFix,
    cosine: f64,
    key: String,
}

impl Near {
    /// Equally similar fixes come in an order that depends on what they are, not on when they were stored.
    fn nearer(&self, other: &Self) -> Ordering {
        other.cosine.total_cmp(&self.cosine).then_with(|| self.key.cmp(&other.key))
    }
}

impl OpenSearchMemory {
    /// Costs nothing: the first call connects.
    ///
    /// # Errors
    /// `Malformed` when the address or the name of the index is none, `Denied` when the address is unencrypted.
    pub fn new(options: OpenSearchOptions) -> PortResult<Self> {
        let OpenSearchOptions { url, index, auth, clock, dimensions } = options;
        let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
        let first = index.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        if !first || index.len() > 255 || !index.chars().all(letter) {
            let (said, remedy) = ("it is no name of an index", "use a–z, 0–9, - and _ only, a letter or digit first");
            return Err(failed("use opensearch.index", ErrorKind::Malformed, said, remedy));
        }
        let connection = Connection::new(&url, auth)?;
        Ok(Self { connection, index, dimensions, clock, recent: Recent::default(), fit: AtomicBool::new(false) })
    }

    /// Whether the index is there, for reading: it is looked at once. One that will not do is an error.
    async fn is_there(&self) -> PortResult<bool> {
        if self.fit.load(Relaxed) { Ok(true) } else { self.inspect().await }
    }

    /// Whether the index is there now. A write into one that is gone would make one that cannot search: each looks first.
    pub(super) async fn inspect(&self) -> PortResult<bool> {
        let found = schema::inspect(&self.connection, &self.index, self.dimensions).await?.is_some();
        self.fit.store(found, Relaxed);
        Ok(found)
    }

    pub(super) async fn ensure_index(&self) -> PortResult<()> {
        if !self.inspect().await? {
            schema::create(&self.connection, &self.index, self.dimensions).await?;
        }
        Ok(())
    }

    pub(super) async fn ask(
        &self,
        attempted: &str,
        (method, path): (Method, String),
        query: Vec<(&'static str, String)>,
        body: Option<Vec<u8>>,
    ) -> PortResult<Answer> {
        self.connection.call(&Request { attempted, method, path: format!("{}/{path}", self.index), query, body }).await
    }

    /// Runs a search; `None` when the index is gone.
    async fn search(&self, attempted: &str, body: &Value) -> PortResult<Option<Vec<Hit>>> {
        // Some of the answer is not the answer.
        let whole = vec![("allow_partial_search_results", "false".to_owned())];
        let to = (Method::Post, "_search".to_owned());
        let answer = self.ask(attempted, to, whole, Some(body.to_string().into_bytes())).await?;
        if answer.status == 404 && Refusal::read(&answer.body).is("index_not_found_exception") {
            self.fit.store(false, Relaxed);
            return Ok(None);
        }
        let found: Searched = answer.json(attempted)?;
        if found.timed_out || found.shards.failed > 0 {
            let remedy = "check the cluster's health if this goes on";
            return Err(failed(attempted, ErrorKind::Unavailable, "only a part of the index answered", remedy));
        }
        Ok(Some(found.hits.hits))
    }

    /// The documents with these keys as they are now, whatever a search knows of them.
    async fn fetch(&self, attempted: &str, keys: &[String]) -> PortResult<BTreeMap<String, PastFix>> {
        let portions: Vec<_> = keys.chunks(PORTION).map(|portion| self.documents(attempted, portion)).collect();
        let read: Vec<Vec<(String, PastFix)>> = stream::iter(portions).buffered(AT_ONCE).try_collect().await?;
        Ok(read.into_iter().flatten().collect())
    }

    async fn documents(&self, attempted: &str, keys: &[String]) -> PortResult<Vec<(String, PastFix)>> {
        let body = json!({ "ids": keys }).to_string().into_bytes();
        // Whole documents: the node takes longer to leave parts out than to send them.
        let answer = self.ask(attempted, (Method::Post, "_mget".to_owned()), Vec::new(), Some(body)).await?;
        let answer: Documents = answer.json(attempted)?;
        if answer.docs.len() != keys.len() {
            return Err(not_understood(attempted, "an answer with other documents than were asked for"));
        }
        let mut fixes = Vec::new();
        for found in answer.docs {
            if let Some(fix) = read(attempted, &found)? {
                fixes.push((found.key, fix));
            }
        }
        Ok(fixes)
    }

    async fn nearest_of(&self, attempted: &str, wanted: &Wanted<'_>) -> PortResult<Vec<(PastFix, f64)>> {
        let limit = wanted.query.limit;
        if limit == 0 || !self.is_there().await? {
            return Ok(Vec::new());
        }
        let Some(hits) = self.search(attempted, &wanted.search()).await? else { return Ok(Vec::new()) };
        let closest = limit.saturating_add(SPARE);
        let mut asked = BTreeSet::new();
        let own = self.recent.near(wanted, closest).iter().map(key).collect::<Vec<_>>();
        let mut hits = hits.into_iter().map(|hit| hit.key);
        let mut portion: Vec<String> = own.into_iter().chain(hits.by_ref().take(closest)).collect();
        let mut near: Vec<Near> = Vec::new();
        while !portion.is_empty() {
            portion.retain(|key| asked.insert(key.clone()));
            for (key, fix) in self.fetch(attempted, &portion).await? {
                near.extend(wanted.cosine(&fix).map(|cosine| Near { fix, cosine, key }));
            }
            // Those that follow are farther, and needed only in place of some that turned out to be gone.
            portion = if near.len() < limit { hits.by_ref().take(PORTION).collect() } else { Vec::new() };
        }
        near.sort_by(Near::nearer);
        Ok(near.into_iter().take(limit).map(|near| (near.fix, near.cosine)).collect())
    }

    /// The next ids after `after`, in order, at most `limit`; empty at the end.
    async fn ids_after(&self, attempted: &str, after: Option<&FixId>, limit: usize) -> PortResult<Vec<FixId>> {
        let mut body = json!({
            "size": limit, "_source": false, "track_total_hits": false,
            "query": {"exists": {"field": "id"}}, "sort": [{"id": "asc"}],
        });
        if let Some(after) = after {
            body["search_after"] = json!([after.0]);
        }
        let hits = self.search(attempted, &body).await?.unwrap_or_default();
        let mut ids: BTreeSet<FixId> = self.recent.after(after).into_iter().collect();
        for hit in hits {
            match hit.sort.into_iter().next() {
                Some(Value::String(id)) => drop(ids.insert(FixId(id))),
                _ => return Err(not_understood(attempted, "a page without order")),
            }
        }
        Ok(ids.into_iter().take(limit).collect())
    }
}

/// Whether OpenSearch says that there is no such document. Others say 404 too, and mean something else.
pub(super) fn is_missing(answer: &Answer) -> bool {
    let none =
        || serde_json::from_slice::<Found>(&answer.body).is_ok_and(|found| !found.found && found.error.is_none());
    answer.status == 404 && (none() || Refusal::read(&answer.body).is("index_not_found_exception"))
}

/// The fix of one document; `None` when there is none.
fn read(attempted: &str, found: &Found) -> PortResult<Option<PastFix>> {
    match (&found.error, &found.source) {
        (Some(error), _) if error.name == "index_not_found_exception" => Ok(None),
        (Some(error), _) => {
            let said = format!("a document was not read ({})", error.name);
            Err(failed(attempted, ErrorKind::Unavailable, said, "check the cluster's health if this goes on"))
        }
        (None, Some(source)) if found.found => document::decode(attempted, &found.key, source).map(Some),
        (None, None) if found.found => Err(not_understood(attempted, "a document without its fix")),
        _ => Ok(None),
    }
}

#[async_trait]
impl FixMemory for OpenSearchMemory {
    async fn nearest(&self, query: &FixQuery) -> PortResult<Vec<(PastFix, f64)>> {
        let attempted = format!("look up fixes of {}", query.rule);
        let wanted = Wanted::new(&attempted, query, self.dimensions)?;
        self.nearest_of(&attempted, &wanted).await
    }

    async fn get(&self, id: &FixId) -> PortResult<Option<PastFix>> {
        const ATTEMPTED: &str = "get a fix";
        let only = vec![("_source_includes", document::STORED.to_owned())];
        let answer = self.ask(ATTEMPTED, (Method::Get, format!("_doc/{}", key(id))), only, None).await?;
        if is_missing(&answer) {
            return Ok(None);
        }
        read(ATTEMPTED, &answer.json(ATTEMPTED)?)
    }

    async fn remember(&self, fix: &PastFix) -> PortResult<()> {
        self.put(fix).await
    }

    async fn remember_new(&self, fix: &PastFix) -> PortResult<bool> {
        self.create(fix).await
    }

    async fn forget(&self, id: &FixId) -> PortResult<bool> {
        self.delete(id).await
    }

    /// What other processes stored shows with the index's next refresh; what this one did, at once.
    async fn list(&self, after: Option<&FixId>, limit: usize) -> PortResult<Vec<PastFix>> {
        const ATTEMPTED: &str = "list the fixes";
        let mut listed = Vec::new();
        let mut after = after.cloned();
        if !self.is_there().await? {
            return Ok(listed);
        }
        while listed.len() < limit {
            let ids = self.ids_after(ATTEMPTED, after.as_ref(), (limit - listed.len()).min(PAGE)).await?;
            let Some(last) = ids.last() else { break };
            after = Some(last.clone());
            let keys: Vec<String> = ids.iter().map(key).collect();
            let mut fixes = self.fetch(ATTEMPTED, &keys).await?;
            listed.extend(keys.iter().filter_map(|key| fixes.remove(key)));
        }
        Ok(listed)
    }
}

impl std::fmt::Debug for OpenSearchMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenSearchMemory").field("index", &self.index).finish_non_exhaustive()
    }
}

/// The same for all that this backend says.
pub(super) fn conflict(attempted: &str) -> PortError {
    PortError::new(PORT, attempted, ErrorKind::Conflict)
}
