//! Hindsight: what people later did to the places that we would have changed.
//!
//! A place is followed from commit to commit by its lines, not by its text alone, so that of several equal ones each has its own end.

mod place;

use std::collections::BTreeMap;

use super::{HealError, Healer};
use crate::model::{Change, CommitId, Decided, Finding, RepoPath, Repository, RuleId, Span};
use crate::report::replay::Later;

use place::{Ours, Step};

/// A finding that we had an edit for, and what became of it so far.
#[derive(Debug, Clone)]
pub struct Place {
    pub rule: RuleId,
    pub path: RepoPath,
    /// The finding in the file as it was last seen.
    span: Span,
    normalised: String,
    ours: Ours,
    pub later: Later,
    /// The commit that ended it.
    pub by: Option<CommitId>,
}

impl Place {
    /// The place of one finding of a decision; `None` when the decision has no edit for it.
    #[must_use]
    pub fn of(finding: &Finding, decided: &Decided, text: &str) -> Option<Self> {
        let chosen = decided.chosen.iter().find(|chosen| chosen.finding == finding.fingerprint)?;
        let here: Vec<_> = chosen.candidate.edits.iter().filter(|edit| edit.path == finding.path).cloned().collect();
        Some(Self {
            rule: finding.rule.id.clone(),
            path: finding.path.clone(),
            span: finding.span,
            normalised: finding.normalised.clone(),
            ours: Ours::of(text, &here, finding.span)?,
            later: Later::Standing,
            by: None,
        })
    }

    fn ended(&mut self, later: Later, by: &CommitId) {
        self.later = later;
        self.by = Some(by.clone());
    }
}

impl Healer {
    /// Follows places through one step of the history, from `base` to `head`. Those that have ended are left alone.
    ///
    /// # Errors
    /// When the forge cannot be asked.
    pub async fn follow_places(
        &self,
        repository: &Repository,
        (base, head): (&CommitId, &CommitId),
        places: &mut [Place],
    ) -> Result<(), HealError> {
        let mut by_path: BTreeMap<RepoPath, Vec<&mut Place>> = BTreeMap::new();
        for place in places.iter_mut().filter(|place| place.later == Later::Standing) {
            by_path.entry(place.path.clone()).or_default().push(place);
        }
        if by_path.is_empty() {
            return Ok(());
        }
        let changes = self.ports.forge.changed_files(repository, Some(base), head).await?;
        for change in &changes.files {
            let old = change.base_path.as_ref().unwrap_or(&change.path);
            if let Some(mut here) = by_path.remove(old) {
                self.follow_in_file(repository, (change, head), &mut here).await?;
            }
        }
        Ok(())
    }

    async fn follow_in_file(
        &self,
        repository: &Repository,
        (change, head): (&Change, &CommitId),
        places: &mut [&mut Place],
    ) -> Result<(), HealError> {
        let unseen = self.detector.refuses(&change.path, change.size).is_some();
        let Some(base) = change.base_blob.as_ref().filter(|_| !unseen) else {
            // Another file under its name, or one that cannot be looked into.
            places.iter_mut().for_each(|place| place.ended(Later::Elsewhere, head));
            return Ok(());
        };
        let forge = &self.ports.forge;
        let before = forge.read_blob(repository, base).await?;
        let after = forge.read_blob(repository, &change.blob).await?;
        let (Ok(before), Ok(after)) = (String::from_utf8(before), String::from_utf8(after)) else {
            places.iter_mut().for_each(|place| place.ended(Later::Elsewhere, head));
            return Ok(());
        };
        let old = change.base_path.as_ref().unwrap_or(&change.path);
        let was = self.detector.scan(&repository.id, old, before.as_bytes()).findings;
        let is = self.detector.scan(&repository.id, &change.path, after.as_bytes()).findings;
        for place in places {
            let step = Step { before: &before, after: &after, was: &was, is: &is };
            place.path = change.path.clone();
            match step.follow(&place.rule, (place.span, &place.normalised), &place.ours) {
                Ok(finding) => (place.span, place.normalised) = (finding.span, finding.normalised.clone()),
                Err(later) => place.ended(later, head),
            }
        }
        Ok(())
    }

    /// Ends the places whose file is not there any more at `tip`: removed files are no changes of a range.
    ///
    /// # Errors
    /// When the forge cannot be asked.
    pub async fn end_places_of_lost_files(
        &self,
        repository: &Repository,
        tip: &CommitId,
        places: &mut [Place],
    ) -> Result<(), HealError> {
        let mut there: BTreeMap<RepoPath, bool> = BTreeMap::new();
        for place in places.iter_mut().filter(|place| place.later == Later::Standing) {
            if !there.contains_key(&place.path) {
                let found = self.ports.forge.read(repository, tip, &place.path).await?.is_some();
                there.insert(place.path.clone(), found);
            }
            if there.get(&place.path) == Some(&false) {
                place.ended(Later::Elsewhere, tip);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
