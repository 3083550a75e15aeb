"""By which number a run's best epoch is chosen."""

from types import SimpleNamespace

import pytest

from keras_maskrcnn.training import TrainingOptions, best_epoch, monitored
from keras_maskrcnn.training.monitors import check_monitor


@pytest.fixture
def model(monkeypatch):
    losses = ["class_loss", "mask_loss", "regularization_loss"]
    monkeypatch.setattr("keras_maskrcnn.models.objective.loss_names", lambda network: losses)
    return SimpleNamespace(result_names=("boxes", "scores", "masks"), network=None)


def test_by_default_masks_or_boxes(model):
    assert monitored(model) == "val_mask_ap"
    assert monitored(model, TrainingOptions()) == "val_mask_ap"
    model.result_names = ("boxes", "keypoints")
    assert monitored(model) == "val_box_ap"


def test_any_number_of_the_model(model):
    for name in ("box_ap75", "mask_ars", "loss", "mask_loss"):
        assert monitored(model, TrainingOptions(monitor=name)) == f"val_{name}"
    for name in ("keypoint_ap", "keypoint_loss"):
        with pytest.raises(ValueError, match=f"Received: monitor='{name}'"):
            monitored(model, TrainingOptions(monitor=name))


def test_misspelt_names_are_found_without_a_model():
    check_monitor("whatever_loss")  # Of a head of one's own.
    with pytest.raises(ValueError, match="Did you mean 'mask_ap50'"):
        check_monitor("mask_app50")
    with pytest.raises(ValueError, match="monitor='val_mask_ap'"):
        TrainingOptions(monitor="val_mask_ap")


def test_a_loss_is_better_the_smaller_it_is():
    rows = [{"val_loss": v, "val_mask_ap": v} for v in (2.0, 1.0, float("nan"), 1.0, 3.0)]
    assert best_epoch(rows, "val_loss") == 1
    assert best_epoch(rows, "val_mask_ap") == 4
