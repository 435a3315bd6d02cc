#!/usr/bin/env python3
"""What our two Lambda functions cost (standard library only): their start against the least program that is a function, in the
same run; the receiver's answers; deliveries in a burst and in a steady stream against a healer that takes half a minute.

    scripts/bench_lambda.py <codehealer> <minimal function>

The Runtime API is played by this script. Queue and secrets are those of moto, which `scripts/counterparts moto` installs.
"""
import base64
import concurrent.futures
import hashlib
import hmac
import http.client
import http.server
import json
import os
import queue
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

STARTS = 30
SECRET = "bench-secret"
REGION = {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}


def percentile(values, q):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * q // 100)]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class RuntimeApi:
    """Lambda's side of one function."""

    def __init__(self):
        self.ready = threading.Event()
        self.failed = None
        self.events, self.answers = queue.Queue(), queue.Queue()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def reply(self, status, body=b"{}", headers=()):
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                if not self.path.endswith("/invocation/next"):
                    time.sleep(600)  # the extension waits for the end, which never comes
                    return
                outer.ready.set()
                event = outer.events.get()
                if event is None:
                    return
                deadline = str(int(time.time() * 1000) + 30_000)
                outer.handed = time.perf_counter()
                self.reply(200, event, [
                    ("Lambda-Runtime-Aws-Request-Id", "request"), ("Lambda-Runtime-Deadline-Ms", deadline),
                    ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-central-1:1:function:bench"),
                ])

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.path.endswith("/response"):
                    outer.answers.put((time.perf_counter() - outer.handed, body))
                elif self.path.endswith("/error"):
                    outer.failed = body
                    outer.ready.set()
                    outer.answers.put((0, body))
                self.reply(202, headers=[("Lambda-Extension-Identifier", "bench")])

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def invoke(self, event):
        self.events.put(event)
        return self.answers.get(timeout=60)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Function:
    """One process under a Runtime API."""

    def __init__(self, program, environment):
        self.api = RuntimeApi()
        variables = {
            "PATH": os.environ["PATH"], "AWS_LAMBDA_RUNTIME_API": self.api.address, "AWS_LAMBDA_FUNCTION_NAME": "bench",
            "AWS_LAMBDA_FUNCTION_VERSION": "1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", **environment,
        }
        # A pipe that nobody reads would stop it.
        self.log = tempfile.TemporaryFile()
        begun = time.perf_counter()
        self.process = subprocess.Popen([program], env=variables, stdout=subprocess.DEVNULL, stderr=self.log)
        if not self.api.ready.wait(60) or self.api.failed:
            self.process.kill()
            self.log.seek(0)
            sys.exit(f"{program} does not start: {self.api.failed or self.log.read()[-800:]}")
        self.started = time.perf_counter() - begun
        # It waits for its first event: this is what Lambda would bill.
        self.resident = self.memory("VmRSS")

    def memory(self, name):
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()
        self.api.close()


