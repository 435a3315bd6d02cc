//! What is learned from one fix, and that it carries over.

use super::*;
use crate::fix::pattern::apply;

fn span_of(text: &str, needle: &str) -> Span {
    let start = text.find(needle).expect("the finding is in the text");
    Span { start, end: start + needle.len() }
}

/// Learns with a detector that asks for `bad` to be gone.
fn learned(language: Language, before: &str, after: &str, bad: &str) -> Learned {
    let silent = |text: &str| !text.contains(bad);
    let finding = span_of(before, bad);
    learn(&LearnInput { language, before, after, finding, silent: &silent }).expect("the fix is learned from")
}

/// What the first pattern that applies makes of another file.
fn carried_over(learned: &Learned, language: Language, target: &str, bad: &str) -> Option<String> {
    let finding = span_of(target, bad);
    learned.patterns.iter().find_map(|pattern| {
        apply(pattern, language, target, finding, DEFAULT_STEPS).first().map(|made| made.patched(target))
    })
}

#[test]
fn renames_a_callee_for_any_argument() {
    let before = "import yaml\n\ndef load(path):\n    with open(path) as f:\n        return yaml.load(f)\n";
    let fix = learned(Language::Python, before, &before.replace("yaml.load", "yaml.safe_load"), "yaml.load");
    assert!(fix.round_trips);
    assert!(fix.scope_before.starts_with("def load(path)"), "{}", fix.scope_before);
    let target = "import yaml\nCONFIG = yaml.load(requests.get(url).text)  # remote\n";
    assert_eq!(
        carried_over(&fix, Language::Python, target, "yaml.load").as_deref(),
        Some("import yaml\nCONFIG = yaml.safe_load(requests.get(url).text)  # remote\n")
    );
}

#[test]
fn replaces_an_operator() {
    let before = "def f(a):\n    if a == None:\n        return 1\n";
    let fix = learned(Language::Python, before, &before.replace("==", "is"), "== None");
    let target = "x = [y for y in self.rows(1) if y.name == None]\n";
    assert_eq!(
        carried_over(&fix, Language::Python, target, "== None").as_deref(),
        Some("x = [y for y in self.rows(1) if y.name is None]\n")
    );
}

#[test]
fn a_mutable_default_moves_into_the_body() {
    let before = "def add(item, items=[]):\n    items.append(item)\n    return items\n";
    let after = "def add(item, items=None):\n    if items is None:\n        items = []\n    items.append(item)\n    return items\n";
    let silent = |text: &str| !text.contains("=[]") && text.contains("if items is None");
    let finding = span_of(before, "=[]");
    let fix = learn(&LearnInput { language: Language::Python, before, after, finding, silent: &silent }).unwrap();
    let target = "class A:\n    def put(self, key, seen=[], *rest):\n        # first\n        seen.append(key)\n\n        return len(seen)\n";
    let expected = "class A:\n    def put(self, key, seen=None, *rest):\n        # first\n        if seen is None:\n            seen = []\n        seen.append(key)\n\n        return len(seen)\n";
    assert_eq!(carried_over(&fix, Language::Python, target, "=[]").as_deref(), Some(expected));
}

#[test]
fn a_query_gets_its_parameter() {
    let before = "def find(cur, name):\n    cur.execute(\"SELECT * FROM t WHERE name = '\" + name + \"'\")\n    return cur.fetchone()\n";
    let after = "def find(cur, name):\n    cur.execute(\"SELECT * FROM t WHERE name = %s\", (name,))\n    return cur.fetchone()\n";
    let fix = learned(Language::Python, before, after, "\" + name");
    assert!(fix.round_trips, "{fix:#?}");
}

#[test]
fn an_added_keyword_is_added_once() {
    let before = "def get(url):\n    return requests.get(url)\n";
    let after = "def get(url):\n    return requests.get(url, timeout=10)\n";
    let silent = |text: &str| text.contains("timeout");
    let finding = span_of(before, "requests.get(url)");
    let fix = learn(&LearnInput { language: Language::Python, before, after, finding, silent: &silent }).unwrap();
    let target = "r = requests.get(base + path, headers=h)\n";
    let once = carried_over(&fix, Language::Python, target, "requests.get(base + path, headers=h)").unwrap();
    assert_eq!(once, "r = requests.get(base + path, headers=h, timeout=10)\n");
    assert_eq!(carried_over(&fix, Language::Python, &once, "requests.get(base + path, headers=h, timeout=10)"), None);
}

