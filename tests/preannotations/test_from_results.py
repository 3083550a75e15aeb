"""Results files as annotations: those of `predict`, and those of `evaluate`."""

import json
from pathlib import Path

import numpy as np
import pytest
from format_files import drawn, load, save_picture, write_json
from pycocotools import mask as coco_mask
from written_scenes import make_dataset

from keras_maskrcnn.data import save_dataset
from keras_maskrcnn.preannotations import results_to_data


def disc(height=60, width=80):
    y, x = np.mgrid[:height, :width]
    return np.hypot(x - 40, y - 30) < 12


def rle(mask):
    code = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": code["counts"].decode()}


def predicted(**more):
    """As `maskrcnn predict` writes it."""
    names = {"file_name": "new/a b.jpg", "category_name": "red fig"}
    ids = {"image_id": 1, "category_id": 1, "bbox": [28, 18, 24, 24], "score": 0.75}
    return {**ids, "segmentation": rle(disc()), **names, **more}


def make(tmp_path, *results):
    for name in ("a b.jpg", "c.jpg", "d.jpg"):
        save_picture(tmp_path / "new" / name)
    return write_json(tmp_path / "predictions.json", list(results))


def read(tmp_path, file, **options):
    return results_to_data(file, image_dir=tmp_path / "new", on_error="raise", **options)


def test_all_pictures_of_the_folder(tmp_path):
    weak = predicted(file_name="/other/machine/new/c.jpg", score=0.4, category_name="pear")
    file = make(tmp_path, predicted(), weak)
    data = read(tmp_path, file)
    assert [Path(r.path).name for r in data.records] == ["a b.jpg", "c.jpg", "d.jpg"]
    assert [len(r.objects) for r in data.records] == [1, 0, 0]
    assert data.class_names == ["red fig"]
    (o,) = data.records[0].objects
    assert o.box == (28, 18, 52, 42) and o.attributes == {"score": 0.75}
    mask = drawn(o) > 0
    assert (mask & disc()).sum() / (mask | disc()).sum() > 0.97
    # Few enough vertices to drag, where the pixels' edges have 92.
    assert len(o.outline.to_coco(60, 80)[0]) / 2 < 40
    ordered = read(tmp_path, file, order="uncertainty")
    # 0.25, 0.4 and 0 mistakes: what is below the threshold counts too.
    assert [Path(r.path).name for r in ordered.records] == ["c.jpg", "a b.jpg", "d.jpg"]
    assert [len(r.objects) for r in read(tmp_path, file, threshold=0.4).records] == [1, 1, 0]


def test_ids_of_a_data_set(tmp_path):
    data = make_dataset(tmp_path / "from")
    segm = {"image_id": 10, "category_id": 7, "score": 0.9, "segmentation": rle(disc())}
    file = write_json(tmp_path / "segm.json", [segm])
    found = results_to_data(file, data=data, on_error="raise")
    assert [r.image_id for r in found.records] == [10, 11, 12]
    (o,) = found.records[0].instances
    assert found.class_names[o.category] == "Birne ä" and o.box == (29, 19, 52, 42)
    assert len(data.records[0].instances) == 6  # Its own objects are left as they are.
    save_dataset(found, tmp_path / "to", "yolo", verbose=False)
    assert [len(r.objects) for r in load(tmp_path / "to").records] == [0, 0, 1]


def test_keypoints(tmp_path):
    file = make(tmp_path, predicted(keypoints=[4.0, 6.0, 0.3, 1.0, 2.0, 0.9]))
    data = read(tmp_path, file)
    assert data.keypoint_names == ["keypoint_0", "keypoint_1"]
    points = data.records[0].objects[0].keypoints
    np.testing.assert_array_equal(points, [[4.5, 6.5, 2.0], [1.5, 2.5, 2.0]])


BAD = [
    ({"score": float("nan")}, "score is no number in 0..1"),
    ({"score": 1.5}, "score is no number in 0..1"),
    ({"file_name": "gone.jpg"}, "picture is missing"),
    ({"file_name": None}, "file_name is no path"),
    ({"category_name": ""}, "object has no class"),
    ({"category_name": 3}, "object has no class"),
    ({"segmentation": {"size": [6, 8], "counts": [48]}}, "RLE size disagrees"),
    ({"bbox": [1, 2, 0, 4]}, "box has no area"),
    ({"keypoints": [1.0, 2.0]}, "keypoints are not triples"),
]


@pytest.mark.parametrize(("change", "reason"), BAD)
def test_a_result_that_cannot_be_used_is_named(tmp_path, change, reason):
    file = make(tmp_path, predicted(), predicted(**change))
    with pytest.warns(UserWarning, match="left out 1 items"):
        data = results_to_data(file, image_dir=tmp_path / "new")
    assert len(data.records[0].objects) == 1
    (line,) = data.warnings
    assert line.startswith("result 1: ") and reason in line


def test_what_is_refused(tmp_path):
    file = make(tmp_path, predicted())
    data = make_dataset(tmp_path / "from")
    for both in ({}, {"data": data, "image_dir": tmp_path}):
        with pytest.raises(ValueError, match=r"either data or image_dir"):
            results_to_data(file, **both)
    with pytest.raises(ValueError, match=r"image_dir to be a folder"):
        results_to_data(file, image_dir=tmp_path / "none")
    with pytest.raises(ValueError, match=r"order must be one of"):
        results_to_data(file, data=data, order="best")
    with pytest.raises(ValueError, match=r"threshold must be in 0..1"):
        results_to_data(file, data=data, threshold=-1)
    write_json(file, {"annotations": []})
    with pytest.raises(ValueError, match=r"predictions.json: expected a JSON list of results"):
        results_to_data(file, data=data)
    write_json(file, [predicted(keypoints=[1, 2, 0.5]), predicted(keypoints=[1, 2, 0.5] * 2)])
    with pytest.raises(ValueError, match=r"as many keypoints in each result. Received: \{1, 2\}"):
        read(tmp_path, file)
    unknown = write_json(tmp_path / "ids.json", [predicted(image_id=10, category_id=4)])
    with pytest.raises(ValueError, match=r"result 0: unknown category id 4"):
        results_to_data(unknown, data=data, on_error="raise")
    assert json.loads(file.read_text())
