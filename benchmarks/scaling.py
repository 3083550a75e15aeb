"""How time and memory grow with the picture, the objects, the detections, the batch, the threads.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --only "2048"

Each row runs in a process of its own (R50-FPN, random weights), so that its peak of resident memory
is its own. Times are medians; tables go to `benchmarks/results/scaling.md`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from workers.describe import describe_machine
from workers.worker import objects, picture

RESULTS = Path(__file__).parent / "results"


@dataclasses.dataclass(frozen=True)
class Row:
    """One measurement."""

    kind: str
    side: int
    objects: int = 20
    detections: int = 100
    batch: int = 1
    threads: int = 0
    dtype: str = "float32"

    @property
    def name(self) -> str:
        size = f"{self.kind} {self.batch} x {self.side}x{self.side}"
        what = f"{self.objects} objects" if self.kind == "training" else ""
        what = what or f"{self.detections} detections"
        threads = f", {self.threads} thread" if self.threads else ""
        return f"{size}, {what}, {self.dtype}{threads}"


ROWS = [
    *(Row("inference", side) for side in (512, 1024, 2048)),
    Row("inference", 1024, detections=1000),
    Row("inference", 2048, detections=1000),
    Row("inference", 512, batch=4),
    Row("inference", 512, threads=1),
    *(Row("training", side) for side in (512, 1024, 2048)),
    *(Row("training", 512, objects=count) for count in (1, 100, 500)),
    Row("training", 2048, objects=500),
    Row("training", 2048, objects=500, dtype="bfloat16"),
    Row("training", 512, batch=4),
    Row("training", 512, threads=1),
]


def measure(row: Row, rounds: int) -> dict[str, float]:
    """Median seconds and peak of resident memory, in this process."""
    import keras
    import tensorflow as tf

    from keras_maskrcnn import MaskRCNN

    if row.threads:
        tf.config.threading.set_intra_op_parallelism_threads(row.threads)
        tf.config.threading.set_inter_op_parallelism_threads(row.threads)
    keras.utils.set_random_seed(0)
    model = MaskRCNN(
        3,
        # Random weights find little that is above the usual threshold.
        box={"max_detections": row.detections, "score_threshold": 0.0},
        dtype={"float32": "float32", "bfloat16": "mixed_bfloat16"}[row.dtype],
    )
    pictures = [picture(row.side, row.side, seed) for seed in range(row.batch)]
    images = tf.constant(np.stack(pictures).astype("float32"))
    found = 0
    if row.kind == "inference":

        def run() -> None:
            nonlocal found
            found = int(model.predict_on_batch(images)["counts"].sum())
    else:
        boxes, classes = zip(
            *(objects(row.side, row.side, row.objects, seed) for seed in range(row.batch)),
            strict=True,
        )
        targets = {
            "image_sizes": np.array([[row.side, row.side]] * row.batch, "int32"),
            "boxes": np.stack(boxes),
            "classes": np.stack(classes).astype("int32") % 3,
            "masks": np.full((row.batch, row.objects, 112, 112), 255, "uint8"),
            "crowd_boxes": np.zeros((row.batch, 1, 4), "float32"),
        }
        model.compile(keras.optimizers.SGD(1e-6, momentum=0.9))

        def run() -> None:
            model.train_on_batch(images, targets)

    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": statistics.median(seconds[1:]), "peak": peak, "found": found}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--rounds", type=int, default=2, help="repetitions: %(default)s")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(json.dumps(measure(Row(**json.loads(options.row)), options.rounds)))
        return
    lines = ["| case | seconds | peak, MB | found |", "| :-- | --: | --: | --: |"]
    machine = describe_machine()
    print(machine)
    for row in [row for row in ROWS if options.only in row.name]:
        order = ["--row", json.dumps(dataclasses.asdict(row)), "--rounds", str(options.rounds)]
        done = subprocess.run(
            [sys.executable, __file__, *order], stdout=subprocess.PIPE, text=True, check=False
        )
        found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
        cells = [f"ended with {done.returncode}", "", ""]
        if found:
            cells = [f"{found['seconds']:.2f}", f"{found['peak']:.0f}", f"{found['found']}"]
        lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    RESULTS.mkdir(exist_ok=True)
    table = "\n".join(lines)
    (RESULTS / "scaling.md").write_text(f"{machine}\n\n{table}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
