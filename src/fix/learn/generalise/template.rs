//! What a gap writes: text, and references to what the holes bind.

use super::{Builder, Unfit};
use crate::fix::learn::minimise::{Layout, layout};
use crate::fix::pattern::align::Gap;
use crate::fix::pattern::kinds;
use crate::fix::pattern::names;
use crate::fix::pattern::splice::relative;
use crate::fix::pattern::tree::NodeId;
use crate::model::{Level, Rewrite, Span, TemplatePart};

impl Builder<'_> {
    pub(super) fn rewrite(&self, gap: &Gap, path: Vec<u32>, children: Option<(u32, u32)>) -> Result<Rewrite, Unfit> {
        let Layout { lead, trail, inserted, indent } = layout(self.example.new, gap);
        let mut template = Vec::new();
        if let Some(span) = inserted {
            let mut copies = Vec::new();
            let tops = self.example.new.node(gap.new_parent).children.get(gap.new.clone()).unwrap_or_default();
            for top in tops {
                self.copies(*top, &mut copies)?;
            }
            self.template(span, &indent, &copies, &mut template);
        }
        Ok(Rewrite { path, children, lead, trail, template })
    }

    /// Spans of an inserted subtree that are copied from holes.
    pub(super) fn copies(&self, top: NodeId, copies: &mut Vec<(Span, u32)>) -> Result<(), Unfit> {
        let new = self.example.new;
        let mut at = top;
        while at < new.subtree(top).end {
            let node = new.node(at);
            let hole = self.holes.get(&node.hash).filter(|_| self.wanted.contains(&node.hash));
            if let Some(hole) = hole.filter(|_| !self.names_something(at)) {
                copies.push((node.span, *hole));
                at += node.size;
                continue;
            }
            if new.is_leaf(at) {
                let text = new.text_of(at);
                if text.contains('\n') {
                    return Err(Unfit::LongString);
                }
                let spelled = self.spelled.get(text).and_then(|hash| self.holes.get(hash));
                if let Some(hole) = spelled.filter(|_| kinds::is_name(node.kind)) {
                    copies.push((node.span, *hole));
                    at += 1;
                    continue;
                }
                if let Some(copy) = self.underscored(at) {
                    copies.push(copy);
                    at += 1;
                    continue;
                }
                if self.level > Level::L0
                    && names::is_free_name(new, at)
                    && self.example.facts.needs_binding.contains(text)
                {
                    return Err(Unfit::Unbound);
                }
            }
            at += 1;
        }
        Ok(())
    }

    /// A deleted name that is written again with underscores around it: `i` and `_i`, `filter` and `filter_`.
    pub(super) fn underscored(&self, id: NodeId) -> Option<(Span, u32)> {
        let (new, text) = (self.example.new, self.example.new.text_of(id));
        let (bare, start) = (text.trim_matches('_'), new.node(id).span.start);
        if self.level < Level::L4 || bare.len() == text.len() || !kinds::is_identifier(new.node(id).kind) {
            return None;
        }
        let deleted = self.example.deleted().flat_map(|top| self.old.subtree(top));
        let same = |old: &NodeId| kinds::is_identifier(self.old.node(*old).kind) && self.old.text_of(*old) == bare;
        let hole = deleted.into_iter().find(same).and_then(|old| self.holes.get(&self.old.node(old).hash))?;
        let start = start + (text.len() - text.trim_start_matches('_').len());
        Some((Span { start, end: start + bare.len() }, *hole))
    }

    pub(super) fn template(&self, span: Span, indent: &str, copies: &[(Span, u32)], template: &mut Vec<TemplatePart>) {
        let mut at = span.start;
        let literal = |from: usize, to: usize, template: &mut Vec<TemplatePart>| {
            let text = relative(self.example.new, Span { start: from, end: to }, indent);
            if !text.is_empty() {
                template.push(TemplatePart::Text(text));
            }
        };
        for (copy, hole) in copies {
            literal(at, copy.start, template);
            template.push(TemplatePart::Bound(*hole));
            at = copy.end;
        }
        literal(at, span.end, template);
    }
}