/// The levels of the patterns that make `expected` of the target.
fn levels(learned: &Learned, target: &str, bad: &str, expected: &str) -> Vec<Level> {
    let finding = span_of(target, bad);
    let makes = |pattern: &&EditPattern| {
        let made = apply(pattern, Language::Python, target, finding, DEFAULT_STEPS);
        made.iter().any(|one| one.patched(target) == expected)
    };
    learned.patterns.iter().filter(makes).map(|pattern| pattern.level).collect()
}

#[test]
fn from_the_third_rung_on_a_kept_callee_may_be_another() {
    let before = "def get(url):\n    return requests.get(url)\n";
    let after = "def get(url):\n    return requests.get(url, timeout=10)\n";
    let silent = |text: &str| text.contains("timeout");
    let finding = span_of(before, "requests.get");
    let fix = learn(&LearnInput { language: Language::Python, before, after, finding, silent: &silent }).unwrap();
    let other = levels(&fix, "r = session.post(link)\n", "session.post", "r = session.post(link, timeout=10)\n");
    assert!(!other.is_empty() && other.iter().all(|level| *level >= Level::L3), "{other:?}");
    let same = levels(&fix, "r = requests.get(link)\n", "requests.get", "r = requests.get(link, timeout=10)\n");
    assert!(same.contains(&Level::L1), "{same:?}");
}

#[test]
fn from_the_third_rung_on_another_exception_may_be_caught() {
    let before = "def f():\n    try:\n        go()\n    except KeyError as e:\n        raise Bad(\"no key\")\n";
    let after = before.replace("raise Bad(\"no key\")", "raise Bad(\"no key\") from e");
    let fix = learned(Language::Python, before, &after, "raise Bad(\"no key\")\n");
    let target =
        "def g():\n    try:\n        run()\n    except OSError as error:\n        log(1)\n        raise Lost(2)\n";
    let expected = target.replace("raise Lost(2)", "raise Lost(2) from error");
    let other = levels(&fix, target, "raise Lost(2)\n", &expected);
    assert!(!other.is_empty() && other.iter().all(|level| *level >= Level::L3), "{other:?}");
}

#[test]
fn a_type_of_any_form_is_wrapped_and_never_twice() {
    let before = "from typing import Optional\n\n\ndef f(a: str = None):\n    return a\n";
    let after = before.replace("a: str", "a: Optional[str]");
    let fix = learned(Language::Python, before, &after, "a: str");
    let of = |form: &str| format!("from typing import Optional\n\n\ndef g(b: {form} = None, c=1):\n    return b\n");
    for form in ["int", "datetime.date", "list[str]"] {
        let wrapped = of(&format!("Optional[{form}]"));
        assert!(!levels(&fix, &of(form), form, &wrapped).is_empty(), "{form}");
    }
    assert_eq!(carried_over(&fix, Language::Python, &of("Optional[int]"), "Optional[int]"), None);
}

#[test]
fn a_change_as_a_whole_is_what_lies_at_its_place() {
    let before = "import os\n\n\ndef f(a, b):\n    x = old(a)\n    y = b\n    return x, y\n";
    let after = "import os\nimport new\n\n\ndef f(a, b):\n    x = new.call(a)\n    y = other(b)\n    return x, y\n";
    let finding = span_of(before, "old(a)");
    let input = |silent| LearnInput { language: Language::Python, before, after, finding, silent };
    let within = span_of(before, "    x = old(a)\n");
    let fix = learn_whole(&input(&|_: &str| true), within).unwrap();
    assert_eq!(fix.scope_after, "def f(a, b):\n    x = new.call(a)\n    y = b\n    return x, y");
    assert_eq!((fix.imports_added, fix.round_trips), (vec!["import new".to_owned()], true));
    let both = learn_whole(&input(&|_: &str| true), Span { start: 0, end: before.len() }).unwrap();
    assert!(both.scope_after.contains("y = other(b)"), "{}", both.scope_after);
    assert_eq!(learn_whole(&input(&|_: &str| false), within), Err(LearnRefusal::NotAFix));
    let elsewhere = span_of(before, "    return x, y\n");
    assert_eq!(learn_whole(&input(&|_: &str| true), elsewhere), Err(LearnRefusal::NoEdit));
}

