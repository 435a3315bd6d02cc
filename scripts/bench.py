#!/usr/bin/env python3
"""Whole-command benchmarks (standard library only): our scanner against Bandit and ruff on the same files in the same run,
files that are made to be slow, the receiver's answers over loopback HTTP, and healing a push of 300 changed files.

    scripts/bench.py target/release-or-bench/codehealer [scan] [worst] [push] [receiver]

CPU seconds and peak memory are the operating system's own accounting of each finished child. Peers are installed from PyPI
into target/bench-tools. The corpus is Python's own standard library, without its tests: it is on every machine with Python.
"""
import hashlib
import hmac
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

LINES = 78_000
RUNS = 3
RUFF, BANDIT = "ruff==0.17.5", "bandit"
SECRET = "bench-secret"


def run(command, cwd=None, ok=(0, 1)):
    """CPU seconds, wall seconds and peak MB of one child."""
    begun = time.monotonic()
    child = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in ok:
        sys.exit(f"{command[0]} ended with {child.returncode}: {errors.decode(errors='replace')[-500:]}")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - begun, usage.ru_maxrss / 1024


def median(values):
    return sorted(values)[len(values) // 2]


def corpus(folder):
    """Copies standard library files until there are enough lines; returns their number."""
    lines = 0
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if {"test", "tests", "site-packages", "lib2to3", "idlelib"} & set(parts):
            continue
        text = path.read_bytes()
        target = folder / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text)
        lines += text.count(b"\n")
        if lines >= LINES:
            return lines
    return lines


def peers():
    """Paths of the peers' programs, installed once."""
    home = Path("target/bench-tools")
    if not (home / "bin" / "bandit").exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(home / "bin" / "pip"), "-q", "install", RUFF, BANDIT], check=True)
    return str(home / "bin" / "ruff"), str(home / "bin" / "bandit")


def scanners(ours):
    ruff, bandit = peers()
    with tempfile.TemporaryDirectory() as folder:
        lines = corpus(Path(folder))
        commands = {
            "codehealer (all rules)": [ours, "--state", folder + "-state", "scan", "--format", "sarif", "--exit-zero", folder],
            "bandit": [bandit, "-q", "-r", "-f", "sarif" if sarif_bandit(bandit) else "json", folder],
            "ruff --select S": [ruff, "check", "--isolated", "--no-cache", "--select", "S", "--output-format", "sarif", folder],
        }
        print(f"\nscan of {lines:,} lines of Python, median of {RUNS} runs after one warm-up")
        print(f"{'':24} {'CPU s':>8} {'wall s':>8} {'peak MB':>8} {'lines/CPU s':>12} {'CPU ratio':>10}")
        figures = {}
        for name, command in commands.items():
            run(command)
            runs = [run(command) for _ in range(RUNS)]
            figures[name] = [median([r[i] for r in runs]) for i in range(3)]
        own = figures["codehealer (all rules)"][0]
        for name, (cpu, wall, peak) in figures.items():
            print(f"{name:24} {cpu:8.2f} {wall:8.2f} {peak:8.0f} {lines / cpu:12,.0f} {cpu / own:9.1f}x")


def sarif_bandit(bandit):
    done = subprocess.run([bandit, "--help"], capture_output=True, text=True)
    return "sarif" in done.stdout


def git(folder, *args):
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *args], check=True, capture_output=True)


def changed_files(folder, count):
    """A repository whose last commit changes `count` files of about 300 lines, one in ten with a problem."""
    git(folder, "init", "-q", "-b", "develop")
    body = "".join(f"def step_{n}(value, scale):\n    result = value * scale + {n}\n    return [result, value, {n}]\n\n\n" for n in range(60))
    for number in range(count):
        (folder / f"module_{number}.py").write_text("import yaml\n\n\n" + body)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "base")
    for number in range(count):
        tail = "def load(f):\n    return yaml.load(f)\n" if number % 10 == 0 else f"LAST = {number}\n"
        (folder / f"module_{number}.py").write_text("import yaml\n\n\n" + body + tail)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "push")


def push(ours):
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as state:
        changed_files(Path(folder), 300)
        cpu, wall, peak = run([ours, "--state", state, "heal", "--dry-run", folder], ok=(0, 4))
        print(f"\nheal --dry-run of a push with 300 changed files, 30 problems: {wall:.2f} s wall, {cpu:.2f} CPU s, peak {peak:.0f} MB")


LARGE = 8 << 20


def fill(piece, size):
    """The piece again and again, numbered where it has a {n}, until there are `size` bytes."""
    out, length, number = [], 0, 0
    while length < size:
        out.append(piece.replace("{n}", str(number)))
        length += len(out[-1])
        number += 1
    return "".join(out)


def nested(opening, inner, closing, levels):
    return opening * levels + inner + closing * levels


