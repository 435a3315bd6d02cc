#!/usr/bin/env python3
"""One table of detection quality: our scanner beside others, by family of weakness, corpus by corpus (standard library only).

    score_detection.py --scorers DIR --codehealer target/release/codehealer --out table.md \\
        --corpus NAME=FOLDER [--corpus …] [--peer bandit=PROGRAM] [--peer ruff=PROGRAM] [--plain NAME=FOLDER …]

FOLDER holds `src/` and `labels.csv` with the columns path,line,end_line,verdict,rule,cwes,category,kind (line 0: the whole
file). DIR holds `sariflib.py`, `labels.py` and `score_lines.py`, which read SARIF and lay findings on labels. A peer's run
ends in a SARIF file: `bandit` and `ruff` are known by name; `NAME=FILE.sarif` takes one that is there. Give a Bandit that runs
under Python 3.12 or newer: older ones skip files with newer syntax without a word in the table.

For each family the table gives the share of bad labels that were hit (TPR), the share of ok labels that were hit
falsely (FPR, of the corpus, because few corpora have ok labels for each family), and the difference. A finding counts
when its CWE is of the label's family. Labels of fewer than 20 in a family are told as such.

`--plain` names projects that are known to be in good order: findings there are alarms, told per 1,000 lines of code, and by rule.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

FAMILIES = {
    "SQL": {89},
    "command": {78, 77, 88},
    "code and template": {94, 95, 1336, 96},
    "path": {22, 23, 36, 73},
    "XSS": {79, 80, 116},
    "deserialization": {502},
    "SSRF": {918},
    "XXE": {611, 776, 827},
    "open redirect": {601},
    "LDAP and XPath": {90, 643},
    "weak crypto and hash": {327, 328, 326},
    "weak random": {330, 338},
    "TLS": {295, 297},
    "secrets": {798, 259, 321},
    "temp files": {377, 379},
    "debug": {489, 215},
}
FEW = 20
# What the tests of Bandit and the rules of ruff that carry the same number find (B324, S324), in CWE numbers. ruff's SARIF
# names none, and Bandit's are coarse (CWE-20 for an XML parser), so both get these besides their own. The first of each is
# Bandit's own, from `bandit/core/issue.py`, `bandit/plugins` and `bandit/blacklists` of 1.9; the others name its subject.
PEER_CWES = {
    (102, 307): [78, 94, 95],
    (103,): [732],
    (104,): [605],
    (105, 106, 107): [259, 798],
    (108, 306): [377],
    (201,): [94, 489, 215],
    (202,): [22],
    (301, 302, 403): [502],
    (303, 304, 305, 413, 502, 503, 504): [327],
    (308,): [79],
    (310,): [22, 918],
    (311,): [330, 338],
    (312, 321, 401, 402, 415, 508, 509): [319],
    (*range(313, 321), *range(405, 412)): [20, 611, 776],
    (323, 501, 507): [295],
    (324,): [327, 328],
    (404, 601, 602, 603, 604, 605, 606, 607): [78],
    (505,): [326],
    (506,): [20, 502],
    (608, 610, 611): [89],
    (609,): [155, 78],
    (612,): [94],
    (614,): [502],
    (615,): [494],
    (701,): [94, 79, 1336],
    (702, 703, 704): [80, 79],
}
SUFFIXES = {".py", ".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".java", ".go"}


def run(command: list[str], sarif: Path, stdout: bool) -> None:
    """Runs a scanner; it may end with 1 because it found something."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if stdout:
        sarif.write_text(result.stdout, encoding="utf-8")
    if result.returncode not in (0, 1) or not sarif.is_file() or not sarif.stat().st_size:
        sys.exit(f"{' '.join(command)} ended with {result.returncode}: {result.stderr[-500:]}")


def cwes_of(tool: str) -> dict[str, list[int]]:
    """What to add to the CWE numbers that a peer writes."""
    letter = {"bandit": "B", "ruff": "S"}.get(tool.rstrip("0123456789"))
    return {f"{letter}{number}": cwes for numbers, cwes in PEER_CWES.items() for number in numbers} if letter else {}


