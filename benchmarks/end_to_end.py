"""Times whole models beside torchvision and other runtimes, on one machine, with the same weights.

    python benchmarks/end_to_end.py --torchvision /path/to/python
    python benchmarks/end_to_end.py --torchvision /path/to/python --only training --rounds 5
    python benchmarks/end_to_end.py --torchvision /path/to/python --output rivals \
        --rivals torchvision torch-compile onnxruntime openvino openvino-torchvision
    python benchmarks/end_to_end.py --device gpu          # where this Python has torchvision too
    TF_CUDNN_USE_AUTOTUNE=0 python benchmarks/end_to_end.py --device gpu --output no_trials

Each side runs in a process of its own; repetitions alternate between them (A B C A B C). Printed
are the medians and the median of the ratios of neighbours, and the peak memory of each process, on
a GPU that of what it allocated there. There, pictures and targets lie on the GPU beforehand,
results are waited for and fetched, and all sides may compute float32 in TF32.
Weights are torchvision's network with random values, read from its checkpoint, so all find the
same. The floor is the time that the case's multiplications take at the rate of one large matrix
product of the same dtype, measured in between. Tables go to `benchmarks/results/`.
"xla" is our model with `jit_compile=True`. The others run in the Python of `--torchvision`, and but
for torchvision's on the CPU only. ONNX files are written by this Python (`pip install
"maskrcnn-keras[int8]"`), torchvision's by its own.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sides import (
    OURS,
    RIVALS,
    WORKERS,
    OnnxFiles,
    Side,
    absent,
    present,
    process_environment,
    reason,
)
from workers.describe import describe_machine
from workers.floor import matmul_rate, multiplications

RESULTS = Path(__file__).parent / "results"


@dataclasses.dataclass(frozen=True)
class Case:
    """One row of the table.

    Args:
        int8: whether rivals run an int8 file; ours, which has none, computes in `dtype`.
    """

    kind: str
    size: tuple[int, int]
    batch: int = 1
    dtype: str = "float32"
    objects: int = 8
    backbone: str = "resnet50"
    int8: bool = False

    @property
    def form(self) -> str:
        """Of the numbers with which a rival computes."""
        return "int8" if self.int8 else self.dtype

    @property
    def name(self) -> str:
        shape = f"{self.batch} x {self.size[0]}x{self.size[1]}"
        if self.kind == "paste":
            return f"paste {self.objects} masks, {self.size[0]}x{self.size[1]}"
        with_objects = f", {self.objects} objects each" if self.kind == "training" else ""
        beside = ", beside int8" if self.int8 else ""
        body = "" if self.backbone == "resnet50" else f"{self.backbone}, "
        return f"{self.kind}, {body}{shape}, {self.dtype}{with_objects}{beside}"


CPU_CASES = [
    *(
        Case("inference", size, batch, dtype)
        for size in ((512, 512), (800, 1088))
        for batch in (1, 4)
        for dtype in ("float32", "bfloat16")
    ),
    *(Case("inference", size, dtype="bfloat16", int8=True) for size in ((512, 512), (800, 1088))),
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
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115  # Closed with the process.
        self.process = subprocess.Popen(
            [python, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("BENCHMARK_VERBOSE") else self.log,
            text=True,
            env=process_environment(script, case["device"]),
        )
        self.software = self.ask(case).get("software", "")

    def ask(self, order: Any) -> dict[str, Any]:
        """Its answer to one order."""
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # It has ended: its log says why.
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


def measure(
    case: Case, rivals: Mapping[str, Side], python: str, order: dict[str, Any], rounds: int
) -> dict[str, Any]:
    """Times, results and peaks of one case, per side; a rival that fails is left out.

    Args:
        rivals: by name.
        python: that runs them.
        order: the case as workers get it.
    """
    files = OnnxFiles(Path(order["weights"]).parent, python)
    workers = {"ours": Worker(sys.executable, WORKERS / OURS.worker, order)}
    failed = {}
    for name, side in rivals.items():
        if not side.can(case):
            continue
        try:
            extra = dict(side.settings)
            if side.network:
                extra |= {"network": side.network, "file": files.path(side.network, case, order)}
            runs = sys.executable if side.worker == OURS.worker else python
            workers[name] = Worker(runs, WORKERS / side.worker, order | extra)
        except RuntimeError as error:
            failed[name] = reason(str(error))
    seconds: dict[str, list[float]] = {name: [] for name in workers}
    results = {}
    for _ in range(rounds):
        for name, worker in workers.items():
            answer = worker.ask("run")
            seconds[name].append(answer["seconds"])
            results[name] = answer["result"]
    return {
        "name": case.name,
        "seconds": seconds,
        "results": results,
        "failed": failed,
        "software": [worker.software for name, worker in workers.items() if name != "ours"],
        "peak": {name: worker.close() for name, worker in workers.items()},
    }


def row(case: Case, measured: dict[str, Any], rates: dict[str, float]) -> dict[str, Any]:
    """What the table shows of a case: seconds, ratios to ours and bytes, by side."""
    ours = measured["seconds"]["ours"]
    floor = None
    if case.kind in ("inference", "training"):
        floor = multiplications(case) / rates[case.dtype]
    return {
        "case": measured["name"],
        "seconds": {name: statistics.median(times) for name, times in measured["seconds"].items()},
        "ratio": {
            name: statistics.median(b / a for a, b in zip(ours, times, strict=True))
            for name, times in measured["seconds"].items()
            if name != "ours"
        },
        "floor": floor,
        "peak": measured["peak"],
        "found": measured["results"],
        "failed": measured["failed"],
    }


def as_table(rows: list[dict[str, Any]], rivals: Mapping[str, Side]) -> str:
    """Markdown; below it, which rival could not run which case, and why."""
    titles = [side.title for side in rivals.values()]
    heads = ["case", "ours, ms"]
    heads += [head for title in titles for head in (f"{title}, ms", f"{title} / ours")]
    heads += ["floor, ms", "peak, MB", *(f"{title}'s, MB" for title in titles)]
    lines = [heads, [":--", *["--:"] * (len(heads) - 1)]]
    for r in rows:
        cells = [r["case"], _cell(r["seconds"]["ours"], 1000)]
        for name in rivals:
            cells += [_cell(r["seconds"].get(name), 1000), _cell(r["ratio"].get(name), digits=2)]
        cells += [_cell(r["floor"], 1000)]
        cells += [_cell(r["peak"].get(name), 2**-20) for name in ("ours", *rivals)]
        lines.append(cells)
    notes = [
        f'- {rivals[name].title} did not run "{r["case"]}": {why}'
        for r in rows
        for name, why in r["failed"].items()
    ]
    table = [f"| {' | '.join(cells)} |" for cells in lines]
    return "\n".join([*table, *([""] if notes else []), *notes])


def _cell(value: float | None, factor: float = 1.0, digits: int = 0) -> str:
    return "" if value is None else f"{factor * value:.{digits}f}"


def plot(rows: list[dict[str, Any]], rivals: Mapping[str, Side], title: str, path: Path) -> None:
    """Bars of how many times as long each rival takes, where there is matplotlib."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        print("no picture without matplotlib")
        return

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    bars = [(r["case"], name, ratio) for r in rows for name, ratio in r["ratio"].items()][::-1]
    several = len(rivals) > 1
    labels = [f"{case}: {rivals[name].title}" if several else case for case, name, _ in bars]
    figure, axes = plt.subplots(figsize=(9, 0.8 + 0.36 * len(bars)), layout="constrained")
    drawn = axes.barh(labels, [ratio for *_, ratio in bars], color="#4477aa")
    axes.bar_label(drawn, fmt="%.2f", padding=3)
    axes.axvline(1.0, color="black", linewidth=1)
    whose = "the other" if several else next(iter(rivals.values())).title
    axes.set_xlabel(f"time of {whose} / ours")
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
        "--rivals",
        nargs="+",
        choices=tuple(RIVALS),
        default=["torchvision"],
        help="who is timed beside ours; one whose packages are missing is left out",
    )
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="TEXT", help="cases whose name contains one"
    )
    parser.add_argument(
        "--rounds", type=int, help="repetitions per side: 5, or 30 on a GPU, which takes less time"
    )
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--output", help="name of the result: end_to_end, or end_to_end_gpu")
    options = parser.parse_args()
    if absent(("torch", "torchvision"), options.torchvision):
        parser.error(f"{options.torchvision} has no torchvision, which makes the weights")
    on_gpu = options.device == "gpu"
    rivals = present(options.rivals, options.torchvision, options.device)
    rounds = options.rounds or (30 if on_gpu else 5)
    output = options.output or ("end_to_end_gpu" if on_gpu else "end_to_end")
    cases = [
        case
        for case in (GPU_CASES if on_gpu else CPU_CASES)
        if any(text in case.name for text in options.only)
        # Ours alone is in the table without int8.
        and (not case.int8 or any(side.can(case) for side in rivals.values()))
    ]
    device = "cuda" if on_gpu else "cpu"
    machine = describe_machine(options.device)
    print(machine, flush=True)
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{output}.md"
    rows: list[dict[str, Any]] = []
    rates: dict[str, float] = {}
    software: dict[str, None] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            weights = Path(folder) / f"{case.backbone}.pth"
            if not weights.exists():
                script = str(WORKERS / "torchvision_worker.py")
                command = [options.torchvision, script, str(weights), case.backbone]
                subprocess.run(command, check=True)
            # A CPU's changes with what else runs on the machine.
            if not on_gpu or case.dtype not in rates:
                rates[case.dtype] = matmul_rate(case.dtype, device)
            order = {**dataclasses.asdict(case), "weights": str(weights), "device": device}
            measured = measure(case, rivals, options.torchvision, order, rounds)
            rows.append(row(case, measured, rates))
            print(*as_table(rows[-1:], rivals).splitlines()[2:], sep="\n")
            print(rows[-1]["found"], flush=True)
            # At once: a later case may not fit this machine.
            software |= dict.fromkeys(", ".join(measured["software"]).split(", "))
            heading = f"{machine}; beside {', '.join(filter(None, software))}"
            target.write_text(f"{heading}\n\n{as_table(rows, rivals)}\n", encoding="utf-8")
    title = machine.replace("; tensorflow", ";\ntensorflow")
    plot(rows, rivals, title, target.with_suffix(".png"))
    print(target)


if __name__ == "__main__":
    main()
