//! Answers of every kind, and what becomes of them.

use proptest::prelude::*;

use super::blocks::BadBlocks;
use super::*;
use crate::model::{Cwe, IssueType, RuleId, RuleOrigin, Severity, Span};

const TEXT: &str = "import os\n\ndef f(x):\n    return eval(x)\n\nf(1)\n";

fn rule() -> RuleInfo {
    RuleInfo {
        id: RuleId::new("py-x").unwrap(),
        issue_type: IssueType::new("LOGIC").unwrap(),
        cwes: vec![Cwe(95)],
        severity: Severity::Low,
        language: None,
        message: String::new(),
        note: String::new(),
        hint: "use ast.literal_eval".to_owned(),
        references: Vec::new(),
        origin: RuleOrigin::BuiltIn,
    }
}

fn completion(answer: &str) -> Completion {
    Completion {
        text: answer.into(),
        model: "m".into(),
        input_tokens: 0,
        output_tokens: 0,
        estimated: false,
        truncated: false,
    }
}

fn ask_of(text: &str, region: Region, answer: &str) -> Result<String, Refusal> {
    let (path, key, rule) = (RepoPath::new("a.py").unwrap(), Key::new("abc"), rule());
    let about = About { rule: &rule, path: &path, language: Some(Language::Python), text, region: &region, key: &key };
    let rewrite = read(&completion(answer), &about)?;
    Ok(edit::apply(text, &rewrite.edits).unwrap())
}

fn whole(start: usize, end: usize) -> Region {
    Region { span: Span::new(start, end), form: Form::Whole, partial: false }
}

fn ask(answer: &str) -> Result<String, Refusal> {
    ask_of(TEXT, whole(11, 39), answer)
}

#[test]
fn a_rewritten_region_becomes_an_edit() {
    let patched = ask("BEGIN abc\ndef f(x):\n    return int(x)\nEND abc\nCONFIDENCE 70").unwrap();
    assert_eq!(patched, TEXT.replace("eval", "int"));
}

#[test]
fn fences_by_habit_are_taken_off() {
    let patched = ask("Sure!\nBEGIN abc\n```python\ndef f(x):\n    return int(x)\n```\nEND abc").unwrap();
    assert_eq!(patched, TEXT.replace("eval", "int"));
}

#[test]
fn imports_that_the_region_needs_are_added_where_imports_are() {
    let answer = "BEGIN abc\ndef f(x):\n    return ast.literal_eval(x)\nEND abc\nIMPORT import ast\nIMPORT os.system('id')\n\
                  IMPORT import os\nCONFIDENCE 70";
    let patched = ask(answer).unwrap();
    assert_eq!(patched, TEXT.replace("eval", "ast.literal_eval").replace("import os\n", "import os\nimport ast\n"));
}

#[test]
fn unclear_answers_are_refused_with_the_reason() {
    let in_region = |body: &str| format!("BEGIN abc\n{body}\nEND abc");
    let cases = [
        ("CANNOT".to_owned(), Refusal::Cannot),
        ("Use ast.literal_eval instead.".to_owned(), Refusal::NoRegion),
        ("BEGIN abc\ndef f(x):\n    return int(x)\n".to_owned(), Refusal::CutOff),
        ("BEGIN abc\na\nEND abc\nBEGIN abc\nb\nEND abc".to_owned(), Refusal::Several),
        ("END abc\nBEGIN abc".to_owned(), Refusal::Several),
        (in_region("def f(x):\n    # ... rest of the function"), Refusal::Elided),
        (in_region("..."), Refusal::Elided),
        (in_region("def f(x):\n    return 1\u{1b}[2J"), Refusal::ControlCharacters),
        (in_region("def f(x):\n    return 1 # \u{202e}x"), Refusal::ControlCharacters),
        (in_region("def f(x):\n    return '<|eot_id|>'"), Refusal::ModelMarks),
        (in_region("def f(x):\n    return '[redacted]'"), Refusal::Redacted),
        (in_region("def f(x):\n    return eval(x)"), Refusal::Unchanged),
        (in_region("def f(x):\n    return os.system(x)"), Refusal::Reaches(Reach::Process)),
    ];
    for (answer, refusal) in cases {
        assert_eq!(ask(&answer), Err(refusal), "{answer}");
    }
    assert_eq!(ask(&"x".repeat(ANSWER_BYTES + 1)), Err(Refusal::TooLong));
}

#[test]
fn code_from_outside_of_the_region_and_a_region_twice_are_refused() {
    let text = "SETTINGS = load_all()\n\n\ndef first_name(x):\n    return x.split()[0]\n\n\nprint(first_name('a b'))\n";
    let region = whole(24, 67);
    let answer = |body: &str| format!("BEGIN abc\n{body}\nEND abc");
    let good = "def first_name(x):\n    return x.split()[1]";
    assert!(ask_of(text, region, &answer(good)).is_ok());
    for (body, refusal) in [
        (format!("SETTINGS = load_all()\n\n\n{good}"), Refusal::OutOfRegion),
        (format!("{good}\n\n\nprint(first_name('a b'))"), Refusal::OutOfRegion),
        (format!("{good}\n\n\n{good}"), Refusal::Duplicated),
    ] {
        assert_eq!(ask_of(text, region, &answer(&body)), Err(refusal), "{body}");
    }
}

const LONG: &str = "def f():\n    a = 1\n    b = 2\n    a = 1\n    c = 3\n";

