//! Which lines of a file a model is shown to rewrite, and in which form it answers.

use crate::fix::pattern::{kinds, tree::Tree};
use crate::model::{Finding, Language, Span};

/// Longest region that is rewritten as a whole, lines.
pub const WHOLE_LINES: usize = 60;
/// Longest region that is shown at all, lines.
const SHOWN_LINES: usize = 240;
/// Lines shown before and after a place that no short enough function holds.
const AROUND: usize = 20;

/// How a region comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Every line of it, rewritten.
    Whole,
    /// As blocks of lines to search for, each with what takes their place.
    Blocks,
}

/// The lines that the model may rewrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Whole lines of the file.
    pub span: Span,
    pub form: Form,
    /// Whether the lines are cut out of a function that is longer.
    pub partial: bool,
}

/// The region to rewrite: the smallest enclosing function; where that is longer than can be shown, or there is none, the lines
/// around the finding.
#[must_use]
pub fn region(language: Option<Language>, text: &str, finding: &Finding) -> Region {
    let function = language
        .and_then(|language| enclosing_function(language, text, finding.span))
        .map(|span| whole_lines(text, span));
    match function.map(|span| (span, lines(text, span))) {
        Some((span, count)) if count <= WHOLE_LINES => Region { span, form: Form::Whole, partial: false },
        Some((span, count)) if count <= SHOWN_LINES => Region { span, form: Form::Blocks, partial: false },
        function => {
            let span = window(text, finding.span);
            let form = if lines(text, span) <= WHOLE_LINES { Form::Whole } else { Form::Blocks };
            Region { span, form, partial: function.is_some() }
        }
    }
}

/// The smallest function around a place.
fn enclosing_function(language: Language, text: &str, place: Span) -> Option<Span> {
    let tree = Tree::parse(language, text).ok()?;
    let node = tree.covering(place);
    let mut around = std::iter::once(node).chain(tree.ancestors(node));
    around.find(|id| kinds::is_function(tree.node(*id).kind)).map(|id| tree.node(id).span)
}

fn lines(text: &str, span: Span) -> usize {
    text.get(span.range()).map_or(0, |part| part.lines().count())
}

fn whole_lines(text: &str, span: Span) -> Span {
    let start = text.get(..span.start).and_then(|head| head.rfind('\n')).map_or(0, |at| at + 1);
    // A span that ends with its line's end has no line more.
    let ended = span.end > span.start && text.get(..span.end).is_some_and(|head| head.ends_with('\n'));
    let end = match text.get(span.end..) {
        Some(tail) if !ended => tail.find('\n').map_or(text.len(), |at| span.end + at + 1),
        _ => span.end.min(text.len()),
    };
    Span::new(start, end.max(start))
}

fn window(text: &str, span: Span) -> Span {
    let mut window = whole_lines(text, span);
    for _ in 0..AROUND {
        let before = window.start.saturating_sub(1);
        window.start = text.get(..before).and_then(|head| head.rfind('\n')).map_or(0, |at| at + 1);
        let rest = text.get(window.end..).unwrap_or_default();
        window.end += rest.find('\n').map_or(rest.len(), |at| at + 1);
    }
    window
}
