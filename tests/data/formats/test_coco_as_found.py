"""COCO's JSON as tools write it: each trap by name."""

import re

import numpy as np
import pytest
from format_files import drawn, load, outline_of, png_bytes, save_picture, write_json
from pycocotools import mask as coco_mask

from keras_maskrcnn.data import FORMATS, Source, dataset_splits, load_coco, load_dataset

SQUARE = [10, 10, 30, 10, 30, 30, 10, 30]
OTHER = [40, 10, 50, 10, 50, 20, 40, 20]


def annotation(number=1, **changes):
    entry = {"id": number, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 400}
    entry |= {"bbox": [10, 10, 20, 20], "segmentation": [SQUARE]}
    return entry | changes


def write(folder, annotations, *, name="instances.json", file_name="a.jpg", **parts):
    if not (folder / "a.jpg").exists():
        save_picture(folder / "a.jpg")
    image = {"id": 1, "file_name": file_name, "height": 60, "width": 80}
    content = {"images": [image], "annotations": annotations}
    content["categories"] = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    return write_json(folder / name, content | parts)


def noted(place, pattern, **options):
    """What is read, where this is said aloud."""
    with pytest.warns(UserWarning, match=pattern):
        data = load_dataset(place, verbose=False, on_error="raise", **options)
    assert len(data.notes) == 1 and re.search(pattern, data.notes[0])
    return data


def test_polygons_in_parts_are_a_union(tmp_path):
    write(tmp_path, [annotation(segmentation=[SQUARE, OTHER], bbox=[10, 10, 40, 20])])
    (cat,) = load(tmp_path).records[0].objects
    expected = np.zeros((60, 80), np.uint8)
    expected[10:30, 10:30] = expected[10:20, 40:50] = 1
    np.testing.assert_array_equal(drawn(cat), expected)


def test_run_lengths_go_column_by_column(tmp_path):
    # Two columns of three pixels, below the first row: (0, 1)..(0, 3) and (1, 1)..(1, 3).
    runs = {"size": [60, 80], "counts": [1, 3, 57, 3, 60 * 80 - 64]}
    packed = coco_mask.frPyObjects(runs, 60, 80)
    packed["counts"] = packed["counts"].decode()
    box = {"bbox": [0, 1, 2, 3]}
    write(tmp_path, [annotation(k, segmentation=s, **box) for k, s in enumerate([runs, packed])])
    expected = np.zeros((60, 80), np.uint8)
    expected[1:4, 0:2] = 1
    for cat in load(tmp_path).records[0].objects:
        np.testing.assert_array_equal(cat.outline.draw_whole(60, 80) > 0, expected)


def test_ids_with_gaps(tmp_path):
    categories = [{"id": 90, "name": "dog"}, {"id": 7, "name": "cat"}]
    write(tmp_path, [annotation(10**12, category_id=90)], categories=categories)
    data = load(tmp_path)
    assert (data.class_names, data.category_ids) == (["cat", "dog"], [7, 90])
    assert data.records[0].objects[0].category == 1


ROOT = [{"id": 0, "name": "fruit", "supercategory": "none"}]


def of_roboflow(*names, root="fruit"):
    return ROOT + [{"id": k, "name": n, "supercategory": root} for k, n in enumerate(names, 1)]


def test_roboflows_layout_and_root_category(tmp_path):
    for split in ("train", "valid", "test"):
        place = tmp_path / split
        write(place, [annotation()], name="_annotations.coco.json", categories=of_roboflow("fig"))
    assert dataset_splits(tmp_path) == ["test", "train", "valid"]
    data = noted(tmp_path, r"category 'fruit' \(id 0\) is no class", split="valid")
    assert (data.class_names, data.category_ids) == (["fig"], [1])
    assert data.records[0].path == str(tmp_path / "valid" / "a.jpg")
    assert data.records[0].objects[0].category == 0


