//! What was learned, as a remembered fix.

use super::Learned;
use crate::model::{
    AuthorKind, Confidence, Finding, FixId, Language, PastFix, Provenance, RepoPath, TrackRecord, UnixMillis,
};

/// Where a fix comes from.
#[derive(Debug, Clone)]
pub struct Origin<'a> {
    pub organisation: &'a str,
    /// `owner/name`.
    pub repository: &'a str,
    pub private: bool,
    pub path: &'a RepoPath,
    pub provenance: Provenance,
    pub author: AuthorKind,
    pub created: UnixMillis,
}

impl Learned {
    /// The fix of `finding` as it is stored, new and without a record. It has no vector yet: without one it is never near
    /// anything, so whoever stores it embeds `scope_before` first.
    #[must_use]
    pub fn remembered(self, id: FixId, language: Language, finding: &Finding, origin: &Origin<'_>) -> PastFix {
        PastFix {
            id,
            schema: PastFix::SCHEMA,
            organisation: origin.organisation.to_owned(),
            language,
            rule: finding.rule.id.clone(),
            aliases: Vec::new(),
            issue_type: finding.rule.issue_type.clone(),
            severity: finding.rule.severity,
            confidence: Confidence::from_probability(0.0),
            message: finding.message.clone(),
            scope_before: self.scope_before,
            scope_after: self.scope_after,
            finding: self.finding_in_scope,
            anchor_kind: self.anchor_kind,
            imports_added: self.imports_added,
            patterns: self.patterns,
            vector: Vec::new(),
            embedder: String::new(),
            repository: origin.repository.to_owned(),
            private: origin.private,
            path: origin.path.clone(),
            provenance: origin.provenance.clone(),
            author: origin.author,
            created: origin.created,
            round_trips: self.round_trips,
            record: TrackRecord::default(),
            superseded_by: None,
        }
    }
}
