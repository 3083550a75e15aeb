"""Results files against an annotation file: pycocotools' numbers."""

import json
import logging
import math
from collections import Counter

import numpy as np
import pytest
from evaluation_reference import (
    DETECTION,
    assert_same,
    compose,
    only,
    pycocotools_numbers,
    run_lengths,
    write,
)
from evaluation_stubs import StubModel, rectangle

from keras_maskrcnn.data import load_coco
from keras_maskrcnn.evaluation import coco_metrics, evaluate_coco, evaluate_coco_files
from keras_maskrcnn.evaluation.files import save_results
from keras_maskrcnn.results import Detections

FIELDS = {"bbox": "bbox", "segm": "segmentation", "keypoints": "keypoints"}
CASES = {
    "plain": {},
    "ties": {"ties": True, "copies": 4},
    "crowds": {"crowds": 0.5, "pictures": 12},
    "only crowds": {"crowds": 1.0},
    "many": {"pictures": 3, "objects": 90, "copies": 6, "ties": True},
    "person": {"joints": 17, "pictures": 12},
}


@pytest.mark.parametrize("iou_type", FIELDS)
@pytest.mark.parametrize("case", CASES)
def test_equals_pycocotools(case, iou_type, tmp_path):
    content, results = compose(len(case), **CASES[case])
    if case == "many":  # More results of a picture and class than COCO's 100.
        assert max(Counter((r["image_id"], r["category_id"]) for r in results).values()) > 120
    annotations = write(tmp_path / "gt.json", content)
    for name, fields in {"own field": [FIELDS[iou_type]], "all": FIELDS.values()}.items():
        file = write(tmp_path / "results.json", only(results, *fields))
        expected = pycocotools_numbers(annotations, file, iou_type)
        assert_same(evaluate_coco_files(annotations, file), expected)
        if case != "only crowds" and name == "own field":
            assert all(0.01 < v < 0.99 for k, v in expected.items() if k.endswith(("ap", "ar")))


@pytest.mark.parametrize("field", ["segmentation", "keypoints"])
def test_boxes_come_from_masks_or_keypoints_as_in_pycocotools(field, tmp_path):
    content, results = compose(3, pictures=10)
    annotations = write(tmp_path / "gt.json", content)
    file = write(tmp_path / "results.json", only(results, field))
    metrics = evaluate_coco_files(annotations, file, iou_types=["bbox"])
    assert_same(metrics, pycocotools_numbers(annotations, file, "bbox"))
    # Of keypoints only where asked for: the box around them is not the object's.
    assert ("box_ap" in evaluate_coco_files(annotations, file)) == (field == "segmentation")


@pytest.mark.parametrize("form", ["polygons", "run lengths"])
def test_masks_in_other_forms(form, tmp_path):
    content, results = compose(4)
    polygons = {str(a["segmentation"]): a["segmentation"] for a in content["annotations"]}
    polygons = [p for p in polygons.values() if isinstance(p, list)]
    for i, result in enumerate(results):
        result["segmentation"] = (
            polygons[i % len(polygons)]
            if form == "polygons"
            else run_lengths(result["segmentation"])
        )
    annotations = write(tmp_path / "gt.json", content)
    file = write(tmp_path / "results.json", only(results, "bbox", "segmentation"))
    expected = pycocotools_numbers(annotations, file, "segm")
    assert_same(evaluate_coco_files(annotations, file), expected)
    # Alone they can be scored too; pycocotools takes compressed ones only.
    alone = write(tmp_path / "alone.json", only(results, "segmentation"))
    metrics = evaluate_coco_files(annotations, alone)
    assert metrics["mask_ar"] == pytest.approx(expected["mask_ar"], abs=1e-9)


def test_several_files_give_the_numbers_of_each(tmp_path):
    content, results = compose(5)
    annotations = write(tmp_path / "gt.json", content)
    files = [write(tmp_path / f"{n}.json", only(results, f)) for n, f in FIELDS.items()]
    together = evaluate_coco_files(annotations, files[::-1])
    for file, iou_type in zip(files, FIELDS, strict=True):
        assert_same(together, pycocotools_numbers(annotations, file, iou_type))
    with pytest.raises(ValueError, match=r"Expected one file with 'bbox'\. Received: .*bbox.json"):
        evaluate_coco_files(annotations, [files[0], files[0]])


