"""The demo: a model that knows letters learns other things, on composed scenes."""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_maskrcnn import MaskRCNN
from keras_maskrcnn.data import load_coco
from keras_maskrcnn.demo.letters import start_from_letters
from keras_maskrcnn.demo.model import compact_settings
from keras_maskrcnn.demo.scenes import build_scenes
from keras_maskrcnn.evaluation import CocoMetrics, evaluate_coco
from keras_maskrcnn.training import RunFolder, TrainingOptions, train_model

# Of the scenes and of what the model sees, in pixels.
SIZE = 160
# Of training. With composing before and drawing after it, the demo takes 8.
MINUTES = 6.3


def run_demo(
    folder: str | os.PathLike[str],
    *,
    scenes: int = 1000,
    val_scenes: int = 60,
    epochs: int | None = None,
    minutes: float = MINUTES,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> CocoMetrics:
    """Composes scenes, trains on them, evaluates, draws, saves and loads again.

    Args:
        folder: run folder; an earlier demo in it is replaced. The scenes lie in `scenes/` in it.
        scenes: training pictures.
        val_scenes: pictures to validate on.
        epochs: passes over the training pictures; `None`: as many as fit into `minutes`.
        minutes: of training. It takes as long on any machine, and a faster one learns more in it.
        seed: of scenes, weights and order.
        say: called with each line of the report.

    Returns:
        The COCO metrics on the validation scenes.

    Raises:
        ValueError: when the folder holds something else than a demo.
        RuntimeError: when the loaded model does not predict what the saved one did.
    """
    start = time.monotonic()
    run = RunFolder(folder)
    _clear(run.path)
    say(f"Composing {scenes} training and {val_scenes} validation scenes")
    data_folder = build_scenes(
        run.path / "scenes", train=scenes, val=val_scenes, size=SIZE, seed=seed
    )
    train_data, val_data = (
        load_coco(data_folder / f"instances_{split}.json", data_folder / split)
        for split in ("train", "val")
    )

    keras.utils.set_random_seed(seed)
    model = MaskRCNN(
        num_classes=len(train_data.class_names),
        class_names=train_data.class_names,
        seed=seed,
        **compact_settings(SIZE),
    )
    fresh = start_from_letters(model)
    options = training_options(
        epochs=epochs, minutes=minutes if epochs is None else None, seed=seed
    )
    run.write_config({"model": model.get_config()})
    length = f"{minutes:g} minutes" if epochs is None else f"{epochs} epochs"
    say(
        f"Training a model of {model.count_params() / 1e6:.1f} million weights for {length}, from "
        f"one that knows letters and digits; {len(fresh)} arrays depend on the classes, start anew"
    )
    train_model(model, train_data, val_data, run.path, options)

    say("Evaluating on the validation scenes")
    metrics = evaluate_coco(model, val_data, batch_size=options.batch_size)
    say(metrics.table())

    images, targets = next(iter(val_data.batches(4, min_size=SIZE, max_size=SIZE)))
    inputs = {"images": images, "image_sizes": targets["image_sizes"]}
    _check_equal(
        model.predict_on_batch(inputs),
        keras.saving.load_model(run.last_file).predict_on_batch(inputs),
    )
    say("The model saved, loaded again and predicts the same")
    say(f"Learning curves: {run.curves_file}")
    say(f"Predictions beside ground truth: {run.predictions_file}")
    say(
        f"Mask AP50 {metrics['mask_ap50']:.3f}, box AP50 {metrics['box_ap50']:.3f}, "
        f"{(time.monotonic() - start) / 60:.1f} minutes"
    )
    say(
        "To try next:\n"
        f"  maskrcnn predict {shlex.join([str(run.path), str(data_folder / 'val')])} "
        "--output found\n"
        f"  maskrcnn evaluate {shlex.join([str(run.path), '--data', str(data_folder)])} "
        "--report report\n"
        "  maskrcnn train --data YOUR_PHOTOS --weights mask_rcnn_R_50_FPN --output runs/photos"
    )
    return metrics


def training_options(
    *, epochs: int | None = None, minutes: float | None, seed: int
) -> TrainingOptions:
    """How the demo's model trains."""
    return TrainingOptions(
        epochs=epochs,
        minutes=minutes,
        batch_size=4,
        optimizer="adam",
        learning_rate=2e-3,
        schedule="cosine",
        clip_norm=10.0,
        min_size=SIZE,
        max_size=SIZE,
        # A look in between costs as much as dozens of steps.
        evaluate_every=100,
        seed=seed,
    )


def _clear(folder: Path) -> None:
    """Empties the folder of an earlier demo."""
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / "scenes").is_dir():
        raise ValueError(
            f"Expected an empty folder, or one of an earlier demo. Received: folder={folder}"
        )
    shutil.rmtree(folder)


def _check_equal(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Raises when two models' outputs differ by more than float32 rounding between two graphs."""
    for name, value in before.items():
        difference = np.abs(np.asarray(value) - np.asarray(after[name])).max()
        if difference > 1e-2:
            raise RuntimeError(
                f"The loaded model's {name} differ by {difference} from those of the saved one"
            )
