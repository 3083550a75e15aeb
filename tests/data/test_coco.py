"""Reading COCO JSON: what is kept, and what is said of bad input."""

import json
import time

import numpy as np
import pytest

from keras_maskrcnn.data import load_coco

SQUARE = [[1, 1, 4, 1, 4, 5, 1, 5]]


def write(folder, images=None, annotations=(), categories=None):
    """A data set of empty picture files: nothing may open them."""
    if images is None:
        images = [{"id": 7, "file_name": "a.jpg", "height": 6, "width": 8}]
    if categories is None:
        categories = [{"id": 9, "name": "cat"}, {"id": 3, "name": "dog"}]
    for image in images:
        if isinstance(image.get("file_name"), str) and "missing" not in image["file_name"]:
            path = folder / image["file_name"]
            path.parent.mkdir(exist_ok=True)
            path.touch()
    content = {"images": images, "annotations": list(annotations), "categories": categories}
    file = folder / "instances.json"
    file.write_text(json.dumps(content))
    return file


def annotation(number=1, **changes):
    entry = {"id": number, "image_id": 7, "category_id": 9, "iscrowd": 0, "area": 12}
    entry |= {"bbox": [1, 1, 3, 4], "segmentation": SQUARE}
    return entry | changes


def test_records(tmp_path):
    rle = {"size": [6, 8], "counts": [6, 12, 30]}
    images = [
        {"id": 7, "file_name": "a.jpg", "height": 6, "width": 8},
        {"id": 2, "file_name": "sub/b.jpg", "height": 10, "width": 20},
    ]
    annotations = [
        annotation(5, bbox=[-1, 0.5, 4.25, 20]),
        annotation(6, category_id=3, segmentation=rle, bbox=[1, 0, 2, 6], iscrowd=1),
    ]
    data = load_coco(write(tmp_path, images, annotations), tmp_path, on_error="raise")
    assert data.class_names == ["dog", "cat"]
    assert data.category_ids == [3, 9]
    assert (len(data), data.max_objects, data.max_crowds, data.warnings) == (2, 1, 1, [])
    first, second = data.records
    assert (first.image_id, first.height, first.width) == (7, 6, 8)
    assert first.path == str(tmp_path / "a.jpg")
    assert second.path == str(tmp_path / "sub" / "b.jpg")
    assert second.instances == ()
    (cat,), (dogs,) = first.objects, first.crowds
    assert (cat.category, cat.annotation_id, cat.area) == (1, 5, 12.0)
    assert cat.outline.to_coco(6, 8) == SQUARE
    assert cat.box == (0.0, 0.5, 3.25, 6.0)  # clipped to the picture
    assert (dogs.category, dogs.is_crowd, dogs.outline.counts) == (0, True, rle["counts"])
    assert "images=2, objects=1, crowds=1, classes=2" in repr(data)


def test_area_is_the_annotated_one_or_the_outlines(tmp_path):
    triangle = {"bbox": [1, 1, 4, 4], "segmentation": [[1, 1, 5, 1, 1, 5]]}
    annotations = [annotation(1, area=3, **triangle), annotation(2, **triangle)]
    annotations += [annotation(3, segmentation=[])]
    del annotations[1]["area"], annotations[2]["area"]
    objects = load_coco(write(tmp_path, None, annotations), tmp_path).records[0].objects
    assert [o.area for o in objects] == [3, pytest.approx(8), 12]
    assert [o.annotated_area for o in objects] == [3, None, None]


def test_keypoints(tmp_path):
    names = ["nose", "left_eye", "right_eye", "left_paw"]
    categories = [{"id": 1, "name": "cat", "keypoints": names}, {"id": 9, "name": "box"}]
    points = [3, 2, 2, 0, 0, 0, 4, 1, 1, 9, 9, 0]
    annotations = [annotation(1, category_id=1, keypoints=points), annotation(2)]
    data = load_coco(write(tmp_path, None, annotations, categories), tmp_path)
    assert data.keypoint_names == names
    assert data.keypoint_flip_pairs == [(1, 2)]
    with_points, without = data.records[0].objects
    np.testing.assert_array_equal(
        with_points.keypoints, [[3.5, 2.5, 2], [0, 0, 0], [4.5, 1.5, 1], [0, 0, 0]]
    )
    assert without.keypoints is None


