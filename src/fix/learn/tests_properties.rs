//! What holds of every learned pattern, whatever the code it was learned from.

use proptest::prelude::*;

use super::*;
use crate::fix::pattern::{Application, DEFAULT_STEPS, Request, agreement, apply, propose, same_code};
use crate::model::{
    AuthorKind, Confidence, FixId, IssueType, PastFix, PatternNode, Provenance, RepoPath, Rewrite, RuleId, Severity,
    TemplatePart, TrackRecord,
};

/// A change of one line: the code at fault, what it becomes, and a line that is put before the statement.
type Change = (String, String, Option<String>);

fn name() -> impl Strategy<Value = String> {
    "[a-z]{3,7}".prop_filter("no keyword", |name| {
        ![
            "and", "def", "del", "for", "not", "try", "from", "none", "pass", "with", "else", "elif", "yield", "while",
            "raise", "break", "class", "async", "await", "print", "global", "import", "lambda", "return", "assert",
            "except",
        ]
        .contains(&name.as_str())
    })
}

/// An expression without operators of its own, over the names that the function has.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("given".to_owned()),
        (0_u16..999).prop_map(|number| number.to_string()),
        "[a-zé ]{0,8}".prop_map(|text| format!("\"{text}\"")),
        name().prop_map(|attribute| format!("given.{attribute}")),
        (name(), name()).prop_map(|(method, key)| format!("given.{method}(\"{key}\")[0]")),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let plain = |bad: String, good: String| (bad, good, None);
    prop_oneof![
        value().prop_map(move |v| plain(format!("{v} == None"), format!("{v} is None"))),
        (name(), name(), value())
            .prop_map(move |(a, b, v)| plain(format!("lib.{a}({v})"), format!("lib.safe_{b}({v})"))),
        (name(), value()).prop_map(move |(a, v)| plain(format!("lib.{a}({v})"), format!("lib.{a}({v}, timeout=10)"))),
        (name(), value()).prop_map(move |(a, v)| plain(format!("lib.{a}({v}, shell=True)"), format!("lib.{a}({v})"))),
        (name(), value()).prop_map(move |(a, v)| plain(format!("lib.{a}({v})"), format!("lib.clean(lib.{a}({v}))"))),
        (name(), value()).prop_map(|(a, v)| (
            format!("lib.{a}({v})"),
            format!("lib.{a}(given)"),
            Some("if given is None:\n        given = lib.make()".to_owned())
        )),
    ]
}

/// A file with the line, other lines around it, and a comment behind it.
#[derive(Debug, Clone)]
struct Case {
    before: String,
    after: String,
    finding: Span,
}

fn case() -> impl Strategy<Value = Case> {
    let around = || proptest::collection::vec((name(), value()), 0..3);
    (change(), name(), around(), around(), any::<bool>()).prop_map(
        |((bad, good, guard), target, head, tail, comment)| {
            let lines = |lines: Vec<(String, String)>| {
                lines.into_iter().map(|(name, value)| format!("    {name} = {value}\n")).collect::<String>()
            };
            let start = format!("import lib\n\n\ndef work(given):\n{}    ", lines(head));
            let end =
                format!("{}\n{}    return given\n\n\nlib.done()\n", if comment { "  # kept" } else { "" }, lines(tail));
            let guard = guard.map(|guard| format!("{guard}\n    ")).unwrap_or_default();
            let from = start.len() + target.len() + 3;
            Case {
                finding: Span { start: from, end: from + bad.len() },
                before: format!("{start}{target} = {bad}{end}"),
                after: format!("{start}{guard}{target} = {good}{end}"),
            }
        },
    )
}

fn taught(case: &Case) -> Learned {
    let bad = &case.before[case.finding.range()];
    let count = |text: &str| text.matches(bad).count();
    let silent = |text: &str| count(text) < count(&case.before) || text == case.after;
    let input = LearnInput {
        language: Language::Python,
        before: &case.before,
        after: &case.after,
        finding: case.finding,
        silent: &silent,
    };
    learn(&input).unwrap_or_else(|refusal| panic!("{refusal}\n{}\n{}", case.before, case.after))
}

fn made(pattern: &EditPattern, text: &str, finding: Span) -> Vec<Application> {
    apply(pattern, Language::Python, text, finding, DEFAULT_STEPS)
}

