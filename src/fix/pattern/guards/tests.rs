//! Changes of meaning that the guards refuse, and ones that they let pass.

use super::change::Change;
use super::{Arc, GUARDS, Tree, comments, violation};
use crate::model::{Language, Span};

/// The first line that differs is where the finding is.
fn finding(before: &str, after: &str) -> Span {
    let same = before.lines().zip(after.lines()).take_while(|(a, b)| a == b).map(|(a, _)| a.len() + 1).sum::<usize>();
    let end = before[same..].find('\n').map_or(before.len(), |i| same + i);
    Span { start: same, end }
}

fn judged(language: Language, before: &str, after: &str) -> Option<String> {
    violation(language, before, after, finding(before, after))
}

fn assert_all(cases: &[(Language, &str, &str)], refused: bool) {
    let wrong: Vec<String> = cases
        .iter()
        .map(|(language, before, after)| (judged(*language, before, after), before, after))
        .filter(|(reason, ..)| reason.is_some() != refused)
        .map(|(reason, before, after)| format!("{reason:?}\n- {before}\n+ {after}"))
        .collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

use Language::{Go, Hcl, Java, JavaScript as Js, Python as Py, TypeScript as Ts, Yaml};

/// Patches that make a detector silent and are wrong.
const TRAPS: &[(Language, &str, &str)] = &[
    // Comments and annotations.
    (Py, "yaml.load(f)\n", "yaml.load(f)  # noqa: S506\n"),
    (Py, "exec(code)\n", "exec(code)  # nosec\n"),
    (Py, "x: int = f()\n", "x: int = f()  # type: ignore\n"),
    (Js, "eval(x);\n", "// eslint-disable-next-line no-eval\neval(x);\n"),
    (Ts, "el.innerHTML = x;\n", "// @ts-ignore codehealer: ignore\nel.innerHTML = x;\n"),
    (Java, "class A { void f() { run(x); } }\n", "class A { void f() { run(x); /* NOSONAR */ } }\n"),
    (Java, "class A { void f() { run(x); } }\n", "class A { @SuppressWarnings(\"all\") void f() { run(x); } }\n"),
    (Go, "package a\nfunc f() { md5.New() }\n", "package a\nfunc f() { md5.New() //nolint\n}\n"),
    (Hcl, "acl = \"public-read\"\n", "acl = \"public-read\" # codehealer: ignore\n"),
    (Yaml, "privileged: true\n", "privileged: true # nosemgrep\n"),
    // Deleted and swallowed.
    (Py, "def f(a):\n    check(a)\n    return a\n", "def f(a):\n    return a\n"),
    (Py, "def f(a):\n    if a == None:\n        stop()\n    return a\n", "def f(a):\n    return a\n"),
    (Py, "def f(a):\n    os.system(a)\n", "def f(a):\n    pass\n"),
    (Py, "def f():\n    run()\n", "def f():\n    try:\n        run()\n    except Exception:\n        pass\n"),
    (Py, "try:\n    run()\nexcept:\n    log()\n", "try:\n    run()\nexcept Exception:\n    pass\n"),
    (Py, "def f(a):\n    return compute(a)\n", "def f(a):\n    return None\n"),
    (Py, "def f(a):\n    x = go(a)\n    return x == None\n", "def f(a):\n    x = go(a)\n"),
    (
        Py,
        "def f(a):\n    if not a:\n        raise ValueError(a)\n    go(a)\n",
        "def f(a):\n    if not a:\n        log(a)\n    go(a)\n",
    ),
    (Py, "def f(a):\n    assert a > 0\n    go(a)\n", "def f(a):\n    go(a)\n"),
    (Js, "function f(x) { eval(x); }\n", "function f(x) { }\n"),
    (Js, "async function f() { await go(); }\n", "async function f() { await go().catch(() => {}); }\n"),
    (Js, "try { go(); } catch (e) { log(e); }\n", "try { go(); } catch (e) { }\n"),
    (
        Java,
        "class A { int f(int a) { check(a); return a + 1; } }\n",
        "class A { int f(int a) { check(a); return 0; } }\n",
    ),
    (
        Java,
        "class A { void f() { try { g(); } catch (Exception e) { log(e); } } }\n",
        "class A { void f() { try { g(); } catch (Exception e) { } } }\n",
    ),
    (
        Go,
        "package a\nfunc f() error {\n\tx, err := g()\n\tif err != nil {\n\t\treturn err\n\t}\n\treturn h(x)\n}\n",
        "package a\nfunc f() error {\n\tx, _ := g()\n\treturn h(x)\n}\n",
    ),
    (Go, "package a\nfunc f() {\n\terr := g()\n\tlog(err)\n}\n", "package a\nfunc f() {\n\t_ = g()\n}\n"),
    // Conditions and assertions.
    (Py, "assert check(x) == None\n", "assert True\n"),
    (Py, "self.assertEqual(a, None)\n", "self.assertTrue(True)\n"),
    (Py, "if x == None:\n    go()\n", "if True:\n    go()\n"),
    (Py, "if x == None:\n    go()\n", "if x is None or True:\n    go()\n"),
    (Js, "if (a == b) { go(); }\n", "if (a = b) { go(); }\n"),
    (Js, "if (a == null) { go(); }\n", "if (false) { go(); }\n"),
    (Py, "x == 1\n", "x = 1\n"),
    (Py, "if x == None:\n    go()\n", "if x is not None:\n    go()\n"),
    (Py, "if x == True:\n    go()\n", "if not x:\n    go()\n"),
    (Py, "if x == False:\n    go()\n", "if x:\n    go()\n"),
    (
        Java,
        "class A { void f(int a) { if (a == 1) { g(); } } }\n",
        "class A { void f(int a) { if (a != 1) { g(); } } }\n",
    ),
    // Lost operands, calls, arguments.
    (Py, "cur.execute(\"select \" + name)\n", "cur.execute(\"select 1\")\n"),
    (Py, "cur.execute(\"select %s\" % name)\n", "cur.execute(\"select %s\")\n"),
    (Py, "x = escape(name)\n", "x = name\n"),
    (Py, "out = eval(text)\n", "out = text\n"),
    (Py, "open(path, \"w\")\n", "open(path)\n"),
    (Py, "r = get(url, timeout=limit, verify=False)\n", "r = get(url)\n"),
    (Js, "const h = sanitize(x);\n", "const h = x;\n"),
    (Js, "db.query(\"select \" + id);\n", "db.query(\"select\");\n"),
    (
        Go,
        "package a\nfunc f(q string) {\n\tdb.Query(\"select \" + q)\n}\n",
        "package a\nfunc f(q string) {\n\tdb.Query(\"select\")\n}\n",
    ),
    (
        Java,
        "class A { void f(String q) { s.executeQuery(\"select \" + q); } }\n",
        "class A { void f(String q) { s.executeQuery(\"select\"); } }\n",
    ),
    // Signatures and defaults.
    (Py, "def f(a, b=[]):\n    b.append(a)\n    return b\n", "def f(a, b=None):\n    b.append(a)\n    return b\n"),
    (Py, "def f(a, b=[]):\n    return go(a, b)\n", "def f(a):\n    return go(a, [])\n"),
    (Py, "def f(id):\n    return go(id)\n", "def g(id):\n    return go(id)\n"),
    (Py, "def f(id):\n    return go(id)\n", "def f(key):\n    return go(key)\n"),
    (Java, "class A { void f(String q) { g(q); } }\n", "class A { void f(String q, int n) { g(q); } }\n"),
    (Js, "function f(a, b) { return go(a, b); }\n", "function f(a) { return go(a); }\n"),
    (Go, "package a\nfunc f(a string) {\n\tg(a)\n}\n", "package a\nfunc f(a string, b int) {\n\tg(a)\n}\n"),
    // The same in other clothes.
    (Py, "x = compute(a)\n", "compute\n"),
    (Py, "go(verify=False)\n", "go(verify=0)\n"),
    (Py, "app.run(debug=True)\n", "app.run(debug=1)\n"),
    (Py, "h = hashlib.new(\"MD5\")\n", "h = hashlib.new(\"md5\")\n"),
    (
        Java,
        "class A { Object f() { return M.getInstance(\"MD5\"); } }\n",
        "class A { Object f() { return M.getInstance(\"M\" + \"D5\"); } }\n",
    ),
    (Py, "password = \"hunter2-very\"\n", "password = os.getenv(\"P\", \"hunter2-very\")\n"),
    (Py, "password = \"hunter2-very\"\n", "password = base64.b64decode(\"aHVudGVyMg==\")\n"),
    (Py, "cur.execute(\"select \" + name)\n", "cur.execute(f\"select {name}\")\n"),
    (Py, "cur.execute(\"select \" + name)\n", "q = \"select \" + name\ncur.execute(q)\n"),
    (Js, "db.query(\"select \" + id);\n", "db.query(`select ${id}`);\n"),
    (Py, "os.system(cmd)\n", "getattr(os, \"system\")(cmd)\n"),
    (Js, "eval(x);\n", "window[\"eval\"](x);\n"),
    (Py, "try:\n    go()\nexcept:\n    log()\n", "try:\n    go()\nexcept BaseException:\n    log()\n"),
    (Py, "r = requests.get(url)\n", "r = requests.get(url, timeout=None)\n"),
    // What only one guard sees.
    (Py, "def f(a):\n    del a.cache\n    return a\n", "def f(a):\n    return a\n"),
    (Py, "assert DEBUG == None\n", "assert True\n"),
    (Py, "def f(a):\n    go(a)\n", "def f(a):\n    a\n    go(a)\n"),
    (Py, "h = hashlib.sha256(d)\n", "h = hashlib.sha1(d)\n"),
    (Py, "try:\n    go()\nexcept KeyError:\n    log()\n", "try:\n    go()\nexcept Exception:\n    log()\n"),
    (Py, "x = a - b\n", "x = b - a\n"),
    (Py, "if a and b:\n    go()\n", "if a or b:\n    go()\n"),
];

/// Patches that a reviewer would accept.
const FIXES: &[(Language, &str, &str)] = &[
    (Py, "d = yaml.load(f)\n", "d = yaml.safe_load(f)\n"),
    (Py, "d = yaml.load(f, Loader=yaml.Loader)\n", "d = yaml.safe_load(f)\n"),
    (Py, "d = yaml.load(f)\n", "d = yaml.load(f, Loader=yaml.SafeLoader)\n"),
    (Py, "if a == None:\n    go()\n", "if a is None:\n    go()\n"),
    (Py, "if a != None:\n    go()\n", "if a is not None:\n    go()\n"),
    (Py, "if a == True:\n    go()\n", "if a:\n    go()\n"),
    (Py, "if a == False:\n    go()\n", "if not a:\n    go()\n"),
    (Py, "if not a in b:\n    go()\n", "if a not in b:\n    go()\n"),
    (Py, "if type(a) == type(b):\n    go()\n", "if isinstance(a, type(b)):\n    go()\n"),
    (Py, "if type(a) != list:\n    go()\n", "if not isinstance(a, list):\n    go()\n"),
    (
        Py,
        "cur.execute(\"select * from t where n = '\" + name + \"'\")\n",
        "cur.execute(\"select * from t where n = %s\", (name,))\n",
    ),
    (
        Py,
        "cur.execute(f\"select * from t where n = {user.name}\")\n",
        "cur.execute(\"select * from t where n = ?\", (user.name,))\n",
    ),
    (Py, "cur.execute(\"select %s\" % name)\n", "cur.execute(\"select %s\", (name,))\n"),
    (Py, "os.system(\"ls \" + path)\n", "subprocess.run([\"ls\", path], check=True)\n"),
    (Py, "subprocess.call(\"ls \" + d, shell=True)\n", "subprocess.call([\"ls\", d])\n"),
    (Py, "h = hashlib.md5(data).hexdigest()\n", "h = hashlib.sha256(data).hexdigest()\n"),
    (Py, "try:\n    go()\nexcept:\n    log()\n", "try:\n    go()\nexcept Exception:\n    log()\n"),
    (Py, "try:\n    go()\nexcept:\n    pass\n", "try:\n    go()\nexcept ValueError:\n    pass\n"),
    (Py, "try:\n    go()\nexcept KeyError as e:\n    log()\n", "try:\n    go()\nexcept KeyError:\n    log()\n"),
    (
        Py,
        "try:\n    go()\nexcept KeyError:\n    raise Bad(x)\n",
        "try:\n    go()\nexcept KeyError as e:\n    raise Bad(x) from e\n",
    ),
    (
        Py,
        "def f(a, b=[]):\n    b.append(a)\n    return b\n",
        "def f(a, b=None):\n    if b is None:\n        b = []\n    b.append(a)\n    return b\n",
    ),
    (Py, "def f(a, b={}):\n    return go(a, **b)\n", "def f(a, b=None):\n    b = b or {}\n    return go(a, **b)\n"),
    (Py, "r = requests.get(url, verify=False)\n", "r = requests.get(url)\n"),
    (Py, "r = requests.get(url, verify=False)\n", "r = requests.get(url, verify=True)\n"),
    (Py, "r = requests.get(url)\n", "r = requests.get(url, timeout=10)\n"),
    (Py, "app.run(host=h, debug=True)\n", "app.run(host=h)\n"),
    (Py, "app.run(debug=True)\n", "app.run(debug=False)\n"),
    (Py, "app.run(debug=True)\n", "app.run()\n"),
    (Py, "name = tempfile.mktemp()\n", "name = tempfile.NamedTemporaryFile(delete=False).name\n"),
    (Py, "name = tempfile.mktemp()\n", "fd, name = tempfile.mkstemp()\n"),
    (Py, "v = eval(text)\n", "v = ast.literal_eval(text)\n"),
    (Py, "v = pickle.loads(blob)\n", "v = json.loads(blob)\n"),
    (Py, "password = \"hunter2-very\"\n", "password = os.environ[\"PASSWORD\"]\n"),
    (Py, "def f():\n    x = go()\n    return 1\n", "def f():\n    go()\n    return 1\n"),
    (Py, "def f():\n    x = 5\n    return 1\n", "def f():\n    return 1\n"),
    (Py, "for i in range(3):\n    go()\n", "for _ in range(3):\n    go()\n"),
    (Py, "m = min(a, key=lambda x: len(x))\n", "m = min(a, key=len)\n"),
    (Py, "x = getattr(a, \"name\")\n", "x = a.name\n"),
    (Py, "setattr(a, \"name\", v)\n", "a.name = v\n"),
    (Py, "t = random.choice(pool)\n", "t = secrets.choice(pool)\n"),
    (Py, "f = open(path)\ndata = f.read()\nf.close()\n", "with open(path) as f:\n    data = f.read()\n"),
    (Py, "os.chmod(path, 0o777)\n", "os.chmod(path, 0o600)\n"),
    (Py, "logging.info(\"x %s\" % y)\n", "logging.info(\"x %s\", y)\n"),
    (Py, "t = datetime.utcnow()\n", "t = datetime.now(timezone.utc)\n"),
    (Py, "def f(x: int = None):\n    return go(x)\n", "def f(x: Optional[int] = None):\n    return go(x)\n"),
    (Py, "if x is 'a':\n    go()\n", "if x == 'a':\n    go()\n"),
    (Py, "assert False\n", "raise AssertionError()\n"),
    (Js, "el.innerHTML = x;\n", "el.textContent = x;\n"),
    (Js, "const v = eval(text);\n", "const v = JSON.parse(text);\n"),
    (Js, "const id = Math.random();\n", "const id = crypto.randomUUID();\n"),
    (Js, "const id = Math.random().toString(36).slice(2);\n", "const id = crypto.randomBytes(16).toString(\"hex\");\n"),
    (Js, "db.query(\"select * from t where id = \" + id);\n", "db.query(\"select * from t where id = $1\", [id]);\n"),
    (Js, "exec(\"ls \" + dir, done);\n", "execFile(\"ls\", [dir], done);\n"),
    (
        Js,
        "const a = https.request({ host: h, rejectUnauthorized: false });\n",
        "const a = https.request({ host: h });\n",
    ),
    (Js, "if (a == null) { go(); }\n", "if (a === null) { go(); }\n"),
    (Js, "document.write(text);\n", "document.body.textContent = text;\n"),
    (Js, "setTimeout(\"go()\", 10);\n", "setTimeout(go, 10);\n"),
    (Ts, "const b = new Buffer(x);\n", "const b = Buffer.from(x);\n"),
    (
        Java,
        "class A { Object f() { return M.getInstance(\"MD5\"); } }\n",
        "class A { Object f() { return M.getInstance(\"SHA-256\"); } }\n",
    ),
    (
        Java,
        "class A { void f(String n) { s.executeQuery(\"select \" + n); } }\n",
        "class A { void f(String n) { var p = c.prepareStatement(\"select ?\"); p.setString(1, n); p.executeQuery(); } }\n",
    ),
    (
        Java,
        "class A { void f(Object e) { e.printStackTrace(); } }\n",
        "class A { void f(Object e) { LOG.error(\"failed\", e); } }\n",
    ),
    (
        Java,
        "class A { int r() { return new Random().nextInt(); } }\n",
        "class A { int r() { return new SecureRandom().nextInt(); } }\n",
    ),
    (
        Java,
        "class A { void f(String d) { Runtime.getRuntime().exec(\"ls \" + d); } }\n",
        "class A { void f(String d) { new ProcessBuilder(\"ls\", d).start(); } }\n",
    ),
    (
        Java,
        "class A { boolean f(String a) { return a == \"x\"; } }\n",
        "class A { boolean f(String a) { return \"x\".equals(a); } }\n",
    ),
    (
        Go,
        "package a\nfunc f() {\n\th := md5.New()\n\tuse(h)\n}\n",
        "package a\nfunc f() {\n\th := sha256.New()\n\tuse(h)\n}\n",
    ),
    (
        Go,
        "package a\nfunc f(q string) {\n\tdb.Query(\"select \" + q)\n}\n",
        "package a\nfunc f(q string) {\n\tdb.Query(\"select ?\", q)\n}\n",
    ),
    (
        Go,
        "package a\nfunc f(q string) {\n\tdb.Query(fmt.Sprintf(\"select %s\", q))\n}\n",
        "package a\nfunc f(q string) {\n\tdb.Query(\"select ?\", q)\n}\n",
    ),
    (Go, "package a\nvar c = &tls.Config{InsecureSkipVerify: true}\n", "package a\nvar c = &tls.Config{}\n"),
    (
        Go,
        "package a\nvar c = &tls.Config{InsecureSkipVerify: true}\n",
        "package a\nvar c = &tls.Config{MinVersion: tls.VersionTLS12}\n",
    ),
    (
        Go,
        "package a\nfunc f(d string) {\n\texec.Command(\"sh\", \"-c\", \"ls \"+d).Run()\n}\n",
        "package a\nfunc f(d string) {\n\texec.Command(\"ls\", d).Run()\n}\n",
    ),
    (Yaml, "privileged: true\n", "privileged: false\n"),
];

#[test]
fn what_only_silences_is_refused() {
    assert_all(TRAPS, true);
}

#[test]
fn ordinary_fixes_pass() {
    assert_all(FIXES, false);
}

/// A guard without a patch of its own could go, or go wrong, and nobody would see it.
#[test]
fn each_guard_refuses_a_patch_that_no_other_refuses() {
    let mut idle: Vec<usize> = (0..GUARDS.len()).collect();
    for (language, before, after) in TRAPS {
        let Ok(old) = Tree::parse(*language, before).map(Arc::new) else { continue };
        let Ok(new) = Tree::parse(*language, after) else { continue };
        let change = Change::between(&old, &Arc::new(new), finding(before, after));
        if comments::silencing(*language, before, after, Some(&change)).is_none() {
            let object: Vec<usize> = (0..GUARDS.len()).filter(|guard| GUARDS[*guard](&change).is_some()).collect();
            if let [only] = object.as_slice() {
                idle.retain(|guard| guard != only);
            }
        }
    }
    assert!(idle.is_empty(), "guards that refuse nothing alone, by their place in the list: {idle:?}");
}
