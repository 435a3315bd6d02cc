//! Findings grouped into the unit that is healed.

use std::collections::BTreeMap;

use crate::model::{Finding, RepoPath, RuleId};

/// The findings of each rule in each file, in their order.
#[must_use]
pub fn cases(findings: impl IntoIterator<Item = Finding>) -> BTreeMap<(RuleId, RepoPath), Vec<Finding>> {
    let mut cases: BTreeMap<(RuleId, RepoPath), Vec<Finding>> = BTreeMap::new();
    for finding in findings {
        cases.entry((finding.rule.id.clone(), finding.path.clone())).or_default().push(finding);
    }
    cases
}
