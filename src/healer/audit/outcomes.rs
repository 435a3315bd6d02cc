//! What people made of each decision: the heads of the runs joined with the feedback in their trails.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use super::{Filter, runs};
use crate::healer::{HealError, trail};
use crate::model::{AuditEvent, CaseOutcome, EventKind, Feedback};
use crate::ports::State;
use crate::report::calibration::{Fate, Judged};
use crate::state::run::RunHead;
use crate::state::{Item, QueryOf, keys};

/// Trails read at the same time.
const READS: usize = 8;

/// Every decided run that passes the filter, oldest first, with what became of it. Runs that are not decided yet are passed over.
///
/// # Errors
/// When the store cannot be asked or a record cannot be understood.
pub async fn judged(state: &dyn State, filter: &Filter) -> Result<Vec<Judged>, HealError> {
    let mut heads = runs(state, filter, usize::MAX).await?.runs;
    heads.retain(|head| head.summary.decision.is_some() && head.summary.confidence.is_some());
    heads.reverse();
    let found = stream::iter(heads).map(|head| judge(state, head)).buffered(READS).try_collect::<Vec<_>>().await?;
    Ok(found.into_iter().flatten().collect())
}

async fn judge(state: &dyn State, head: RunHead) -> Result<Option<Judged>, HealError> {
    let fate = fate(state, &head).await?;
    let RunHead { case, generation, detected_at, summary, .. } = head;
    let (Some(decision), Some(confidence)) = (summary.decision, summary.confidence) else { return Ok(None) };
    Ok(Some(Judged {
        case,
        generation,
        repository: summary.repository.name,
        rule: summary.rule,
        path: summary.path,
        source: summary.source,
        confidence,
        decision,
        fate,
        detected_at,
    }))
}

async fn fate(state: &dyn State, head: &RunHead) -> Result<Fate, HealError> {
    if head.summary.pull_request.is_none() {
        return Ok(match head.summary.outcome {
            CaseOutcome::Open => Fate::Open,
            CaseOutcome::Escalated => Fate::Escalated,
            CaseOutcome::Suppressed => Fate::Ignored,
            CaseOutcome::Failed | CaseOutcome::Merged | CaseOutcome::Closed => Fate::Ended,
        });
    }
    match head.summary.outcome {
        CaseOutcome::Open => return Ok(Fate::Open),
        CaseOutcome::Failed => return Ok(Fate::Ended),
        _ => {}
    }
    let of = QueryOf::Partition { pk: keys::case_partition(&head.case), prefix: keys::events(head.generation) };
    let mut fate = Fate::Open;
    // Feedback is small and never stored beside its event, so no detail has to be fetched.
    for item in trail::all(state, of).await?.iter().filter(|item| is_feedback(item)) {
        let event: AuditEvent = trail::parse(item)?;
        if let EventKind::Feedback(feedback) = &event.kind {
            fate = after(fate, feedback);
        }
    }
    Ok(fate)
}

fn is_feedback(item: &Item) -> bool {
    item.fields.get("kind").and_then(|kind| kind.get("event")).and_then(Value::as_str) == Some("feedback")
}

/// Ignoring a finding after its fix was judged takes nothing back of that judgement.
fn after(fate: Fate, feedback: &Feedback) -> Fate {
    match feedback {
        Feedback::Merged { amended: false, .. } => Fate::Merged,
        Feedback::Merged { amended: true, .. } => Fate::Amended,
        Feedback::Closed => Fate::Closed,
        Feedback::Reopened => Fate::Open,
        Feedback::Reverted { .. } => Fate::Reverted,
        Feedback::Ignored { .. } if fate == Fate::Open => Fate::Ignored,
        Feedback::Ignored { .. } => fate,
        Feedback::Retried { .. } => Fate::TakenBack,
    }
}
