"""Times whole models beside torchvision's, on the same machine, with the same weights.

    python benchmarks/end_to_end.py --torchvision /path/to/python
    python benchmarks/end_to_end.py --torchvision /path/to/python --only training --rounds 5
    python benchmarks/end_to_end.py --device gpu          # where this Python has torchvision too
    TF_CUDNN_USE_AUTOTUNE=0 python benchmarks/end_to_end.py --device gpu --output no_trials

Each side runs in a process of its own; repetitions alternate between them (A B A B). Printed are
the medians and the median of the ratios of neighbours, and the peak memory of either process, on a
GPU that of what it allocated there. There, pictures and targets lie on the GPU beforehand, results
are waited for and fetched, and both sides may compute float32 in TF32.
Weights are torchvision's network with random values, read from its checkpoint, so both find the
same. The floor is the time that the case's multiplications take at the rate of one large matrix
product of the same dtype, measured in between. Tables go to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from workers.describe import describe_machine
from workers.floor import environment, matmul_rate, multiplications

WORKERS = Path(__file__).resolve().parent / "workers"
RESULTS = Path(__file__).parent / "results"


@dataclasses.dataclass(frozen=True)
class Case:
    """One row of the table."""

    kind: str
    size: tuple[int, int]
    batch: int = 1
    dtype: str = "float32"
    objects: int = 8
    backbone: str = "resnet50"
    compile: bool = False

    @property
    def name(self) -> str:
        shape = f"{self.batch} x {self.size[0]}x{self.size[1]}"
        if self.kind == "paste":
            return f"paste {self.objects} masks, {self.size[0]}x{self.size[1]}"
        with_objects = f", {self.objects} objects each" if self.kind == "training" else ""
        beside = ", beside torch.compile" if self.compile else ""
        body = "" if self.backbone == "resnet50" else f"{self.backbone}, "
        return f"{self.kind}, {body}{shape}, {self.dtype}{with_objects}{beside}"


CPU_CASES = [
    *(
        Case("inference", size, batch, dtype)
        for size in ((512, 512), (800, 1088))
        for batch in (1, 4)
        for dtype in ("float32", "bfloat16")
    ),
    Case("inference", (800, 1088), compile=True),
    *(Case("training", (512, 512), 2, dtype) for dtype in ("float32", "bfloat16")),
    Case("paste", (800, 1088), objects=100),
]

GPU_CASES = [
    Case(kind, (800, 1344), batch, dtype, backbone=backbone)
    for kind, batch in (("inference", 1), ("training", 2))
    for backbone in ("resnet50", "resnet101")
    for dtype in ("float32", "bfloat16")
]


class Worker:
    """A process that repeats one case."""

    def __init__(self, python: str, script: Path, case: dict[str, Any]) -> None:
        # The package of the script's own checkout, whatever this Python has installed.
        paths = [str(script.parents[2]), os.environ.get("PYTHONPATH", "")]
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115  # Closed with the process.
        self.process = subprocess.Popen(
            [python, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("BENCHMARK_VERBOSE") else self.log,
            text=True,
            env=os.environ
            | environment(case["device"])
            | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )
        self.software = self.ask(case).get("software", "")

    def ask(self, order: Any) -> dict[str, Any]:
        """Its answer to one order."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            code = self.process.wait()
            self.log.seek(0)
            raise RuntimeError(f"{self.process.args} ended with {code}:\n{self.log.read()[-4000:]}")
        return json.loads(answer)

    def close(self) -> float:
        """Ends it; returns the peak of its memory in bytes."""
        peak = self.ask("peak")["peak"]
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        self.log.close()
        return peak


def measure(case: Case, pythons: dict[str, str], weights: str, device: str, rounds: int) -> Any:
    """Times, results and peaks of one case, per side."""
    order = {**dataclasses.asdict(case), "weights": weights, "device": device}
    workers = {
        side: Worker(python, WORKERS / f"{side}_worker.py", order)
        for side, python in pythons.items()
    }
    seconds: dict[str, list[float]] = {side: [] for side in workers}
    results = {}
    for _ in range(rounds):
        for side, worker in workers.items():
            answer = worker.ask("run")
            seconds[side].append(answer["seconds"])
            results[side] = answer["result"]
    return {
        "name": case.name,
        "seconds": seconds,
        "results": results,
        "software": workers["torchvision"].software,
        "peak": {side: worker.close() for side, worker in workers.items()},
    }