/// The text before the first and after the last line that a span touches.
fn around(text: &str, span: Span) -> (&str, &str) {
    let from = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let to = text[span.end..].find('\n').map_or(text.len(), |at| span.end + at);
    (&text[..from], &text[to..])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_pattern_reproduces_its_own_fix_and_has_nothing_more_to_do_there(case in case()) {
        let learned = taught(&case);
        prop_assert!(learned.round_trips);
        for pattern in &learned.patterns {
            let results: Vec<(Span, String)> = made(pattern, &case.before, case.finding)
                .iter()
                .map(|one| (one.matched, one.patched(&case.before)))
                .collect();
            let own = results.iter().find(|(_, text)| same_code(Language::Python, text, &learned.patched));
            prop_assert!(own.is_some(), "{} gives {results:?}", pattern.level);
            let Some((place, own)) = own else { continue };
            let shift = own.len().cast_signed() - case.before.len().cast_signed();
            let end = case.finding.end.saturating_add_signed(shift).clamp(case.finding.start, own.len());
            // A call inside the finding that the pattern fits as well is another place.
            let again = made(pattern, own, Span { start: case.finding.start, end })
                .into_iter()
                .find(|one| one.matched.start == place.start);
            prop_assert!(again.is_none(), "applied twice: {:?}", again.map(|one| one.patched(own)));
        }
    }

    #[test]
    fn bytes_outside_the_matched_lines_stay(case in case()) {
        for pattern in &taught(&case).patterns {
            let all = made(pattern, &case.before, case.finding);
            prop_assert!(!all.is_empty(), "{} makes nothing of its own place", pattern.level);
            for one in all {
                let (head, tail) = around(&case.before, one.matched);
                let patched = one.patched(&case.before);
                prop_assert!(patched.starts_with(head) && patched.ends_with(tail), "{} {patched}", pattern.level);
                prop_assert!(patched.contains("# kept") == case.before.contains("# kept"));
            }
        }
    }

    #[test]
    fn a_contradiction_and_a_rejection_strictly_lower_what_is_believed(
        case in case(), supporters in 1_usize..12, others in 0_usize..12, rejected in 0_u32..5,
    ) {
        let learned = taught(&case);
        let wrong = learned.scope_before.replacen("return given", "return lib.other", 1);
        let memory = |supporters: usize, others: usize, rejected: u32| {
            let mut fixes: Vec<PastFix> = (0..supporters).map(|n| remembered(n, &learned, &learned.scope_after)).collect();
            fixes[0].record.rejected = rejected;
            fixes.extend((0..others).map(|n| remembered(100 + n, &learned, &wrong)));
            fixes
        };
        for pattern in &learned.patterns {
            let mean = |fixes: Vec<PastFix>| agreement(pattern, &fixes).mean();
            let now = mean(memory(supporters, others, rejected));
            prop_assert!(mean(memory(supporters, others + 1, rejected)) < now);
            prop_assert!(mean(memory(supporters, others, rejected + 1)) < now);
            prop_assert!(mean(memory(supporters + 1, others, rejected)) >= now);
        }
    }

    #[test]
    fn a_pattern_that_fits_and_writes_where_it_likes_stays_in_its_file(
        rewrites in proptest::collection::vec(rewrite(), 1..4), case in case(),
    ) {
        for pattern in taught(&case).patterns {
            let hostile = EditPattern { rewrites: rewrites.clone(), ..pattern };
            for one in made(&hostile, &case.before, case.finding) {
                stays_in_its_file(&one, &case.before)?;
            }
        }
    }

    #[test]
    fn a_hostile_pattern_ends_and_stays_in_its_file(
        before in node(), anchor in path(), rewrites in proptest::collection::vec(rewrite(), 0..4), case in case(),
        at in 0_usize..400, width in 0_usize..400,
    ) {
        let pattern =
            EditPattern { level: Level::L4, before, anchor, rewrites, imports: Vec::new(), inserted_names: Vec::new() };
        let text = &case.before;
        for one in made(&pattern, text, Span { start: at, end: at + width }) {
            stays_in_its_file(&one, text)?;
        }
    }
}

/// Edits are disjoint parts of the file and change nothing outside of what was matched, its last line's end included.
fn stays_in_its_file(one: &Application, text: &str) -> Result<(), TestCaseError> {
    prop_assert!(one.matched.end <= text.len());
    let lines = around(text, one.matched);
    let (first, last) = (lines.0.len(), (text.len() - lines.1.len() + 1).min(text.len()));
    for edit in &one.edits {
        prop_assert!(text.get(edit.span.range()).is_some());
        prop_assert!(first <= edit.span.start && edit.span.end <= last, "{edit:?} outside of {first}..{last}");
    }
    prop_assert!(one.edits.windows(2).all(|pair| pair[0].span.end <= pair[1].span.start), "{:?}", one.edits);
    Ok(())
}

fn remembered(number: usize, learned: &Learned, after: &str) -> PastFix {
    PastFix {
        id: FixId(number.to_string()),
        schema: PastFix::SCHEMA,
        organisation: String::new(),
        language: Language::Python,
        rule: RuleId::new("py/rule").unwrap(),
        aliases: Vec::new(),
        issue_type: IssueType::new("LOGIC").unwrap(),
        severity: Severity::Low,
        confidence: Confidence::from_probability(0.0),
        message: String::new(),
        scope_before: learned.scope_before.clone(),
        scope_after: after.to_owned(),
        finding: learned.finding_in_scope,
        anchor_kind: learned.anchor_kind.clone(),
        imports_added: Vec::new(),
        patterns: learned.patterns.clone(),
        vector: Vec::new(),
        embedder: String::new(),
        repository: "shop".to_owned(),
        private: false,
        path: RepoPath::new("a.py").unwrap(),
        provenance: Provenance::Mined { commit: number.to_string() },
        author: AuthorKind::Unknown,
        created: 0,
        round_trips: true,
        record: TrackRecord::default(),
        superseded_by: None,
    }
}