def deep():
    """As deep as 1 MB goes, in each language."""
    return {
        "calls.py": "x = " + nested("f(\n", "1", ")\n", 100_000),
        "lists.py": "x = " + nested("[\n", "1", "]\n", 200_000),
        "blocks.py": "".join(" " * n + "if a:\n" for n in range(1_300)) + " " * 1_300 + "b()\n",
        "arrays.js": nested("[\n", "1", "]\n", 200_000),
        "functions.js": nested("(function(){\n", "eval(x)", "\n})()", 40_000),
        "templates.ts": "x = " + nested("`a${\n", "1", "}`\n", 60_000),
        "elements.tsx": "x = " + nested("<a>\n", "{b}", "</a>\n", 60_000),
        "parentheses.java": "class A { int x = " + nested("(\n", "1", ")\n", 200_000) + "; }",
        "blocks.go": "package a\nfunc f() {" + nested("{\n", "g()", "}\n", 200_000) + "}",
        "blocks.php": "<?php\n" + nested("if ($a) {\n", "eval($b);", "}\n", 60_000),
        "blocks.rb": nested("if a\n", "eval(b)\n", "end\n", 90_000),
        "blocks.cs": "class A { void F() {" + nested("{\n", "G();", "}\n", 200_000) + "} }",
        "blocks.rs": "fn f() " + nested("{\n", "g()", "}\n", 200_000),
        "lists.tf": "a = " + nested("[\n", "1", "]\n", 200_000),
        "lists.yml": nested("[\n", "1", "]\n", 200_000),
        "maps.yml": "".join(" " * n + "a:\n" for n in range(1_400)),
    }


