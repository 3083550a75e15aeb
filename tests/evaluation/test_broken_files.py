"""Files that cannot be scored: an error that names the file, and the id or number in it."""

import math

import pytest
from evaluation_reference import HEIGHT, WIDTH, compose, only, write

from keras_maskrcnn.evaluation import evaluate_coco_files


def _number(count):
    return [10**400, math.nan, math.inf, "5", None, True, [1]][:count]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *[({"score": v}, "expected a finite number as score") for v in _number(7)],
        ({"image_id": 99}, r"expected an image of the ground truth. Received: image_id=99"),
        ({"image_id": [5]}, r"image_id=\[5\]"),
        ({"image_id": True}, r"image_id=True"),
        ({"image_id": 10**30}, r"expected an image"),
        ({"category_id": 3}, r"expected a category of the ground truth. Received: category_id=3"),
        ({"category_id": "7"}, r"category_id='7'"),
        *[({"bbox": [0, 0, 5, v]}, "expected four finite numbers as bbox") for v in _number(7)],
        ({"bbox": [0, 0, 5]}, "expected four finite numbers as bbox"),
        ({"bbox": "0055"}, "expected four finite numbers as bbox"),
        ({"bbox": [0, 0, -5, 5]}, "the last two are not negative"),
        ({"bbox": None}, r"expected \['bbox', 'segmentation', 'keypoints'\], as the first result"),
        ({"segmentation": "mask"}, "expected a segmentation of polygons or an RLE"),
        ({"segmentation": [[1, 2, 3, 4]]}, "expected a polygon of 3 points or more"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "expected a polygon of 3 points or more"),
        ({"segmentation": [1, 2, 3, 4, 5, 6]}, "expected a polygon of finite numbers"),
        ({"segmentation": [[1, 2, 3, 4, 5, "6"]]}, "expected a polygon of finite numbers"),
        ({"segmentation": [[1, 2, 3, 4, 5, math.nan]]}, "expected a polygon of finite numbers"),
        ({"segmentation": [[0, 0, 1e9, 0, 0, 9]]}, "expected a polygon within"),
        ({"segmentation": [[0, 0, 1e7, 0] * 5]}, "of a length of"),
        ({"segmentation": {"size": [WIDTH, HEIGHT], "counts": "0"}}, r"size \[150, 200\]"),
        ({"segmentation": {"counts": "0"}}, r"size \[150, 200\]"),
        ({"segmentation": {"size": [HEIGHT, WIDTH]}}, "expected run lengths"),
        # Such text is read past its end, or for ever, by the COCO tools.
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": "`do0"[:3]}}, "expected run lengths"),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": ""}}, "expected run lengths"),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": "é1"}}, "expected run lengths"),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": "o" * 12 + "0"}}, "expected run"),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": "123"}}, "of 30000 pixels in all"),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": []}}, "of 30000 pixels in all"),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": [-5, 30005]}}, "none negative"),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": [1.5]}}, "expected run lengths"),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": [2**40]}}, "expected run lengths"),
        ({"keypoints": [1, 2, 3, 4]}, "expected keypoints as x, y and a third number"),
        ({"keypoints": [1, 2, math.nan] * 3}, "expected keypoints as x, y and a third number"),
        ({"keypoints": [1, 2, 3] * 4}, "expected 3 keypoints. Received: 4 of them"),
    ],
)
def test_broken_results_are_named(change, message, tmp_path):
    content, results = compose(11)
    annotations = write(tmp_path / "gt.json", content)
    results[2] = {**results[2], **change}
    file = write(tmp_path / "results.json", results)
    with pytest.raises(ValueError, match=rf"results\.json, result 2: .*{message}"):
        evaluate_coco_files(annotations, file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not valid JSON"),
        ("[{]", "is not valid JSON"),
        ("[" * 100_000, "more levels than can be read"),
        ("[" + "9" * 5000 + "]", "result 0: expected a result. Received: inf"),
        ("\x00\xff", "is not valid JSON"),
        ("{}", "expected a JSON list of results"),
        ("[7]", "result 0: expected a result. Received: 7"),
        ('[{"image_id": 5}]', "result 0: expected a category"),
        (
            '[{"image_id": 5, "category_id": 7, "score": 1}]',
            "result 0: expected one of .'bbox', 'segmentation', 'keypoints'.",
        ),
    ],
)
def test_files_that_hold_no_results_are_named(text, message, tmp_path):
    annotations = write(tmp_path / "gt.json", compose(11)[0])
    file = tmp_path / "results.json"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=rf"results\.json.*{message}"):
        evaluate_coco_files(annotations, file)


def test_missing_files_and_fields(tmp_path):
    content, results = compose(11)
    annotations = write(tmp_path / "gt.json", content)
    with pytest.raises(ValueError, match=r"Expected a JSON file. Received: .*none\.json"):
        evaluate_coco_files(annotations, tmp_path / "none.json")
    with pytest.raises(ValueError, match="Expected at least one results file"):
        evaluate_coco_files(annotations, [])
    file = write(tmp_path / "results.json", only(results, "bbox"))
    with pytest.raises(ValueError, match=r"Scoring 'segm' needs .*'segmentation'.*\['bbox'\]"):
        evaluate_coco_files(annotations, file, iou_types=["segm"])
    with pytest.raises(ValueError, match=r"iou_types=\('mask',\)"):
        evaluate_coco_files(annotations, file, iou_types=["mask"])


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("images", {"id": "5"}, "expected each entry of 'images' to have an integer id"),
        ("images", {"height": -4}, r"image id \d+: expected height and width as positive"),
        ("images", {"width": "200"}, r"image id \d+: expected height and width as positive"),
        ("images", {"height": 2**20, "width": 2**20}, r"annotation id \d+ .*under \d+ pixels"),
        ("images", {"height": None, "width": None}, r"annotation id \d+ .*need the height and"),
        ("categories", {"id": None}, "expected each entry of 'categories' to have an integer id"),
        ("annotations", {"id": 1.5}, "expected each entry of 'annotations' to have an integer id"),
        ("annotations", {"id": 997}, "1 annotation ids occur more than once: 997"),
        ("annotations", {"image_id": 6}, "annotation id 1000: expected image_id .*image_id=6"),
        ("annotations", {"category_id": {}}, "annotation id 1000: expected category_id"),
        ("annotations", {"bbox": [0, 0, 1]}, "annotation id 1000 .*four finite numbers"),
        ("annotations", {"bbox": [0, 0, -1, 1]}, "annotation id 1000 .*not negative"),
        ("annotations", {"area": -1}, "annotation id 1000 .*expected area as a number from 0"),
        ("annotations", {"area": 10**400}, "annotation id 1000 .*expected area as a number"),
        ("annotations", {"area": "9"}, "annotation id 1000 .*expected area as a number"),
        ("annotations", {"iscrowd": "0"}, "annotation id 1000 .*iscrowd to be 0 or 1"),
        ("annotations", {"iscrowd": 2}, "annotation id 1000 .*iscrowd to be 0 or 1"),
        ("annotations", {"segmentation": [[1, 2, 3, 4]]}, "annotation id 1000 .*3 points or more"),
        (
            "annotations",
            {"segmentation": {"size": [HEIGHT, WIDTH], "counts": "12"}},
            "annotation id 1000 .*of 30000 pixels",
        ),
        ("annotations", {"keypoints": [1, 2]}, "annotation id 1000 .*x, y and a third number"),
        ("annotations", {"num_keypoints": -1}, "annotation id 1000 .*num_keypoints as a count"),
    ],
)
def test_broken_ground_truth_is_named(part, change, message, tmp_path):
    content, results = compose(11)
    image_id = content["annotations"][0]["image_id"]
    for entry in content[part]:
        if part != "images" or entry["id"] == image_id:
            entry.update(change)
            break
    annotations = write(tmp_path / "gt.json", content)
    file = write(tmp_path / "results.json", results)
    with pytest.raises(ValueError, match=rf"gt\.json.*{message}"):
        evaluate_coco_files(annotations, file)


def test_keypoints_of_unlike_number_are_named(tmp_path):
    content, results = compose(11)
    content["annotations"][1]["keypoints"] *= 2
    annotations = write(tmp_path / "gt.json", content)
    file = write(tmp_path / "results.json", only(results, "keypoints"))
    with pytest.raises(ValueError, match=r"annotation id 997 .*expected 3 keypoints. Received: 6"):
        evaluate_coco_files(annotations, file)


@pytest.mark.parametrize("part", ["images", "annotations", "categories"])
def test_ground_truth_without_a_part(part, tmp_path):
    content, results = compose(11)
    file = write(tmp_path / "results.json", results)
    for value in (None, {}):
        annotations = write(tmp_path / "gt.json", {**content, part: value})
        with pytest.raises(ValueError, match=rf"gt\.json: .*list called '{part}'"):
            evaluate_coco_files(annotations, file)
    if part != "annotations":
        annotations = write(tmp_path / "gt.json", {**content, "annotations": [], part: []})
        with pytest.raises(ValueError, match="at least one image and one category"):
            evaluate_coco_files(annotations, file)
