"""A few steps of a small model, by this process alone or together with others.

    python benchmarks/workers/joint_training.py SCENES RESULT.npz --norm sync_batch

Under `TF_CONFIG` it is one of several workers. Which anchors and RoIs count is not drawn at random
here, as each replica would draw for its own pictures: losses and weights are then to be those of
one process with the whole batch.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from keras_maskrcnn import MaskRCNN
from keras_maskrcnn.data import load_coco, load_shards, loading
from keras_maskrcnn.ops import sampling
from keras_maskrcnn.training import Workers

BATCH_SIZE = 4
STEPS = 4
SIDE = 96

# The gradient of a whole backbone takes long to trace: none of it trains, or its last stage.
BACKBONES: dict[str, dict[str, Any]] = {
    "frozen": {"name": "resnet18", "norm": "frozen", "freeze_at": 5},
    "sync_batch": {"name": "resnet18", "norm": "sync_batch", "freeze_at": 4},
}
SETTINGS: dict[str, Any] = {
    "neck": {"channels": 16},
    "rpn": {
        "anchor_sizes": ((16,), (32,), (64,), (96,), (128,)),
        "samples": 32,
        **{name: 50 for name in ("pre_nms_train", "pre_nms_test", "proposals_train")},
        "proposals_test": 20,
    },
    "box": {"samples": 16, "dim": 32},
    "min_size": SIDE,
    "max_size": SIDE,
}


# How the pictures are read.
WAYS: dict[str, dict[str, Any]] = {
    "files": {},
    "shards": {},
    "tiles": {"tile": 2 * SIDE // 3, "overlap": SIDE // 4},
}


def train(scenes: Path, result: Path, norm: str, way: str = "files") -> None:
    """Trains under `TF_CONFIG`, where it is set, and writes what came of it.

    Args:
        scenes: of `build_scenes`, `SIDE` pixels wide; for `"shards"` a folder of these.
        result: a file `.npz`: `losses` of each step, `seconds` of each, `read` (the pictures that
            this process opened), and the variables by number.
        norm: of the backbone and the mask head.
        way: of `WAYS`.
    """
    several = bool(os.environ.get("TF_CONFIG"))
    strategy = tf.distribute.MultiWorkerMirroredStrategy() if several else None
    workers = Workers(strategy or tf.distribute.get_strategy())
    if way == "shards":
        data = load_shards(scenes)
    else:
        data = load_coco(scenes / "instances_train.json", scenes / "train")
    keras.utils.set_random_seed(0)
    mask = {"name": "mask", "convs": 1, "dim": 16, **({"norm": norm} if norm != "frozen" else {})}
    with workers.strategy.scope():
        model = MaskRCNN(len(data.class_names), backbone=BACKBONES[norm], heads=[mask], **SETTINGS)
        model.compile(keras.optimizers.SGD(0.01, momentum=0.9, global_clipnorm=1.0))
    before = [keras.ops.convert_to_numpy(v) for v in model.variables]
    batches, _ = workers.batches(
        data, BATCH_SIZE, model=model, seed=0, drop_remainder=True, **WAYS[way]
    )
    if not several:
        batches = batches.repeat()
    clock = _Clock()
    with _first_come_sampling(), _read_pictures() as read:
        # Of an epoch with a single step, the logs are those of the step.
        history = model.fit(
            batches, epochs=STEPS, steps_per_epoch=1, verbose=0, callbacks=[clock]
        ).history
    after = [keras.ops.convert_to_numpy(v) for v in model.variables]
    np.savez(
        result,
        losses=history["loss"],
        seconds=clock.seconds,
        read=sorted(read),
        moved=max(float(np.abs(a - b).max()) for a, b in zip(after, before, strict=True)),
        **{f"variable{number}": value for number, value in enumerate(after)},
    )


def largest_difference(first: Path, second: Path) -> float:
    """Between the variables of two results."""
    with np.load(first) as a, np.load(second) as b:
        names = [name for name in a if name.startswith("variable")]
        return max(float(np.abs(a[name].astype(float) - b[name]).max()) for name in names)


class _Clock(keras.callbacks.Callback):
    """Seconds of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seconds.append(time.perf_counter() - self._began)


@contextlib.contextmanager
def _read_pictures() -> Iterator[set[str]]:
    """The names of picture files that are read while it lasts."""
    names: set[str] = set()
    read = loading.read_picture

    def noted(record: Any, *rest: Any) -> Any:
        names.add(Path(record.path).name)
        return read(record, *rest)

    with mock.patch.object(loading, "read_picture", noted):
        yield names


@contextlib.contextmanager
def _first_come_sampling() -> Iterator[None]:
    """Samplers take the first candidates in the order of their indices."""

    def falling(shape: Any, seed: Any) -> tf.Tensor:
        return tf.broadcast_to(tf.linspace(1.0, 0.0, shape[1])[None], shape)

    with mock.patch.object(sampling, "random_priorities", falling):
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--norm", choices=BACKBONES, default="frozen")
    parser.add_argument("--way", choices=WAYS, default="files")
    args = parser.parse_args()
    train(args.scenes, args.result, args.norm, args.way)


if __name__ == "__main__":
    main()
