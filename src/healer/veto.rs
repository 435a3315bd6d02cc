//! Edits that people merged and then undid: such an edit is not proposed again for the same finding. The finding itself may be
//! healed by another one.

use super::consult::refused::request_name;
use super::heal::error_chain;
use super::lease::Leased;
use super::{HealError, Healer, trail};
use crate::decide::Walk;
use crate::detect::redact::redact;
use crate::fix::{diff, edit};
use crate::model::{AuditEvent, BlobId, Edit, EventKind, Feedback, Fingerprint, Rejection, RejectionKind};
use crate::ports::ErrorKind;

/// What an edit makes of the lines that it changes, wherever they stand: lines before and after, without their indentation.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shape(Vec<(String, String)>);

impl Shape {
    /// `None` when the edits do not apply to the text.
    fn of(text: &str, edits: &[Edit]) -> Option<Self> {
        let after = edit::apply(text, edits).ok()?;
        let lines = |of: &str, range: std::ops::Range<usize>| {
            let lines = of.get(range).unwrap_or_default().lines().map(str::trim);
            lines.collect::<Vec<_>>().join("\n")
        };
        let changes = diff::line_changes(text, &after).into_iter();
        Some(Self(changes.map(|change| (lines(text, change.before), lines(&after, change.after))).collect()))
    }
}

/// Undone edits of a case, each with the finding that it was meant for.
pub(super) struct Vetoes(Vec<Undone>);

/// An edit that people undid.
struct Undone {
    finding: Fingerprint,
    shape: Shape,
    /// The pull request by which it was merged, for people.
    request: Option<String>,
}

impl Vetoes {
    /// Why these edits of `text` are not proposed for the finding again.
    pub fn against(&self, finding: &Fingerprint, text: &str, edits: &[Edit]) -> Option<Rejection> {
        if self.0.is_empty() {
            return None;
        }
        let shape = Shape::of(text, edits)?;
        let undone = self.0.iter().find(|undone| undone.finding == *finding && undone.shape == shape)?;
        let like = undone.request.as_ref().map(|request| format!(": like {request}, reverted")).unwrap_or_default();
        let detail = format!("people merged this edit and undid it{like}");
        Some(Rejection { check: RejectionKind::Vetoed, detail })
    }
}

impl Healer {
    /// What people undid in earlier generations of a run's case.
    pub(super) async fn vetoes(&self, leased: &Leased) -> Result<Vetoes, HealError> {
        let (case, current) = (&leased.head.case, leased.head.generation.0);
        let mut undone = Vec::new();
        for earlier in trail::recent(current.saturating_sub(1)) {
            let events = trail::events(&*self.ports.state, case, earlier).await?;
            if events.iter().any(was_undone) {
                self.undone_edits(leased, &events, &mut undone).await?;
            }
        }
        Ok(Vetoes(undone))
    }

    async fn undone_edits(
        &self,
        leased: &Leased,
        events: &[AuditEvent],
        undone: &mut Vec<Undone>,
    ) -> Result<(), HealError> {
        let walk =
            Walk::replay(events).map_err(|source| HealError::Replay { case: leased.head.case.clone(), source })?;
        let (Some(decided), Ok(blob)) = (walk.decided, BlobId::new(walk.blob)) else { return Ok(()) };
        let bytes = match self.ports.forge.read_blob(&leased.head.summary.repository, &blob).await {
            // Cleaned up since: what cannot be compared is judged like any other edit.
            Err(error) if error.kind == ErrorKind::Missing => {
                tracing::warn!(error = redact(&error_chain(&error)).as_ref(), "an undone edit cannot be compared");
                return Ok(());
            }
            other => other?,
        };
        let text = String::from_utf8_lossy(&bytes);
        for chosen in &decided.chosen {
            let (finding, request) = (chosen.finding.clone(), walk.pull_request.map(request_name));
            let shape = Shape::of(&text, &chosen.candidate.edits);
            undone.extend(shape.map(|shape| Undone { finding, shape, request }));
        }
        Ok(())
    }
}

fn was_undone(event: &AuditEvent) -> bool {
    matches!(event.kind, EventKind::Feedback(Feedback::Reverted { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RepoPath, RepositoryId, RuleId, Span};

    fn replacing(text: &str, old: &str, new: &str) -> Vec<Edit> {
        let start = text.find(old).unwrap();
        let span = Span::new(start, start + old.len());
        vec![Edit { path: RepoPath::new("a.py").unwrap(), span, text: new.to_owned() }]
    }

    #[test]
    fn an_edit_is_known_again_where_its_lines_moved_to() {
        let (here, there) = ("a = load(f)\n", "if x:\n    a = load(f)\n");
        let shape = Shape::of(here, &replacing(here, "load", "safe_load")).unwrap();
        assert_eq!(Shape::of(there, &replacing(there, "load(f)", "safe_load(f)")), Some(shape));
    }

    #[test]
    fn another_edit_or_finding_is_not_vetoed() {
        let text = "a = load(f)\n";
        let (repository, rule) = (RepositoryId("1".to_owned()), RuleId::new("py-x").unwrap());
        let of = |code: &str| Fingerprint::of(&repository, &rule, &RepoPath::new("a.py").unwrap(), code, 0);
        let shape = Shape::of(text, &replacing(text, "load", "safe_load")).unwrap();
        let vetoes = Vetoes(vec![Undone { finding: of("a"), shape, request: Some("PR #118".to_owned()) }]);
        let against = |code: &str, new: &str| vetoes.against(&of(code), text, &replacing(text, "load", new));
        let vetoed = against("a", "safe_load").unwrap();
        assert_eq!(vetoed.check, RejectionKind::Vetoed);
        assert!(vetoed.detail.ends_with("like PR #118, reverted"), "{}", vetoed.detail);
        assert_eq!((against("a", "fine_load"), against("b", "safe_load")), (None, None));
    }
}
