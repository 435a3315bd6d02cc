//! No fix brings a secret into the code.

use std::collections::BTreeMap;

use crate::detect::redact;

/// Says so when `after` holds a secret more often than `before`; never the secret itself.
pub(super) fn added(before: &str, after: &str) -> Option<String> {
    let (old, new) = (counted(before), counted(after));
    let more = new.iter().filter(|(secret, count)| old.get(*secret).copied().unwrap_or(0) < **count).count();
    (more > 0).then(|| format!("{more} text(s) in the form of a secret are added"))
}

fn counted(text: &str) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for secret in redact::secrets_in(text).into_iter().filter_map(|span| text.get(span.range())) {
        *counts.entry(secret).or_insert(0) += 1;
    }
    counts
}
