"""Four photographs learnt by heart: `pytest -m slow -s tests/acceptance/test_overfit.py`.

About five minutes on two cores.
"""

import dataclasses
import time

import keras
import numpy as np
import pytest

from keras_maskrcnn import MaskRCNN
from keras_maskrcnn.data import load_coco
from keras_maskrcnn.evaluation import CocoEvaluation, evaluate_coco
from keras_maskrcnn.schedules import WarmupSchedule

STEPS_PER_EPOCH, EPOCHS = 20, 8


class StopAt(keras.callbacks.Callback):
    """Ends training when a number is high enough."""

    def __init__(self, name, value):
        super().__init__()
        self.name, self.value = name, value
        self.start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        numbers = {k: round(v, 3) for k, v in logs.items() if "loss" in k or "ap50" in k}
        print(f"\n{time.monotonic() - self.start:.0f} s, epoch {epoch + 1}: {numbers}", flush=True)
        self.model.stop_training = logs[self.name] >= self.value


@pytest.mark.slow
def test_four_photographs_are_overfitted(shared):
    folder = shared / "data" / "fruits_nuts"
    data = load_coco(folder / "instances_train.json", folder / "images")
    data = dataclasses.replace(data, records=data.records[:4])
    keras.utils.set_random_seed(0)
    model = MaskRCNN(
        num_classes=len(data.class_names),
        weights=str(shared / "data/weights/resnet50_imagenet_folded_float32.npz"),
        min_size=192,
        max_size=256,
        neck={"channels": 128},
        rpn={
            "anchor_sizes": ((16,), (32,), (64,), (96,), (128,)),
            "pre_nms_train": 300,
            "pre_nms_test": 300,
            "proposals_train": 300,
            "proposals_test": 150,
        },
        box={"samples": 64, "dim": 512},
        heads=[{"name": "mask", "dim": 128}],
    )
    steps = STEPS_PER_EPOCH * EPOCHS
    rate = WarmupSchedule(3e-4, steps, 20, "cosine")
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=10.0))
    train = data.batches(4, min_size=192, max_size=256, cache=True).repeat()

    first = {}
    keep_first = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: first or first.update(logs)
    )
    model.fit(
        train,
        steps_per_epoch=STEPS_PER_EPOCH,
        epochs=EPOCHS,
        verbose=0,
        callbacks=[CocoEvaluation(data), keep_first, StopAt("val_mask_ap50", 0.99)],
    )
    print("\nfirst losses:", {k: round(float(v), 4) for k, v in first.items()})
    assert first["class_loss"] == pytest.approx(np.log(4), abs=0.15)
    assert first["rpn_class_loss"] == pytest.approx(np.log(2), abs=0.05)
    assert first["mask_loss"] == pytest.approx(np.log(2), abs=0.05)
    metrics = evaluate_coco(model, data, progress=False)
    print(metrics.table())
    assert metrics["mask_ap50"] > 0.95
