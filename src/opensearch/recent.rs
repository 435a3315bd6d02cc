//! What this process stored lately: a search may not know it yet, and it must be found all the same.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::query::Wanted;
use crate::model::{FixId, PastFix, UnixMillis};

/// How long a search may trail behind, milliseconds: ten times what is usual where refreshing is made rare.
const TRAILING: UnixMillis = 5 * 60 * 1000;
/// Fixes that are kept; of more, the search finds the older ones.
const KEPT: usize = 256;

/// Fixes by the time they were stored, oldest first; without their texts, which may be large.
#[derive(Default)]
pub(super) struct Recent(Mutex<VecDeque<(UnixMillis, Arc<PastFix>)>>);

impl Recent {
    pub fn note(&self, fix: &PastFix, now: UnixMillis) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(at, known)| known.id != fix.id && now.saturating_sub(*at) < TRAILING);
        kept.push_back((now, Arc::new(comparable(fix))));
        let surplus = kept.len().saturating_sub(KEPT);
        kept.drain(..surplus);
    }

    /// Ids of those that may be among the `limit` nearest, most similar first.
    pub fn near(&self, wanted: &Wanted<'_>, limit: usize) -> Vec<FixId> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let fits = kept.iter().filter_map(|(_, fix)| wanted.cosine(fix).map(|cosine| (cosine, &fix.id)));
        let mut near: Vec<_> = fits.collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        near.into_iter().take(limit).map(|(_, id)| id.clone()).collect()
    }

    /// Ids after `after`.
    pub fn after(&self, after: Option<&FixId>) -> Vec<FixId> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().map(|(_, fix)| &fix.id).filter(|id| after.is_none_or(|after| *id > after)).cloned().collect()
    }
}

/// What decides whether a fix is near: all but its texts.
fn comparable(fix: &PastFix) -> PastFix {
    PastFix {
        message: String::new(),
        scope_before: String::new(),
        scope_after: String::new(),
        imports_added: Vec::new(),
        patterns: Vec::new(),
        ..fix.clone()
    }
}
