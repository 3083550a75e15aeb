"""Pictures that supervision and sahi slice give what our own tiles give."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from keras_maskrcnn.inference.tiling import Tiling
from keras_maskrcnn.inference.tiling.pictures import as_large_picture
from keras_maskrcnn.inference.tiling.predict import predict_tiled
from keras_maskrcnn.outlines import Bitmap
from keras_maskrcnn.results import Detections

NAMES = ("even", "odd")
TILE, OVERLAP = 100, 40


def find(pictures, *_, **__):
    """Every lit part by its exact pixels; the more there are, the surer."""
    results = []
    for picture in pictures:
        size, lit = picture.shape[:2], picture[..., 0] > 0
        labels, count = ndimage.label(lit)
        parts = [labels == k for k in range(1, count + 1)]
        edges = [np.nonzero(part) for part in parts]
        boxes = [[x.min(), y.min(), x.max() + 1, y.max() + 1] for y, x in edges]
        results.append(
            Detections(
                boxes=np.array(boxes, float).reshape(-1, 4),
                classes=np.array([picture[part].max() % 2 for part in parts], int),
                scores=np.array([0.2 + part.sum() / 1000 for part in parts], "float32"),
                mask_probabilities=None,
                outlines=[Bitmap(part, 0, 0).to_rle(*size) for part in parts],
                image_size=size,
                class_names=NAMES,
            )
        )
    return results


@pytest.fixture(scope="module")
def picture():
    """Squares and a ring, some of them where slices end."""
    made = np.zeros((220, 300, 3), "uint8")
    rng = np.random.default_rng(0)
    for number, (row, column) in enumerate(np.ndindex(5, 7)):
        side = int(rng.integers(8, 26))
        y, x = 44 * row + int(rng.integers(0, 16)), 42 * column + int(rng.integers(0, 14))
        made[y : y + side, x : x + side] = 120 + 3 * number
    ring = made[92:118, 90:116]
    ring[:] = 250
    ring[6:20, 6:20] = 0
    return made


@pytest.fixture(scope="module")
def expected(picture):
    tiles = predict_tiled(find, as_large_picture(picture, 0), Tiling(TILE, OVERLAP), NAMES)
    (whole,) = find([picture])
    assert rows(tiles.boxes, tiles.classes, tiles.scores) == rows(
        whole.boxes, whole.classes, whole.scores
    )
    assert len(whole) > 25 and set(whole.classes) == {0, 1}
    return whole


def rows(boxes, classes, scores):
    """What can be compared in any order."""
    found = zip(boxes, classes, scores, strict=True)
    return sorted(
        (*np.round(b).astype(int).tolist(), int(k), round(float(s), 5)) for b, k, s in found
    )


def test_supervision(picture, expected):
    sv = pytest.importorskip("supervision", reason="needs supervision")
    slicer = sv.InferenceSlicer(
        callback=lambda tile: find([tile])[0].to_supervision(),
        slice_wh=(TILE, TILE),
        overlap_wh=(OVERLAP, OVERLAP),
        # Of two that overlap the surer stays, which here is the larger.
        iou_threshold=0.05,
    )
    found = slicer(picture)
    # Its parts of objects that a slice cuts stay beside the whole, where they overlap by less:
    # every object of ours is there, with its mask.
    ours = rows(expected.boxes, expected.classes, expected.scores)
    theirs = rows(found.xyxy, found.class_id, found.confidence)
    assert set(ours) <= set(theirs)
    areas = {
        tuple(np.round(b).astype(int)): m.sum() for b, m in zip(found.xyxy, found.mask, strict=True)
    }
    for box, mask in zip(expected.boxes, expected.masks, strict=True):
        assert areas[tuple(np.round(box).astype(int))] == mask.sum()


def test_sahi(picture, expected):
    pytest.importorskip("sahi", reason="needs sahi")
    from sahi.predict import get_sliced_prediction

    from keras_maskrcnn.inference.sahi import SahiModel

    model = SahiModel(SimpleNamespace(class_names=NAMES, predict=find), confidence_threshold=0.1)
    assert model.category_names == list(NAMES) and model.num_categories == 2
    overlap = OVERLAP / TILE
    options = {"overlap_height_ratio": overlap, "overlap_width_ratio": overlap, "verbose": 0}
    found = get_sliced_prediction(
        picture, model, slice_height=TILE, slice_width=TILE, batch_size=3, **options
    ).object_prediction_list
    assert model.has_mask
    boxes = [one.bbox.to_xyxy() for one in found]
    for box, k, score, mask in zip(
        expected.boxes, expected.classes, expected.scores, expected.masks, strict=True
    ):
        # Polygons, whose edges are filled too; holes are lost where parts are joined.
        distance = [np.abs(np.subtract(other, box)).max() for other in boxes]
        one = found[int(np.argmin(distance))]
        assert min(distance) <= 1.0 and one.category.id == k and one.category.name == NAMES[k]
        assert one.score.value == pytest.approx(score, abs=1e-5)
        drawn = one.mask.bool_mask
        around = ndimage.binary_dilation(ndimage.binary_fill_holes(mask), np.ones((3, 3)))
        assert not (drawn & ~around).any()
        assert not (mask & ~drawn).any()


def test_sahi_of_one_slice(picture):
    """Thresholds, keeping what has masks, and nothing found."""
    pytest.importorskip("sahi", reason="needs sahi")
    from sahi.predict import get_prediction

    from keras_maskrcnn.inference.sahi import SahiModel

    stub = SimpleNamespace(class_names=NAMES, predict=find)
    scores = find([picture])[0].scores
    model = SahiModel(stub, confidence_threshold=float(np.sort(scores)[-3]))
    found = get_prediction(picture, model).object_prediction_list
    assert len(found) == (scores >= np.sort(scores)[-3]).sum() >= 3
    assert get_prediction(np.zeros_like(picture), model).object_prediction_list == []
    remapped = SahiModel(stub, category_remapping={"0": 10, "1": 20})
    ids = {one.category.id for one in get_prediction(picture, remapped).object_prediction_list}
    assert ids == {10, 20}