@pytest.mark.parametrize(
    ("categories", "used"),
    [
        (of_roboflow("fig"), 0),  # An object is of it.
        (of_roboflow("fig", root="food"), 1),  # No other names it.
        ([*of_roboflow("fig"), {"id": 2, "name": "nut", "supercategory": "food"}], 1),
        (ROOT, 0),
    ],
    ids=["used", "not named", "not named by all", "alone"],
)
def test_a_category_0_that_is_a_class_is_kept(tmp_path, categories, used):
    write(tmp_path, [annotation(category_id=used)], categories=categories)
    data = load(tmp_path)
    assert data.class_names == [category["name"] for category in categories] and not data.notes


def all_crowds(count=2):
    mask = {"size": [60, 80], "counts": [70, 30, 60 * 80 - 100]}
    box = {"bbox": [1, 10, 1, 30], "area": 30, "segmentation": mask, "iscrowd": 1}
    return [annotation(k, **box) for k in range(count)]


def test_masks_of_cvat_and_datumaro_are_objects(tmp_path):
    write(tmp_path, all_crowds())
    data = noted(tmp_path, r"2 of 2 objects are marked iscrowd=1, as CVAT and datumaro")
    assert (len(data.records[0].objects), len(data.records[0].crowds)) == (2, 0)
    data = load(tmp_path, crowd="keep")
    assert (len(data.records[0].objects), len(data.records[0].crowds)) == (0, 2)
    with pytest.warns(UserWarning, match="crowd='keep'"):
        same = load_coco(tmp_path / "instances.json", tmp_path)
    assert len(same.records[0].objects) == 2
    same = load_coco(tmp_path / "instances.json", tmp_path, crowd="keep")
    assert len(same.records[0].crowds) == 2 and same.notes == []
    with pytest.raises(ValueError, match=r"one of \('auto', 'keep', 'objects'\).*crowd='none'"):
        load_coco(tmp_path / "instances.json", tmp_path, crowd="none")


def test_masks_of_cvat_among_polygons_are_asked_for(tmp_path):
    write(tmp_path, [*all_crowds(), annotation(5)])
    data = noted(tmp_path, r"2 of 3 objects .* not trained on.*crowd='objects'")
    assert [len(data.records[0].objects), len(data.records[0].crowds)] == [1, 2]
    data = load(tmp_path, crowd="objects")
    assert len(data.records[0].objects) == 3 and data.notes == []


def test_cocos_own_crowds_stay_crowds_in_silence(tmp_path):
    write(tmp_path, [*all_crowds(1), *(annotation(k) for k in range(1, 21))])
    data = load(tmp_path)
    assert [len(data.records[0].objects), len(data.records[0].crowds)] == [20, 1]
    assert data.notes == []
    # Boxes alone, such as Open Images' groups: nothing speaks for single objects.
    write(tmp_path, [annotation(segmentation=[], iscrowd=1)])
    assert len(noted(tmp_path, "not trained on").records[0].crowds) == 1


@pytest.mark.parametrize(
    "name",
    [
        *("s3://bucket/photos/a.jpg", "https://x.org/photos/a.jpg?token=1"),
        *("/data/local-files/?d=photos/a.jpg", "data/upload/4/0f3c2d1e-a.jpg"),
        *("..\\..\\label-studio\\media\\upload\\4\\0f3c2d1e-a.jpg", "gone/photos/a%2Ejpg"),
        *("images\\a.jpg", "C:\\x\\photos\\a.jpg", "/home/x/photos/a.jpg"),
    ],
)
def test_label_studios_storage_paths(tmp_path, name):
    write(tmp_path / "photos", [annotation()], file_name=name)
    data = load(tmp_path / "photos")
    assert data.records[0].path == str(tmp_path / "photos" / "a.jpg")


def test_names_that_look_like_addresses_come_first(tmp_path):
    save_picture(tmp_path / "100%25.jpg")
    save_picture(tmp_path / "100%.jpg")
    save_picture(tmp_path / "0f3c2d1e-b.jpg")
    save_picture(tmp_path / "b.jpg")
    for name in ("100%25.jpg", "0f3c2d1e-b.jpg"):
        write(tmp_path, [annotation()], file_name=name)
        assert load(tmp_path).records[0].path == str(tmp_path / name)


