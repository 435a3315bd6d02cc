//! What reaches a sink and what does not, with rules made for the purpose, in each language.

use std::sync::Arc;

use crate::detect::{Detector, Limits, RuleSet};
use crate::model::{Finding, FlowRole, RepoPath, RepositoryId, RuleOrigin};

const RULE: &str = "id: t-shell
language: LANGUAGE
severity: error
message: a command is run
metadata: {issue_type: COMMAND_INJECTION, cwe: [78], severity: HIGH, hint: do not}
flow:
  use: shell
  from: {request: any, parameter: built}
  unless_prefix: '^fixed '
  unless_near: 'plain text only'
  sinks:
    - {call: [run], argument: 0}
    - {call: [query], argument: 0, formed: true}
    - {call: [start], argument: 0, where: {shell: 'true'}}
    - {call: [send], argument: 0, unless: [root]}
  text: '(?i)select '
";

const VOCABULARY: &str = "languages: [LANGUAGE]
sources:
  - {kind: request, read: ['**.request.args', 'taint()']}
cleaners:
  - {call: [number, int], for: all}
  - {call: [quote], for: [shell]}
  - {call: [escape], for: [html]}
passes:
  - {call: ['*.join'], from: [receiver, all], joins: true}
  - {call: ['strings.Join'], from: 0, joins: true}
  - {call: ['fmt.Sprintf', 'String.format'], format: 0}
  - {call: ['*.{format,%}'], format: receiver}
  - {call: ['*.toString', '*.String', '*.replace'], from: receiver}
guards:
  - {call: [is_valid, isValid], argument: 0, for: all}
  - {call: ['*.{includes,contains}'], argument: 0, fixed: receiver, for: all}
  - {call: ['*.equals'], argument: receiver, fixed: 0, for: all}
exits: [stop]
builders: [StringBuilder, strings.Builder]
plain_types: '^(int|long|number|bool)$'
";

fn scan(language: &str, path: &str, text: &str) -> Vec<Finding> {
    let of = |text: &str| text.replace("LANGUAGE", language);
    let files = vec![("t-shell.yml".to_owned(), of(RULE)), ("t.flow.yml".to_owned(), of(VOCABULARY))];
    let rules = Arc::new(RuleSet::parse(files, RuleOrigin::BuiltIn).unwrap());
    let detector = Detector::new(rules, Limits::default());
    let scan = detector.scan(&RepositoryId("1".to_owned()), &RepoPath::new(path).unwrap(), text.as_bytes());
    assert_eq!((scan.skipped, scan.cut_off), (None, None), "{text}");
    scan.findings
}

/// The lines that are found must be those whose text ends with the mark.
fn check(language: &str, path: &str, mark: &str, text: &str) {
    let wanted: Vec<usize> =
        text.lines().enumerate().filter(|(_, line)| line.ends_with(mark)).map(|(index, _)| index + 1).collect();
    let found: Vec<usize> = scan(language, path, text).iter().map(|finding| finding.start.line).collect();
    assert_eq!(found, wanted, "{text}");
}

fn python(text: &str) {
    check("Python", "a.py", "# bad", text);
}

fn javascript(text: &str) {
    check("JavaScript", "a.js", "// bad", text);
    check("TypeScript", "a.ts", "// bad", text);
}

fn java(body: &str) {
    check("Java", "A.java", "// bad", &format!("class A {{\n{body}\n}}\n"));
}

fn go(body: &str) {
    check("Go", "a.go", "// bad", &format!("package a\n{body}\n"));
}

