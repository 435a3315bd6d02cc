#!/usr/bin/env python3
"""Fixes of a scanner's findings, mined from a git history, in the form that `make bench-learning` reads (standard library only).

    scripts/mine_pairs.py GIT_DIR OUT.jsonl --name owner/name --checker COMMAND --suffix .js [--suffix .mjs] [--commits 4000] [--subject REGEX]

A pair is a file in which a commit replaced the lines of one finding and the finding went away, by that hunk alone and without
a new one. The checker is any command that scans the folder it is started in and prints SARIF 2.1.0; a text that it could not read
(a notification of level error names it) makes no pair. Of one commit at most three fixes of a rule are taken: a campaign is one
opinion. With `--subject` only commits are read whose subject it matches, case aside (`lint|unused|deprecat`): a long history has few
that mend findings, and to scan the others takes hours. Keep the output outside the project: it is other people's code.
"""
import argparse
import difflib
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

BATCH = 150
MAX_BYTES = 150_000
MAX_HUNK_LINES = 20
OF_A_COMMIT = 3
# Hunks of a commit that are tried for a rule: the scanner reads the whole file for each.
TRIED = 8
SKIPPED = ("/dist/", "/vendor/", "/node_modules/", "/third_party/", "/generated/", ".min.", "/build/", "/lib-cov/")


def git(directory: Path, *args: str) -> bytes:
    return subprocess.run(["git", "--git-dir", str(directory), *args], capture_output=True, check=True).stdout