#[test]
fn what_a_call_was_made_on_is_not_dropped_where_it_became_an_argument() {
    let before = "class A {\n  void log(String[] args) {\n    System.out.println(args.toString());\n  }\n}\n";
    let after = before.replace("args.toString()", "Arrays.toString(args)");
    let fix = learned(Language::Java, before, &after, "args.toString()");
    assert_eq!(fix.patched, after);
    let target = before.replace("args", "names");
    let made = carried_over(&fix, Language::Java, &target, "names.toString()");
    assert_eq!(made, Some(target.replace("names.toString()", "Arrays.toString(names)")));
}

#[test]
fn java_methods_are_learned_from() {
    let before = "class A {\n    byte[] h(byte[] in) throws Exception {\n        MessageDigest d = MessageDigest.getInstance(\"MD5\");\n        return d.digest(in);\n    }\n}\n";
    let fix = learned(Language::Java, before, &before.replace("MD5", "SHA-256"), "MD5");
    assert!(fix.round_trips);
    let target = "class B {\n  static final MessageDigest D = make(MessageDigest.getInstance(\"MD5\"));\n}\n";
    assert_eq!(carried_over(&fix, Language::Java, target, "MD5"), Some(target.replace("MD5", "SHA-256")));
}

#[test]
fn scripts_are_learned_from() {
    let before = "function show(el, name) {\n  el.innerHTML = name;\n}\n";
    let fix = learned(Language::JavaScript, before, &before.replace("innerHTML", "textContent"), "innerHTML");
    let target = "class V {\n  draw(row) {\n    this.root.innerHTML = `<b>${row}`;\n  }\n}\n";
    assert_eq!(
        carried_over(&fix, Language::JavaScript, target, "innerHTML"),
        Some(target.replace("innerHTML", "textContent"))
    );
}

#[test]
fn go_calls_are_learned_from() {
    let before = "package a\n\nfunc f(b []byte) []byte {\n\th := md5.New()\n\th.Write(b)\n\treturn h.Sum(nil)\n}\n";
    let fix = learned(Language::Go, before, &before.replace("md5.New", "sha256.New"), "md5.New");
    let target = "package b\n\nvar digest = md5.New()\n";
    assert_eq!(carried_over(&fix, Language::Go, target, "md5.New"), Some(target.replace("md5.New", "sha256.New")));
}

#[test]
fn an_import_is_kept_apart_from_the_edit() {
    let before = "import os\n\n\ndef run(cmd):\n    os.system(cmd)\n";
    let after = "import os\nimport subprocess\n\n\ndef run(cmd):\n    subprocess.run([cmd], check=True)\n";
    let fix = learned(Language::Python, before, after, "os.system");
    assert_eq!(fix.imports_added, ["import subprocess"]);
    assert_eq!(
        carried_over(&fix, Language::Python, "import os\nos.system(name)\n", "os.system").as_deref(),
        Some("import os\nsubprocess.run([name], check=True)\n")
    );
}

#[test]
fn only_the_part_that_fixes_is_learned() {
    let before = "def f(a, b):\n    log(a)\n    if a == None:\n        return b + 1\n";
    let after = "def f(a, b):\n    log(a, b)\n    if a is None:\n        return b + 2\n";
    let fix = learned(Language::Python, before, after, "== None");
    assert_eq!(fix.scope_after, "def f(a, b):\n    log(a)\n    if a is None:\n        return b + 1");
}

