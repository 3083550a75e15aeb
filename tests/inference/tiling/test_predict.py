"""A whole model tile by tile, against the same model on each tile by hand."""

import keras
import numpy as np
import pytest
from PIL import Image

from keras_maskrcnn import MaskRCNN, Tiling, evaluate_coco
from keras_maskrcnn.data import DetectionData, ImageRecord, Instance
from keras_maskrcnn.images.georeference import Georeference

SIDE = 96


@pytest.fixture(scope="module")
def model():
    """Random weights find something in noise when every score counts."""
    keras.utils.set_random_seed(3)
    return MaskRCNN(
        2,
        class_names=("a", "b"),
        backbone={"name": "resnet18", "norm": "batch"},
        neck={"channels": 16},
        rpn={"anchor_sizes": ((8,), (16,), (32,), (48,), (64,)), "proposals_test": 30},
        box={"dim": 16, "score_threshold": 0.0, "max_detections": 8},
        heads=({"name": "mask", "dim": 8},),
        min_size=64,
        max_size=SIDE,
    )


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 256, (120, 200, 3), dtype="uint8")


def test_one_tile_is_the_picture_in_its_own_size(model, picture):
    """`min_size` and `max_size` do not count: nothing is resized."""
    small = picture[:SIDE, :SIDE]
    (found,) = model.predict(small, tile=SIDE, overlap=16, verbose=0)
    own = MaskRCNN.from_config({**model.get_config(), "min_size": SIDE, "max_size": SIDE})
    own.set_weights(model.get_weights())
    (expected,) = own.predict(small, verbose=0)
    assert len(found) == len(expected) > 0
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-3)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    assert found.rles() == expected.rles()
    assert found.names.tolist() == expected.names.tolist()
    on_map = Georeference([[0.5, 0, 500000], [0, -0.5, 4600000]], 32633, True)
    for place in (None, on_map):
        tiled, whole = (d.to_geojson(place)["features"] for d in (found, expected))
        assert [f["geometry"] for f in tiled] == [f["geometry"] for f in whole]
        for one, other in zip(tiled, whole, strict=True):
            score = pytest.approx(one["properties"]["score"], abs=1e-6)
            assert other["properties"] == {**one["properties"], "score": score}
    assert found.picture.read().tobytes() == small.tobytes()


def test_each_object_comes_from_a_tile(model, picture):
    tiling = Tiling(SIDE, 32)
    (found,) = model.predict(picture, tile=tiling, verbose=0, batch_size=3)
    (again,) = model.predict(picture, tile=SIDE, overlap=32, verbose=0)
    assert found.rles() == again.rles() and len(found) > 8
    assert found.image_size == (120, 200)
    tiles = tiling.tiles(120, 200)
    assert len(tiles) == 6
    boxes = []
    for tile in tiles:
        x1, y1, x2, y2 = tile.window
        (part,) = model.predict(picture[y1:y2, x1:x2], tile=SIDE, overlap=16, verbose=0)
        boxes.extend((part.boxes + np.array([x1, y1, x1, y1])).tolist())
    # Objects that no other tile shares have the box that a tile gave them.
    distances = np.abs(found.boxes[:, None] - np.array(boxes)).max(axis=-1).min(axis=1)
    assert (distances < 1e-3).mean() > 0.3
    assert (np.diff(found.scores) <= 0).all()


def test_evaluation(model, picture, tmp_path):
    """The numbers are those of what `predict` finds."""
    Image.fromarray(picture).save(tmp_path / "a.png")
    (found,) = model.predict(picture, tile=SIDE, overlap=32, verbose=0)
    best = found[:3]
    record = ImageRecord(
        image_id=1,
        path=str(tmp_path / "a.png"),
        width=200,
        height=120,
        instances=[
            Instance(int(k), tuple(box), outline, False, None, number)
            for number, (k, box, outline) in enumerate(
                zip(best.classes, best.boxes.tolist(), best.outlines, strict=True), 1
            )
        ],
    )
    data = DetectionData([record], class_names=("a", "b"), category_ids=(1, 2))
    metrics = evaluate_coco(model, data, tile=SIDE, overlap=32, progress=False)
    # The three best are the truth: found with a score above all others.
    assert metrics["box_ap50"] == pytest.approx(1) and metrics["mask_ap"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"tile": 64, "augment": True}, ValueError, "give one of them"),
        ({"overlap": 3}, ValueError, "overlap goes with tile"),
        ({"tile": Tiling(), "overlap": 3}, ValueError, "overlap goes with tile"),
        ({"tile": 64, "overlap": 32}, ValueError, "less than half"),
        ({"tile": True}, TypeError, "tile=True"),
        ({"tile": 64.0}, TypeError, "tile=64.0"),
    ],
)
def test_refusals(model, picture, options, error, message):
    with pytest.raises(error, match=message):
        model.predict(picture, verbose=0, **options)


def test_evaluation_refuses_sizes(model, tmp_path):
    data = DetectionData([], class_names=("a", "b"), category_ids=(1, 2))
    with pytest.raises(ValueError, match="tile looks at pictures in their own size"):
        evaluate_coco(model, data, tile=64, min_size=100, progress=False)