class Blobs:
    """Contents by name, from one process of git."""

    def __init__(self, directory: Path):
        command = ["git", "--git-dir", str(directory), "cat-file", "--batch"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def text(self, name: str) -> str | None:
        """None of what is missing (a partial clone), too long or not UTF-8."""
        self.process.stdin.write(f"{name}\n".encode())
        self.process.stdin.flush()
        head = self.process.stdout.readline().split()
        if head[-1] == b"missing":
            return None
        blob = self.process.stdout.read(int(head[2]) + 1)[:-1]
        try:
            return blob.decode("utf-8") if len(blob) <= MAX_BYTES else None
        except UnicodeDecodeError:
            return None


def changes(directory: Path, suffixes: tuple[str, ...], commits: int, subject: re.Pattern):
    """Modified files, oldest commit first: commit, time, path, blob before, blob after."""
    log = git(directory, "log", "--no-merges", "--raw", "--no-renames", "--abbrev=40", "--diff-filter=M", f"-{commits}", "--format=>%H %ct %s")
    commit, wanted, found = ("", 0), False, []
    for line in log.decode("utf-8", "replace").splitlines():
        if line.startswith(">"):
            name, time, *said = line[1:].split(" ", 2)
            commit, wanted = (name, int(time)), bool(subject.search("".join(said)))
        elif wanted and line.startswith(":"):
            head, _, path = line.partition("\t")
            _, _, old, new, _ = head.split()
            if path.endswith(suffixes) and not any(part in f"/{path}" for part in SKIPPED):
                found.append((*commit, path, old, new))
    return found[::-1]


class Checker:
    def __init__(self, command: str):
        self.command = command

    def run(self, texts: list[tuple[str, str]]) -> list[list[dict] | None]:
        """The findings of each (path, text): rule, line from 1, byte offset of the start. None of a text that was not read."""
        told: list[list[dict] | None] = [[] for _ in texts]
        with tempfile.TemporaryDirectory() as folder:
            for index, (path, text) in enumerate(texts):
                own = Path(folder, str(index))
                own.mkdir()
                own.joinpath(Path(path).name).write_text(text, encoding="utf-8", newline="")
            done = subprocess.run(["sh", "-c", self.command], cwd=folder, capture_output=True)
            try:
                runs = json.loads(done.stdout)["runs"]
            except ValueError:
                sys.exit(f"mine_pairs: the checker printed no SARIF: {done.stderr.decode('utf-8', 'replace')[:500]}")
            for run in runs:
                for result in run.get("results", []):
                    index, region = self.place(result, folder)
                    lines = texts[index][1].split("\n")
                    row = region.get("startLine", 1)
                    if not result.get("ruleId") or row > len(lines):
                        continue
                    start = sum(len(line.encode()) + 1 for line in lines[: row - 1])
                    start += len(lines[row - 1][: region.get("startColumn", 1) - 1].encode())
                    told[index].append({"rule": result["ruleId"], "row": row, "end": region.get("endLine", row), "start": start})
        for index in {index for run in runs for index in self.unread(run, folder)}:
            told[index] = None
        return told

    def unread(self, run: dict, folder: str):
        """The texts that a run says it could not read."""
        for invocation in run.get("invocations", []):
            for kind in ("toolExecutionNotifications", "toolConfigurationNotifications"):
                for note in invocation.get(kind, []):
                    if note.get("level") == "error" and note.get("locations"):
                        yield self.place(note, folder)[0]

    @staticmethod
    def place(said: dict, folder: str) -> tuple[int, dict]:
        """The text that a result or a notification is about, and the region in it."""
        place = said["locations"][0]["physicalLocation"]
        uri = place["artifactLocation"]["uri"].split(f"{folder}/")[-1]
        return int(uri.removeprefix("./").split("/")[0]), place.get("region", {})


def counts(findings: list[dict]) -> Counter:
    return Counter(finding["rule"] for finding in findings)


def replacements(before: list[str], after: list[str]) -> list[tuple[int, int, int, int]]:
    """The short replacements of lines, as the four ends of their ranges."""
    head = next((at for at, (old, new) in enumerate(zip(before, after)) if old != new), min(len(before), len(after)))
    inner = list(zip(reversed(before[head:]), reversed(after[head:])))
    tail = next((at for at, (old, new) in enumerate(inner) if old != new), len(inner))
    matcher = difflib.SequenceMatcher(None, before[head : len(before) - tail], after[head : len(after) - tail], autojunk=False)
    found = [[head + end for end in ends] for tag, *ends in matcher.get_opcodes() if tag == "replace"]
    return [(a, b, c, d) for a, b, c, d in found if max(b - a, d - c) <= MAX_HUNK_LINES]


def candidates(change, before: str, after: str, told, tried: Counter):
    """Pairs of a change that the checker has not seen the result of yet, with their rules and what was found before."""
    commit, time, path, _, _ = change
    if None in told:
        return
    gone = counts(told[0]) - counts(told[1])
    old, new, hunks = before.split("\n"), after.split("\n"), set()
    replaced = replacements(old, new) if gone else []
    for finding in told[0]:
        rule = finding["rule"]
        if gone[rule] <= 0 or finding["end"] - finding["row"] > MAX_HUNK_LINES or tried[commit, rule] >= TRIED:
            continue
        hunk = next(((a, b, c, d) for a, b, c, d in replaced if a < finding["row"] and finding["end"] <= b), None)
        if hunk is None or (hunk, rule) in hunks:
            continue
        hunks.add((hunk, rule))
        tried[commit, rule] += 1
        a, b, c, d = hunk
        # A pair names its rule as the scanner does, without the plugin in front of it.
        yield {
            "commit": commit, "time": time, "path": path, "rule": rule.rsplit("/", 1)[-1], "row": finding["row"],
            "end_row": finding["end"], "start_byte": finding["start"], "before": before,
            "after_hunk": "\n".join(old[:a] + new[c:d] + old[b:]),
        }, rule, told[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("git_dir", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--checker", required=True)
    parser.add_argument("--suffix", action="append", required=True)
    parser.add_argument("--commits", type=int, default=4000, help="of the history, newest first")
    parser.add_argument("--subject", default="", help="what the subjects of the commits match, as a regular expression")
    args = parser.parse_args()
    if args.out.resolve().is_relative_to(Path(__file__).resolve().parent.parent):
        sys.exit("mine_pairs: keep other people's code outside the project; name another file")
    checker, blobs, taken, tried, kept = Checker(args.checker), Blobs(args.git_dir), Counter(), Counter(), 0
    todo = changes(args.git_dir, tuple(args.suffix), args.commits, re.compile(args.subject, re.IGNORECASE))
    print(f"{len(todo)} changed files", file=sys.stderr)
    with args.out.open("w", encoding="utf-8") as out:
        for at in range(0, len(todo), BATCH // 2):
            some, texts = [], []
            for change in todo[at : at + BATCH // 2]:
                before, after = (blobs.text(name) for name in change[3:])
                if before is not None and after is not None:
                    some.append((change, before, after))
                    texts += [(change[2], before), (change[2], after)]
            told = checker.run(texts) if texts else []
            pairs = []
            for index, (change, before, after) in enumerate(some):
                pairs += candidates(change, before, after, told[2 * index : 2 * index + 2], tried)
            results = checker.run([(pair["path"], pair["after_hunk"]) for pair, *_ in pairs]) if pairs else []
            for (pair, rule, found), left in zip(pairs, results):
                if left is None:
                    continue
                place, had, has = (pair["commit"], rule), counts(found), counts(left)
                healed = has[rule] < had[rule] and not has - had
                if healed and taken[place] < OF_A_COMMIT:
                    taken[place] += 1
                    kept += 1
                    pair = {"id": f"{args.name}-{kept}", "repo": args.name, **pair}
                    out.write(json.dumps(pair) + "\n")
            print(f"{at + len(some)} of {len(todo)}: {kept} fixes", file=sys.stderr)


if __name__ == "__main__":
    main()
