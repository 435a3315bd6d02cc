//! Learned edits as a person reads them: what is matched and what is written in its place.

use crate::model::{EditPattern, PatternNode, TemplatePart};

/// Tokens shown of one pattern.
const TOKENS: usize = 200;

/// What the pattern matches: its code with `$1` for one node and `$$$1` for any run of them.
#[must_use]
pub fn matched(pattern: &EditPattern) -> String {
    let mut tokens = Vec::new();
    // Patterns may come from elsewhere, as deep as they like: no recursion.
    let mut waiting = vec![&pattern.before];
    while let Some(node) = waiting.pop() {
        if tokens.len() >= TOKENS {
            tokens.push("…".to_owned());
            break;
        }
        match node {
            PatternNode::Leaf { text, .. } => tokens.push(text.clone()),
            PatternNode::Tree { children, .. } => waiting.extend(children.iter().rev()),
            PatternNode::Hole { id, .. } => tokens.push(format!("${id}")),
            PatternNode::Run { id } => tokens.push(format!("$$${id}")),
        }
    }
    tokens.join(" ")
}

/// What each rewrite writes.
#[must_use]
pub fn written(pattern: &EditPattern) -> Vec<String> {
    let part = |part: &TemplatePart| match part {
        TemplatePart::Text(text) => text.clone(),
        TemplatePart::Bound(id) => format!("${id}"),
    };
    let rewrite = |template: &[TemplatePart]| match template {
        [] => "(nothing)".to_owned(),
        parts => parts.iter().map(part).collect(),
    };
    pattern.rewrites.iter().map(|r| rewrite(&r.template)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Level, Rewrite};

    #[test]
    fn a_pattern_reads_like_the_code_it_matches() {
        let leaf = |text: &str| PatternNode::Leaf { kind: "k".to_owned(), text: text.to_owned() };
        let before = PatternNode::Tree {
            kind: "call".to_owned(),
            children: vec![
                leaf("yaml.load"),
                leaf("("),
                PatternNode::Hole { id: 1, kind: None },
                PatternNode::Run { id: 2 },
                leaf(")"),
            ],
        };
        let template = vec![TemplatePart::Text("yaml.safe_load(".to_owned()), TemplatePart::Bound(1)];
        let rewrite = Rewrite { path: Vec::new(), children: None, lead: String::new(), trail: String::new(), template };
        let pattern = EditPattern {
            level: Level::L1,
            before,
            anchor: Vec::new(),
            rewrites: vec![rewrite],
            imports: Vec::new(),
            inserted_names: Vec::new(),
        };
        assert_eq!(matched(&pattern), "yaml.load ( $1 $$$2 )");
        assert_eq!(written(&pattern), ["yaml.safe_load($1"]);
    }
}
