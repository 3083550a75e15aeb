"""What a model found as annotations, in the tools that correct them."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from format_files import drawn, load, save_picture, write_json
from pycocotools.coco import COCO

from keras_maskrcnn.data import save_dataset
from keras_maskrcnn.preannotations import detections_to_data, uncertainty
from keras_maskrcnn.results import Detections

NAMES = ["red fig", "pear"]


def found(scores, keypoints=False, masks=True, names=NAMES):
    """Rings of 28 x 28 cells, side by side in a picture of 60 x 80."""
    count = len(scores)
    y, x = np.mgrid[-1:1:28j, -1:1:28j]
    radius = np.hypot(x, y)
    left = 2 + 38 * np.arange(count)
    return Detections(
        boxes=np.stack([left, left * 0 + 3, left + 35, left * 0 + 50], axis=1),
        classes=np.arange(count) % 2,
        scores=scores,
        mask_probabilities=np.stack([(radius < 0.95) & (radius > 0.3)] * count)
        if masks and count
        else None,
        image_size=(60, 80),
        class_names=names,
        keypoints=np.tile([[[4.5, 6.5, 0.25]]], (count, 1, 1)) if keypoints else None,
    )


def pictures(tmp_path, count):
    return [save_picture(tmp_path / "from" / f"ä {k}.jpg") for k in range(count)]


def test_uncertainty_by_hand():
    assert uncertainty([]) == 0.0
    assert uncertainty([1.0, 0.0]) == 0.0
    # Sure of one, unsure of another, nearly sure that a third is not there.
    assert uncertainty([0.9, 0.5, 0.2]) == pytest.approx(0.1 + 0.5 + 0.2)
    # Ten doubtful objects are more to correct than one, whatever else is there.
    assert uncertainty([0.6] * 10 + [0.99] * 20) > uncertainty([0.5])


def test_order_and_threshold(tmp_path):
    paths = pictures(tmp_path, 4)
    results = [found([0.9]), found([]), found([0.6, 0.4]), found([0.45, 0.05])]
    results[1] = Detections([], [], [], None, (60, 80), NAMES)
    # 0.1, 0, 0.8 and 0.5 mistakes are expected, those that are not kept among them.
    data = detections_to_data(paths, results, order="uncertainty")
    assert [record.path for record in data.records] == [str(paths[k]) for k in (2, 3, 0, 1)]
    assert [len(record.objects) for record in data.records] == [1, 0, 1, 0]
    given = detections_to_data(paths, results, threshold=0.05)
    assert [record.path for record in given.records] == list(map(str, paths))
    ids = [o.annotation_id for record in given.records for o in record.objects]
    assert ids == [1, 2, 3, 4, 5]
    assert given.class_names == NAMES and given.keypoint_names == []


def test_what_is_refused(tmp_path):
    paths = pictures(tmp_path, 2)
    both = [found([0.9]), found([0.8])]
    with pytest.raises(ValueError, match=r"Received: 1 pictures and 2 results"):
        detections_to_data(paths[:1], both)
    with pytest.raises(ValueError, match=r"threshold must be in 0..1"):
        detections_to_data(paths, both, threshold=2)
    with pytest.raises(ValueError, match=r"order must be one of .*Did you mean 'uncertainty'"):
        detections_to_data(paths, both, order="uncertain")
    with pytest.raises(ValueError, match=r"same classes in all results"):
        detections_to_data(paths, [both[0], found([0.9], names=["a", "b"])])
    with pytest.raises(ValueError, match=r"same number of keypoints in all results"):
        detections_to_data(paths, [both[0], found([0.9], keypoints=True)])


def test_classes_without_names(tmp_path):
    (path,) = pictures(tmp_path, 1)
    data = detections_to_data([path], [found([0.9, 0.8], names=())])
    assert data.class_names == ["class_0", "class_1"]


def test_masks_and_scores_are_there_in_every_tool(tmp_path):
    paths = pictures(tmp_path, 2)
    results = [found([0.75, 0.5], keypoints=True), found([0.875], keypoints=True)]
    data = detections_to_data(paths, results)
    for name in ("coco", "cvat", "labelme", "label_studio"):
        save_dataset(data, tmp_path / name, name, verbose=False)
    tasks = json.loads((tmp_path / "label_studio" / "tasks.json").read_text())
    assert [sorted(task) for task in tasks] == [["data", "id", "predictions"]] * 2
    assert [r["score"] for r in tasks[0]["predictions"][0]["result"]] == [0.75, 0.5]
    # As a person who accepts them makes annotations of them.
    accepted = [t | {"annotations": [{"result": t["predictions"][0]["result"]}]} for t in tasks]
    write_json(tmp_path / "label_studio" / "tasks.json", accepted)
    for name in ("coco", "cvat", "labelme", "label_studio"):
        lines = ["shape is no region"] * 3 if name == "labelme" else []
        again = load(tmp_path / name, *lines)
        assert [Path(r.path).name for r in again.records] == ["ä 0.jpg", "ä 1.jpg"]
        for record, result in zip(again.records, results, strict=True):
            assert len(record.objects) == len(result)
            for o, mask, label in zip(record.objects, result.masks, result.names, strict=True):
                assert again.class_names[o.category] == label
                mine = drawn(o) > 0
                assert (mine & mask).sum() / (mine | mask).sum() > 0.9, name
    image = ElementTree.parse(tmp_path / "cvat" / "annotations.xml").find("image")
    assert [shape.get("source") for shape in image] == ["auto", "auto"]
    assert [shape.findtext("attribute") for shape in image] == ["0.75", "0.5"]
    shapes = json.loads((tmp_path / "labelme" / "ä 0.json").read_text())["shapes"]
    assert shapes[0]["description"] == "score 0.750"
    coco = COCO(tmp_path / "coco" / "annotations" / "instances_train.json")
    (entry,) = coco.loadAnns(3)
    assert entry["attributes"] == {"score": 0.875} and entry["keypoints"] == [4.0, 6.0, 2.0]


def test_labelme_has_the_polygons_of_to_labelme(tmp_path):
    (path,) = pictures(tmp_path, 1)
    result = found([0.75, 0.5])
    save_dataset(detections_to_data([path], [result]), tmp_path / "to", "labelme", verbose=False)
    written = json.loads((tmp_path / "to" / "ä 0.json").read_text())
    assert written == json.loads(json.dumps(result.to_labelme("ä 0.jpg")))


def test_numbered_names_keep_the_order_in_labelme(tmp_path):
    paths = pictures(tmp_path, 2)
    data = detections_to_data(paths, [found([0.9]), found([0.6])], order="uncertainty")
    save_dataset(data, tmp_path / "to", "labelme", is_numbered=True, verbose=False)
    names = sorted(p.name for p in (tmp_path / "to").glob("*.jpg"))
    assert names == ["1_ä 1.jpg", "2_ä 0.jpg"]


def test_objects_without_masks_are_boxes(tmp_path):
    (path,) = pictures(tmp_path, 1)
    data = detections_to_data([path], [found([0.9], masks=False)])
    saved = save_dataset(data, tmp_path / "to", "cvat", verbose=False)
    assert saved.reasons == {"box without outline is a rectangle, which is an outline": 1}
    (o,) = load(tmp_path / "to").records[0].objects
    assert o.box == (2.0, 3.0, 37.0, 50.0)
