"""Ground truth without outlines is scored by boxes and keypoints; masks are refused with a word."""

import dataclasses
import warnings

import numpy as np
import pytest
from evaluation_stubs import StubModel, instance, make_data, rectangle

from keras_maskrcnn.evaluation import coco_metrics, evaluate_coco
from keras_maskrcnn.results import Detections

CAT, DOG = (10.0, 10.0, 60.0, 50.0), (70.0, 20.0, 150.0, 100.0)
POINTS = np.array([[20, 20, 2], [40, 30, 2], [50, 45, 1.0]])


def without_outline(*arguments, **fields):
    return dataclasses.replace(instance(*arguments, **fields), outline=None)


def found(record):
    return [(i.box, i.category, 0.9, rectangle(*i.box)) for i in record.objects]


def test_boxes_need_no_outlines(tmp_path):
    data = make_data(tmp_path, [[without_outline(CAT), without_outline(DOG, 1)], []])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        metrics = evaluate_coco(StubModel(data, found, masks=False), data, progress=False)
    assert metrics["box_ap"] == pytest.approx(1.0)
    assert not any(name.startswith("mask") for name in metrics)


def test_masks_that_cannot_be_scored_are_told(tmp_path):
    data = make_data(tmp_path, [[instance(CAT, number=3), without_outline(DOG, 1, number=4)]])
    with pytest.warns(UserWarning, match=r"Masks are not evaluated: 1 of 2 objects .* ids 4"):
        metrics = evaluate_coco(StubModel(data, found), data, progress=False)
    assert metrics["box_ap"] == pytest.approx(1.0) and "mask_ap" not in metrics
    words = r"'segm' needs that annotation.*1 of 2 objects .* annotation ids 4"
    with pytest.raises(ValueError, match=words):
        evaluate_coco(StubModel(data, found), data, progress=False, iou_types=("segm",))


def test_keypoints_need_no_outlines(tmp_path):
    data = make_data(tmp_path, [[without_outline(CAT, keypoints=POINTS)]])
    results = Detections([CAT], [0], [0.9], None, (120, 160), keypoints=[POINTS]).to_coco(
        1, data.category_ids
    )
    metrics = coco_metrics(data, results)
    assert metrics["keypoint_ap"] == metrics["box_ap"] == pytest.approx(1.0)


def test_a_crowd_region_may_be_a_box(tmp_path):
    # The best result lies in the crowd region: were that not ignored, precision would be 1/2.
    crowd = (60.0, 60.0, 160.0, 120.0)
    data = make_data(tmp_path, [[instance(CAT), without_outline(crowd, is_crowd=True)]])
    inside = (100.0, 80.0, 130.0, 110.0)

    def answer(record):
        return [*found(record), (inside, 0, 0.99, rectangle(*inside))]

    metrics = evaluate_coco(StubModel(data, answer), data, progress=False)
    assert metrics["mask_ap"] == metrics["box_ap"] == pytest.approx(1.0)