def scan(tool: str, program: str, folder: Path, sarif: Path) -> None:
    if tool == "codehealer":
        run([program, "scan", "--format", "sarif", "--no-ignore", "--exit-zero", str(folder)], sarif, True)
    elif tool == "bandit":
        run([program, "-q", "-r", str(folder), "-f", "sarif", "-o", str(sarif), "--exit-zero"], sarif, False)
    elif tool == "ruff":
        run([program, "check", "--isolated", "--no-cache", "--select", "S", "--output-format", "sarif", "--exit-zero",
             "-o", str(sarif), str(folder)], sarif, False)
    else:
        sarif.write_bytes(Path(program).read_bytes())


def rates(scorer, labels) -> tuple[int, int, int, int]:
    bad = [label for label in labels if label.verdict == "bad"]
    good = [label for label in labels if label.verdict == "ok"]
    return sum(scorer.hit(one, True) for one in bad), len(bad), sum(scorer.hit(one, True) for one in good), len(good)


def table(scorers: Path, corpora: dict[str, Path], tools: dict[str, str]) -> list[str]:
    sys.path.insert(0, str(scorers))
    import labels as label_module  # noqa: PLC0415
    import sariflib  # noqa: PLC0415
    from score_lines import Scorer  # noqa: PLC0415

    lines = ["| corpus | family | labels | " + " | ".join(tools) + " |", "|---|---|---|" + "---|" * len(tools)]
    for name, folder in corpora.items():
        labels = label_module.load(folder / "labels.csv")
        found = {}
        with tempfile.TemporaryDirectory() as scratch:
            for tool, program in tools.items():
                sarif = Path(scratch) / f"{tool}.sarif"
                scan(tool, program, folder / "src", sarif)
                found[tool] = Scorer(labels, sariflib.load(sarif, cwes_of(tool)))
        by_family = defaultdict(list)
        for label in labels:
            for family, cwes in FAMILIES.items():
                if cwes & set(label.cwes):
                    by_family[family].append(label)
        for family in FAMILIES:
            members = by_family.get(family, [])
            if not members:
                continue
            cells = []
            for tool in tools:
                hits, bad, wrong, good = rates(found[tool], members)
                tpr = hits / bad if bad else 0.0
                fpr = wrong / good if good else 0.0
                cells.append(f"{100 * (tpr - fpr):.0f} ({hits}/{bad}, {wrong}/{good})")
            few = "" if len(members) >= FEW else " (few)"
            lines.append(f"| {name} | {family} | {len(members)}{few} | " + " | ".join(cells) + " |")
    return lines


def plain(projects: dict[str, Path], tools: dict[str, str], scorers: Path) -> list[str]:
    sys.path.insert(0, str(scorers))
    import sariflib  # noqa: PLC0415

    lines = ["| project | lines | " + " | ".join(tools) + " |", "|---|---|" + "---|" * len(tools)]
    rules: Counter[str] = Counter()
    for name, folder in projects.items():
        files = [path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file()]
        count = sum(len(path.read_text(encoding="utf-8", errors="replace").splitlines()) for path in files)
        cells = []
        with tempfile.TemporaryDirectory() as scratch:
            for tool, program in tools.items():
                sarif = Path(scratch) / f"{tool}.sarif"
                scan(tool, program, folder, sarif)
                alarms = [one for one in sariflib.load(sarif, cwes_of(tool)) if one.cwes]
                cells.append(f"{len(alarms)} ({1000 * len(alarms) / max(count, 1):.2f})")
                if tool == "codehealer":
                    rules.update(one.rule for one in alarms)
        lines.append(f"| {name} | {count} | " + " | ".join(cells) + " |")
    lines += ["", "| rule | alarms of codehealer |", "|---|---|"]
    return lines + [f"| {rule} | {number} |" for rule, number in rules.most_common()]


def pairs(values: list[str]) -> dict[str, str]:
    named = dict(value.split("=", 1) for value in values)
    return named


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scorers", type=Path, required=True)
    parser.add_argument("--codehealer", required=True)
    parser.add_argument("--corpus", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--plain", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PROGRAM")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    tools = {"codehealer": args.codehealer, **pairs(args.peer)}
    corpora = {name: Path(folder) for name, folder in pairs(args.corpus).items()}
    projects = {name: Path(folder) for name, folder in pairs(args.plain).items()}
    lines = ["TPR − FPR in percent (bad labels hit / bad labels, ok labels hit / ok labels)", ""]
    if corpora:
        lines += table(args.scorers, corpora, tools) + [""]
    if projects:
        lines += ["Alarms with a CWE (per 1,000 lines)", ""] + plain(projects, tools, args.scorers) + [""]
    text = "\n".join(lines)
    if args.out:
        args.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
