//! Whether other remembered fixes agree with a pattern: similarity is no confidence, agreement is.

use super::apply::{DEFAULT_STEPS, Results, results};
use super::fragment::Pair;
use super::loose::same_edit;
use super::tree::Tree;
use crate::model::{EditPattern, PastFix, PatternNode, RuleId, Span, TrackRecord};

/// Memories that are asked at most.
const MAX_MEMORIES: usize = 40;
/// How much one rejection and one revert weigh against the edit that they were about.
const REJECTED: f64 = 2.0;
const REVERTED: f64 = 4.0;

/// What the memories say of a pattern. Weights are those of [`crate::model::Provenance::weight`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Agreement {
    /// Weight of the fixes that the pattern reproduces.
    pub supports: f64,
    /// Weight of the fixes that it changes in another way than they were fixed, and of what reviewers refused.
    pub contradictions: f64,
    /// Number of fixes that it reproduces.
    pub donors: u32,
}

impl Agreement {
    /// Mean of a Beta posterior with prior (0.3, 0.9): the chance that a person accepts the pattern's edit.
    #[must_use]
    pub fn mean(self) -> f64 {
        (self.supports + 0.3) / (self.supports + self.contradictions + 1.2)
    }
}

/// A remembered fix, read once and asked many times.
#[derive(Debug)]
pub struct Witness<'a> {
    fix: &'a PastFix,
    /// Its scopes, read when the first pattern might fit, and what patterns have made of them: many make the same.
    read: Option<Option<(Pair, Results)>>,
}

impl<'a> Witness<'a> {
    /// `None` when the fix is superseded or what it says of itself cannot be.
    #[must_use]
    pub fn new(fix: &'a PastFix) -> Option<Self> {
        let nowhere = fix.finding.start > fix.finding.end || fix.finding.end > fix.scope_before.len();
        (fix.superseded_by.is_none() && !nowhere).then_some(Self { fix, read: None })
    }

    /// Witnesses among the first memories.
    #[must_use]
    pub fn call(memories: impl IntoIterator<Item = &'a PastFix>) -> Vec<Self> {
        memories.into_iter().filter_map(Self::new).take(MAX_MEMORIES).collect()
    }

    /// `None` when the pattern does not apply, else whether it gives what the fix gave.
    fn reproduces(&mut self, pattern: &EditPattern) -> Option<bool> {
        let fix = self.fix;
        if !longest_text(&pattern.before).is_none_or(|text| fix.scope_before.contains(text)) {
            return None;
        }
        let read = || {
            let pair = Pair::read(fix.language, &fix.scope_before, &fix.scope_after)?;
            let known = Results::expecting(&pair.after);
            Some((pair, known))
        };
        let (pair, known) = self.read.get_or_insert_with(read).as_mut()?;
        makes(pattern, pair, fix.finding, (DEFAULT_STEPS, known), same_edit)
    }
}

/// The longest text that the pattern has of its own: where it is not, the pattern does not fit.
fn longest_text(pattern: &PatternNode) -> Option<&str> {
    let mut longest: Option<&str> = None;
    let mut open = vec![pattern];
    while let Some(node) = open.pop() {
        match node {
            PatternNode::Leaf { text, .. } if longest.is_none_or(|other| other.len() < text.len()) => {
                longest = Some(text)
            }
            PatternNode::Tree { children, .. } => open.extend(children),
            _ => {}
        }
    }
    longest
}

/// Whether the pattern makes `after` of `before`, white space and comments aside; `None` when it does not apply. `known` is of
/// this same pair.
#[must_use]
pub fn reproduces(pattern: &EditPattern, pair: &Pair, finding: Span, budget: (usize, &mut Results)) -> Option<bool> {
    makes(pattern, pair, finding, budget, Tree::same_code)
}

fn makes(
    pattern: &EditPattern,
    pair: &Pair,
    finding: Span,
    (steps, known): (usize, &mut Results),
    same: impl Fn(&Tree, &Tree) -> bool,
) -> Option<bool> {
    let made = results(pattern, &pair.before, pair.span(finding), (steps, known));
    if made.is_empty() {
        return None;
    }
    Some(made.iter().any(|(_, patched)| same(patched, &pair.after)))
}

/// Asks up to 40 of the memories, which are of the same rule, what they think of the pattern. The fix that the pattern
/// was learned from counts when it is among them.
#[must_use]
pub fn agreement(pattern: &EditPattern, memories: &[PastFix]) -> Agreement {
    ask(pattern, &mut Witness::call(memories))
}

/// [`agreement`] with witnesses that are read already.
#[must_use]
pub fn ask(pattern: &EditPattern, witnesses: &mut [Witness<'_>]) -> Agreement {
    let mut told = Agreement::default();
    for witness in witnesses {
        let weight = witness.fix.provenance.weight();
        let record = witness.fix.record;
        match witness.reproduces(pattern) {
            Some(true) => {
                told.supports += weight;
                told.donors += 1;
                told.contradictions += REJECTED * f64::from(record.rejected) + REVERTED * f64::from(record.reverted);
            }
            Some(false) => told.contradictions += weight,
            None => {}
        }
    }
    told
}

/// Reviewed outcomes of all remembered fixes of the rule together.
#[must_use]
pub fn rule_record(near: &[(PastFix, f64)], rule: &RuleId) -> TrackRecord {
    near.iter().filter(|(fix, _)| fix.rule == *rule).fold(TrackRecord::default(), |sum, (fix, _)| TrackRecord {
        // Praise counts only where people here gave it; an imported file may claim any.
        accepted: sum.accepted + if fix.provenance.weight() > 0.0 { fix.record.accepted } else { 0 },
        rejected: sum.rejected + fix.record.rejected,
        reverted: sum.reverted + fix.record.reverted,
    })
}
