"""The numbers reach the stock callbacks."""

import csv

import keras
import numpy as np
import pytest
from evaluation_stubs import StubKerasModel, StubModel, instance, make_data, perfect

from keras_maskrcnn.evaluation import CocoEvaluation

BOXES = [(10.0 + 30 * i, 10.0, 30.0 + 30 * i, 40.0) for i in range(4)]


def fit(tmp_path, found_by_epoch, epochs=None, callbacks=(), **options):
    """Fit for an epoch per entry; the entry says how many of four objects are found."""
    data = make_data(tmp_path, [[instance(box) for box in BOXES]])
    counts = iter(found_by_epoch)
    model = StubKerasModel(StubModel(data, lambda record: perfect(record)[: next(counts)]))
    model.compile(optimizer="sgd", loss="mse")
    evaluation = CocoEvaluation(data, **options)
    history = model.fit(
        np.zeros((2, 3)),
        np.zeros((2, 1)),
        epochs=epochs or len(found_by_epoch),
        callbacks=[evaluation, *callbacks],
        verbose=0,
    )
    return history.history


def ap(found):
    return {0: 0.0, 1: 26 / 101, 2: 51 / 101, 3: 76 / 101, 4: 1.0}[found]


def test_history(tmp_path):
    history = fit(tmp_path, [0, 2, 4])
    assert history["val_box_ap"] == pytest.approx([ap(0), ap(2), ap(4)])
    assert history["val_mask_ap50"] == pytest.approx([ap(0), ap(2), ap(4)])
    assert "loss" in history


def test_stock_callbacks(tmp_path):
    log, best = tmp_path / "log.csv", tmp_path / "best.weights.h5"
    checkpoint = keras.callbacks.ModelCheckpoint(
        best, monitor="val_mask_ap", mode="max", save_best_only=True, save_weights_only=True
    )
    stop = keras.callbacks.EarlyStopping(monitor="val_mask_ap", mode="max", patience=2)
    history = fit(
        tmp_path,
        [1, 3, 2, 2, 4],
        callbacks=[checkpoint, stop, keras.callbacks.CSVLogger(log)],
    )
    assert len(history["val_mask_ap"]) == 4  # Stopped before the fifth.
    assert stop.best == pytest.approx(ap(3))
    assert checkpoint.best == pytest.approx(ap(3)) and best.exists()
    with log.open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val_box_ap"]) for row in rows] == pytest.approx([ap(1), ap(3), ap(2), ap(2)])


def test_every_repeats_between(tmp_path):
    # After epochs 1 (the first), 3, 6 and 7 (the last).
    history = fit(tmp_path, [1, 2, 3, 4], epochs=7, every=3)
    assert history["val_box_ap"] == pytest.approx([ap(i) for i in (1, 1, 2, 2, 2, 3, 4)])


def test_prefix_and_options(tmp_path):
    history = fit(tmp_path, [4], prefix="test/", iou_types=("bbox",))
    assert history["test/box_ap"] == pytest.approx([1.0])
    assert not any("mask" in name for name in history)


def test_every_must_be_positive(tmp_path):
    data = make_data(tmp_path, [[]])
    with pytest.raises(ValueError, match="every=0"):
        CocoEvaluation(data, every=0)