def row(case: Case, measured: dict[str, Any], rates: dict[str, float]) -> dict[str, Any]:
    """What the table shows of a case."""
    ours = measured["seconds"]["keras"]
    theirs = measured["seconds"].get("torchvision")
    floor = None
    if case.kind in ("inference", "training"):
        floor = multiplications(case) / rates[case.dtype]
    return {
        "case": measured["name"],
        "ours": statistics.median(ours),
        "torchvision": statistics.median(theirs) if theirs else None,
        "ratio": statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
        if theirs
        else None,
        "floor": floor,
        "peak": measured["peak"]["keras"],
        "torchvision_peak": measured["peak"].get("torchvision"),
        "found": measured["results"],
    }


def as_table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| case | ours, ms | torchvision, ms | torchvision / ours | floor, ms | "
        "peak, MB | torchvision's, MB |",
        "| :-- | --: | --: | --: | --: | --: | --: |",
    ]
    for r in rows:
        cells = [r["case"], f"{1000 * r['ours']:.0f}"]
        cells.append("" if r["torchvision"] is None else f"{1000 * r['torchvision']:.0f}")
        cells.append("" if r["ratio"] is None else f"{r['ratio']:.2f}")
        cells.append("" if r["floor"] is None else f"{1000 * r['floor']:.0f}")
        cells.append(f"{r['peak'] / 2**20:.0f}")
        cells.append(
            "" if r["torchvision_peak"] is None else f"{r['torchvision_peak'] / 2**20:.0f}"
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def plot(rows: list[dict[str, Any]], title: str, path: Path) -> None:
    """Bars of how many times as long torchvision takes, where there is matplotlib."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        print("no picture without matplotlib")
        return

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    compared = [r for r in rows if r["ratio"] is not None][::-1]
    figure, axes = plt.subplots(figsize=(9, 0.8 + 0.36 * len(compared)), layout="constrained")
    bars = axes.barh([r["case"] for r in compared], [r["ratio"] for r in compared], color="#4477aa")
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_xlabel("time of torchvision / ours")
    axes.set_title(title, fontsize=8, loc="right", wrap=True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.08)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--torchvision", default=sys.executable, help="a Python with torchvision")
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="TEXT", help="cases whose name contains one"
    )
    parser.add_argument(
        "--rounds", type=int, help="repetitions per side: 5, or 30 on a GPU, which takes less time"
    )
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--output", help="name of the result: end_to_end, or end_to_end_gpu")
    options = parser.parse_args()
    on_gpu = options.device == "gpu"
    rounds = options.rounds or (30 if on_gpu else 5)
    output = options.output or ("end_to_end_gpu" if on_gpu else "end_to_end")
    cases = [
        case
        for case in (GPU_CASES if on_gpu else CPU_CASES)
        if any(text in case.name for text in options.only)
    ]
    pythons = {"keras": sys.executable, "torchvision": options.torchvision}
    device = "cuda" if on_gpu else "cpu"
    machine = describe_machine(options.device)
    print(machine, flush=True)
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{output}.md"
    rows: list[dict[str, Any]] = []
    rates: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        weights = {}
        for case in cases:
            if case.backbone not in weights:
                path = weights[case.backbone] = f"{folder}/{case.backbone}.pth"
                script = str(WORKERS / "torchvision_worker.py")
                subprocess.run([options.torchvision, script, path, case.backbone], check=True)
            # A CPU's changes with what else runs on the machine.
            if not on_gpu or case.dtype not in rates:
                rates[case.dtype] = matmul_rate(case.dtype, device)
            measured = measure(case, pythons, weights[case.backbone], device, rounds)
            rows.append(row(case, measured, rates))
            print(as_table(rows[-1:]).splitlines()[-1], rows[-1]["found"], flush=True)
            # At once: a later case may not fit this machine.
            heading = f"{machine}; beside {measured['software']}"
            target.write_text(f"{heading}\n\n{as_table(rows)}\n", encoding="utf-8")
    plot(rows, machine.replace("; tensorflow", ";\ntensorflow"), target.with_suffix(".png"))
    print(target)


if __name__ == "__main__":
    main()
