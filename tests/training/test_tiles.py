"""Training on crops, validation in tiles."""

import dataclasses
import json
import logging

import numpy as np
import pytest
from helpers import make_data, tiny_model

from keras_maskrcnn import Tiling, evaluate_coco, load_model
from keras_maskrcnn.data.crops import Crops
from keras_maskrcnn.data.plan import PassPlan
from keras_maskrcnn.data.reading import read_image
from keras_maskrcnn.results import Detections
from keras_maskrcnn.training import TrainingOptions, train_model
from keras_maskrcnn.training.predictions import draw_predictions


def test_options():
    options = TrainingOptions(tile=256, overlap=32)
    settings = options.batch_settings()
    assert (settings["tile"], settings["overlap"]) == (256, 32)
    assert not {"min_size", "max_size"} & set(settings)
    assert "tile" not in TrainingOptions().batch_settings()
    own = TrainingOptions(tile=Tiling(256, 32, (1, 0.5)))
    described = json.loads(json.dumps(own.describe()))
    assert described["tile"] == {"tile": 256, "overlap": 32, "scales": [1, 0.5]}
    for given, expected in (
        ({"min_size": 64}, "Expected min_size only without tile"),
        ({"max_size": 64}, "Expected max_size only without tile"),
        ({"overlap": 128}, "overlap must be less than half of tile"),
    ):
        with pytest.raises(ValueError, match=expected):
            TrainingOptions(tile=256, **given)


def test_predictions_are_drawn_on_crops(tmp_path, monkeypatch):
    """Evenly chosen among those with objects, in their own size."""
    data = make_data(tmp_path, [(64, 400), (64, 400)])
    crops = Crops(data, Tiling(64, 16)).records()
    filled = [crop for crop in crops if crop.objects]
    assert 2 < len(filled) < len(crops)
    seen = []

    def finder(model):
        def find(pictures, scale, sizes):
            assert scale == 1 and sizes == [picture.shape[:2] for picture in pictures]
            seen.extend(pictures)
            empty = np.zeros((0, 4), "float32"), np.zeros(0, int), np.zeros(0, "float32")
            size = pictures[0].shape[:2]
            return [Detections(*empty, None, image_size=size, class_names=("a", "b"))]

        return find

    monkeypatch.setattr("keras_maskrcnn.inference.tiling.predict.model_finder", finder)
    page = draw_predictions(None, data, tmp_path / "page.png", count=2, tiling=Tiling(64, 16))
    assert page.ndim == 3 and (tmp_path / "page.png").exists()
    for image, crop in zip(seen, (filled[0], filled[-1]), strict=True):
        x1, y1, x2, y2 = crop.window
        np.testing.assert_array_equal(image, read_image(crop.path)[y1:y2, x1:x2])
    # Without any object, of all.
    seen.clear()
    bare = [dataclasses.replace(record, instances=()) for record in data.records]
    draw_predictions(None, dataclasses.replace(data, records=bare), count=3, tiling=Tiling(64, 16))
    assert len(seen) == 3


@pytest.mark.slow  # A run of two epochs.
def test_a_run(tmp_path, caplog):
    data = make_data(tmp_path, [(64, 200), (64, 200)])
    (tmp_path / "bad.png").write_bytes(b"no picture")
    bad = dataclasses.replace(data.records[0], path=str(tmp_path / "bad.png"), image_id=9)
    train = dataclasses.replace(data, records=[*data.records, bad])
    options = TrainingOptions(
        epochs=2, batch_size=2, tile=64, overlap=16, learning_rate=0.01, warmup_steps=0
    )
    folder = tmp_path / "run"
    with caplog.at_level(logging.INFO, "keras_maskrcnn"):
        history = train_model(tiny_model(max_size=64), train, data, folder, options)
    said = [record.getMessage() for record in caplog.records]
    assert any("bad.png" in line for line in said)
    plan = PassPlan(data, None, 0, shuffle=True, tiling=Tiling(64, 16))
    for epoch in range(2):
        assert f"epoch {epoch + 1} of 2: {plan.describe(epoch)}" in said
    assert plan.describe(0).startswith("8 crops, ")
    assert len(history) == 2 and (folder / "predictions.png").exists()
    # What was measured is what `evaluate_coco` measures in the same tiles.
    model = load_model(folder / "last.keras")
    expected = evaluate_coco(model, data, tile=64, overlap=16, batch_size=2, progress=False)
    for name in ("box_ap", "mask_ap"):
        assert history[-1][f"val_{name}"] == pytest.approx(expected[name], abs=1e-6)
