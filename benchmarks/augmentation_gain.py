"""Whether an augmentation helps: the same steps of training with each, several seeds, AP after.

    python benchmarks/augmentation_gain.py DATA --weights resnet50.npz --output gain.jsonl

DATA is a data folder with splits for training and validation. Each run is a process of its own, and
its line in the output is written when it ends: runs that are there already are not run again. The
table gives mean and range over the seeds; AP on validation pictures is that after the last step.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from experiments import Run, mean_and_range, run_series
from workers.describe import describe_machine

POLICIES: dict[str, Any] = {
    "none": "none",
    "flip": "flip",
    "standard": "standard",
    "standard + copy_paste": ["standard", "copy_paste"],
    "small_data": "small_data",
    "microscopy": "microscopy",
}
SHOWN = {"mask AP": "mask_ap", "mask AP50": "mask_ap50", "box AP": "box_ap"}


def train(options: argparse.Namespace, policy: str, seed: int) -> Run:
    """One run: its numbers after the last step."""
    import keras

    from keras_maskrcnn import MaskRCNN
    from keras_maskrcnn.data import load_splits
    from keras_maskrcnn.evaluation import evaluate_coco
    from keras_maskrcnn.schedules import WarmupSchedule

    train_data, val_data = load_splits(options.data)
    if options.pictures:
        chosen = np.random.default_rng(0).permutation(len(train_data))[: options.pictures]
        train_data.records = [train_data.records[index] for index in sorted(chosen)]
    keras.utils.set_random_seed(seed)
    model = MaskRCNN(
        num_classes=len(train_data.class_names),
        class_names=train_data.class_names,
        backbone={"name": "resnet50", "freeze_at": options.freeze_at},
        weights=options.weights,
        min_size=options.min_size,
        max_size=options.max_size,
        neck={"channels": options.width},
        rpn={"anchor_sizes": tuple((size,) for size in options.anchors)},
        box={
            "dim": 4 * options.width,
            "max_detections": options.detections,
            "samples": options.samples,
        },
        heads=({"name": "mask", "dim": options.width},),
        seed=seed,
    )
    batches = train_data.batches(
        options.batch_size,
        model=model,
        shuffle=True,
        augment=POLICIES[policy],
        seed=seed,
        drop_remainder=True,
        cache=True,
    )
    rate = WarmupSchedule(options.learning_rate, options.steps, options.steps // 10, "cosine")
    model.compile(keras.optimizers.SGD(rate, momentum=0.9, global_clipnorm=10.0))
    start = time.monotonic()
    losses = model.fit(batches.repeat(), steps_per_epoch=options.steps, epochs=1, verbose=2)
    seconds = time.monotonic() - start
    metrics = evaluate_coco(model, val_data, max_detections=options.detections, progress=False)
    return {
        "seconds": seconds,
        "loss": losses.history["loss"][-1],
        **{name: metrics[key] for name, key in SHOWN.items()},
    }


def table(runs: list[Run]) -> str:
    """Mean and range of each number over the seeds, a line per policy."""
    lines = [
        f"| augment | runs | {' | '.join(SHOWN)} | s |",
        "|---|--:|" + "--:|" * (len(SHOWN) + 1),
    ]
    for policy in POLICIES:
        own = [run for run in runs if run["policy"] == policy]
        if own:
            cells = [mean_and_range(run[name] for run in own) for name in SHOWN]
            seconds = np.mean([run["seconds"] for run in own])
            lines.append(f"| {policy} | {len(own)} | {' | '.join(cells)} | {seconds:.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="data folder")
    parser.add_argument("--weights", help="of the backbone")
    parser.add_argument("--pictures", type=int, help="training pictures (default: all)")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--learning-rate", type=float, default=0.005)
    parser.add_argument("--freeze-at", type=int, default=2, help="stages that do not train")
    parser.add_argument("--width", type=int, default=256, help="channels of pyramid and heads")
    parser.add_argument("--min-size", type=int, default=320)
    parser.add_argument("--max-size", type=int, default=448)
    parser.add_argument("--anchors", type=int, nargs=5, default=[32, 64, 128, 256, 512])
    parser.add_argument("--detections", type=int, default=100, help="per picture")
    parser.add_argument("--samples", type=int, default=128, help="RoIs that a step learns from")
    parser.add_argument("--policies", nargs="+", choices=POLICIES, default=list(POLICIES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, required=True, help="a line of JSON for each run")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run is None:
        settings = {name: value for name, value in vars(options).items() if name != "run"}
        print(f"{describe_machine()}\n{settings}", flush=True)
    # Seed by seed, so that what is there when it is stopped can be compared.
    runs = [
        {"policy": policy, "seed": seed}
        for seed in range(options.seeds)
        for policy in options.policies
    ]
    run_series(
        __file__, runs, options.output, lambda run: train(options, **run), table, jobs=options.jobs
    )


if __name__ == "__main__":
    main()
