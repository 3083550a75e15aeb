"""Every precision and recall against pycocotools' own, on composed data with awkward parts."""

import contextlib
import io
import math
from collections import Counter

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.evaluation import coco_metrics
from keras_maskrcnn.evaluation.coco import put_beside
from keras_maskrcnn.outlines import outline_from_coco

HEIGHT, WIDTH, JOINTS = 150, 200, 3
IDS = [40, 7, 9]  # Not in order; the last has no objects, and in some cases no results.


def outline(random, box):
    """Two overlapping polygons of a box, which may reach out of the picture."""
    x, y, w, h = box
    angles = np.sort(random.uniform(0, 2 * np.pi, 7))
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    whole = (np.array([x, y]) + np.array([w, h]) * (0.5 + 0.5 * circle)).ravel().tolist()
    return [whole, [x, y, x + w / 2, y, x + w / 3, y + h]]


def encode(polygons):
    return coco_mask.merge(coco_mask.frPyObjects(polygons, HEIGHT, WIDTH))


def as_text(rle):
    return {"size": [HEIGHT, WIDTH], "counts": rle["counts"].decode()}


def make_instance(random, box, category, is_crowd):
    x, y, w, h = box
    polygons = outline(random, box)
    points = np.stack(
        [random.uniform(x, x + w, JOINTS), random.uniform(y, y + h, JOINTS), np.zeros(JOINTS)], 1
    )
    points[:, 2] = random.integers(0, 3, JOINTS) if random.random() < 0.8 else 0
    segmentation = as_text(encode(polygons)) if is_crowd else polygons
    return Instance(
        category=category,
        box=(x, y, x + w, y + h),
        outline=outline_from_coco(segmentation),
        is_crowd=is_crowd,
        annotated_area=float(coco_mask.area(encode(polygons))) if random.random() < 0.7 else w * h,
        annotation_id=0,
        keypoints=None if random.random() < 0.1 else points,
    )


def make_result(random, image_id, box, category, points, score):
    box = np.array(box) + random.normal(0, 0.06, 4) * np.tile(box[2:], 2)
    box[2:] = np.maximum(box[2:], 1)
    rle = encode(outline(random, box))
    if random.random() < 0.05:
        rle = coco_mask.encode(np.zeros((HEIGHT, WIDTH), "uint8", order="F"))  # No pixel at all.
    points = points + random.normal(0, 2, (JOINTS, 3)) * (1, 1, 0)
    return {
        "image_id": image_id,
        "category_id": IDS[category],
        "bbox": box.tolist(),
        "score": score,
        "segmentation": as_text(rle),
        "keypoints": points.ravel().tolist(),
    }


def compose(seed, pictures=6, objects=8, crowds=0.1, copies=2, found=0.8, ties=False):
    """Data and results; with `ties`, scores of one decimal."""
    random = np.random.default_rng(seed)
    records, results = [], []
    for image_id in random.permutation(np.arange(1, pictures + 1)).tolist():
        instances = []
        for _ in range(random.integers(0, objects + 1)):
            side = random.uniform(4, 110, 2)
            corner = random.uniform(-2, 1, 2) + random.uniform(0, 1, 2) * ((WIDTH, HEIGHT) - side)
            box = (*corner.tolist(), *side.tolist())
            category = int(random.integers(2))
            instances.append(make_instance(random, box, category, random.random() < crowds))
            for _ in range(copies if random.random() < found else 0):
                points = instances[-1].keypoints
                points = np.zeros((JOINTS, 3)) if points is None else points
                other = random.random() < 0.1
                number = float(random.random(dtype="float32"))
                number = round(number, 1) if ties else number
                category = int(random.integers(3)) if other else category
                results.append(make_result(random, image_id, box, category, points, number))
        records.append(ImageRecord(image_id, "", HEIGHT, WIDTH, tuple(instances)))
    return DetectionData(records, ["a", "b", "c"], IDS), results


def score(data, results, iou_type, max_detections):
    return put_beside(data, results, [iou_type], max_detections).scores[iou_type]