def test_numbers_of_each_class(tmp_path):
    content, results = compose(6, pictures=12)
    annotations = write(tmp_path / "gt.json", content)
    file = write(tmp_path / "results.json", only(results, "bbox", "segmentation"))
    metrics = evaluate_coco_files(annotations, file)
    assert list(metrics.per_class) == ["class 7", "class 9", "class 40"]
    assert all(math.isnan(value) for value in metrics.per_class["class 9"].values())
    for category in (7, 40):
        alone = {
            **content,
            "categories": [{"id": category}],
            "annotations": [a for a in content["annotations"] if a["category_id"] == category],
        }
        own = [r for r in results if r["category_id"] == category]
        alone = write(tmp_path / "alone.json", alone)
        file = write(tmp_path / "own.json", only(own, "bbox", "segmentation"))
        for iou_type in ("bbox", "segm"):
            expected = pycocotools_numbers(alone, file, iou_type)
            assert_same(metrics.per_class[f"class {category}"], expected)


def test_fewer_results_may_count(tmp_path):
    # Ten cats side by side, all found: with three results per picture three of them are.
    boxes = [[20.0 * i, 0.0, 16.0, 16.0] for i in range(10)]
    common = {"image_id": 1, "category_id": 1}
    content = {
        "images": [{"id": 1}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{**common, "id": i, "bbox": box} for i, box in enumerate(boxes)],
    }
    results = [{**common, "bbox": box, "score": 0.9} for box in boxes]
    annotations = write(tmp_path / "gt.json", content)
    file = write(tmp_path / "results.json", results)
    metrics = evaluate_coco_files(annotations, file, max_detections=3)
    assert [metrics[f"box_{n}"] for n in ("ar_1", "ar_10", "ar")] == pytest.approx([0.1, 0.3, 0.3])
    metrics = evaluate_coco_files(annotations, file)
    # The annotation of id 0 is found like any other.
    assert [metrics[f"box_{n}"] for n in ("ar_1", "ar_10", "ar")] == pytest.approx([0.1, 1, 1])
    with pytest.raises(ValueError, match="max_detections=0"):
        evaluate_coco_files(annotations, file, max_detections=0)


def test_nothing_found(tmp_path, caplog):
    content, _ = compose(7)
    annotations = write(tmp_path / "gt.json", content)
    file = write(tmp_path / "results.json", [])
    with caplog.at_level(logging.WARNING):
        metrics = evaluate_coco_files(annotations, file)
    assert [metrics[f"{n}_ap"] for n in ("box", "mask", "keypoint")] == [0, 0, 0]
    assert "results.json holds no results" in caplog.text


def test_ground_truth_of_boxes_alone(tmp_path):
    content, results = compose(8)
    for annotation in content["annotations"]:
        for key in ("segmentation", "keypoints", "num_keypoints"):
            del annotation[key]
    annotations = write(tmp_path / "gt.json", content)
    boxes = write(tmp_path / "bbox.json", only(results, "bbox"))
    assert_same(
        evaluate_coco_files(annotations, boxes), pycocotools_numbers(annotations, boxes, "bbox")
    )
    masks = write(tmp_path / "segm.json", only(results, "bbox", "segmentation"))
    with pytest.raises(ValueError, match=r"gt.json, annotation id \d+ .*segmentation=None"):
        evaluate_coco_files(annotations, masks)
    assert "box_ap" in evaluate_coco_files(annotations, masks, iou_types=["bbox"])
    points = write(tmp_path / "keypoints.json", only(results, "keypoints"))
    with pytest.raises(ValueError, match=r"gt.json: expected annotations with keypoints"):
        evaluate_coco_files(annotations, points)


