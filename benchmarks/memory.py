"""Where a process' memory goes, from import to a repeated step.

    python benchmarks/memory.py --torchvision /path/to/python    # one that has torchvision

Inference of one picture of 800x1088 and a training step of 2 x 512x512 (R50-FPN, float32), each in
a process of its own. "resident" is what the process holds after a stage, "of it files" the pages of
libraries among that, "peak" the most it ever held, "tensors" the most that TensorFlow's allocator
had given out at a time. torchvision's process is asked for its peak alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from workers.describe import status_megabytes

WORKERS = Path(__file__).parent / "workers"
sys.path.insert(0, str(WORKERS))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

CASE = {"batch": 1, "dtype": "float32", "objects": 8, "backbone": "resnet50", "device": "cpu"}
CASES = {
    "inference, 1 x 800x1088": {**CASE, "kind": "inference", "size": (800, 1088)},
    "training, 2 x 512x512": {**CASE, "kind": "training", "size": (512, 512), "batch": 2},
}


def report(stage: str, tensors: float | None = None) -> None:
    sizes = [status_megabytes(field) for field in ("VmRSS", "RssFile", "VmHWM")]
    cells = [f"{size:.0f}" for size in sizes] + ["" if tensors is None else f"{tensors:.0f}"]
    print(f"| {stage} | {' | '.join(cells)} |", flush=True)


def measure(case: dict) -> None:
    """Prints a row after each stage, in this process."""
    report("Python")
    import tensorflow as tf

    report("import tensorflow")
    import keras_worker

    def report_tensors(stage: str) -> None:
        peak = tf.config.experimental.get_memory_info("CPU:0")["peak"]
        report(stage, peak / 2**20)

    model = keras_worker.build(case)
    report_tensors("model built and loaded")
    keras_worker.build = lambda _: model
    step = keras_worker.prepare(case)
    for name in ("first step, with tracing", "second step", "third step"):
        step()
        report_tensors(name)


def torchvision_peak(python: str, case: dict) -> float:
    """Peak of the worker that the end-to-end benchmark uses."""
    orders = "".join(json.dumps(order) + "\n" for order in (case, "repeat", "peak"))
    done = subprocess.run(
        [python, str(WORKERS / "torchvision_worker.py")],
        input=orders,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])["peak"] / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--torchvision", required=True, help="a Python with torchvision")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        measure(json.loads(options.case))
        return
    with tempfile.TemporaryDirectory() as folder:
        weights = str(Path(folder) / "weights.pth")
        worker = str(WORKERS / "torchvision_worker.py")
        subprocess.run([options.torchvision, worker, weights], check=True)
        for name, case in CASES.items():
            print(f"\n| {name}, MB | resident | of it files | peak | tensors |", flush=True)
            print("| :-- | --: | --: | --: | --: |", flush=True)
            order = json.dumps({**case, "weights": weights})
            command = [sys.executable, __file__, "--torchvision", "", "--case", order]
            subprocess.run(command, check=True)
            print(f"| torchvision | | | {torchvision_peak(options.torchvision, case):.0f} | |")


if __name__ == "__main__":
    main()