class Moto:
    """SQS and Secrets Manager on this machine."""

    def __init__(self):
        folder = Path(os.environ.get("CODEHEALER_COUNTERPARTS", "target/counterparts")).resolve()
        subprocess.run(["scripts/counterparts", "moto"], check=True, stdout=subprocess.DEVNULL)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [str(folder / "moto/bin/python"), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.port)
        self.call("AmazonSQS.CreateQueue", {"QueueName": "tasks"})
        self.call("AmazonSQS.CreateQueue", {"QueueName": "dead"})
        self.call("secretsmanager.CreateSecret", {"Name": "hook", "SecretString": SECRET})

    def call(self, target, body):
        service = "sqs" if target.startswith("AmazonSQS") else "secretsmanager"
        scope = f"Credential=bench/20260101/eu-central-1/{service}/aws4_request"
        headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0",
                   "Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"}
        request = urllib.request.Request(self.url, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def waiting(self):
        found = self.call("AmazonSQS.GetQueueAttributes", {
            "QueueUrl": f"{self.url}/123456789012/tasks", "AttributeNames": ["ApproximateNumberOfMessages"]})
        return int(found["Attributes"]["ApproximateNumberOfMessages"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def wait_for(port):
    for _ in range(1200):
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nobody listens on port {port}")


def receiver_environment(moto, secret):
    config = f"""
organisation = 'acme'
[serve]
webhook_secrets = ['{secret}']
[github]
token = 'env:GITHUB_TOKEN'
[aws]
endpoint = '{moto.url}'
table = 'codehealer'
queue = '{moto.url}/123456789012/tasks'
dead_letter_queue = '{moto.url}/123456789012/dead'
[[repository]]
name = 'acme/shop'
"""
    return {"CODEHEALER_ROLE": "receiver", "CODEHEALER_CONFIG_TEXT": config, "HOOK": SECRET, "GITHUB_TOKEN": "none", **REGION}


def worker_environment(moto):
    return {**receiver_environment(moto, "env:HOOK"), "CODEHEALER_ROLE": "worker",
            "CODEHEALER_CONFIG_TEXT": receiver_environment(moto, "env:HOOK")["CODEHEALER_CONFIG_TEXT"].replace(
                "[aws]\n", "[opensearch]\nurl = 'http://127.0.0.1:9'\nauth = 'none'\n[aws]\n")}


def starts(ours, minimal, moto):
    kinds = {
        "minimal function": (minimal, {}),
        "receiver": (ours, receiver_environment(moto, "env:HOOK")),
        "receiver, secret from Secrets Manager": (ours, receiver_environment(moto, "aws:hook")),
        "worker": (ours, worker_environment(moto)),
    }
    print(f"\nstart of a function until it asks for its first event, {STARTS} starts each, one after the other in turn")
    print(f"{'':40} {'p50 ms':>8} {'p99 ms':>8} {'over minimal':>13} {'MB when ready':>14}")
    times = {name: [] for name in kinds}
    memory = {name: [] for name in kinds}
    for _ in range(STARTS):
        for name, (program, environment) in kinds.items():
            with Function(program, environment) as function:
                times[name].append(function.started * 1000)
                memory[name].append(function.resident)
    base = percentile(times["minimal function"], 50)
    for name in kinds:
        p50, p99 = percentile(times[name], 50), percentile(times[name], 99)
        print(f"{name:40} {p50:8.1f} {p99:8.1f} {p50 - base:+12.1f} {percentile(memory[name], 50):14.1f}")


def push_body(number, size, head="1" * 40):
    return json.dumps({
        "ref": "refs/heads/develop", "before": "2" * 40, "after": head, "repository": {"id": 1, "full_name": "acme/shop"},
        "pusher": {"name": "ann"}, "number": number, "pad": "x" * size,
    }).encode()


def signed(body):
    return "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()


def gateway_event(body):
    return json.dumps({
        "version": "2.0", "routeKey": "POST /webhook", "rawPath": "/webhook", "rawQueryString": "",
        "headers": {"x-github-event": "push", "x-github-delivery": "bench", "x-hub-signature-256": signed(body)},
        "requestContext": {"stage": "$default", "http": {"method": "POST", "path": "/webhook", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"}},
        "body": base64.b64encode(body).decode(), "isBase64Encoded": True,
    }).encode()


def answers(ours, moto):
    print("\nreceiver, warm: from the event handed over to the answer, the message stored in SQS (moto) before it")
    with Function(ours, receiver_environment(moto, "aws:hook")) as function:
        for size in (8 * 1024, 1024 * 1024):
            times = []
            for number in range(220):
                seconds, answer = function.api.invoke(gateway_event(push_body(number, size)))
                status = json.loads(answer).get("statusCode")
                if status != 202:
                    sys.exit(f"the receiver answered {answer[:300]}")
                times.append(seconds * 1000)
            times = times[20:]
            print(f"  body {size // 1024:5} KiB: p50 {percentile(times, 50):6.2f} ms, p99 {percentile(times, 99):6.2f} ms")
        print(f"  peak memory: {function.memory('VmHWM'):.0f} MB")
    # What the emulator itself takes for the same message, which is most of it.
    times = []
    for _ in range(100):
        begun = time.perf_counter()
        moto.call("AmazonSQS.SendMessage", {"QueueUrl": f"{moto.url}/123456789012/tasks", "MessageBody": "x" * 500})
        times.append((time.perf_counter() - begun) * 1000)
    print(f"  moto alone, for one message: p50 {percentile(times, 50):6.2f} ms, p99 {percentile(times, 99):6.2f} ms")


class SlowModel:
    """Answers nobody before half a minute is over."""

    def __init__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_POST(self):
                time.sleep(30)
                self.send_response(503)
                self.end_headers()

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def git(folder, *args):
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *args], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def shop(folder):
    """A repository whose last commit brings problems that only a model could heal."""
    git(folder, "init", "-q", "-b", "develop")
    git(folder, "commit", "-q", "--allow-empty", "-m", "first")
    for number in range(8):
        (folder / f"told_{number}.py").write_text('def tell(name):\n    return "%s has %s" % (name,)\n')
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "tell")
    return git(folder, "rev-parse", "HEAD")


def deliver(port, number, head):
    body = push_body(number, 8 * 1024, head)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    begun = time.perf_counter()
    connection.request("POST", "/webhook", body, {
        "X-Hub-Signature-256": signed(body), "X-GitHub-Event": "push", "X-GitHub-Delivery": f"bench-{number}"})
    status = connection.getresponse().status
    taken = time.perf_counter() - begun
    connection.close()
    return status, taken * 1000


def known(state):
    """Deliveries that were stored: those in the inbox, and those in the trail of pushes."""
    with sqlite3.connect(f"file:{state}/codehealer.db?mode=ro", uri=True) as store:
        tables = [row[0] for row in store.execute("select name from sqlite_master where type = 'table'")]
        found = set()
        for table in tables:
            for row in store.execute(f"select * from {table}"):
                for cell in row:
                    text = cell if isinstance(cell, str) else ""
                    start = text.find('"bench-')
                    while start >= 0:
                        found.add(text[start + 1 : text.index('"', start + 1)])
                        start = text.find('"bench-', start + 1)
        return found


def burst(ours):
    model = SlowModel()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as state:
        config = Path(state) / "codehealer.toml"
        git(Path(folder), "init", "-q", "-b", "develop")
        git(Path(folder), "commit", "-q", "--allow-empty", "-m", "seen")
        config.write_text(
            f'state = "{state}"\n[model]\nurl = "{model.url}"\n[[repository]]\nname = "acme/shop"\npath = "{folder}"\n')
        port = free_port()
        environment = {**os.environ, "CODEHEALER_WEBHOOK_SECRET": SECRET, "CODEHEALER_LOG": "error"}
        server = subprocess.Popen([ours, "--config", str(config), "serve", "--listen", f"127.0.0.1:{port}"],
                                  env=environment, stdout=subprocess.DEVNULL)
        try:
            wait_for(port)
            head = shop(Path(folder))
            with concurrent.futures.ThreadPoolExecutor(100) as pool:
                sent = [pool.submit(deliver, port, number, head) for number in range(100)]
                outcomes = [future.result() for future in sent]
                begun = time.monotonic()
                sent = []
                for number in range(3000):
                    time.sleep(max(0, begun + number / 50 - time.monotonic()))
                    sent.append(pool.submit(deliver, port, 100 + number, head))
                steady = [future.result() for future in sent]
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
        print("\ndeliveries over HTTP while every question to the model takes 30 s")
        for name, part in (("burst of 100", outcomes), ("50 a second for a minute", steady)):
            times = [taken for _, taken in part]
            accepted = sum(status == 202 for status, _ in part)
            print(f"  {name:26} {accepted} of {len(part)} accepted, p50 {percentile(times, 50):6.1f} ms, p99 {percentile(times, 99):6.1f} ms")
        stored = known(state)
        lost = [n for n in range(3100) if f"bench-{n}" not in stored]
        print(f"  lost: {len(lost)} of 3100")
        if lost or any(status != 202 for status, _ in outcomes + steady):
            sys.exit("a delivery was lost or refused")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    ours, minimal = (os.path.abspath(shutil.which(name) or sys.exit(f"{name} is no program; build it first")) for name in sys.argv[1:])
    with Moto() as moto:
        starts(ours, minimal, moto)
        answers(ours, moto)
    burst(ours)


if __name__ == "__main__":
    main()