def test_label_studios_ids_from_0(tmp_path):
    image = {"id": 0, "file_name": "a.jpg", "height": 60, "width": 80}
    categories = [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}]
    write(
        tmp_path,
        [annotation(0, image_id=0, category_id=0), annotation(1, image_id=0)],
        images=[image],
        categories=categories,
    )
    data = load(tmp_path)
    assert data.category_ids == [0, 1] and data.records[0].image_id == 0
    assert [(o.annotation_id, o.category) for o in data.records[0].objects] == [(0, 0), (1, 1)]


def test_vias_flat_polygons_and_string_ids(tmp_path):
    image = {"id": "0", "file_name": "a.jpg", "height": 60, "width": 80}
    flat = annotation("3", image_id="0", category_id="2", segmentation=SQUARE)
    write(tmp_path, [flat, annotation(4, image_id=0)], images=[image])
    data = load(tmp_path)
    first, second = data.records[0].objects
    assert outline_of(first) == outline_of(second) == [SQUARE]
    assert (first.category, first.annotation_id, data.records[0].image_id) == (1, 3, 0)
    write(tmp_path, [annotation(image_id="a.jpg"), annotation("3"), annotation(3)])
    load(tmp_path, "image_id is no integer (a.jpg)", "its annotation id occurs twice")


def test_boxes_and_keypoints_are_not_dropped(tmp_path):
    categories = [{"id": 1, "name": "cat", "keypoints": ["nose"]}]
    bare = annotation(1)
    del bare["segmentation"]
    points = annotation(3, segmentation=[], keypoints=[12, 13, 2], num_keypoints=1)
    write(tmp_path, [bare, annotation(2, segmentation=[]), points], categories=categories)
    objects = load(tmp_path).records[0].objects
    assert [outline_of(o) for o in objects] == [None] * 3
    np.testing.assert_array_equal(objects[2].keypoints, [[12.5, 13.5, 2]])


def test_lvis_has_addresses_and_negative_categories(tmp_path):
    save_picture(tmp_path / "val2017" / "a.jpg")
    save_picture(tmp_path / "train2017" / "a.jpg")
    image = {"id": 1, "height": 60, "width": 80, "neg_category_ids": [2, 3]}
    image |= {"coco_url": "http://images.cocodataset.org/val2017/a.jpg"}
    image |= {"not_exhaustive_category_ids": [1]}
    write_json(
        tmp_path / "lvis_v1_val.json",
        {
            "images": [image],
            "annotations": [annotation()],
            "categories": [{"id": 1, "name": "cat", "frequency": "r"}],
        },
    )
    pattern = r"each says of 2.0 classes .* and of 1.0 that not all .* package lvis"
    data = noted(tmp_path, pattern)
    assert data.records[0].path == str(tmp_path / "val2017" / "a.jpg")


def test_pictures_are_found_by_the_end_of_their_path_and_never_guessed(tmp_path):
    for place in ("x/one", "x/two", "y"):
        save_picture(tmp_path / place / "b.jpg")
    file = write(tmp_path, [annotation()], file_name="elsewhere/two/b.jpg")
    for data in (load(tmp_path), load_coco(file, tmp_path, on_error="raise")):
        assert data.records[0].path == str(tmp_path / "x" / "two" / "b.jpg")
    image = {"file_name": "a.jpg", "height": 60, "width": 80}
    images = [image | {"id": 1}, image | {"id": 2, "file_name": "three/b.jpg"}]
    file = write(tmp_path, [annotation()], images=images)
    load(tmp_path, "image id 2: several pictures have its name")
    with pytest.warns(UserWarning, match="several pictures have its name"):
        load_coco(file, tmp_path)


def write_panoptic(folder, segments, ids, **changes):
    """A file of one picture, whose ids are encoded as COCO does."""
    save_picture(folder / "val2017" / "a.jpg")
    masks = folder / "annotations" / "panoptic_val2017"
    masks.mkdir(parents=True, exist_ok=True)
    colours = np.stack([ids & 255, ids >> 8 & 255, ids >> 16], -1).astype(np.uint8)
    (masks / "a.png").write_bytes(png_bytes(colours))
    content = {
        "images": [{"id": 9, "file_name": "a.jpg", "height": 60, "width": 80}],
        "annotations": [{"image_id": 9, "file_name": "a.png", "segments_info": segments}],
        "categories": [
            {"id": 1, "name": "cat", "isthing": 1},
            {"id": 5, "name": "dog", "isthing": 1},
            {"id": 200, "name": "sky", "isthing": 0},
        ],
    }
    write_json(folder / "annotations" / "panoptic_val2017.json", content | changes)


