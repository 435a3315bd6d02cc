//! Asking the team: threads of its chat that name the problem, and the edits in them.

use super::{Answer, Question};
use crate::healer::Healer;
use crate::ports::{PortError, TeamQuery};
use crate::recall::team;

/// Threads read for one finding.
const THREADS: usize = 20;

impl Healer {
    pub(super) async fn ask_team(&self, question: &Question<'_>) -> Result<Answer, PortError> {
        let Some(port) = &self.ports.team else { return Ok(Answer::default()) };
        let mut answer = Answer::default();
        for finding in &question.findings {
            let terms = team::terms(finding, &question.base.text);
            if answer.question.is_empty() {
                answer.question = format!("threads that mention {}", terms.join(", "));
            }
            let query = TeamQuery {
                organisation: question.base.repository.organisation.clone(),
                private: question.base.repository.private,
                terms,
                limit: THREADS,
            };
            let threads = port.search(&query).await?;
            let target = team::Target {
                detector: &self.detector,
                repository: &question.base.repository.id,
                path: &question.base.path,
                language: question.base.language,
                text: &question.base.text,
                finding,
            };
            let found = team::propose(&target, &threads);
            answer.answers.extend(found.answers);
            answer.context.extend(found.context);
            answer.candidates.extend(found.candidates.into_iter().map(|c| (finding.fingerprint.clone(), c)));
        }
        answer.answers.dedup();
        answer.context.dedup();
        Ok(answer)
    }
}
