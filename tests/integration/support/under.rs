//! Every port once more, with a fault around each call.

use std::time::Duration;

use async_trait::async_trait;
use codehealer::model::{FixId, Language, PastFix, Repository, Span, Thread};
use codehealer::ports::{
    Completion, Embedder, FixMemory, FixQuery, Forge, Inbox, Model, Notice, Notifier, PortResult, Prompt, Sampling,
    State, Taken, TeamKnowledge, TeamQuery,
};
use codehealer::state::{Item, Key, Page, Query, Transaction};

use super::faults::{Call, Under};
use super::relay::{Relay, forge_by_relay};

#[async_trait]
impl State for Under<dyn State> {
    async fn get(&self, key: &Key) -> PortResult<Option<Item>> {
        self.around(Call::read("state", "get"), self.inner.get(key)).await
    }

    async fn query(&self, query: &Query) -> PortResult<Page> {
        self.around(Call::read("state", "query"), self.inner.query(query)).await
    }

    async fn commit(&self, transaction: &Transaction) -> PortResult<()> {
        let call = Call::write("state", "commit", format!("{transaction:?}"));
        self.around(call, self.inner.commit(transaction)).await
    }
}

#[async_trait]
impl Relay for Under<dyn Forge> {
    fn behind(&self) -> &dyn Forge {
        &*self.inner
    }

    async fn before(&self, call: &Call) -> PortResult<()> {
        self.fault.before(call).await
    }

    async fn after(&self, call: &Call) -> PortResult<()> {
        self.fault.after(call).await
    }

    async fn repository(&self, name: &str) -> PortResult<Option<Repository>> {
        let named = self.named.clone().filter(|repository| repository.name == name);
        if named.is_some() { Ok(named) } else { self.inner.repository(name).await }
    }
}

forge_by_relay!(Under<dyn Forge>);

#[async_trait]
impl TeamKnowledge for Under<dyn TeamKnowledge> {
    async fn search(&self, query: &TeamQuery) -> PortResult<Vec<Thread>> {
        self.around(Call::read("team", "search"), self.inner.search(query)).await
    }
}

#[async_trait]
impl FixMemory for Under<dyn FixMemory> {
    async fn nearest(&self, query: &FixQuery) -> PortResult<Vec<(PastFix, f64)>> {
        self.around(Call::read("memory", "nearest"), self.inner.nearest(query)).await
    }

    async fn get(&self, id: &FixId) -> PortResult<Option<PastFix>> {
        self.around(Call::read("memory", "get"), self.inner.get(id)).await
    }

    async fn remember(&self, fix: &PastFix) -> PortResult<()> {
        self.around(Call::write("memory", "remember", &fix.id.0), self.inner.remember(fix)).await
    }

    async fn remember_new(&self, fix: &PastFix) -> PortResult<bool> {
        self.around(Call::write("memory", "remember_new", &fix.id.0), self.inner.remember_new(fix)).await
    }

    async fn forget(&self, id: &FixId) -> PortResult<bool> {
        self.around(Call::write("memory", "forget", &id.0), self.inner.forget(id)).await
    }

    async fn list(&self, after: Option<&FixId>, limit: usize) -> PortResult<Vec<PastFix>> {
        self.around(Call::read("memory", "list"), self.inner.list(after, limit)).await
    }
}

#[async_trait]
impl Embedder for Under<dyn Embedder> {
    fn id(&self) -> &str {
        self.inner.id()
    }

    async fn embed(&self, language: Language, source: &str, span: Span) -> PortResult<Vec<f32>> {
        self.around(Call::read("embedder", "embed"), self.inner.embed(language, source, span)).await
    }
}

#[async_trait]
impl Model for Under<dyn Model> {
    async fn complete(&self, prompt: &Prompt) -> PortResult<Completion> {
        self.around(Call::read("model", "complete"), self.inner.complete(prompt)).await
    }

    async fn draw(&self, prompt: &Prompt, sampling: &Sampling) -> PortResult<Vec<Completion>> {
        self.around(Call::read("model", "complete"), self.inner.draw(prompt, sampling)).await
    }
}

#[async_trait]
impl Notifier for Under<dyn Notifier> {
    async fn ensure_notice(&self, notice: &Notice) -> PortResult<String> {
        self.around(Call::write("notifier", "ensure_notice", &notice.key), self.inner.ensure_notice(notice)).await
    }
}

#[async_trait]
impl Inbox for Under<dyn Inbox> {
    async fn enqueue(&self, body: &str, dedupe: Option<&str>, delay: Duration) -> PortResult<()> {
        self.around(Call::write("inbox", "enqueue", body), self.inner.enqueue(body, dedupe, delay)).await
    }

    async fn take(&self, limit: usize, visibility: Duration) -> PortResult<Vec<Taken>> {
        self.around(Call::write("inbox", "take", ""), self.inner.take(limit, visibility)).await
    }

    fn adopt(&self, taken: &Taken, visibility: Duration) {
        self.inner.adopt(taken, visibility);
    }

    async fn done(&self, receipt: &str) -> PortResult<()> {
        self.around(Call::write("inbox", "done", receipt), self.inner.done(receipt)).await
    }

    async fn retry(&self, receipt: &str, delay: Duration) -> PortResult<()> {
        self.around(Call::write("inbox", "retry", receipt), self.inner.retry(receipt, delay)).await
    }

    async fn bury(&self, receipt: &str, reason: &str) -> PortResult<()> {
        self.around(Call::write("inbox", "bury", receipt), self.inner.bury(receipt, reason)).await
    }
}
