"""What mixed_bfloat16 gains on this machine's CPU.

    python benchmarks/mixed_precision.py [--backbone resnet50] [--size 256 320] [--rounds 4]

Times the training step and the inference step of one architecture under both dtype policies, in
turns (float32, bfloat16, float32, ...), so that what else the machine does meets both alike, and
prints the median times and the median of the ratios of neighbours.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from workers.describe import describe_machine

from keras_maskrcnn import MaskRCNN

POLICIES = ("float32", "mixed_bfloat16")


def make_batch(size: int, height: int, width: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Noise with eight objects each."""
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 0.6, (size, 8, 2)) * (width, height)
    sides = rng.uniform(0.1, 0.4, (size, 8, 2)) * (width, height)
    return rng.uniform(0, 255, (size, height, width, 3)).astype("float32"), {
        "image_sizes": np.array([[height, width]] * size, "int32"),
        "boxes": np.concatenate([corner, corner + sides], axis=-1).astype("float32"),
        "classes": rng.integers(0, 3, (size, 8)).astype("int32"),
        "masks": np.full((size, 8, 112, 112), 255, "uint8"),
        "crowd_boxes": np.zeros((size, 1, 4), "float32"),
    }


def measure(action: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--size", type=int, nargs=2, default=(256, 320), metavar=("H", "W"))
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=4)
    args = parser.parse_args()
    images, targets = make_batch(args.batch_size, *args.size)
    print(describe_machine())
    print(f"{args.backbone}, {args.batch_size} x {args.size}")

    models = {}
    for policy in POLICIES:
        keras.utils.set_random_seed(0)
        # Batch norm, since the frozen norms of random weights let the features grow.
        model = MaskRCNN(3, backbone={"name": args.backbone, "norm": "batch"}, dtype=policy)
        model.compile(keras.optimizers.SGD(1e-4))
        models[policy] = model
    actions = {
        "training step": lambda model: model.train_on_batch(images, targets),
        "inference": lambda model: model.predict_on_batch(images),
    }
    for name, action in actions.items():
        seconds: dict[str, list[float]] = {policy: [] for policy in POLICIES}
        for model in models.values():
            for _ in range(2):  # Tracing, and kernels chosen at first use.
                action(model)
        for _ in range(args.rounds):
            for policy, model in models.items():
                seconds[policy].append(measure(lambda m=model, act=action: act(m)))
        ratios = [a / b for a, b in zip(*seconds.values(), strict=True)]
        shown = ", ".join(f"{p} {statistics.median(s):.2f} s" for p, s in seconds.items())
        print(
            f"{name}: {shown}; bfloat16 is {statistics.median(ratios):.2f} times as fast "
            f"({min(ratios):.2f} to {max(ratios):.2f} over {args.rounds} rounds)"
        )


if __name__ == "__main__":
    main()