BAD_ITEMS = [
    (annotation(bbox=[1, 1, 0, 4]), "box has no area"),
    (annotation(bbox=[9, 1, 2, 2]), "box lies outside its picture"),
    (annotation(bbox=[1, 1, 2]), "bbox is not four finite numbers"),
    (annotation(bbox=[1, 1, float("nan"), 2]), "bbox is not four finite numbers"),
    (annotation(bbox=None), "bbox is not four finite numbers"),
    (annotation(segmentation=[[1, 1, 4, 4]]), "polygon has fewer than 3 points"),
    (annotation(segmentation=[[1, 1, 4, 4, 2, 2, 3]]), "not a list x, y, x, y"),
    (annotation(segmentation=SQUARE[0][1:]), "not a list x, y, x, y"),
    (annotation(segmentation=[["a"] * 6]), "not a list of numbers"),
    (annotation(segmentation=[[1, 1, 4, 4, 2, float("nan")]]), "not made of finite numbers"),
    (annotation(segmentation=[[1, 1, 2, 1, 3, 1]]), "polygon has no area"),
    (annotation(segmentation=[[5, 1, 7, 1, 7, 3]]), "polygon lies outside its box"),
    (annotation(segmentation=3), "neither a list of polygons nor an RLE"),
    (annotation(segmentation="1,1,4,1"), "neither a list of polygons nor an RLE"),
    (annotation(segmentation={"size": [8, 6], "counts": [6, 12, 30]}), "RLE size disagrees"),
    (annotation(segmentation={"size": [6, 8], "counts": [6, 12]}), "do not add up"),
    (annotation(segmentation={"size": [6, 8], "counts": [48]}), "RLE is empty"),
    (annotation(segmentation={"size": [6, 8], "counts": "!"}), "cannot be decoded"),
    (annotation(segmentation={"size": [6, 8], "counts": []}), "do not add up"),
    (annotation(segmentation={"size": [6, 8]}), "neither a list of integers nor a string"),
    (annotation(image_id=8), "unknown image id"),
    (annotation(category_id=4), "unknown category id 4"),
    ({"image_id": 7}, "annotation entry 0: id is missing"),
    ({"id": 1, "image_id": 7}, "annotation id 1 (image id 7): category_id is missing"),
    ("text", "annotation entry 0: entry is no JSON object (text)"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD_ITEMS)
def test_bad_annotations_are_named(tmp_path, bad, reason):
    file = write(tmp_path, annotations=[bad, annotation(2)])
    with pytest.warns(UserWarning, match="left out 1 items") as caught:
        data = load_coco(file, tmp_path)
    assert len(caught) == 1
    assert len(data.warnings) == 1
    assert reason in data.warnings[0]
    if isinstance(bad, dict) and "id" in bad:
        assert f"annotation id 1 (image id {bad['image_id']})" in data.warnings[0]
    assert [instance.annotation_id for instance in data.records[0].instances] == [2]
    with pytest.raises(ValueError, match=r"instances.json: left out 1 items") as error:
        load_coco(file, tmp_path, on_error="raise")
    assert reason in str(error.value)


def test_a_bad_part_does_not_cost_the_object(tmp_path):
    file = write(tmp_path, annotations=[annotation(segmentation=[[1, 1, 2, 2], *SQUARE])])
    with pytest.warns(UserWarning, match="part 0: polygon has fewer than 3 points"):
        data = load_coco(file, tmp_path)
    assert data.records[0].objects[0].outline.to_coco(6, 8) == SQUARE


def test_annotation_id_twice(tmp_path):
    file = write(tmp_path, annotations=[annotation(1), annotation(1), annotation(2)])
    with pytest.warns(UserWarning, match="annotation id 1 .* occurs twice"):
        data = load_coco(file, tmp_path)
    assert len(data.records[0].instances) == 2


def test_wrong_keypoint_count(tmp_path):
    categories = [{"id": 9, "name": "cat", "keypoints": ["nose", "tail"]}]
    bad = [annotation(1, keypoints=[1, 2, 2]), annotation(2, keypoints=[1, 2, 2, 3, 4, 5])]
    with pytest.warns(UserWarning) as caught:
        load_coco(write(tmp_path, None, bad, categories), tmp_path)
    assert "keypoints are not 2 triples" in str(caught[0].message)
    assert "visibility 0, 1 or 2" in str(caught[0].message)


def test_unusable_pictures(tmp_path):
    images = [
        {"id": 7, "file_name": "missing.jpg", "height": 6, "width": 8},
        {"id": 8, "file_name": "missing/b.jpg", "height": 6, "width": 8},
        {"id": 9, "file_name": "c.jpg", "height": 0, "width": 8},
        {"id": 10, "file_name": "d.jpg", "width": 8},
        {"id": 11, "file_name": "e.jpg", "height": 6, "width": 8},
    ]
    file = write(tmp_path, images, [annotation(1), annotation(2, image_id=11)])
    with pytest.warns(UserWarning, match="left out 4 items .*2 x picture is missing"):
        data = load_coco(file, tmp_path)
    assert [record.image_id for record in data.records] == [11]
    assert len(data.records[0].instances) == 1
    missing = f"image id 7: picture is missing ({tmp_path / 'missing.jpg'})"
    assert data.warnings[0] == f"{missing}, and with it its 1 annotations"
    file = write(tmp_path, images[:2])
    with pytest.raises(ValueError, match=r"No picture of the data set can be used.*image id 7"):
        load_coco(file, tmp_path)


def test_fatal_errors(tmp_path):
    image = {"id": 7, "file_name": "a.jpg", "height": 6, "width": 8}
    file = write(tmp_path, [image, image | {"file_name": "b.jpg"}])
    with pytest.raises(ValueError, match=r"instances.json: 1 image ids occur more than once: 7"):
        load_coco(file, tmp_path)
    file = write(tmp_path, categories=[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}])
    with pytest.raises(ValueError, match="1 category ids occur more than once: 1"):
        load_coco(file, tmp_path)
    with pytest.raises(ValueError, match="at least one category"):
        load_coco(write(tmp_path, categories=[]), tmp_path)
    with pytest.raises(ValueError, match="at least one image"):
        load_coco(write(tmp_path, images=[]), tmp_path)
    with pytest.raises(ValueError, match=r"Expected a JSON file.*none\.json"):
        load_coco(tmp_path / "none.json", tmp_path)
    with pytest.raises(ValueError, match="image_dir to be a folder"):
        load_coco(write(tmp_path), tmp_path / "none")
    with pytest.raises(ValueError, match="on_error='ignore'"):
        load_coco(file, tmp_path, on_error="ignore")
    file.write_text('{"images": [],\n "annotations": [}')
    with pytest.raises(ValueError, match=r"instances.json is not valid JSON: .* line 2, column 18"):
        load_coco(file, tmp_path)
    file.write_bytes(b"\xff\xd8\xff\x00")
    with pytest.raises(ValueError, match="is not valid JSON"):
        load_coco(file, tmp_path)
    file.write_text("[]")
    with pytest.raises(ValueError, match="a list called 'images'"):
        load_coco(file, tmp_path)


