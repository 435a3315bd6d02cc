//! Which other places an edit fits that was learned from one.

use super::*;
use crate::fix::pattern::{apply, foreign_names};

fn span_of(text: &str, needle: &str) -> Span {
    let start = text.find(needle).expect("the finding is in the text");
    Span { start, end: start + needle.len() }
}

/// Learns a change with a detector that only takes the whole of it.
fn learned(before: &str, after: &str, finding: &str) -> Learned {
    let silent = |text: &str| text == after;
    let finding = span_of(before, finding);
    learn(&LearnInput { language: Language::Python, before, after, finding, silent: &silent })
        .expect("the fix is learned from")
}

/// Everything that the patterns make of another file.
fn makes(learned: &Learned, target: &str, finding: &str) -> Vec<String> {
    let finding = span_of(target, finding);
    let applied =
        learned.patterns.iter().flat_map(|pattern| apply(pattern, Language::Python, target, finding, DEFAULT_STEPS));
    applied.map(|one| one.patched(target)).collect()
}

fn carries_over(learned: &Learned, target: &str, finding: &str, expected: &str) {
    let made = makes(learned, target, finding);
    assert!(made.iter().any(|text| text == expected), "{expected} is not among {made:#?}");
}

#[test]
fn the_letter_before_a_string_goes_whatever_quotes_follow() {
    let fix = learned("def f():\n    return f\"a b\"\n", "def f():\n    return \"a b\"\n", "f\"a b\"");
    carries_over(&fix, "log(f'no {{}} here', 1)\n", "f'no {{}} here'", "log('no {{}} here', 1)\n");
    carries_over(
        &fix,
        "x = f\"\"\"\n    many\n\"\"\"\n",
        "f\"\"\"\n    many\n\"\"\"",
        "x = \"\"\"\n    many\n\"\"\"\n",
    );
}

#[test]
fn an_argument_put_between_others_goes_where_it_stood() {
    let before = "def f(url, **more):\n    return requests.get(url, stream=True, **more)\n";
    let fix = learned(before, &before.replace("url, stream", "url, timeout=30, stream"), "requests.get");
    carries_over(&fix, "r = requests.get(base)\n", "requests.get", "r = requests.get(base, timeout=30)\n");
    carries_over(
        &fix,
        "r = requests.post(base, **kw)\n",
        "requests.post",
        "r = requests.post(base, timeout=30, **kw)\n",
    );
}

#[test]
fn no_argument_by_place_comes_to_stand_behind_one_by_name() {
    let before = "def f(url, **more):\n    return requests.get(url, stream=True, **more)\n";
    let fix = learned(before, &before.replace("url, stream", "url, timeout=30, stream"), "requests.get");
    assert_eq!(makes(&fix, "r = requests.post(base, body)\n", "requests.post"), [] as [&str; 0]);
    let starred = makes(&fix, "r = requests.post(base, *rest)\n", "requests.post");
    assert!(starred.contains(&"r = requests.post(base, timeout=30, *rest)\n".to_owned()), "{starred:?}");
}

#[test]
fn what_changes_inside_of_a_receiver_is_learned_without_what_is_made_of_it() {
    let before = "def f(url):\n    return requests.get(url).content\n";
    let fix = learned(before, &before.replace("get(url)", "get(url, timeout=1)"), "requests.get(url)");
    carries_over(
        &fix,
        "t = requests.get(base + path).json()\n",
        "requests.get(base + path)",
        "t = requests.get(base + path, timeout=1).json()\n",
    );
}

#[test]
fn another_receiver_takes_any_of_its_methods() {
    let before = "def f(a):\n    logging.debug(\"%s\", a)\n";
    let fix = learned(before, &before.replace("logging", "logger"), "logging.debug(\"%s\", a)");
    carries_over(&fix, "logging.warning('late')\n", "logging.warning('late')", "logger.warning('late')\n");
}