fn kind() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("module"),
        Just("block"),
        Just("call"),
        Just("argument_list"),
        Just("assignment"),
        Just("identifier"),
        Just("function_definition"),
        Just("expression_statement"),
        Just("string"),
        Just("("),
        Just(","),
    ]
    .prop_map(str::to_owned)
}

fn path() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(prop_oneof![0_u32..6, Just(u32::MAX)], 0..5)
}

fn node() -> impl Strategy<Value = PatternNode> {
    let leaf = prop_oneof![
        (0_u32..4, proptest::option::of(kind())).prop_map(|(id, kind)| PatternNode::Hole { id, kind }),
        (0_u32..4).prop_map(|id| PatternNode::Run { id }),
        (kind(), "[a-z(),]{0,4}").prop_map(|(kind, text)| PatternNode::Leaf { kind, text }),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        (kind(), proptest::collection::vec(inner, 0..8))
            .prop_map(|(kind, children)| PatternNode::Tree { kind, children })
    })
}

fn rewrite() -> impl Strategy<Value = Rewrite> {
    let part =
        prop_oneof!["[a-z()\\n\"' ]{0,8}".prop_map(TemplatePart::Text), (0_u32..6).prop_map(TemplatePart::Bound),];
    let place = proptest::option::of((prop_oneof![0_u32..9, Just(u32::MAX)], prop_oneof![0_u32..9, Just(u32::MAX)]));
    (path(), place, proptest::collection::vec(part, 0..4)).prop_map(|(path, children, template)| Rewrite {
        path,
        children,
        lead: "\n".to_owned(),
        trail: String::new(),
        template,
    })
}

/// Twelve runs among sixty arguments can be laid out in more ways than any machine has time for.
#[test]
fn runs_upon_runs_end_by_their_step_cap() {
    let run = |id: u32| PatternNode::Run { id };
    let mut children: Vec<PatternNode> = (0..12).map(run).collect();
    children.push(PatternNode::Leaf { kind: "identifier".to_owned(), text: "never".to_owned() });
    let arguments = PatternNode::Tree { kind: "argument_list".to_owned(), children };
    let pattern = EditPattern {
        level: Level::L4,
        before: arguments,
        anchor: Vec::new(),
        rewrites: Vec::new(),
        imports: Vec::new(),
        inserted_names: Vec::new(),
    };
    let text = format!("f({})\n", vec!["a"; 60].join(", "));
    assert_eq!(made(&pattern, &text, Span { start: 0, end: text.len() }), []);
}

/// Ten near fixes of another form hide the one that fits from a memory that only looks at the nearest.
#[test]
fn where_no_near_fix_fits_farther_ones_are_tried() {
    let near = |n: usize| Case {
        before: format!("import lib\n\n\ndef work(given):\n    x{n} = lib.open{n}(given)\n    return given\n"),
        after: format!("import lib\n\n\ndef work(given):\n    x{n} = lib.shut{n}(given)\n    return given\n"),
        finding: Span { start: 0, end: 0 },
    };
    let far = Case {
        before: "def work(given):\n    return given == None\n".to_owned(),
        after: "def work(given):\n    return given is None\n".to_owned(),
        finding: Span { start: 0, end: 0 },
    };
    let fix = |number: usize, case: &Case, bad: &str| {
        let start = case.before.find(bad).unwrap();
        let learned = taught(&Case { finding: Span { start, end: start + bad.len() }, ..case.clone() });
        let after = learned.scope_after.clone();
        (remembered(number, &learned, &after), 1.0 / (number + 1) as f64)
    };
    let mut similar: Vec<(PastFix, f64)> = (0..10).map(|n| fix(n, &near(n), &format!("lib.open{n}(given)"))).collect();
    let text = "def other(seat):\n    return seat.owner == None\n";
    let start = text.find("seat.owner ==").unwrap();
    let proposed = |similar: &[(PastFix, f64)]| {
        let finding = Span { start, end: start + "seat.owner == None".len() };
        let request = Request { language: Language::Python, text, finding, repository: "shop", similar };
        propose(&request).first().map(|proposal| proposal.application.patched(text))
    };
    assert_eq!(proposed(&similar), None);
    similar.push(fix(10, &far, "given == None"));
    assert_eq!(proposed(&similar).as_deref(), Some("def other(seat):\n    return seat.owner is None\n"));
}
