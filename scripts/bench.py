#!/usr/bin/env python3
"""Whole-command benchmarks (standard library only): our scanner against Bandit and ruff on the same files in the same run,
the receiver's answers over loopback HTTP, and healing a push of 300 changed files.

    scripts/bench.py target/release-or-bench/codehealer

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
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    ours = shutil.which(sys.argv[1]) or sys.exit(f"{sys.argv[1]} is no program; build it first")
    ours = os.path.abspath(ours)
    scanners(ours)
    push(ours)
    receiver(ours)


if __name__ == "__main__":
    main()
