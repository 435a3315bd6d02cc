//! The finding is gone, and no other came.

use std::collections::BTreeMap;

use super::{Patched, Rejection, RejectionKind, VerifiedCandidate, rejected};
use crate::fix::edit;
use crate::model::{Check, Finding, RuleId, RuleOrigin};

/// What two findings share when one is the other moved to another line.
type Key<'f> = (&'f RuleId, &'f str);

/// Looks at the findings of the file before and after, as the same scanner reports them (suppressed ones included).
///
/// A finding of another scanner or of a model that is not among `before` cannot be looked for: `FindingGone` is then not
/// made, and the score stays below a ready pull request.
///
/// # Errors
/// `FindingGone` when a target is still there, moved or in another form; `NothingNew` when a finding came;
/// `CouldNotCheck` when the scanner that reported a target of our own rules did not see it before.
pub fn check_findings(patched: Patched, before: &[Finding], after: &[Finding]) -> Result<VerifiedCandidate, Rejection> {
    let mut checks = patched.checks.clone();
    let seen = patched.targets.iter().all(|target| before.iter().any(|finding| key(finding) == key(target)));
    // What another scanner or a model found, our rules never showed.
    let foreign = |target: &Finding| matches!(target.rule.origin, RuleOrigin::External { .. } | RuleOrigin::Model);
    if !seen && !patched.targets.iter().all(foreign) {
        let detail = "the scan of the file as it is does not show the finding".to_owned();
        return Err(Rejection { check: RejectionKind::CouldNotCheck, detail });
    }
    if seen && !patched.targets.is_empty() {
        if let Some(line) = still_there(&patched, before, after) {
            return Err(rejected(Check::FindingGone, format!("the finding is still there, now in line {line}")));
        }
        checks.push(Check::FindingGone);
    }
    if let Some(new) = fresh(&patched, before, after) {
        let detail = format!("it brings in {} in line {}", new.rule.issue_type, new.start.line);
        return Err(rejected(Check::NothingNew, detail));
    }
    // Without a grammar and a verifier nothing could have been found.
    if seen || patched.language.is_some() {
        checks.push(Check::NothingNew);
    }
    let Patched { path, edits, before, after, .. } = patched;
    Ok(VerifiedCandidate { path, edits, before, after, checks })
}

fn key(finding: &Finding) -> Key<'_> {
    (&finding.rule.id, &finding.normalised)
}

fn counts<K: Ord>(items: impl Iterator<Item = K>) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item).or_insert(0) += 1;
    }
    counts
}

/// The line of a target that the edit did not heal. Its siblings of the same rule may stay.
fn still_there(patched: &Patched, before: &[Finding], after: &[Finding]) -> Option<usize> {
    let (keys_before, keys_after) = (counts(before.iter().map(key)), counts(after.iter().map(key)));
    let rules_before = counts(before.iter().map(|finding| &finding.rule.id));
    let rules_after = counts(after.iter().map(|finding| &finding.rule.id));
    let (keys, rules) =
        (counts(patched.targets.iter().map(key)), counts(patched.targets.iter().map(|target| &target.rule.id)));
    let left = |counts: usize, gone: usize| counts.saturating_sub(gone);
    let same = keys.iter().find(|(key, gone)| {
        keys_after.get(*key).copied().unwrap_or(0) > left(keys_before.get(*key).copied().unwrap_or(0), **gone)
    });
    if let Some((key_left, _)) = same {
        return after.iter().rev().find(|finding| key(finding) == *key_left).map(|finding| finding.start.line);
    }
    let changed = rules.iter().find(|(rule, gone)| {
        rules_after.get(*rule).copied().unwrap_or(0) > left(rules_before.get(*rule).copied().unwrap_or(0), **gone)
    });
    let (rule, _) = changed?;
    let known = |finding: &&Finding| finding.rule.id == **rule && !keys_before.contains_key(&key(finding));
    let any = |finding: &&Finding| finding.rule.id == **rule;
    after.iter().find(known).or_else(|| after.iter().find(any)).map(|finding| finding.start.line)
}

/// A finding after the edit that is none of those before: neither the same code, moved or not, nor an old finding
/// whose code the edit changed in passing.
fn fresh<'f>(patched: &Patched, before: &[Finding], after: &'f [Finding]) -> Option<&'f Finding> {
    let mut left: Vec<&Finding> = before.iter().collect();
    for target in &patched.targets {
        take(&mut left, |finding| key(finding) == key(target) && finding.span == target.span)
            .or_else(|| take(&mut left, |finding| key(finding) == key(target)));
    }
    let unmatched: Vec<&Finding> =
        after.iter().filter(|finding| take(&mut left, |old| key(old) == key(finding)).is_none()).collect();
    unmatched.into_iter().find(|finding| {
        let changed = |old: &Finding| {
            old.rule.id == finding.rule.id && edit::image(&patched.edits, old.span).overlaps(finding.span)
        };
        take(&mut left, changed).is_none()
    })
}

/// Takes the first that fits out of the list.
fn take<'f>(left: &mut Vec<&'f Finding>, fits: impl Fn(&Finding) -> bool) -> Option<&'f Finding> {
    let index = left.iter().position(|finding| fits(finding))?;
    Some(left.remove(index))
}