def plain(data, results, iou_type, max_detections):
    """pycocotools' evaluation."""
    truth = []
    for record in data.records:
        for i in record.instances:
            x1, y1, x2, y2 = i.box
            points = np.zeros((JOINTS, 3)) if i.keypoints is None else i.keypoints - (0.5, 0.5, 0)
            truth.append(
                {
                    "id": len(truth) + 1,
                    "image_id": record.image_id,
                    "category_id": data.category_ids[i.category],
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": i.area,
                    "iscrowd": int(i.is_crowd),
                    "segmentation": i.outline.to_coco(HEIGHT, WIDTH),
                    "keypoints": points.ravel().tolist(),
                    "num_keypoints": int((points[:, 2] > 0).sum()),
                }
            )
    field = {"bbox": "bbox", "segm": "segmentation", "keypoints": "keypoints"}[iou_type]
    keep = ("image_id", "category_id", "score", field)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": r.image_id, "height": HEIGHT, "width": WIDTH} for r in data.records],
            "categories": [{"id": i} for i in data.category_ids],
            "annotations": truth,
        }
        coco.createIndex()
        if results:
            found = coco.loadRes([{key: result[key] for key in keep} for result in results])
        else:  # loadRes does not take an empty list.
            found = COCO()
            found.dataset = {**coco.dataset, "annotations": []}
            found.createIndex()
        evaluation = COCOeval(coco, found, iou_type)
        evaluation.params.maxDets = [max_detections]
        evaluation.params.kpt_oks_sigmas = np.full(JOINTS, 0.05)
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


CASES = {
    "plain": {},
    "ties": {"ties": True, "copies": 4},
    "crowds": {"crowds": 0.5, "pictures": 12},
    "no results": {"found": 0.0},
    "no objects": {"objects": 0},
    "only crowds": {"crowds": 1.0},
    "many": {"pictures": 3, "objects": 90, "copies": 6, "ties": True},
}


@pytest.mark.parametrize("iou_type", ["bbox", "segm", "keypoints"])
@pytest.mark.parametrize("case", CASES)
def test_equals_pycocotools(case, iou_type):
    data, results = compose(len(case), **CASES[case])
    if case == "many":  # More results of a picture and class than COCO's 100.
        places = Counter((result["image_id"], result["category_id"]) for result in results)
        assert max(places.values()) > 120
    for max_detections in (1, 20) if iou_type == "keypoints" else (3, 100, 1000):
        ours = score(data, results, iou_type, max_detections)
        reference = plain(data, results, iou_type, max_detections)
        expected = reference.eval
        assert ours.category_ids == [int(i) for i in reference.params.catIds] == sorted(IDS)
        assert ours.areas == reference.params.areaRngLbl
        np.testing.assert_array_equal(ours.ious, reference.params.iouThrs)
        for name in ("precision", "recall"):
            received, wanted = getattr(ours, name), expected[name][..., 0]
            np.testing.assert_allclose(received, wanted, rtol=0, atol=1e-12, err_msg=name)
    if case in ("plain", "ties", "crowds", "many"):
        assert 0.01 < ours.recall[ours.recall > -1].mean() < 0.99


def test_classes_without_objects_have_no_number():
    data, results = compose(0)
    metrics = coco_metrics(data, results)
    assert all(math.isnan(value) for value in metrics.per_class["c"].values())
    for name in ("box_ap", "mask_ap", "keypoint_ap"):
        assert metrics[name] == pytest.approx(
            np.mean([metrics.per_class[k][name] for k in ("a", "b")]), abs=1e-12
        )


def test_keypoints_count_twenty_at_most():
    data, results = compose(1, pictures=2, objects=60)
    limited, unlimited = (score(data, results, "keypoints", n) for n in (20, 1000))
    np.testing.assert_array_equal(limited.recall, unlimited.recall)


def test_masks_of_another_size_are_refused():
    data, results = compose(0)
    results[2]["segmentation"] = {**results[2]["segmentation"], "size": [WIDTH, HEIGHT]}
    with pytest.raises(ValueError, match=r"results\[2\].*\[200, 150\]"):
        coco_metrics(data, results)
    assert "box_ap" in coco_metrics(data, results, iou_types=["bbox"])
