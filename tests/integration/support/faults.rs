//! Decorators over every port: what happens around a call is decided by a [`Fault`]. They stay in the tests; the product has
//! no switch for any of it.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use codehealer::model::Repository;
use codehealer::ports::{ErrorKind, PortError, PortResult};
use parking::Lock;
use tokio::sync::Notify;

mod parking {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    /// A mutex that does not care whether another test thread panicked.
    #[derive(Default)]
    pub struct Lock<T>(Mutex<T>);

    impl<T> Lock<T> {
        pub fn get(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}

/// One call of a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    pub port: &'static str,
    pub verb: &'static str,
    /// What the call is about; equal for two tries of the same effect.
    pub key: String,
    pub mutates: bool,
}

impl Call {
    pub fn read(port: &'static str, verb: &'static str) -> Self {
        Self { port, verb, key: String::new(), mutates: false }
    }

    pub fn write(port: &'static str, verb: &'static str, key: impl Into<String>) -> Self {
        Self { port, verb, key: key.into(), mutates: true }
    }

    pub fn is(&self, port: &str, verb: &str) -> bool {
        self.port == port && self.verb == verb
    }

    pub fn unavailable(&self, why: &str) -> PortError {
        PortError::new(self.port, format!("{}: {why}", self.verb), ErrorKind::Unavailable)
    }
}

/// What happens around the calls of one process.
#[async_trait]
pub trait Fault: Send + Sync {
    /// Before the call; an error keeps it from happening.
    async fn before(&self, _call: &Call) -> PortResult<()> {
        Ok(())
    }

    /// After the call succeeded; an error takes its answer away.
    async fn after(&self, _call: &Call) -> PortResult<()> {
        Ok(())
    }
}

/// A port under a fault.
pub struct Under<T: ?Sized> {
    pub inner: Arc<T>,
    pub fault: Arc<dyn Fault>,
    /// What a forge says it is asked for by name; a local one knows no names.
    pub named: Option<Repository>,
}

impl<T: ?Sized> Under<T> {
    pub fn new(inner: Arc<T>, fault: &Arc<dyn Fault>) -> Arc<Self> {
        Arc::new(Self { inner, fault: Arc::clone(fault), named: None })
    }

    pub async fn around<A>(&self, call: Call, asked: impl Future<Output = PortResult<A>> + Send) -> PortResult<A> {
        self.fault.before(&call).await?;
        let answer = asked.await?;
        self.fault.after(&call).await?;
        Ok(answer)
    }
}

/// Nothing goes wrong.
pub struct Healthy;

#[async_trait]
impl Fault for Healthy {}

/// Writes down every call.
#[derive(Default)]
pub struct Counting(Lock<Vec<Call>>);

impl Counting {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn calls(&self, port: &str, verb: &str) -> usize {
        self.0.get().iter().filter(|call| call.is(port, verb)).count()
    }

    /// What one port was asked, in order.
    pub fn verbs(&self, port: &str) -> Vec<&'static str> {
        self.0.get().iter().filter(|call| call.port == port).map(|call| call.verb).collect()
    }

    pub fn all(&self) -> Vec<Call> {
        self.0.get().clone()
    }

    /// How often each effect was sent.
    pub fn writes(&self) -> BTreeMap<Call, usize> {
        let mut writes = BTreeMap::new();
        for call in self.0.get().iter().filter(|call| call.mutates) {
            *writes.entry(call.clone()).or_default() += 1;
        }
        writes
    }
}

#[async_trait]
impl Fault for Counting {
    async fn before(&self, call: &Call) -> PortResult<()> {
        self.0.get().push(call.clone());
        Ok(())
    }
}

/// The process is killed after so many effects: none of its calls does anything any more.
pub struct Dying {
    left: AtomicUsize,
    dead: AtomicBool,
}

impl Dying {
    pub fn after(effects: usize) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(effects), dead: AtomicBool::new(false) })
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Fault for Dying {
    async fn before(&self, call: &Call) -> PortResult<()> {
        let spend = |left: usize| left.checked_sub(1);
        if call.mutates && self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend).is_err() {
            self.dead.store(true, Ordering::SeqCst);
        }
        if self.is_dead() { Err(call.unavailable("the process was killed")) } else { Ok(()) }
    }
}

