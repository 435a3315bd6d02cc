//! Ways that values take in programs that answer requests: callbacks, patterns, prefixes, what a call fills.

use std::sync::Arc;

use crate::detect::{Detector, Limits, RuleSet};
use crate::model::{RepoPath, RepositoryId, RuleOrigin};

const RULES: &[(&str, &str)] = &[
    ("t-shell.yml", "shell"),
    ("t-path.yml", "path"),
    ("t-redirect.yml", "redirect"),
    ("t-nosql.yml", "nosql"),
    ("t-html.yml", "html"),
];

const RULE: &str = "id: t-USE
language: LANGUAGE
severity: error
message: a value is used
metadata: {issue_type: USE_OF, cwe: [78], severity: HIGH, hint: do not}
flow:
  use: USE
  from: {request: any}
  sinks:
    - {call: [USE], argument: 0}
    - {call: [USE_one], argument: 0, single: true}
    - {call: [USE_typed], argument: 0, from: {typed: any}}
    - {call: [USE_select], argument: 0, unless_prefix: '^#'}
    - {assign: ['JSX.USE']}
";

const VOCABULARY: &str = "languages: [LANGUAGE]
sources:
  - {kind: request, read: ['**.request.{args,body}', Message]}
  - {kind: request, clean: [nosql], read: ['**.request.params']}
  - {kind: request, prefix: '#', read: ['request.hash']}
  - {kind: typed, read: ['typed()']}
  - {kind: request, into: all, read: ['scan()']}
  - {kind: request, parameters: {first: '^request$', named: '^name$', function: '^view', file: 'import views'}}
callbacks:
  - {call: ['app.get'], names: [request]}
  - {call: ['socket.on'], where: {'0': message}, names: [Message]}
  - {call: [onmessage, 'window.onmessage'], names: [Message]}
cleaners:
  - {call: [quote], for: [shell]}
  - {call: ['*quote*'], for: [shell, path, html], weak: true}
passes:
  - {call: [normalize], from: all, cleans: [normal]}
  - {call: [unmarshal], from: 0, into: 1}
  - {call: [compile], from: 0}
  - {call: ['*.exec'], from: 0}
  - {call: ['*.{replace,replaceAll,slice}'], from: receiver}
guards:
  - {call: ['*.test'], argument: 0, pattern: receiver}
  - {call: [full], argument: 1, pattern: 0, whole: true}
  - {call: ['*.startsWith'], argument: receiver, fixed: 0, needs: normal, like: '^[^.]', for: [path]}
  - {call: ['*.startsWith'], argument: receiver, fixed: 0, like: '^\\.\\.', when: false, for: [dots]}
  - {call: ['*.startsWith'], argument: receiver, fixed: 0, like: '^/$', when: false, for: [absolute]}
  - {call: ['*.startsWith'], argument: receiver, fixed: 0, like: '^/$', for: [rooted]}
  - {call: ['*.startsWith'], argument: receiver, fixed: 0, like: '^//', when: false, for: [single]}
";

fn check(language: &str, path: &str, mark: &str, text: &str) {
    let mut files: Vec<(String, String)> = RULES
        .iter()
        .map(|(name, use_of)| {
            (
                (*name).to_owned(),
                RULE.replace("USE", use_of).replace(&format!("issue_type: {use_of}_OF"), "issue_type: USED"),
            )
        })
        .collect();
    files.push(("t.flow.yml".to_owned(), VOCABULARY.to_owned()));
    let files = files.into_iter().map(|(name, text)| (name, text.replace("LANGUAGE", language))).collect();
    let rules = Arc::new(RuleSet::parse(files, RuleOrigin::BuiltIn).unwrap());
    let detector = Detector::new(rules, Limits::default());
    let scan = detector.scan(&RepositoryId("1".to_owned()), &RepoPath::new(path).unwrap(), text.as_bytes());
    assert_eq!((scan.skipped, scan.cut_off), (None, None), "{text}");
    let wanted: Vec<usize> =
        text.lines().enumerate().filter(|(_, line)| line.ends_with(mark)).map(|(index, _)| index + 1).collect();
    let found: Vec<usize> = scan.findings.iter().map(|finding| finding.start.line).collect();
    assert_eq!(found, wanted, "{text}");
}

fn javascript(text: &str) {
    check("JavaScript", "a.js", "// bad", text);
    check("Tsx", "a.tsx", "// bad", text);
}

fn python(text: &str) {
    check("Python", "a.py", "# bad", text);
}

