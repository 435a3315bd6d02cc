//! What every way to a model must do, whoever serves it: answer, say when it was cut off, and mean the same by each trouble. What a
//! server cannot be brought to say is left out by its own word, and counted.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use codehealer::ports::{ErrorKind, Model, Prompt, Sampling};

/// What a server is to say to the next question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Say {
    Text(String),
    CutOff(String),
    /// An error inside an answer of status 200, with this code or none.
    Error(Option<u16>),
    /// Nothing that a model's server says.
    Rubbish,
}

/// A model and who serves it.
#[async_trait]
pub trait Served: Send + Sync {
    fn model(&self) -> &dyn Model;

    /// Has the server say this next; false when nobody can bring it to.
    async fn will(&self, say: Say) -> bool;

    /// What it says to everything where it says always the same.
    fn always(&self) -> Option<&str> {
        None
    }
}

/// Asks no question twice, whoever is asked: a server may know the answer to one that it heard.
fn prompt() -> Prompt {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let number = ASKED.fetch_add(1, Ordering::SeqCst);
    Prompt { system: "Repair it.".to_owned(), user: format!("eval(x{number})"), max_tokens: 900 }
}

/// Runs the whole suite; returns how many of its parts could be tried.
pub async fn all(served: &dyn Served) -> usize {
    let mut tried = 1 + several(served).await;
    one(served).await;
    for part in
        [Say::CutOff("half".to_owned()), Say::Rubbish, Say::Error(None), Say::Error(Some(429)), Say::Error(Some(400))]
    {
        tried += usize::from(trouble(served, part).await);
    }
    tried
}

async fn one(served: &dyn Served) {
    let said = served.always().unwrap_or("a text with \u{e9}, \"quotes\" and\ntwo lines").to_owned();
    assert!(served.will(Say::Text(said.clone())).await || served.always().is_some());
    let one = served.model().complete(&prompt()).await.unwrap();
    assert_eq!((one.text.as_str(), one.truncated), (said.as_str(), false));
    assert!(one.input_tokens > 0 && one.output_tokens > 0 && !one.model.is_empty(), "{one:?}");
}

async fn several(served: &dyn Served) -> usize {
    let said = served.always().unwrap_or("several").to_owned();
    if !served.will(Say::Text(said.clone())).await && served.always().is_none() {
        return 0;
    }
    let drawn = served.model().draw(&prompt(), &Sampling { count: 3, temperature: 0.6, seed: 1 }).await.unwrap();
    assert!((1..=3).contains(&drawn.len()), "{drawn:?}");
    assert!(drawn.iter().all(|one| one.text == said && !one.truncated), "{drawn:?}");
    // The question is paid for once, however many answers it has.
    assert!(drawn[0].input_tokens > 0 && drawn[1..].iter().all(|one| one.input_tokens == 0), "{drawn:?}");
    1
}

async fn trouble(served: &dyn Served, say: Say) -> bool {
    if !served.will(say.clone()).await {
        return false;
    }
    let outcome = served.model().complete(&prompt()).await;
    if let Say::CutOff(text) = &say {
        let one = outcome.unwrap();
        assert_eq!((one.text.as_str(), one.truncated), (text.as_str(), true));
        return true;
    }
    let error = outcome.unwrap_err();
    let fits = match say {
        Say::Error(None) => error.kind == ErrorKind::Unavailable,
        Say::Error(Some(429)) => matches!(error.kind, ErrorKind::Throttled(_)),
        _ => error.kind == ErrorKind::Malformed,
    };
    assert!(fits && error.chain().len() < 1_000, "{say:?}: {}", error.chain());
    true
}
