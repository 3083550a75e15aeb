"""Times this project beside another state of it: nothing may become slower, or larger.

    git worktree add ../before v0.1.0
    python benchmarks/before_after.py ../before --weights maskrcnn_resnet50_fpn_coco.pth
    python benchmarks/before_after.py ../before --weights FILE --only training --rounds 9

Both sides run the cases of `end_to_end.py`, each in a process of its own and by its own worker;
repetitions alternate. Printed are the medians, the median of the ratios of neighbours, and the
peaks of memory; at the end the worst of either.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
from pathlib import Path

from end_to_end import CPU_CASES, WORKERS, Worker
from workers.describe import describe_machine

CASES = [case for case in CPU_CASES if not case.int8 and case.size != (800, 1088)]
PASTE = [case for case in CPU_CASES if case.kind == "paste"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", type=Path, help="a checkout of the other state")
    parser.add_argument("--weights", required=True, help="torchvision's checkpoint, or one like it")
    parser.add_argument("--only", nargs="+", default=[""], metavar="TEXT")
    parser.add_argument("--rounds", type=int, default=7, help="repetitions per side: %(default)s")
    options = parser.parse_args()
    sides = {
        "before": options.before.resolve() / "benchmarks" / "workers",
        "now": WORKERS.resolve(),
    }
    print(describe_machine(), flush=True)
    print("| case | before, ms | now, ms | now / before | before, MB | now, MB |")
    print("| :-- | --: | --: | --: | --: | --: |")
    times, peaks = [], []
    for case in [*CASES, *PASTE]:
        if not any(text in case.name for text in options.only):
            continue
        order = {**dataclasses.asdict(case), "weights": options.weights, "device": "cpu"}
        workers = {
            side: Worker(sys.executable, folder / "keras_worker.py", order)
            for side, folder in sides.items()
        }
        seconds: dict[str, list[float]] = {side: [] for side in workers}
        for _ in range(options.rounds):
            for side, worker in workers.items():
                seconds[side].append(worker.ask("run")["seconds"])
        peak = {side: worker.close() for side, worker in workers.items()}
        ratios = [b / a for a, b in zip(seconds["before"], seconds["now"], strict=True)]
        times.append(statistics.median(ratios))
        peaks.append(peak["now"] / peak["before"])
        before, now = (1000 * statistics.median(seconds[side]) for side in ("before", "now"))
        memory = f"{peak['before'] / 2**20:.0f} | {peak['now'] / 2**20:.0f}"
        print(
            f"| {case.name} | {before:.0f} | {now:.0f} | {times[-1]:.3f} | {memory} |", flush=True
        )
    print(f"worst of times {max(times):.3f}, of memory {max(peaks):.3f}")


if __name__ == "__main__":
    main()