/// Every effect happens the first time it is asked for, and its answer is lost.
#[derive(Default)]
pub struct LosesAnswers {
    pub seen: Counting,
    lost: Lock<BTreeMap<Call, usize>>,
}

impl LosesAnswers {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }
}

#[async_trait]
impl Fault for LosesAnswers {
    async fn before(&self, call: &Call) -> PortResult<()> {
        self.seen.before(call).await
    }

    async fn after(&self, call: &Call) -> PortResult<()> {
        let mut lost = self.lost.get();
        let times = lost.entry(call.clone()).or_default();
        *times += 1;
        // Taking from a queue has no name of its own: every second time it is heard.
        let hidden = if call.verb == "take" { *times % 2 == 1 } else { *times == 1 };
        if call.mutates && hidden { Err(call.unavailable("the answer was lost")) } else { Ok(()) }
    }
}

/// A port that fails or hangs until it recovers.
pub struct Down {
    port: &'static str,
    hangs: bool,
    is_down: AtomicBool,
    met: AtomicUsize,
}

impl Down {
    pub fn failing(port: &'static str) -> Arc<Self> {
        Arc::new(Self { port, hangs: false, is_down: AtomicBool::new(true), met: AtomicUsize::new(0) })
    }

    pub fn hanging(port: &'static str) -> Arc<Self> {
        Arc::new(Self { port, hangs: true, is_down: AtomicBool::new(true), met: AtomicUsize::new(0) })
    }

    /// How many calls found it down.
    pub fn met(&self) -> usize {
        self.met.load(Ordering::SeqCst)
    }

    pub fn recovers(&self) {
        self.is_down.store(false, Ordering::SeqCst);
    }
}

#[async_trait]
impl Fault for Down {
    async fn before(&self, call: &Call) -> PortResult<()> {
        if call.port != self.port || !self.is_down.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.met.fetch_add(1, Ordering::SeqCst);
        if self.hangs {
            std::future::pending::<()>().await;
        }
        Err(call.unavailable("it is down"))
    }
}

/// One verb of a port is refused until that is mended.
pub struct Refused {
    port: &'static str,
    verb: &'static str,
    kind: ErrorKind,
    on: AtomicBool,
}

impl Refused {
    pub fn of(port: &'static str, verb: &'static str, kind: ErrorKind) -> Arc<Self> {
        Arc::new(Self { port, verb, kind, on: AtomicBool::new(true) })
    }

    pub fn is_mended(&self) {
        self.on.store(false, Ordering::SeqCst);
    }
}

#[async_trait]
impl Fault for Refused {
    async fn before(&self, call: &Call) -> PortResult<()> {
        if !call.is(self.port, self.verb) || !self.on.load(Ordering::SeqCst) {
            return Ok(());
        }
        let refused = PortError::new(self.port, self.verb, self.kind.clone());
        Err(refused.caused_by("the token ran out; store a new one"))
    }
}

/// Holds one call back until the test lets it go on.
pub struct Gate {
    port: &'static str,
    verb: &'static str,
    /// Which of these calls, from 0.
    number: usize,
    met: AtomicUsize,
    reached: Notify,
    open: Notify,
}

impl Gate {
    pub fn before(port: &'static str, verb: &'static str, number: usize) -> Arc<Self> {
        let (reached, open) = (Notify::new(), Notify::new());
        Arc::new(Self { port, verb, number, met: AtomicUsize::new(0), reached, open })
    }

    /// Waits until the call is held.
    pub async fn reached(&self) {
        let waited = tokio::time::timeout(Duration::from_secs(20), self.reached.notified()).await;
        assert!(waited.is_ok(), "{}.{} was never called", self.port, self.verb);
    }

    pub fn open(&self) {
        self.open.notify_one();
    }
}

#[async_trait]
impl Fault for Gate {
    async fn before(&self, call: &Call) -> PortResult<()> {
        if call.is(self.port, self.verb) && self.met.fetch_add(1, Ordering::SeqCst) == self.number {
            self.reached.notify_one();
            self.open.notified().await;
        }
        Ok(())
    }
}