def test_thousands_of_pictures_load_at_once(tmp_path):
    for number in range(2000):
        (tmp_path / f"{number}.jpg").touch()
    images = [
        {"id": number, "file_name": f"{number}.jpg", "height": 6, "width": 8}
        for number in range(2000)
    ]
    annotations = [annotation(number, image_id=number // 5) for number in range(10000)]
    file = write(tmp_path, images, annotations)
    start = time.process_time()
    data = load_coco(file, tmp_path)
    assert time.process_time() - start < 5
    assert sum(len(record.instances) for record in data.records) == 10000


def test_real_data(shared):
    folder = shared / "data" / "coco_ccby"
    data = load_coco(
        folder / "annotations" / "instances_train2017.json", folder / "train2017", on_error="raise"
    )
    assert (len(data), len(data.class_names), data.category_ids[-1]) == (31, 80, 90)
    assert sum(len(record.objects) for record in data.records) == 276
    assert sum(len(record.crowds) for record in data.records) == 3
    people = load_coco(folder / "annotations" / "person_keypoints_val2017.json", folder / "val2017")
    assert (people.warnings, sum(len(record.instances) for record in people.records)) == ([], 32)
    assert len(people.keypoint_names) == 17
    assert people.keypoint_flip_pairs == [(i, i + 1) for i in range(1, 17, 2)]
    nuclei = shared / "data" / "nuclei"
    data = load_coco(nuclei / "instances_val.json", nuclei / "images", on_error="raise")
    assert sum(len(record.objects) for record in data.records) == 1224