#[test]
fn changes_that_teach_nothing_are_refused() {
    let before = "def f(a):\n    return a == None\n";
    let finding = span_of(before, "== None");
    let refusal = |after: &str, silent: bool| {
        let input = LearnInput { language: Language::Python, before, after, finding, silent: &|_: &str| silent };
        learn(&input).expect_err("there is nothing to learn")
    };
    assert_eq!(refusal("def f(a):\n    # why\n    return a  == None\n", true), LearnRefusal::NoEdit);
    assert_eq!(refusal("import x\ndef f(a):\n    return a == None\n", true), LearnRefusal::ImportsOnly);
    assert_eq!(refusal("def f(a):\n    return a is None\n", false), LearnRefusal::NotAFix);
    assert_eq!(refusal("def f(a):\n    return a is is None(\n", true), LearnRefusal::SyntaxError);
    let input = LearnInput { language: Language::Yaml, before, after: "", finding, silent: &|_: &str| true };
    assert!(matches!(learn(&input), Err(LearnRefusal::Unreadable(_))));
}

const SOURCES: [(Language, &str); 4] = [
    (
        Language::Python,
        "import os\n\n\ndef f(a, b=[]):\n    # é\n    if a == None:\n        os.system(\"ls \" + a)\n    return [x for x in b]\n",
    ),
    (
        Language::JavaScript,
        "class A {\n  f(a) {\n    el.innerHTML = `ü${a}`;\n    return a == 1 ? eval(a) : [];\n  }\n}\n",
    ),
    (
        Language::Java,
        "class A {\n    int f(String a) throws E {\n        s.executeQuery(\"select ß\" + a);\n        return 1;\n    }\n}\n",
    ),
    (Language::Go, "package a\n\nfunc f(q string) error {\n\tdb.Query(\"é\" + q)\n\treturn nil\n}\n"),
];

/// Cuts a piece out at some place and puts another in, on character boundaries.
fn mutated(text: &str, from: usize, length: usize, insert: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let from = from % (chars.len() + 1);
    let to = (from + length).min(chars.len());
    chars[..from].iter().collect::<String>() + insert + &chars[to..].iter().collect::<String>()
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(160))]

    #[test]
    fn no_change_panics_and_every_edit_lies_on_character_boundaries(
        source in 0_usize..4, from in 0_usize..300, length in 0_usize..40, insert in "[a-zé(){}\\[\\]=+\"' \n#:,.]{0,12}", at in 0_usize..200, width in 0_usize..60,
    ) {
        let (language, before) = SOURCES[source];
        let after = mutated(before, from, length, &insert);
        let finding = Span { start: at, end: at + width };
        let fix = learn(&LearnInput { language, before, after: &after, finding, silent: &|_: &str| true });
        let _ = guards::violation(language, before, &after, finding);
        let _ = crate::recall::embedding::embed(language, &after, finding);
        for pattern in fix.iter().flat_map(|fix| &fix.patterns) {
            for target in [before, after.as_str()] {
                for made in apply(pattern, language, target, finding, DEFAULT_STEPS) {
                    for edit in &made.edits {
                        proptest::prop_assert!(target.get(edit.span.range()).is_some());
                        proptest::prop_assert!(made.matched.start <= edit.span.end && edit.span.start <= made.matched.end + 200);
                    }
                }
            }
        }
    }
}

#[test]
fn learns_to_wrap_a_call_that_is_an_argument() {
    let file = |argument: &str| {
        format!(
            "from flask import redirect, request\nfrom shop import urls\n\n\ndef done():\n    return redirect({argument})\n"
        )
    };
    let bad = r#"redirect(request.args.get("next"))"#;
    let fix = learned(
        Language::Python,
        &file(r#"request.args.get("next")"#),
        &file(r#"urls.local_path(request.args.get("next"))"#),
        bad,
    );
    assert!(fix.round_trips);
    let target = file(r#"request.args.get("back")"#);
    let made = carried_over(&fix, Language::Python, &target, r#"redirect(request.args.get("back"))"#);
    assert_eq!(made, Some(file(r#"urls.local_path(request.args.get("back"))"#)));
}