def panoptic_ids():
    ids = np.zeros((60, 80), np.int64)
    ids[:10] = 7
    ids[20:30, 20:40] = 1 + 256 * 2 + 65536 * 3
    ids[40:50, 10:15] = 65536 * 200
    return ids


def segment(key, category, **more):
    return {
        "id": key,
        "category_id": category,
        "iscrowd": 0,
        "bbox": [0, 0, 1, 1],
        "area": 1,
    } | more


def test_panoptic_ids_are_colours(tmp_path):
    things = [segment(1 + 256 * 2 + 65536 * 3, 5), segment(65536 * 200, 1, iscrowd=1)]
    write_panoptic(tmp_path, [segment(7, 200), *things], panoptic_ids())
    assert list(FORMATS.that_find(Source(tmp_path))) == ["coco_panoptic"]
    assert dataset_splits(tmp_path) == ["val2017"]
    data = noted(tmp_path, "1 segments are of 1 categories that are no things")
    assert (data.class_names, data.category_ids) == (["cat", "dog"], [1, 5])
    (dog,), (cats,) = data.records[0].objects, data.records[0].crowds
    assert (dog.category, dog.box, dog.area) == (1, (20, 20, 40, 30), 200)
    np.testing.assert_array_equal(drawn(dog), panoptic_ids() == 1 + 256 * 2 + 65536 * 3)
    assert (cats.category, cats.box) == (0, (10, 40, 15, 50))
    assert data.records[0].path == str(tmp_path / "val2017" / "a.jpg")


def test_panoptic_segments_that_cannot_be_used_are_named(tmp_path):
    segments = [segment(7, 1), segment(8, 1), segment(7, 6), "text", segment(7, 1, iscrowd=3)]
    write_panoptic(tmp_path, segments, panoptic_ids())
    load(
        tmp_path,
        "a.png, segment 1: no pixel has its id",
        "a.png, segment 2: unknown category id 6",
        "a.png, segment 3: entry is no JSON object (text)",
        "a.png, segment 4: iscrowd is neither 0 nor 1 (3)",
    )


def test_panoptic_pictures_without_a_mask_are_not_without_objects(tmp_path):
    save_picture(tmp_path / "b.jpg")
    more = {"id": 10, "file_name": "b.jpg", "height": 60, "width": 80}
    images = [more | {"id": 9, "file_name": "a.jpg"}, more]
    entry = {"image_id": 9, "file_name": "a.png", "segments_info": []}

    def write_entries(*entries, ids=None):
        ids = panoptic_ids() if ids is None else ids
        write_panoptic(tmp_path, [], ids, images=images, annotations=entries)

    write_entries(entry)
    assert [r.image_id for r in load(tmp_path, "image id 10: picture has no mask").records] == [9]
    write_entries(entry, entry, {"image_id": 8}, entry | {"image_id": 10, "file_name": "c.png"})
    data = load(
        tmp_path,
        "annotation entry 1: picture has several masks",
        "annotation entry 2: unknown image id 8",
        "annotation entry 3: picture is missing (c.png",
    )
    assert [r.image_id for r in data.records] == [9]
    write_entries(entry, ids=panoptic_ids()[:50])
    with pytest.raises(ValueError, match=r"picture's size \(50 x 80, not 60 x 80\)"):
        load_dataset(tmp_path)


def test_panoptic_files_without_things_are_refused(tmp_path):
    write_panoptic(tmp_path, [], panoptic_ids(), categories=[{"id": 1, "name": "a", "isthing": 0}])
    with pytest.raises(ValueError, match=r"categories that are things. Received: 1, all"):
        load_dataset(tmp_path)
