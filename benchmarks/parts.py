"""What a part costs: time and memory of a training step, beside the default's.

python benchmarks/parts.py
python benchmarks/parts.py --only default cascade --runs 3 --side 512

Each measurement is a process of its own, and all parts come once in each run, so that what the
machine does meanwhile meets all of them. Printed are medians over the runs, and their ratios to the
default.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

from workers.describe import describe_machine, status_megabytes
from workers.random_batch import PICTURES, random_batch

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
STEPS = 5
KEYPOINTS = 17
_ONE_MAP = {"rpn": {"anchor_sizes": ((32, 64, 128, 256, 512),)}}
_C4 = {
    **_ONE_MAP,
    "neck": "c4",
    "box": {"pool_size": 14, "fcs": 0},
    "heads": ({"name": "mask", "convs": 0},),
}

# Arguments of `MaskRCNN`.
PARTS: dict[str, dict[str, Any]] = {
    "default": {},
    "masks by softmax": {"heads": ({"name": "mask", "output": "softmax"},)},
    "class-agnostic masks": {"heads": ({"name": "mask", "output": "class_agnostic"},)},
    "bilinear masks": {"heads": ({"name": "mask", "upsampling": "bilinear"},)},
    "masks of a perceptron": {"heads": ("mask_mlp",)},
    "class-agnostic boxes": {"box": {"class_agnostic": True}},
    "cascade": {"box": "cascade"},
    "masks and keypoints": {"heads": ("mask", {"name": "keypoint", "num_keypoints": KEYPOINTS})},
    "boxes alone": {"heads": ()},
    "c4": _C4,
    "dc5": {**_ONE_MAP, "neck": "dc5"},
    "c5": {**_ONE_MAP, "neck": "c5"},
    "roi_pool": {"pooler": "roi_pool"},
    "roi_warp": {"pooler": "roi_warp"},
    "group norm": {"backbone": {"name": "resnet50", "norm": "group", "freeze_at": 0}},
    "synchronised batch norm": {
        "backbone": {"name": "resnet50", "norm": "sync_batch", "freeze_at": 0}
    },
    "resnet152": {"backbone": "resnet152"},
    "resnext101_64x4d": {"backbone": "resnext101_64x4d"},
    "wide_resnet50_2": {"backbone": "wide_resnet50_2"},
    "regnetx_4gf": {"backbone": "regnetx_4gf"},
    "regnety_4gf": {"backbone": "regnety_4gf"},
}


def measure(part: str, side: int) -> dict[str, float]:
    """Seconds of a step (the median of those after the first), peak in MB, parameters."""
    import keras
    import tensorflow as tf

    from keras_maskrcnn import MaskRCNN

    model = MaskRCNN(num_classes=80, min_size=side, max_size=side, **PARTS[part])
    model.compile(keras.optimizers.SGD(1e-4, momentum=0.9, global_clipnorm=10.0))
    times = []
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: times.append(time.perf_counter())
    )
    keypoints = KEYPOINTS if part == "masks and keypoints" else 0
    batches = tf.data.Dataset.from_tensors(random_batch(side, 80, keypoints)).repeat(STEPS)
    model.fit(batches, verbose=0, callbacks=[watch])
    return {
        "s": statistics.median(b - a for a, b in itertools.pairwise(times)),
        "MB": status_megabytes("VmHWM"),
        "parameters": model.count_params(),
    }


def table(runs: dict[str, list[dict[str, float]]]) -> str:
    """A line for each part that has been measured."""
    lines = [
        "| part | million parameters | s a step | / default | peak, MB | / default |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    medians = {
        part: {key: statistics.median(run[key] for run in own) for key in own[0]}
        for part, own in runs.items()
        if own
    }
    base = medians.get("default")
    for part, found in medians.items():
        ratios = {k: f"{found[k] / base[k]:.2f}" if base else "-" for k in ("s", "MB")}
        lines.append(
            f"| {part} | {found['parameters'] / 1e6:.1f} | {found['s']:.2f} | {ratios['s']} | "
            f"{found['MB']:.0f} | {ratios['MB']} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--side", type=int, default=320, help="pixels of both sides of a picture")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--worker", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measure(options.worker, options.side)))
        return
    print(f"{describe_machine()}\n{PICTURES} pictures of {options.side} x {options.side}")
    runs: dict[str, list[dict[str, float]]] = {part: [] for part in options.only}
    for _ in range(options.runs):
        for part, own in runs.items():
            command = [sys.executable, __file__, "--side", str(options.side), "--worker", part]
            output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            own.append(json.loads(output.splitlines()[-1]))
            print(part, own[-1], file=sys.stderr, flush=True)
    print(table(runs))


if __name__ == "__main__":
    main()