#[test]
fn a_call_tells_what_the_parameters_of_its_callback_stand_for() {
    javascript(
        "app.get('/', (q, s) => {
  shell(q.body.x); // bad
  shell(s.body.x);
});
app.get('/', (err, q) => shell(err.body));
socket.on('message', text => shell(text)); // bad
socket.on('close', text => shell(text));
window.onmessage = m => shell(m); // bad
other.onmessage = m => shell(m);
",
    );
}

#[test]
fn patterns_tell_what_a_text_may_hold() {
    javascript(
        "function f(request) {
  const a = request.args.a, b = request.args.b, c = request.args.c, d = request.args.d, e = request.args.e;
  if (/^[a-z0-9]+$/.test(a)) shell(a);
  else shell(a); // bad
  if (/[a-z]/.test(b)) shell(b); // bad
  if (/^[a-z;|&]+$/.test(c)) shell(c); // bad
  if (/[^a-z]/.test(d)) return;
  shell(d);
  if (/^.+$/.test(e)) shell(e); // bad
  shell(e.replace(/[^a-z]/g, ''));
  shell(e.replace(/[^a-z]/, '')); // bad
  shell(e.replace(/[;|&]/g, ''));
  shell(e.replace(/a=([^;]*)/g, '$1')); // bad
  path(e.replace(/[/.]/g, ''));
  path(e.replace(/\\.\\./g, ''));
  path(e.replace('../', '')); // bad
  show(e.replace(/</g, '&lt;'));
  html(e.replace(/</g, '&lt;'));
  html(e.replace('<', '&lt;')); // bad
  shell(/id=(\\d+)/.exec(e)[1]);
  shell(/id=(.*)/.exec(e)[1]); // bad
}
",
    );
    python(
        "def f(request):
    a = request.args['a']
    if full('[a-z]+', a):
        shell(a)
    if not full(compile('[a-z]*;?'), a):
        return
    shell(a)  # bad
",
    );
}

#[test]
fn a_path_is_checked_in_its_normal_form_and_for_both_ways_out() {
    javascript(
        "function f(request, root) {
  const a = request.args.a;
  if (a.startsWith('/srv')) path(a); // bad
  const b = normalize(a);
  if (b.startsWith('/srv')) { path(b); path(a); }
  const c = normalize(request.args.c);
  if (!c.startsWith('..')) path(c); // bad
  if (!c.startsWith('..') && !c.startsWith('/')) path(c);
  if (!c.startsWith('..')) path('pages/' + c);
  if (c.indexOf(root) !== 0) return;
  path(c);
}
function g(request) {
  const a = request.args.a;
  if (a.startsWith('/')) redirect(a); // bad
  if (a.startsWith('/') && !a.startsWith('//')) redirect(a);
  if (a[0] === '/' && a.indexOf('//') !== 0) redirect(a);
}
",
    );
}

#[test]
fn a_sink_asks_for_more_than_its_rule() {
    javascript(
        "function f(request) {
  shell_one(request.args.a); // bad
  shell_one(['ls', request.args.a]);
  shell_typed(request.args.a);
  shell_typed(typed()); // bad
  html_select(request.hash);
  html_select(request.hash.slice(1)); // bad
  html(request.hash); // bad
}
",
    );
}

#[test]
fn a_text_is_no_object() {
    javascript(
        "function f(request) {
  const a = request.args.a, b = request.args.b;
  nosql({ a }); // bad
  nosql({ a: request.params.a });
  nosql({ a: `${a}!` });
  nosql({ a: { $eq: a } });
  if (typeof b === 'string') nosql({ b });
}
",
    );
}

#[test]
fn calls_fill_what_they_are_given() {
    check(
        "Go",
        "a.go",
        "// bad",
        "package a
func f(request R) {
	var a, b, c string
	shell(a)
	scan(&a)
	shell(a) // bad
	unmarshal(request.body, &b)
	shell(b) // bad
	unmarshal(c, &c)
	shell(c)
}
",
    );
}

#[test]
fn a_weak_cleaner_counts_where_no_other_does() {
    python(
        "def f(request):
    a = request.args['a']
    shell(quote(a))
    path(quote(a))  # bad
    path(sql_quote(a))
",
    );
}

#[test]
fn parameters_are_told_by_their_function_and_its_first_one() {
    let text = "import views
def view_one(request, name, other):
    shell(name)  # bad
    shell(other)
def help(request, name):
    shell(name)
def view_two(name):
    shell(name)
";
    python(text);
    python(&text.replace("import views", "import os").replace("  # bad", ""));
}

#[test]
fn attributes_of_elements_are_written_and_classes_are_values() {
    javascript(
        "function f(request) {
  return <div title={request.args.a} html={request.args.a} />; // bad
}
module.exports = class {
  run(request) {
    shell(request.args.a); // bad
  }
};
const { x } = Object.assign({}, request.args);
shell(x); // bad
",
    );
}