fn ask_blocks(body: &str) -> Result<String, Refusal> {
    let region = Region { form: Form::Blocks, ..whole(0, LONG.len()) };
    ask_of(LONG, region, &format!("BEGIN abc\n{body}\nEND abc\n"))
}

#[test]
fn blocks_take_the_place_of_what_they_search_for() {
    let one = "<<<<<<< SEARCH\n    b = 2\n=======\n    b = 5\n>>>>>>> REPLACE";
    assert_eq!(ask_blocks(one).unwrap(), LONG.replace("b = 2", "b = 5"));
    let two = format!("{one}\n<<<<<<< SEARCH\n    c = 3\n=======\n>>>>>>> REPLACE");
    assert_eq!(ask_blocks(&two).unwrap(), LONG.replace("b = 2", "b = 5").replace("    c = 3\n", ""));
}

#[test]
fn blocks_that_are_not_found_exactly_once_are_refused() {
    let block = |search: &str| format!("<<<<<<< SEARCH\n{search}\n=======\n    x = 0\n>>>>>>> REPLACE");
    for (body, bad) in [
        (block("    a = 1"), BadBlocks::Ambiguous(1, 2)),
        (block("    d = 4"), BadBlocks::NotFound(1)),
        (block("b = 2"), BadBlocks::NotFound(1)),
        (block(""), BadBlocks::Empty(1)),
        (format!("{}\n{}", block("    b = 2"), block("    b = 2\n    a = 1")), BadBlocks::Overlap(2)),
        ("<<<<<<< SEARCH\n    b = 2\n=======\n".to_owned(), BadBlocks::Broken(1)),
        ("<<<<<<< SEARCH\n<<<<<<< SEARCH\n".to_owned(), BadBlocks::Broken(1)),
        ("    b = 5".to_owned(), BadBlocks::None),
        (vec![block("    b = 2"); 9].join("\n"), BadBlocks::TooMany),
    ] {
        assert_eq!(ask_blocks(&body), Err(Refusal::Blocks(bad)), "{body}");
    }
}

#[test]
fn a_claim_is_read_and_bounded() {
    assert_eq!(claimed("CONFIDENCE: 93%"), Some(93));
    assert_eq!(claimed("CONFIDENCE 900"), Some(100));
    assert_eq!(claimed("I am sure"), None);
}

/// Pieces that answers are made of, good and bad.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("BEGIN abc".to_owned()),
        Just("END abc".to_owned()),
        Just("CONFIDENCE 80".to_owned()),
        Just("IMPORT import ast".to_owned()),
        Just("<<<<<<< SEARCH".to_owned()),
        Just("=======".to_owned()),
        Just(">>>>>>> REPLACE".to_owned()),
        Just("```".to_owned()),
        Just("    return int(x)".to_owned()),
        Just("def f(x):".to_owned()),
        "[ -~\u{e9}\u{202e}\r]{0,20}",
    ]
}

fn any_text() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![Just("x = 1".to_owned()), Just("    return x".to_owned()), "[ a-z\u{e9}]{0,8}"],
        0..12,
    )
    .prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn no_answer_panics_or_changes_what_lies_outside_of_the_region(
        text in any_text(),
        pieces in proptest::collection::vec(piece(), 0..10),
        bounds in (0usize..80, 0usize..80),
        framed in any::<bool>(),
        blocks in any::<bool>(),
    ) {
        let line_start = |at: usize| {
            let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
            text[..at].rfind('\n').map_or(0, |newline| newline + 1)
        };
        let (a, b) = (line_start(bounds.0), line_start(bounds.1));
        let form = if blocks { Form::Blocks } else { Form::Whole };
        let region = Region { form, ..whole(a.min(b), a.max(b)) };
        let mut answer = pieces.join("\n");
        if framed {
            answer = format!("BEGIN abc\n{answer}\nEND abc");
        }
        let (path, key, rule) = (RepoPath::new("a.txt").unwrap(), Key::new("abc"), rule());
        // Without a language no import is added: every edit lies inside of the region.
        let about = About { rule: &rule, path: &path, language: None, text: &text, region: &region, key: &key };
        let read_once = read(&completion(&answer), &about);
        prop_assert_eq!(&read_once, &read(&completion(&answer), &about), "the same answer, the same reading");
        if let Ok(rewrite) = read_once {
            let patched = edit::apply(&text, &rewrite.edits).unwrap();
            prop_assert!(patched.starts_with(&text[..region.span.start]));
            prop_assert!(patched.ends_with(&text[region.span.end..]));
            // Asked again about what it made, the same answer changes nothing more.
            if form == Form::Whole {
                let end = patched.len() - (text.len() - region.span.end);
                let region = Region { form, ..whole(region.span.start, end) };
                let again = About { text: &patched, region: &region, ..about };
                if let Ok(more) = read(&completion(&answer), &again) {
                    prop_assert_eq!(edit::apply(&patched, &more.edits).unwrap(), patched);
                }
            }
        }
    }

    #[test]
    fn arbitrary_answers_never_panic(answer in "\\PC{0,200}", start in 0usize..46, end in 0usize..46) {
        let _ = ask_of(TEXT, whole(start.min(end), start.max(end)), &answer);
        let _ = ask_of(TEXT, whole(start.min(end), start.max(end)), &format!("BEGIN abc\n{answer}\nEND abc"));
    }
}
