//! The gate that every call of a port waits at, until the schedule says that it goes on and what becomes of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use codehealer::ports::{ErrorKind, PortError, PortResult};
use tokio::sync::oneshot;

use crate::support::faults::{Call, Fault};

pub type ProcessId = usize;

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Goes,
    /// It is done, and its answer is lost.
    AnswerLost,
    /// It is done, and its process dies.
    DiesAfter,
    Refused(ErrorKind),
}

/// A call that waits for its verdict.
pub struct Waiting {
    pub process: ProcessId,
    pub call: Call,
    /// Time before which it does not go on, milliseconds.
    pub not_before: u64,
    reply: oneshot::Sender<Verdict>,
}

/// Questions to the model since the process last recorded a step, and whether a fault struck it meanwhile.
#[derive(Default)]
struct Asking {
    asked: usize,
    struck: bool,
}

#[derive(Default)]
struct Inner {
    waiting: Vec<Waiting>,
    deaf: Vec<(ProcessId, Call)>,
    dying: Vec<(ProcessId, Call)>,
    dead: Vec<ProcessId>,
    asking: BTreeMap<ProcessId, Asking>,
    /// Answers of the model.
    asked: usize,
    /// Those whose record a fault prevented, so that they were asked for again.
    excused: usize,
}

#[derive(Default)]
pub struct Gate(Mutex<Inner>);

impl Gate {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Looks at the waiting calls, in the order in which they came.
    pub fn waiting<T>(&self, look: impl FnMut(&Waiting) -> T) -> Vec<T> {
        self.inner().waiting.iter().map(look).collect()
    }

    /// Lets the nth waiting call go on.
    pub fn release(&self, nth: usize, verdict: Verdict) {
        let mut inner = self.inner();
        let waiting = inner.waiting.remove(nth);
        // What is recorded stays recorded, whatever its process hears of it.
        let recorded = is_step(&waiting.call) && !matches!(verdict, Verdict::Refused(_));
        if verdict != Verdict::Goes && !recorded {
            inner.strike(waiting.process);
        }
        drop(inner);
        // Nobody waits for it when its process was killed.
        let _ = waiting.reply.send(verdict);
    }

    /// Holds the nth waiting call back; its process goes on with what else it does.
    pub fn hold(&self, nth: usize, until: u64) {
        let mut inner = self.inner();
        inner.waiting[nth].not_before = until;
        let process = inner.waiting[nth].process;
        inner.strike(process);
    }

    /// A fault struck the process in another way.
    pub fn strike(&self, process: ProcessId) {
        self.inner().strike(process);
    }

    /// Processes that died since this was asked last.
    pub fn died(&self) -> Vec<ProcessId> {
        std::mem::take(&mut self.inner().dead)
    }

    /// None of the process's calls does anything any more.
    pub fn forget(&self, process: ProcessId) {
        let mut inner = self.inner();
        inner.waiting.retain(|waiting| waiting.process != process);
        inner.strike(process);
        inner.recorded(process);
    }

    /// How often the model answered, and how many of these answers a fault lost.
    pub fn asked(&self) -> (usize, usize) {
        let mut inner = self.inner();
        let left: Vec<ProcessId> = inner.asking.keys().copied().collect();
        left.into_iter().for_each(|process| inner.recorded(process));
        (inner.asked, inner.excused)
    }
}

impl Inner {
    fn strike(&mut self, process: ProcessId) {
        self.asking.entry(process).or_default().struck = true;
    }

    /// The process recorded a step, or never will.
    fn recorded(&mut self, process: ProcessId) {
        if let Some(Asking { asked, struck: true }) = self.asking.remove(&process) {
            self.excused += asked;
        }
    }

    fn answered(&mut self, process: ProcessId, call: &Call) {
        if call.is("model", "complete") {
            self.asked += 1;
            self.asking.entry(process).or_default().asked += 1;
        } else if is_step(call) {
            self.recorded(process);
        }
    }
}

/// Whether the call records a step of a run.
fn is_step(call: &Call) -> bool {
    call.is("state", "commit") && call.key.starts_with("step")
}

/// Where one process meets the gate.
pub struct Door {
    pub gate: Arc<Gate>,
    pub process: ProcessId,
}

#[async_trait]
impl Fault for Door {
    async fn before(&self, call: &Call) -> PortResult<()> {
        let (reply, verdict) = oneshot::channel();
        let own = (self.process, call.clone());
        {
            let mut inner = self.gate.inner();
            // What was meant for an earlier such call that failed by itself.
            inner.deaf.retain(|meant| *meant != own);
            inner.dying.retain(|meant| *meant != own);
            let (process, call) = own.clone();
            inner.waiting.push(Waiting { process, call, not_before: 0, reply });
        }
        match verdict.await {
            Ok(Verdict::Goes) => Ok(()),
            Ok(Verdict::Refused(kind)) => Err(PortError::new(call.port, format!("{}: refused", call.verb), kind)),
            Ok(Verdict::AnswerLost) => {
                self.gate.inner().deaf.push(own);
                Ok(())
            }
            Ok(Verdict::DiesAfter) => {
                self.gate.inner().dying.push(own);
                Ok(())
            }
            Err(_) => std::future::pending().await,
        }
    }

    async fn after(&self, call: &Call) -> PortResult<()> {
        let own = (self.process, call.clone());
        let (deaf, dying) = {
            let mut inner = self.gate.inner();
            inner.answered(self.process, call);
            let deaf = inner.deaf.iter().position(|meant| *meant == own).map(|at| inner.deaf.remove(at));
            let dying = inner.dying.iter().position(|meant| *meant == own).map(|at| inner.dying.remove(at));
            if dying.is_some() {
                inner.dead.push(self.process);
            }
            (deaf.is_some(), dying.is_some())
        };
        if dying {
            std::future::pending::<()>().await;
        }
        if deaf { Err(call.unavailable("the answer was lost")) } else { Ok(()) }
    }
}
