//! Remembered fixes to test with.

use codehealer::model::{
    AuthorKind, Confidence, EditPattern, FixId, IssueType, Language, Level, PastFix, PatternNode, Provenance, RepoPath,
    Rewrite, RuleId, Severity, Span, TemplatePart, TrackRecord,
};

pub const DIMENSIONS: usize = 768;

/// A unit vector at `degrees` from the first axis: the cosine of two such is that of their difference.
pub fn direction(degrees: f32) -> Vec<f32> {
    let mut vector = vec![0.0; DIMENSIONS];
    (vector[1], vector[0]) = degrees.to_radians().sin_cos();
    vector
}

/// A public fix of `py-yaml-unsafe-load` in `acme/shop`, with every kind of part filled in.
pub fn fix(id: &str, degrees: f32) -> PastFix {
    PastFix {
        id: FixId(id.to_owned()),
        schema: PastFix::SCHEMA,
        organisation: "acme".to_owned(),
        language: Language::Python,
        rule: rule("py-yaml-unsafe-load"),
        aliases: vec![rule("ruff/S506")],
        issue_type: IssueType::new("UNSAFE_DESERIALIZATION").unwrap(),
        severity: Severity::High,
        confidence: Confidence::new(90).unwrap(),
        message: "yaml.load can build arbitrary objects".to_owned(),
        scope_before: "def read(f):\n    return yaml.load(f)\n".to_owned(),
        scope_after: "def read(f):\n    return yaml.safe_load(f)\n".to_owned(),
        finding: Span::new(24, 36),
        anchor_kind: "call".to_owned(),
        imports_added: vec!["import yaml".to_owned()],
        patterns: vec![pattern(3)],
        vector: direction(degrees),
        embedder: "structural-1".to_owned(),
        repository: "acme/shop".to_owned(),
        private: false,
        path: RepoPath::new("src/é.py").unwrap(),
        provenance: Provenance::Merged { pull_request: "https://example.org/1".to_owned(), commit: "c".repeat(40) },
        author: AuthorKind::Member,
        created: 1_767_225_600_123,
        round_trips: true,
        record: TrackRecord { accepted: 3, rejected: 1, reverted: 0 },
        superseded_by: None,
    }
}

pub fn rule(id: &str) -> RuleId {
    RuleId::new(id).unwrap()
}

/// A pattern whose tree is `depth` nodes deep.
pub fn pattern(depth: usize) -> EditPattern {
    let leaf = PatternNode::Leaf { kind: "identifier".to_owned(), text: "yaml".to_owned() };
    let tree = |inner: PatternNode| PatternNode::Tree {
        kind: "attribute".to_owned(),
        children: vec![inner, PatternNode::Hole { id: 1, kind: None }, PatternNode::Run { id: 2 }],
    };
    EditPattern {
        level: Level::L1,
        before: (0..depth).fold(leaf, |inner, _| tree(inner)),
        anchor: vec![0],
        rewrites: vec![Rewrite {
            path: vec![0],
            children: Some((0, 1)),
            lead: String::new(),
            trail: "\n".to_owned(),
            template: vec![TemplatePart::Text("safe_load".to_owned()), TemplatePart::Bound(1)],
        }],
        imports: vec![],
        inserted_names: vec!["yaml".to_owned()],
    }
}