#[test]
fn values_are_followed_through_assignments_and_every_way_to_build_text() {
    python(
        "def f(request):
    a = request.args['x']
    b = a
    run(b)  # bad
    c, d = 'x', a
    run(c)
    run(d)  # bad
    run(f'ls {a}')  # bad
    run('ls %s' % a)  # bad
    run('ls %d' % a)
    run('ls {}'.format(a))  # bad
    run(f'{a:d}')
    e = 'ls'
    e += ' ' + a
    run(e)  # bad
    run(' '.join(['ls', a]))  # bad
    run(('ls ' + a) if a else 'x')  # bad
    if (n := a):
        run(n)  # bad
    run('ls ' 'x')
",
    );
    javascript(
        "function f(request) {
  const a = request.args.x;
  const { y, z: w } = request.args;
  run(y); // bad
  run(w); // bad
  run(`ls ${a}`); // bad
  run('ls ' + a); // bad
  run(['ls', a].join(' ')); // bad
  let s = 'ls';
  s += a;
  run(s); // bad
  const [p, q] = ['x', a];
  run(p);
  run(q); // bad
}
",
    );
    java(
        "void f(R request) {
  String a = request.args;
  run(a); // bad
  StringBuilder b = new StringBuilder(\"ls \");
  b.append(a).append(\" x\");
  run(b.toString()); // bad
  run(String.format(\"ls %s\", a)); // bad
  run(String.format(\"ls %d\", a));
  String[] c = {\"ls\", a};
  run(c[0]);
  run(c[1]); // bad
}",
    );
    go("func f(request R) {
	a := request.args
	run(a) // bad
	run(fmt.Sprintf(\"ls %s\", a)) // bad
	run(fmt.Sprintf(\"ls %d\", a))
	var b strings.Builder
	b.WriteString(\"ls \")
	run(b.String())
	b.WriteString(a)
	run(b.String()) // bad
	run(strings.Join([]string{\"ls\", a}, \" \")) // bad
	c, d := \"x\", a
	run(c)
	run(d) // bad
}");
}

#[test]
fn parts_of_containers_are_told_apart() {
    python(
        "def f(request):
    a = request.args['x']
    d = {'safe': 'ls', 'bad': a}
    run(d['safe'])
    run(d['bad'])  # bad
    d['safe'] = a
    run(d['safe'])  # bad
    items = []
    items.append('ls')
    run(items[0])
    items.append(a)
    run(items[0])
    run(items[1])  # bad
    for item in items:
        run(item)  # bad
    run([x for x in items][0])  # bad
",
    );
    javascript(
        "function f(request) {
  const o = { safe: 'ls', bad: request.args.x };
  run(o.safe);
  run(o.bad); // bad
  const m = [];
  m.push('x');
  m.push(request.args.y);
  run(m[0]);
  m.forEach((one) => { run(one); }); // bad
}
",
    );
}

#[test]
fn guards_as_people_write_them_make_harmless() {
    python(
        "def f(request):
    a = request.args['x']
    if a == 'ls':
        run(a)
    if a not in ('ls', 'ps'):
        return
    run(a)

def g(request):
    a = request.args['x']
    if not is_valid(a):
        raise ValueError(a)
    run(a)

def h(request):
    a = request.args['x']
    ok = is_valid(a)
    if not ok:
        stop()
    run(a)

def i(request):
    a = request.args['x']
    if isinstance(a, int):
        run(a)
    else:
        run(a)  # bad
    a = int(a)
    run(a)

def j(request):
    a = request.args['x']
    if is_valid(a) or a:
        run(a)  # bad
    if is_valid(a) and a:
        run(a)
    run(a)  # bad
",
    );
    javascript(
        "function f(request) {
  const a = request.args.x;
  if (!['ls', 'ps'].includes(a)) return;
  run(a);
}
function g(request) {
  const a = request.args.x;
  if (typeof a === 'number') { run(a); }
  switch (a) {
    case 'ls': run(a); break;
    default: run(a); // bad
  }
  run(a === 'ls' ? a : 'x');
}
",
    );
    java(
        "void f(R request) {
  String a = request.args;
  if (a.equals(\"ls\")) { run(a); }
  if (!ALLOWED.contains(a)) { throw new X(); }
  run(a);
}",
    );
    go("func f(request R) {
	a := request.args
	if _, ok := allowed[a]; !ok {
		return
	}
	run(a)
}");
}

#[test]
fn ways_meet_again_and_loops_are_taken_twice() {
    python(
        "def f(request, n):
    a = 'ls'
    if n:
        a = request.args['x']
    run(a)  # bad
    a = 'ls'
    run(a)
    b = c = 'x'
    for _ in n:
        run(c)  # bad
        c = b
        b = request.args['y']

def g(request):
    a = request.args['x']
    try:
        a = 'ls'
    except E:
        run(a)  # bad
    run(a)  # bad
    return
    run(a)

def h(request):
    a = request.args['x']
    with open(a) as b:
        run('x')
    if 7 * 6 > 200:
        b = a
    else:
        b = 'ls'
    run(b)
    while True:
        if a:
            break
    run(a)  # bad
",
    );
}

#[test]
fn functions_of_the_file_hand_on_what_they_get() {
    python(
        "def prefix(x, y):
    return 'ls ' + x

def go(command):
    run(command)  # bad

def f(request):
    run(prefix(request.args['x'], 'a'))  # bad
    run(prefix('a', request.args['x']))
    go(request.args['z'])

def quiet(command):
    run(command)

def h():
    quiet('ls')

class C:
    def __init__(self, request):
        self.name = request.args['x']
        self.fixed = 'ls'

    def m(self):
        run(self.name)  # bad
        run(self.fixed)
",
    );
    java(
        "String pick(String x) { return \"ls \" + x; }
void f(R request) {
  run(pick(request.args)); // bad
  run(pick(\"a\"));
}",
    );
    go("func pick(x string) string { return \"ls \" + x }
func f(request R) {
	run(pick(request.args)) // bad
	run(pick(\"a\"))
}");
    javascript(
        "function pick(x) { return 'ls ' + x; }
app.get('/', (request, res) => {
  run(pick(request.args.x)); // bad
  run(pick('a'));
});
",
    );
}

#[test]
fn parameters_count_once_they_are_built_into_text_and_private_functions_follow_their_callers() {
    python(
        "def f(name, size: int):
    run(name)
    run('ls ' + name)  # bad
    run(f'ls {size}')

def _own(name):
    run('ls ' + name)

def g():
    _own('a')

def _open(name):
    run('ls ' + name)  # bad

def h(x):
    _open(x)
",
    );
}

#[test]
fn cleaners_count_for_their_use_only_and_conditions_of_sinks_hold() {
    python(
        "def f(request):
    a = request.args['x']
    run(quote(a))
    run('ls ' + quote(a))
    run(escape(a))  # bad
    start(a, shell=True)  # bad
    start(a, shell=False)
    start(a)
    options = {'shell': True}
    start(a, options)  # bad
    query(a)
    query('SELECT ' + a)  # bad
    run('fixed ' + a)
    run('free ' + a)  # bad
",
    );
}

#[test]
fn what_a_rule_excepts_is_left_alone() {
    python(
        "def f(request):
    a = request.args['x']
    send(a)  # bad
    send(a, root='x')
    run(a.replace('x', ''))  # bad
    run(a.replace('[^a-z]', ''))  # bad

def g(request):
    kind = 'plain text only'
    run(request.args['x'])
",
    );
}

#[test]
fn a_finding_tells_its_way_from_the_source_to_the_sink() {
    let text = "def f(request):\n    a = request.args['x']\n    b = 'ls ' + a\n    run(b)\n";
    let findings = scan("Python", "a.py", text);
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    let way: Vec<(FlowRole, usize, &str)> =
        finding.flow.iter().map(|step| (step.role, step.start.line, step.code.as_str())).collect();
    assert_eq!(
        way,
        [
            (FlowRole::Source, 2, "request.args"),
            (FlowRole::Step, 2, "a = request.args['x']"),
            (FlowRole::Step, 3, "b = 'ls ' + a"),
            (FlowRole::Sink, 4, "run(b)"),
        ]
    );
}

#[test]
fn a_fingerprint_holds_nothing_of_the_way() {
    let one = scan("Python", "a.py", "def f(request):\n    a = request.args['x']\n    run(a)\n");
    let other = scan("Python", "a.py", "def g(request):\n\n    a = taint()\n    a = a\n    run(a)\n");
    assert_eq!(one[0].fingerprint, other[0].fingerprint);
    assert_ne!(one[0].flow, other[0].flow);
}

#[test]
fn hostile_files_end_within_their_steps() {
    let deep = format!("def f(request):\n    run({}request.args{})\n", "(\n".repeat(5_000), ")\n".repeat(5_000));
    let calls = format!("x = run({}1{})\n", "g(\n".repeat(3_000), ")\n".repeat(3_000));
    let wide =
        format!("def f(request):\n    a = request.args\n{}", "    if a: a = a + 'x'\n    run(a)\n".repeat(3_000));
    let chain: String =
        (0..2_000).map(|n| format!("def f{n}(x):\n    run('a' + x)\n    return f{}(x)\n", n + 1)).collect();
    let nested: String = (0..60).map(|n| format!("{}for x{n} in run(x{n}):\n", "    ".repeat(n))).collect();
    let nested = format!("{nested}{}pass\n", "    ".repeat(60));
    let sum = format!("def f(x):\n    run({}x)\n", "'a' +\n".repeat(20_000));
    for text in [deep, calls, wide, chain, nested, sum] {
        let of = |text: &str| text.replace("LANGUAGE", "Python");
        let files = vec![("t-shell.yml".to_owned(), of(RULE)), ("t.flow.yml".to_owned(), of(VOCABULARY))];
        let rules = Arc::new(RuleSet::parse(files, RuleOrigin::BuiltIn).unwrap());
        let limits = Limits { max_steps: 400_000, ..Limits::default() };
        let path = RepoPath::new("a.py").unwrap();
        let scan = Detector::new(rules, limits).scan(&RepositoryId("1".to_owned()), &path, text.as_bytes());
        let said = scan.cut_off.clone().unwrap_or_default();
        assert!(scan.skipped.is_none() && !said.contains("error of ours"), "{scan:?}");
    }
}

#[test]
fn what_is_not_followed_to_the_end_is_said() {
    let text =
        format!("def f(request):\n    a = request.args\n{}", "    if a: a = a + 'x'\n    run(a)\n".repeat(3_000));
    let of = |text: &str| text.replace("LANGUAGE", "Python");
    let files = vec![("t-shell.yml".to_owned(), of(RULE)), ("t.flow.yml".to_owned(), of(VOCABULARY))];
    let rules = Arc::new(RuleSet::parse(files, RuleOrigin::BuiltIn).unwrap());
    let limits = Limits { max_steps: 160_000, ..Limits::default() };
    let path = RepoPath::new("a.py").unwrap();
    let scan = Detector::new(rules, limits).scan(&RepositoryId("1".to_owned()), &path, text.as_bytes());
    assert!(scan.cut_off.is_some_and(|said| said.contains("data was followed in part")));
}

#[test]
fn mistakes_in_flow_documents_are_named() {
    let broken = [
        ("t-shell.yml", RULE.replace("use: shell", "uses: shell"), "uses"),
        ("t-shell.yml", RULE.replace("'(?i)select '", "'(select'"), "no regular expression"),
        ("t.flow.yml", VOCABULARY.replace("kind: request", "kin: request"), "kin"),
        ("t-shell.yml", RULE.split("flow:").next().unwrap().to_owned(), "neither `rule` nor `flow`"),
    ];
    for (name, text, problem) in broken {
        let files = vec![(name.to_owned(), text.replace("LANGUAGE", "Python"))];
        let error = RuleSet::parse(files, RuleOrigin::BuiltIn).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(problem), "{error}");
    }
}
