#!/usr/bin/env python3
"""How well learned fixes fit places they have not seen (standard library only).

    scripts/bench_learning.py PAIRS.jsonl FOLDER [--checker COMMAND] [what the benchmark takes: --sizes, --seeds, --tests, --half]

PAIRS.jsonl holds fixes that developers made, one a line: id, repo, commit, time, path, rule, row, start_byte, before,
after_hunk (benches/learning/pairs.rs). FOLDER, outside the project, keeps what the checker said. The checker is any command
that scans the folder it is started in and prints SARIF 2.1.0; without one it is ruff, with the rules that the pairs name.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent


def ruff(pairs: Path) -> str:
    program = shutil.which("ruff")
    if program is None:
        sys.exit("bench_learning: no ruff in PATH; install it (pip install ruff==0.17.5) or name another scanner with --checker")
    with pairs.open(encoding="utf-8") as lines:
        rules = sorted({json.loads(line)["rule"] for line in lines})
    return f"{program} check --isolated --no-cache --quiet --exit-zero --output-format sarif --select {','.join(rules)} ."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--checker")
    args, rest = parser.parse_known_args()
    folder = args.folder.resolve()
    if folder.is_relative_to(HERE):
        sys.exit("bench_learning: keep other people's code outside the project; name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    command = [os.environ.get("CARGO", "cargo"), "bench", "--locked", "--bench", "learning", "--"]
    command += ["--pairs", str(args.pairs.resolve()), "--checker", args.checker or ruff(args.pairs)]
    command += ["--cache", str(folder / "checked.tsv"), "--told", str(folder / "told.jsonl"), *rest]
    sys.exit(subprocess.run(command, cwd=HERE).returncode)


if __name__ == "__main__":
    main()
