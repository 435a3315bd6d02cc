#!/usr/bin/env python3
"""Fixes of a scanner's findings, mined from a git history, in the form that `make bench-learning` reads (standard library only).

    scripts/mine_pairs.py GIT_DIR OUT.jsonl --name owner/name --checker COMMAND --suffix .js [--suffix .mjs] [--commits 4000]

A pair is a file in which a commit replaced the lines of one finding and the finding went away, by that hunk alone and without
a new one. The checker is any command that scans the folder it is started in and prints SARIF 2.1.0. Of one commit at most three
fixes of a rule are taken: a campaign is one opinion. Keep the output outside the project: it is other people's code.
"""
import argparse
import difflib
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

BATCH = 150
MAX_BYTES = 150_000
MAX_HUNK_LINES = 20
OF_A_COMMIT = 3
SKIPPED = ("/dist/", "/vendor/", "/node_modules/", "/third_party/", "/generated/", ".min.", "/build/", "/lib-cov/")


def git(directory: Path, *args: str) -> bytes:
    return subprocess.run(["git", "--git-dir", str(directory), *args], capture_output=True, check=True).stdout


def changes(directory: Path, suffixes: tuple[str, ...], commits: int):
    """Modified files, oldest commit first: commit, time, path, blob before, blob after."""
    log = git(directory, "log", "--no-merges", "--raw", "--no-renames", "--abbrev=40", "--diff-filter=M", f"-{commits}", "--format=>%H %ct")
    commit, found = ("", 0), []
    for line in log.decode("utf-8", "replace").splitlines():
        if line.startswith(">"):
            name, time = line[1:].split()
            commit = (name, int(time))
        elif line.startswith(":"):
            head, _, path = line.partition("\t")
            _, _, old, new, _ = head.split()
            if path.endswith(suffixes) and not any(part in f"/{path}" for part in SKIPPED):
                found.append((*commit, path, old, new))
    return found[::-1]


class Checker:
    def __init__(self, command: str):
        self.command = command

    def run(self, texts: list[tuple[str, str]]) -> list[list[dict]]:
        """The findings of each (path, text): rule, line from 1, byte offset of the start, and the text of that line."""
        told: list[list[dict]] = [[] for _ in texts]
        with tempfile.TemporaryDirectory() as folder:
            for index, (path, text) in enumerate(texts):
                own = Path(folder, str(index))
                own.mkdir()
                own.joinpath(Path(path).name).write_text(text, encoding="utf-8", newline="")
            printed = subprocess.run(["sh", "-c", self.command], cwd=folder, capture_output=True).stdout.decode()
            for run in json.loads(printed)["runs"]:
                for result in run.get("results", []):
                    place = result["locations"][0]["physicalLocation"]
                    uri = place["artifactLocation"]["uri"].split(f"{folder}/")[-1]
                    index, region = int(uri.split("/")[0]), place.get("region", {})
                    lines = texts[index][1].split("\n")
                    row = region.get("startLine", 1)
                    if not result.get("ruleId") or row > len(lines):
                        continue
                    start = sum(len(line.encode()) + 1 for line in lines[: row - 1])
                    start += len(lines[row - 1][: region.get("startColumn", 1) - 1].encode())
                    told[index].append({"rule": result["ruleId"], "row": row, "end": region.get("endLine", row), "start": start, "line": lines[row - 1].strip()})
        return told


def counts(findings: list[dict]) -> Counter:
    return Counter(finding["rule"] for finding in findings)


def hunk_at(before: list[str], after: list[str], first: int, last: int):
    """The one replacement that holds the lines `first..=last` (from 1) of `before`, as the four ends of its line ranges."""
    for tag, a, b, c, d in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "replace" and a < first and last <= b and max(b - a, d - c) <= MAX_HUNK_LINES:
            return a, b, c, d
    return None


def candidates(change, before: str, after: str, told):
    """Pairs of a change that the checker has not seen the result of yet."""
    commit, time, path, _, _ = change
    gone = counts(told[0]) - counts(told[1])
    old, new = before.split("\n"), after.split("\n")
    for finding in told[0]:
        if gone[finding["rule"]] <= 0 or finding["end"] - finding["row"] > MAX_HUNK_LINES:
            continue
        hunk = hunk_at(old, new, finding["row"], finding["end"])
        if hunk is None:
            continue
        a, b, c, d = hunk
        yield {
            "commit": commit, "time": time, "path": path, "rule": finding["rule"], "row": finding["row"],
            "end_row": finding["end"], "start_byte": finding["start"], "before": before,
            "after_hunk": "\n".join(old[:a] + new[c:d] + old[b:]),
        }, told[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("git_dir", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--checker", required=True)
    parser.add_argument("--suffix", action="append", required=True)
    parser.add_argument("--commits", type=int, default=4000, help="of the history, newest first")
    args = parser.parse_args()
    if args.out.resolve().is_relative_to(Path(__file__).resolve().parent.parent):
        sys.exit("mine_pairs: keep other people's code outside the project; name another file")
    checker, taken, kept = Checker(args.checker), Counter(), 0
    todo = changes(args.git_dir, tuple(args.suffix), args.commits)
    print(f"{len(todo)} changed files", file=sys.stderr)
    with args.out.open("w", encoding="utf-8") as out:
        for at in range(0, len(todo), BATCH // 2):
            some, texts = [], []
            for change in todo[at : at + BATCH // 2]:
                blobs = [git(args.git_dir, "cat-file", "blob", blob) for blob in change[3:]]
                if all(len(blob) <= MAX_BYTES for blob in blobs):
                    try:
                        before, after = (blob.decode("utf-8") for blob in blobs)
                    except UnicodeDecodeError:
                        continue
                    some.append((change, before, after))
                    texts += [(change[2], before), (change[2], after)]
            told = checker.run(texts) if texts else []
            pairs = []
            for index, (change, before, after) in enumerate(some):
                pairs += candidates(change, before, after, told[2 * index : 2 * index + 2])
            results = checker.run([(pair["path"], pair["after_hunk"]) for pair, _ in pairs]) if pairs else []
            for (pair, found), left in zip(pairs, results):
                place, had, has = (pair["commit"], pair["rule"]), counts(found), counts(left)
                healed = has[pair["rule"]] < had[pair["rule"]] and not has - had
                if healed and taken[place] < OF_A_COMMIT:
                    taken[place] += 1
                    kept += 1
                    pair = {"id": f"{args.name}-{kept}", "repo": args.name, **pair}
                    out.write(json.dumps(pair) + "\n")
            print(f"{at + len(some)} of {len(todo)}: {kept} fixes", file=sys.stderr)


if __name__ == "__main__":
    main()