#[test]
fn a_method_names_its_own_object_wherever_it_is() {
    let before = "class A:\n    def get(self, uri):\n        return requests.get(uri)\n";
    let fix = learned(before, &before.replace("requests.get", "self._get"), "requests.get");
    let target = "class B:\n    def read(self):\n        r = requests.get(self.url)\n        return r\n";
    carries_over(&fix, target, "requests.get", &target.replace("requests.get", "self._get"));
}

#[test]
fn an_attribute_that_the_file_does_not_know_is_foreign_to_it() {
    let parse = |text: &str| Tree::parse(Language::Python, text).unwrap();
    let foreign = |file: &str, patched: &str| foreign_names(&parse(file), &parse(patched), &[]);
    assert_eq!(foreign("def f(self):\n    go()\n", "def f(self):\n    self._go()\n"), ["_go"]);
    let known = "def f(self):\n    go()\n\n\ndef _go():\n    pass\n";
    assert_eq!(foreign(known, &known.replace("    go()", "    self._go()")), [] as [&str; 0]);
}

#[test]
fn a_name_is_taken_from_where_it_is_bound() {
    let before = "def f():\n    try:\n        go()\n    except KeyError as e:\n        raise Bad(e)\n";
    let fix = learned(before, &before.replace("Bad(e)", "Bad(e) from e"), "raise Bad(e)");
    let target = "def g():\n    try:\n        run()\n    except OSError as error:\n        raise Lost('%s' % error)\n";
    let finding = "raise Lost('%s' % error)";
    let made = makes(&fix, target, finding);
    assert!(made.contains(&target.replace(finding, "raise Lost('%s' % error) from error")), "{made:#?}");
    // What is no name is not what a name stood for.
    assert!(!made.iter().any(|text| text.contains("from '%s'")), "{made:#?}");
}

#[test]
fn what_is_at_fault_may_be_any_expression_where_a_constant_takes_its_place() {
    let fix = learned("def f(conf=Make(1)):\n    go(conf)\n", "def f(conf=None):\n    go(conf)\n", "Make(1)");
    carries_over(&fix, "def g(a, b={}):\n    run(b)\n", "{}", "def g(a, b=None):\n    run(b)\n");
    let own = learned("def f(n=count()):\n    go(n)\n", "def f(n=CPUS):\n    go(n)\n", "count()");
    assert_eq!(makes(&own, "def g(a, b={}):\n    run(b)\n", "{}"), [] as [&str; 0]);
}

#[test]
fn any_import_may_have_been_one_too_many() {
    let fix =
        learned("import os\nimport re\nimport os\n\nre.x(os.y)\n", "import re\nimport os\n\nre.x(os.y)\n", "os\n");
    carries_over(&fix, "import time\n\n\nimport sys\n", "time\n", "\n\nimport sys\n");
}

#[test]
fn a_function_may_say_more_of_itself_than_the_one_learned_from() {
    let before = "def put(self, item, items=[]):\n    items.append(item)\n";
    let after = "def put(self, item, items=None):\n    if items is None:\n        items = []\n    items.append(item)\n";
    let fix = learned(before, after, "[]");
    let target = "class A:\n    async def add(self, a: int, b: list = [], *c) -> None:\n        \"\"\"Adds.\"\"\"\n        b.append(a)\n";
    let expected = target
        .replace("b: list = []", "b: list = None")
        .replace("Adds.\"\"\"\n", "Adds.\"\"\"\n        if b is None:\n            b = []\n");
    carries_over(&fix, target, "[]", &expected);
    // And the other way round.
    let fix = learned(target, &expected, "[]");
    carries_over(&fix, before, "[]", after);
}

#[test]
fn a_name_may_have_been_a_text() {
    let before = "def f(a):\n    setattr(a.b, 'link', a)\n";
    let fix = learned(before, &before.replace("setattr(a.b, 'link', a)", "a.b.link = a"), "setattr(a.b, 'link', a)");
    carries_over(&fix, "setattr(os, \"path\", 1)\n", "setattr(os, \"path\", 1)", "os.path = 1\n");
    assert_eq!(makes(&fix, "setattr(os, 'a b', 1)\n", "setattr(os, 'a b', 1)"), [] as [&str; 0]);
}
