//! Runs that a limit puts off: recorded in their trail, told to people once, and taken up when their time has come.

use std::fmt::Write as _;

use super::lease::LeaseOutcome;
use super::{HealError, Healer, trail};
use crate::model::{CaseId, CommitId, EventKind, Generation, Notice, NoticeKind, Repository, RunState, UnixMillis};
use crate::report::markdown::text;
use crate::state::run::RunHead;

/// The cases of one batch come up together, an hour after the batch before.
const BATCH_MS: UnixMillis = 60 * 60 * 1000;
/// Cases named in the notice.
const NAMED: usize = 20;

impl Healer {
    /// Puts off the runs of a push that are more than may be healed at once, in the order given, and says so.
    pub(super) async fn postpone(
        &self,
        repository: &Repository,
        (reference, after): (&str, &CommitId),
        runs: &[(CaseId, Generation)],
    ) -> Result<(), HealError> {
        let Some(caps) = self.policy.caps else { return Ok(()) };
        let mut put_off = Vec::new();
        for (batch, runs) in (1u64..).zip(runs.chunks(caps.cases_a_push.max(1))) {
            let until = self.ports.clock.now() + batch * BATCH_MS;
            for (case, generation) in runs {
                put_off.extend(self.put_off(case, *generation, (caps.cases_a_push, until)).await?);
            }
        }
        if put_off.is_empty() {
            return Ok(());
        }
        let mut body = format!(
            "A push to {} brought more cases than the {} that are healed at once. The most severe ones are worked on; these \
             follow, {} an hour:\n\n",
            text(reference),
            caps.cases_a_push,
            caps.cases_a_push
        );
        for headline in put_off.iter().take(NAMED) {
            let _ = writeln!(body, "- {}", text(headline));
        }
        let notice = Notice {
            key: format!("push-{}-{after}-postponed", repository.id),
            kind: NoticeKind::Report,
            headline: format!("{} more case(s) of {} wait for their turn", put_off.len(), repository.name),
            body,
            repository: repository.name.clone(),
            link: None,
            for_senior: false,
            earlier: None,
            since: self.ports.clock.now(),
        };
        self.ports.notifier.ensure_notice(&notice).await?;
        Ok(())
    }

    /// Puts off one run unless it has begun; returns what it is about.
    async fn put_off(
        &self,
        case: &CaseId,
        generation: Generation,
        (at_once, until): (usize, UnixMillis),
    ) -> Result<Option<String>, HealError> {
        let head = trail::run_head(&*self.ports.state, case, generation).await?;
        if head.as_ref().is_none_or(has_begun) {
            return Ok(None);
        }
        let LeaseOutcome::Taken(mut leased) = self.lease(case, generation).await? else { return Ok(None) };
        // Between the two looks a rival may have begun, or ended, the run.
        let begun = has_begun(&leased.head);
        let reason = format!("its push brought more than the {at_once} cases that are healed at once");
        let done = if begun { Ok(()) } else { self.append(&mut leased, EventKind::Deferred { reason, until }).await };
        self.release(&leased, self.due(&leased)).await?;
        done.map(|()| (!begun).then(|| leased.head.summary.headline.clone()))
    }
}

/// Whether more is known of a run than that it was detected.
fn has_begun(head: &RunHead) -> bool {
    head.state != RunState::Detected || head.sequence > 1
}