def long(most):
    """What is written once and again: branches, chains, sums, functions, findings, comments, errors."""
    flow_py = "def f{n}(a, b):\n    q = 'select ' + a\n    for x in b:\n        q = q + x\n    cursor.execute(q)\n    return f{n}(q, b)\n\n"
    flow_js = "function f{n}(a, b) { let q = 'select ' + a;\n for (const x of b) { q += x }\n db.query(q); return f{n}(q, b) }\n"
    flow_java = "void f{n}(String a) throws Exception { String q = a;\n for (int i = 0; i < 9; i++) { q = q + a; }\n s.executeQuery(q); f{n}(q); }\n"
    flow_go = "func f{n}(a string) { q := a\n for i := range b { q = q + a }\n db.Query(q)\n f{n}(q) }\n"
    line = "select {n} from t where password = secret\n"
    return {
        "run.dockerfile": "FROM a\n" + fill("RUN a && \\\n", most),
        "else-if.py": "if a == 0:\n    b()\n" + fill("elif a == {n}:\n    b()\n", most),
        "else-if.js": "if (a) {}" + fill(" else if (a === {n}) { b() }\n", most),
        "else-if.java": "class A { void f() { if (a) {}" + fill(" else if (a == {n}) { b(); }\n", most) + "} }",
        "else-if.go": "package a\nfunc f() { if a {}" + fill(" else if a == {n} { b()\n }", most) + "}",
        "cases.go": "package a\nfunc f() { switch a {\n" + fill("case {n}: b()\n", most) + "} }",
        "string.py": 'x = """\n' + fill(line, most) + '"""\n',
        "string.js": "x = `\n" + fill(line, most) + "`\n",
        "chain.py": "x = a" + fill("\\\n.filter({n})", most),
        "chain.js": "x = a" + fill("\n.then(f{n})", most),
        "chain.java": "class A { Object x = a" + fill("\n.append(b)", most) + "; }",
        "sum.py": "def f(a):\n    cursor.execute('' +\n" + fill("  a +\n", most) + "  a)\n",
        "sum.js": "function f(a) { db.query('' +\n" + fill("  a +\n", most) + "  a) }\n",
        "functions.py": fill("def f{n}(a):\n    return a\n", most),
        "functions.go": "package a\n" + fill("func f{n}(a int) int { return a }\n", most),
        "flows.py": fill(flow_py, most),
        "flows.js": fill(flow_js, most),
        "flows.java": "class A {" + fill(flow_java, most) + "}",
        "flows.go": "package a\n" + fill(flow_go, most),
        "constants.py": fill("x{n} = 'a'\n", most // 2) + fill("y{n} = x{n} or f(x{n})\n", most // 2) + "cursor.execute(x1)\n",
        "handed-on.py": "def _g(a):\n    cursor.execute('' + a)\n" + fill("def _f{n}(a):\n    _g(a)\n    _f1(a)\n    _f2(a)\n", most),
        "findings.py": fill("eval(a{n})\n", most),
        "secrets.py": fill("password{n} = 'Xy7kQ2mP9z{n}'\n", most),
        "comments.py": fill("# codehealer: ignore[py-eval] x\n", most),
        "errors.js": fill("} ) ] eval( { [ '\n", most),
        "errors.py": fill("def ( x: '\n  eval( ] }\n", most),
        "quotes.php": "<?php\n" + fill('$a{n} = "$b[{n}] {$c}";\n', most),
    }


def large(most):
    """Tables of data and what tools write."""
    text = "a" * 60
    return {
        "table.py": "x = [\n" + fill("    {'id': {n}, 'name': '" + text + "'},\n", most) + "]\n",
        "table.js": "module.exports = [\n" + fill("    {id: {n}, name: '" + text + "'},\n", most) + "]\n",
        "table.go": "package a\nvar x = []T{\n" + fill('    {{n}, "' + text + '"},\n', most) + "}\n",
        "table.java": "class A { static int[] x = {\n" + fill("    {n}, {n}, {n}, {n}, {n}, {n},\n", most) + "}; }\n",
        "table.yml": fill("- id: {n}\n  name: " + text + "\n", most),
        "minified.js": "!" + fill("function f{n}(a,b){return a?b(a):eval(b)}", most),
        "lines.js": "!" + fill("function f{n}(a,b){return a?b(a):eval(b)};\n", most),
    }


def worst(ours):
    """Files that cost as much as their size allows. Larger ones than 1 MB are passed over unless the limit is raised, so they are
    scanned both ways."""
    most = (1 << 20) - 4096
    cases = [(name, text, False) for name, text in {**deep(), **long(most)}.items()]
    cases += [(name, text, raised) for name, text in large(4 << 20).items() for raised in (False, True)]
    print("\nfiles that are made to be slow, one scan each (goal: at most 2 CPU s)")
    print(f"{'':18} {'KB':>7} {'CPU s':>8} {'peak MB':>8}  said of it")
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "large.toml"
        config.write_text(f"[limits]\nfile_bytes = {LARGE}\n")
        for name, text, raised in cases:
            file = Path(folder) / name
            file.write_text(text)
            options = ["--config", str(config)] if raised else []
            command = [ours, "--state", folder + "-state", *options, "scan", "--exit-zero", str(file)]
            cpu, _, peak = run(command)
            shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
            said = next((line.split(": ", 1)[1] for line in shown if line.startswith("skipped ")), shown[-1])
            limit = " (limit raised)" if raised else ""
            print(f"{name:18} {len(text) / 1024:7,.0f} {cpu:8.2f} {peak:8.0f}  {said}{limit}")
            slowest = max(slowest, cpu)
            file.unlink()
    print(f"slowest: {slowest:.2f} CPU s")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def receiver(ours):
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as state:
        git(folder, "init", "-q", "-b", "develop")
        git(folder, "commit", "-q", "--allow-empty", "-m", "first")
        head = subprocess.run(["git", "-C", folder, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        config = Path(state) / "codehealer.toml"
        config.write_text(f'state = "{state}"\n[[repository]]\nname = "acme/shop"\npath = "{folder}"\n')
        port = free_port()
        server = subprocess.Popen(
            [ours, "--config", str(config), "serve", "--listen", f"127.0.0.1:{port}"],
            env={**os.environ, "CODEHEALER_WEBHOOK_SECRET": SECRET, "CODEHEALER_LOG": "error"},
        )
        try:
            wait_for(port)
            print("\nreceiver over loopback HTTP, one connection, every delivery stored durably before the answer")
            for size in (8 * 1024, 1024 * 1024):
                times = deliveries(port, head, size)
                p = lambda q: sorted(times)[min(len(times) - 1, len(times) * q // 100)] * 1000
                print(f"  body {size // 1024:5} KiB: p50 {p(50):6.2f} ms, p99 {p(99):6.2f} ms")
            peak = next(l for l in Path(f"/proc/{server.pid}/status").read_text().splitlines() if l.startswith("VmHWM"))
            print(f"  peak memory of the server: {int(peak.split()[1]) / 1024:.0f} MB")
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)


def wait_for(port):
    for _ in range(200):
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return
        except OSError:
            time.sleep(0.05)
    sys.exit("the server did not begin to listen")


def deliveries(port, head, size):
    body = json.dumps({
        "ref": "refs/heads/develop", "before": head, "after": head,
        "repository": {"id": 1, "full_name": "acme/shop"}, "pusher": {"name": "ann"}, "pad": "x" * size,
    }).encode()
    signature = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    times = []
    for number in range(320):
        headers = {"X-Hub-Signature-256": signature, "X-GitHub-Event": "push", "X-GitHub-Delivery": f"bench-{number}"}
        begun = time.perf_counter()
        connection.request("POST", "/webhook", body, headers)
        answer = connection.getresponse()
        answer.read()
        times.append(time.perf_counter() - begun)
        if answer.status != 202:
            sys.exit(f"the server answered {answer.status}")
    return times[20:]


def main():
    parts = {"scan": scanners, "worst": worst, "push": push, "receiver": receiver}
    if len(sys.argv) < 2 or not set(sys.argv[2:]) <= set(parts):
        sys.exit(__doc__)
    ours = shutil.which(sys.argv[1]) or sys.exit(f"{sys.argv[1]} is no program; build it first")
    ours = os.path.abspath(ours)
    for name in sys.argv[2:] or parts:
        parts[name](ours)


if __name__ == "__main__":
    main()
