"""Which result found which object, and the curves of that, as pycocotools has them."""

import numpy as np
import pytest
from analysis_scenes import composed, crowd, scene
from evaluation_reference import compose

from keras_maskrcnn.evaluation.analysis import match_compared, precision_recall

CASES = {
    "plain": {},
    "ties": {"ties": True, "copies": 4},
    "crowds": {"crowds": 0.5, "pictures": 12},
    "only crowds": {"crowds": 1.0},
    "many": {"pictures": 2, "objects": 60, "copies": 4, "ties": True},
}


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("max_detections", [5, 100])
def test_equals_pycocotools(case, iou_type, max_detections, tmp_path):
    content, results = compose(len(case), **CASES[case])
    compared, reference = composed(tmp_path, content, results, iou_type, max_detections)
    matching = match_compared(compared, iou_type)
    match = matching.all
    ids = np.array([a["id"] for a in content["annotations"]])[matching.gt_numbers]
    received = {
        int(number) + 1: (
            [int(ids[gt]) if gt >= 0 else 0 for gt in match.gts[:, row]],
            match.ignored[:, row].tolist(),
        )
        for row, number in enumerate(matching.pred_numbers)
    }
    everything = list(reference.params.areaRng[0])
    expected = {}
    for entry in reference.evalImgs:
        if entry is None or list(entry["aRng"]) != everything:
            continue
        for column, number in enumerate(entry["dtIds"]):
            expected[number] = (
                entry["dtMatches"][:, column].astype(int).tolist(),
                entry["dtIgnore"][:, column].astype(bool).tolist(),
            )
    assert received == expected
    assert match.right[0].any() or case == "only crowds"

    curves = precision_recall(matching)
    order = [list(reference.params.catIds).index(i) for i in compared.category_ids]
    for name in ("precision", "scores"):
        wanted = reference.eval[name][:, :, order, 0, -1]
        values = np.where(matching.objects > 0, getattr(curves, name), -1)
        if name == "scores":
            # Where the recall is not reached, pycocotools' score is 0; at recall 0, it may be that
            # of a result that does not count.
            values, wanted = np.nan_to_num(values, nan=0.0)[:, 1:], wanted[:, 1:]
        np.testing.assert_allclose(values, wanted, rtol=0, atol=1e-12, err_msg=name)
    with_objects = matching.objects > 0
    metrics = compared.metrics
    prefix = {"bbox": "box", "segm": "mask"}[iou_type]
    if with_objects.any():
        assert curves.ap[:, with_objects].mean() == pytest.approx(metrics[f"{prefix}_ap"])
        assert np.nanmean(curves.mean[0]) == pytest.approx(metrics[f"{prefix}_ap50"])


def test_a_crowd_region_takes_many_and_leaves_the_objects():
    compared = scene(
        [crowd(1, 0, 0, 0, 100, 100), (1, 0, 10, 10, 20, 20)],
        [
            (1, 0, 10, 10, 20, 20, 0.9),  # The object, though all of it lies in the region.
            (1, 0, 50, 50, 20, 20, 0.8),
            (1, 0, 60, 60, 20, 20, 0.7),
            (1, 1, 50, 50, 20, 20, 0.6),  # Another class's region excuses nothing.
        ],
    )
    match = match_compared(compared, "bbox").all
    assert match.gts[0].tolist() == [1, 0, 0, -1]
    assert match.ignored[0].tolist() == [False, True, True, False]
    assert match.right[0].tolist() == [True, False, False, False]
    assert match.wrong[0].tolist() == [False, False, False, True]


def test_thresholds_are_coco_s():
    matching = match_compared(scene([(1, 0, 0, 0, 5, 5)], []), "bbox")
    assert [matching.threshold(iou) for iou in (0.5, 0.75, 0.95)] == [0, 5, 9]
    with pytest.raises(ValueError, match=r"one of \[0.5, .*0.95\]. Received: iou=0.52"):
        matching.threshold(0.52)
