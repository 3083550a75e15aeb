"""Reads thousands of broken files and answers broken requests; prints what became of them.

python tests/fuzz/run.py                      # all kinds in full
python tests/fuzz/run.py weights http         # some kinds
python tests/fuzz/run.py weights --cases 17 23 --keep found  # these again, files kept
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from fuzz.runner import KINDS, Outcome, Run, run_cases
from fuzz.verdicts import BAD, GOOD, MEMORY_LIMIT

_COLUMNS = (*GOOD, *BAD)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; returns 1 when a case ended badly."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", help=f"of {', '.join(KINDS)} (default: all)")
    parser.add_argument("--cases", nargs="+", type=int, help="numbers (default: a full run's)")
    parser.add_argument("--keep", type=Path, help="folder in which to leave the files")
    args = parser.parse_args(arguments)
    unknown = sorted(set(args.kinds) - set(KINDS))
    if unknown:
        parser.error(f"expected kinds of {', '.join(KINDS)}. Received: {unknown}")
    if args.keep is not None:
        args.keep.mkdir(parents=True, exist_ok=True)
    runs = []
    for kind in args.kinds or KINDS:
        start = time.monotonic()
        numbers = args.cases or range(KINDS[kind][0])
        run = run_cases(kind, numbers, keep=args.keep, tell=_teller(kind, bool(args.cases)))
        runs.append(run)
        print(f"{kind}: {len(run.outcomes)} cases in {time.monotonic() - start:.0f} s", flush=True)
    print(table(runs))
    return int(any(run.failures or run.peak > MEMORY_LIMIT for run in runs))


def table(runs: Sequence[Run]) -> str:
    """One row for each kind: how its cases ended, and the peak of its memory."""
    lines = [f"{'':<12}{'cases':>7}" + "".join(f"{c:>10}" for c in _COLUMNS) + f"{'peak MB':>9}"]
    for run in runs:
        counts = Counter(outcome.kind for outcome in run.outcomes)
        cells = "".join(f"{counts[column]:>10}" for column in _COLUMNS)
        lines.append(f"{run.kind:<12}{len(run.outcomes):>7}{cells}{run.peak / 1e6:>9.0f}")
    return "\n".join(lines)


def line(kind: str, outcome: Outcome) -> str:
    """How a case is told."""
    detail = " ".join(outcome.detail.split())
    return f"{kind} {outcome.number}: {outcome.kind}: {detail[:400]}"


def _teller(kind: str, everything: bool):
    def tell(outcome: Outcome) -> None:
        if everything or outcome.bad:
            print(line(kind, outcome), flush=True)

    return tell


if __name__ == "__main__":
    sys.exit(main())
