"""Objects by size, as COCO's tool has them, and by crowding, by hand."""

import numpy as np
import pytest
from analysis_scenes import composed, crowd, scene
from evaluation_reference import compose

from keras_maskrcnn.evaluation.analysis import (
    crowding,
    crowding_groups,
    match_compared,
    size_groups,
)


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
@pytest.mark.parametrize("options", [{}, {"crowds": 0.4}, {"ties": True, "copies": 4}])
def test_sizes_are_coco_s(options, iou_type, tmp_path):
    content, results = compose(5, pictures=12, objects=12, **options)
    compared, reference = composed(tmp_path, content, results, iou_type)
    groups = size_groups(match_compared(compared, iou_type))
    for place, (group, name) in enumerate(zip(groups, ("s", "m", "l"), strict=True), 1):
        prefix = {"bbox": "box", "segm": "mask"}[iou_type]
        assert group.ap == pytest.approx(compared.metrics[f"{prefix}_ap{name}"], nan_ok=True)
        assert group.recall == pytest.approx(compared.metrics[f"{prefix}_ar{name}"], nan_ok=True)
        precision = reference.eval["precision"][0, :, :, place, 0]
        assert group.ap50 == pytest.approx(precision[precision > -1].mean())
    assert [group.name for group in groups] == ["small", "medium", "large"]
    assert all(group.objects > 0 for group in groups)


# Two that overlap by 10 of 40 columns (400 / 2800), two by half (800 / 2400), one alone; one lies
# in a crowd region, which is no neighbour.
BOXES = [(0, 0, 40, 40), (30, 0, 40, 40), (0, 100, 40, 40), (20, 100, 40, 40), (200, 0, 40, 40)]
TRUTH = [(1, k % 2, *box) for k, box in enumerate(BOXES)] + [crowd(1, 0, 190, 0, 100, 100)]


def test_crowding():
    matching = match_compared(scene(TRUTH, []), "bbox")
    expected = [1 / 7, 1 / 7, 1 / 3, 1 / 3, 0, np.nan]
    np.testing.assert_allclose(crowding(matching), expected)


def test_groups_by_crowding():
    found = [
        (1, 0, *BOXES[0], 0.9),  # Touching, right.
        (1, 0, *BOXES[2], 0.8),  # Crowded, right.
        (1, 0, 2, 100, 40, 40, 0.95),  # Wrong, near the same: it takes the object first.
        (1, 1, 100, 160, 20, 20, 0.7),  # On nothing: wrong in all groups.
        (1, 1, *BOXES[1], 0.6),  # Touching, right.
    ]
    matching = match_compared(scene(TRUTH, found), "bbox")
    alone, touching, crowded = crowding_groups(matching)
    assert (alone.objects, touching.objects, crowded.objects) == (1, 2, 2)
    # The one alone, of class `a`, is not found. `a` is found; `b` after a wrong one.
    assert (alone.ap, alone.recall) == (0, 0)
    assert touching.ap == pytest.approx((1 + 0.5) / 2) and touching.recall == 1
    # Of the two on one crowded object, the first of them finds it at .5, the second at .95 alone.
    assert crowded.ap50 == pytest.approx((1 + 0) / 2)
    assert crowded.ap == pytest.approx((9 * 1 + 0.5) / 10 / 2)
    assert crowded.recall == pytest.approx(0.5)
