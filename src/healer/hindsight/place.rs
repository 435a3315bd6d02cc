//! One step of one place: from a text with the finding to the next text of the same file.

use std::ops::Range;

use crate::fix::diff::{self, LineChange};
use crate::fix::edit;
use crate::model::{Edit, Finding, RuleId, Span};
use crate::report::replay::Later;

/// What our edit makes of the lines of a finding, without white space: formatting is a matter of taste.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ours(Vec<(String, String)>);

impl Ours {
    /// Lines that the edit changes elsewhere, such as an import, are not asked of people: they may have had it already. `None` when
    /// the edits do not apply or change nothing.
    pub fn of(text: &str, edits: &[Edit], finding: Span) -> Option<Self> {
        let after = edit::apply(text, edits).ok()?;
        let changes = diff::line_changes(text, &after);
        let lines = whole_lines(text, finding);
        let (here, elsewhere): (Vec<_>, Vec<_>) = changes.into_iter().partition(|change| touches(change, &lines));
        let told = if here.is_empty() { elsewhere } else { here };
        let part = |of: &str, range: Range<usize>| compact(of.get(range).unwrap_or_default());
        let pairs: Vec<_> =
            told.into_iter().map(|change| (part(text, change.before), part(&after, change.after))).collect();
        (!pairs.is_empty()).then_some(Self(pairs))
    }

    /// Whether the lines that people wrote, without white space, hold what we would have written.
    fn are_in(&self, written: &str) -> bool {
        self.0.iter().all(|(before, after)| match after.is_empty() {
            true => !written.contains(before.as_str()),
            false => written.contains(after.as_str()),
        })
    }
}

/// A text before and after, with what the rules find in each.
pub(super) struct Step<'a> {
    pub before: &'a str,
    pub after: &'a str,
    pub was: &'a [Finding],
    pub is: &'a [Finding],
}

impl<'a> Step<'a> {
    /// The finding as it stands after the step, or how it ended.
    pub fn follow(&self, rule: &RuleId, (span, normalised): (Span, &str), ours: &Ours) -> Result<&'a Finding, Later> {
        let changes = diff::line_changes(self.before, self.after);
        let lines = whole_lines(self.before, span);
        let touching: Vec<&LineChange> = changes.iter().filter(|change| touches(change, &lines)).collect();
        let (Some(first), Some(last)) = (touching.first(), touching.last()) else {
            let moved = shifted(span, &changes);
            return self
                .one(rule, moved, normalised)
                .or_else(|| self.carried(rule, normalised, &changes))
                .ok_or(Later::Elsewhere);
        };
        let region = Span::new(first.after.start.min(last.after.start), last.after.end.max(first.after.end));
        let stays = if region.start < region.end { self.one(rule, region, normalised) } else { None };
        if let Some(finding) = stays.or_else(|| self.carried(rule, normalised, &changes)) {
            return Ok(finding);
        }
        let written = compact(self.after.get(region.range()).unwrap_or_default());
        Err(if written.is_empty() {
            Later::Elsewhere
        } else if ours.are_in(&written) {
            Later::Same
        } else {
            Later::Differently
        })
    }

    /// A finding of the rule in that part of the text, the one with the same code first.
    fn one(&self, rule: &RuleId, part: Span, normalised: &str) -> Option<&'a Finding> {
        let inside = |f: &&Finding| f.rule.id == *rule && f.span.overlaps(part);
        let equal = self.is.iter().filter(inside).find(|f| f.normalised == normalised);
        equal.or_else(|| self.is.iter().find(inside))
    }

    /// The same code with the same finding in lines that are new: it was carried there. Only when no such finding was lost.
    fn carried(&self, rule: &RuleId, normalised: &str, changes: &[LineChange]) -> Option<&'a Finding> {
        let equal = |f: &&Finding| f.rule.id == *rule && f.normalised == normalised;
        if self.is.iter().filter(equal).count() < self.was.iter().filter(equal).count() {
            return None;
        }
        let new = |f: &&Finding| changes.iter().any(|c| c.after.start < f.span.end && f.span.start < c.after.end);
        self.is.iter().filter(equal).find(new)
    }
}

/// The lines that a span stands in, line ends included.
fn whole_lines(text: &str, span: Span) -> Range<usize> {
    let start = text.get(..span.start).and_then(|head| head.rfind('\n')).map_or(0, |at| at + 1);
    let last = span.end.max(span.start + 1) - 1;
    let end = text.get(last..).and_then(|tail| tail.find('\n')).map_or(text.len(), |at| last + at + 1);
    start..end.max(start)
}

/// Whether a change replaces some of these lines, or puts new ones between them.
fn touches(change: &LineChange, lines: &Range<usize>) -> bool {
    change.before.start < lines.end && lines.start < change.before.end
        || change.before.is_empty() && lines.start < change.before.start && change.before.start < lines.end
}

/// Where a span stands after changes that do not touch it.
fn shifted(span: Span, changes: &[LineChange]) -> Span {
    let (mut added, mut removed) = (0usize, 0usize);
    for change in changes.iter().filter(|change| change.before.end <= span.start) {
        added += change.after.len();
        removed += change.before.len();
    }
    Span::new((span.start + added).saturating_sub(removed), (span.end + added).saturating_sub(removed))
}

/// Code without white space.
pub(super) fn compact(code: &str) -> String {
    code.chars().filter(|c| !c.is_whitespace()).collect()
}
