//! The council: reviewers vote on a proposal that passed its checks. A reject for security is a veto.

use super::call::Call;
use crate::fix::edit;
use crate::healer::Healer;
use crate::healer::consult::{Answer, Question};
use crate::model::{Candidate, Finding, Review, Sampling, Vote};
use crate::ports::{ErrorKind, PortError};
use crate::recall::council::{self, Concern};

impl Healer {
    /// Has a candidate reviewed; returns why it is vetoed, if it is.
    ///
    /// # Errors
    /// When a reviewer cannot be asked: without all of them nothing is proposed.
    pub(super) async fn reviewed(
        &self,
        question: &Question<'_>,
        finding: &Finding,
        candidate: &Candidate,
        answer: &mut Answer,
    ) -> Result<Option<String>, PortError> {
        let before = &question.base.text;
        let Ok(after) = edit::apply(before, &candidate.edits) else { return Ok(None) };
        let endpoint = self.largest();
        let mut veto = None;
        for concern in Concern::ALL {
            let asked = council::question(concern, finding, before, &after);
            let purpose = match concern {
                Concern::Security => "security review",
                Concern::Behaviour => "behaviour review",
                Concern::Maintainability => "maintainability review",
            };
            let call = Call { purpose, asked: &asked, sampling: Sampling::ONE };
            let said = self.call(&question.spender, endpoint, &call, answer).await?;
            let Some(said) = said.first() else {
                let why = format!("have the change reviewed for {}", concern.name());
                return Err(PortError::new("model", why, ErrorKind::Unavailable));
            };
            let (vote, reason) = council::read(&said.text);
            if concern == Concern::Security && vote == Vote::Reject {
                veto = Some(format!("vetoed by the security review: {reason}"));
            }
            let concern = concern.name().to_owned();
            answer.reviews.push(Review { finding: finding.fingerprint.clone(), concern, vote, reason });
        }
        Ok(veto)
    }
}
