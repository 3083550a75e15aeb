"""What a part costs: time and memory of a training step, beside the default's.

python benchmarks/parts.py --output parts.jsonl
python benchmarks/parts.py --output parts.jsonl --only default cascade --rounds 3 --side 512

Each measurement is a process of its own, and all parts come once in each round, so that what the
machine does meanwhile meets all of them. It only adds: the seconds of a part are those of its
fastest round, with those of the slowest beside them. What is in the output is not measured again.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import time
from pathlib import Path
from typing import Any

from experiments import Run, run_series
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


def measure(part: str, side: int) -> Run:
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


def table(runs: list[Run]) -> str:
    """A line for each part that has been measured."""
    lines = [
        "| part | million parameters | s a step | slowest | / default | peak, MB | / default |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    found = {part: [run for run in runs if run["part"] == part] for part in PARTS}
    best = {part: min(own, key=lambda run: run["s"]) for part, own in found.items() if own}
    base = best.get("default")
    for part, own in best.items():
        ratios = {k: f"{own[k] / base[k]:.2f}" if base else "-" for k in ("s", "MB")}
        slowest = max(run["s"] for run in found[part])
        lines.append(
            f"| {part} | {own['parameters'] / 1e6:.1f} | {own['s']:.2f} | {slowest:.2f} | "
            f"{ratios['s']} | {own['MB']:.0f} | {ratios['MB']} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="a line of JSON for each run")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--side", type=int, default=320, help="pixels of both sides of a picture")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    side = options.side
    if options.run is None:
        print(f"{describe_machine()}\n{PICTURES} pictures of {side} x {side}")
    runs = [
        {"part": part, "round": number, "side": side}
        for number in range(options.rounds)
        for part in options.only
    ]
    run_series(
        __file__,
        runs,
        options.output,
        lambda run: measure(run["part"], run["side"]),
        lambda found: table([run for run in found if run["side"] == side]),
    )


if __name__ == "__main__":
    main()