def test_crowd_without_an_outline_is_its_box(tmp_path):
    content, results = compose(9, crowds=0.5, pictures=12)
    boxes = {**content, "annotations": [dict(a) for a in content["annotations"]]}
    for plain, box in zip(content["annotations"], boxes["annotations"], strict=True):
        if plain["iscrowd"]:
            x, y, w, h = plain["bbox"]
            plain["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
            box["segmentation"] = []
    file = write(tmp_path / "results.json", only(results, "segmentation"))
    received = evaluate_coco_files(write(tmp_path / "boxes.json", boxes), file)
    expected = pycocotools_numbers(write(tmp_path / "gt.json", content), file, "segm")
    assert_same(received, expected)


def _noisy(record, random):
    """Most objects of a record, somewhat wrong; a picture's crowds have results too."""
    kept = [i for i in record.instances if random.random() < 0.7]
    boxes = np.array([i.box for i in kept]).reshape(-1, 4)
    size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    return kept, boxes + random.normal(0, 0.04, boxes.shape) * size


def test_a_models_saved_results_give_its_numbers(shared, tmp_path):
    """On real pictures with crowds: from the model, from its files, and by pycocotools."""
    folder = shared / "data" / "coco_ccby"
    annotations = folder / "annotations" / "instances_val2017.json"
    data = load_coco(annotations, folder / "val2017")
    random = np.random.default_rng(0)

    def answer(record):
        kept, boxes = _noisy(record, random)
        scores = np.round(random.random(len(kept)), 2)
        return [
            (box, i.category, score, rectangle(*i.box) if i.is_crowd else i.outline)
            for box, i, score in zip(boxes, kept, scores, strict=True)
        ]

    model = StubModel(data, answer)
    metrics = evaluate_coco(model, data, save_results_to=tmp_path / "found", progress=False)
    files = sorted((tmp_path / "found").iterdir())
    assert [file.name for file in files] == ["bbox.json", "segm.json"]
    scored = evaluate_coco_files(annotations, files)
    assert dict(scored) == pytest.approx(dict(metrics), abs=0, rel=0, nan_ok=True)
    assert scored.per_class.keys() == metrics.per_class.keys()
    assert len(metrics) == 24 and 0.1 < metrics["mask_ap"] < 0.9
    for file, iou_type in zip(files, ("bbox", "segm"), strict=True):
        assert set(json.loads(file.read_text())[0]) == {
            *("image_id", "category_id", "score"),
            FIELDS[iou_type],
        }
        assert_same(metrics, pycocotools_numbers(annotations, file, iou_type))


def test_saved_keypoints_give_their_numbers(shared, tmp_path):
    folder = shared / "data" / "coco_ccby"
    annotations = folder / "annotations" / "person_keypoints_val2017.json"
    data = load_coco(annotations, folder / "val2017")
    random = np.random.default_rng(1)
    results = []
    for record in data.records:
        kept, boxes = _noisy(record, random)
        if kept:
            points = np.array([i.keypoints for i in kept])
            points = points + random.normal(0, 3, points.shape) * (1, 1, 0)
            found = Detections(
                boxes,
                [i.category for i in kept],
                random.random(len(kept)),
                [i.outline.draw(i.box, 28) / 255.0 for i in kept],
                (record.height, record.width),
                keypoints=points,
            )
            results += found.to_coco(record.image_id, data.category_ids)
    metrics = coco_metrics(data, results)
    types = list(FIELDS)
    files = save_results(tmp_path, results, types)
    scored = evaluate_coco_files(annotations, files)
    # Means of the same numbers, which lie in memory in another order.
    assert dict(scored) == pytest.approx(dict(metrics), abs=1e-12, rel=0, nan_ok=True)
    assert len(metrics) == 34 and 0.1 < metrics["keypoint_ap"] < 0.9
    for file, iou_type in zip(files, types, strict=True):
        assert_same(metrics, pycocotools_numbers(annotations, file, iou_type))


def test_summary_shows_all_numbers(tmp_path):
    content, results = compose(10)
    annotations = write(tmp_path / "gt.json", content)
    file = write(tmp_path / "results.json", only(results, *FIELDS.values()))
    metrics = evaluate_coco_files(annotations, file)
    head, box, mask, keypoint = metrics.summary().splitlines()
    assert len({len(line) for line in (head, box, mask, keypoint)}) == 1
    columns = head.split()
    assert tuple(columns[:12]) == DETECTION
    for line in (box, mask):
        name, *cells = line.split()
        assert cells == [f"{100 * metrics[f'{name}_{c}']:.1f}" for c in columns[:12]]
    assert keypoint.split()[1:] == [
        f"{100 * metrics[f'keypoint_{c}']:.1f}" for c in columns if f"keypoint_{c}" in metrics
    ]
    # Average precision alone for each class.
    assert not any("_ar" in name for name in metrics.table().splitlines()[0].split())


def test_categories_without_names_of_their_own(tmp_path):
    content, results = compose(12)
    for category in content["categories"]:
        category["name"] = "thing"
    del content["categories"][0]["name"]
    annotations = write(tmp_path / "gt.json", content)
    file = write(tmp_path / "results.json", only(results, "bbox"))
    metrics = evaluate_coco_files(annotations, file)
    assert list(metrics.per_class) == ["thing (7)", "thing (9)", "40"]


def test_equal_scores_keep_the_order_of_the_file(tmp_path):
    """As in pycocotools, whose sort is stable: another order gives another number."""
    content, results = compose(13, copies=5, pictures=3)
    annotations = write(tmp_path / "gt.json", content)
    for result in results:
        result["score"] = 0.5
    numbers = set()
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(len(results))
        shuffled = only([results[i] for i in order], "segmentation")
        file = write(tmp_path / "results.json", shuffled)
        metrics = evaluate_coco_files(annotations, file)
        assert_same(metrics, pycocotools_numbers(annotations, file, "segm"))
        numbers.add(metrics["mask_ap"])
    assert len(numbers) == 4
