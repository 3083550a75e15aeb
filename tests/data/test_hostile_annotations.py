"""Annotation files that nobody vouches for: each item is read, or left out by name."""

import copy
import json
import os
import sys
import warnings

import numpy as np
import pytest

from keras_maskrcnn.data import load_coco
from keras_maskrcnn.data.picture_files import MAX_PIXELS, MAX_PIXELS_IN_PARTS

SQUARE = [[1, 1, 4, 1, 4, 5, 1, 5]]
HUGE = 10**400
DEEP = [[[[[[[[[[1]]]]]]]]]]
NAMES = ["nose", "tail"]


def deep(levels):
    return "[" * levels + "]" * levels


def write(folder, images=None, annotations=(), categories=None):
    """A data set of one empty picture file, which nothing may open."""
    (folder / "a.jpg").touch()
    if images is None:
        images = [image()]
    if categories is None:
        categories = [{"id": 9, "name": "cat", "keypoints": NAMES}]
    content = {"images": images, "annotations": list(annotations), "categories": categories}
    file = folder / "instances.json"
    file.write_text(json.dumps(content))
    return file


def image(**changes):
    return {"id": 7, "file_name": "a.jpg", "height": 6, "width": 8} | changes


def annotation(number=1, **changes):
    entry = {"id": number, "image_id": 7, "category_id": 9, "iscrowd": 0, "area": 12}
    entry |= {"bbox": [1, 1, 3, 4], "segmentation": SQUARE}
    return entry | changes


def rle(counts, size=(6, 8)):
    return {"size": list(size), "counts": counts}


def load(file, folder):
    """Also makes sure that what is not wrong is read, and that messages stay readable."""
    with pytest.warns(UserWarning, match="left out 1 items") as caught:
        data = load_coco(file, folder)
    assert len(caught) == 1
    (line,) = data.warnings
    assert len(line) < 400 and line.isprintable()
    with pytest.raises(ValueError, match=r"instances\.json: left out 1 items"):
        load_coco(file, folder, on_error="raise")
    return data, line


BAD_ANNOTATIONS = {
    # Ids
    "id too large": (annotation(2**63), "id is beyond 64 bits"),
    "id too small": (annotation(-(2**63) - 1), "id is beyond 64 bits"),
    "id of 400 digits": (annotation(HUGE), "id is beyond 64 bits"),
    "id true": (annotation(True), "id is no integer (True)"),
    "id null": (annotation(None), "id is no integer (None)"),
    "id text": (annotation("1x"), "id is no integer (1x)"),
    "id unhashable": (annotation([1]), "id is no integer ([1])"),
    "id deep": (annotation(DEEP), "id is no integer ([[["),
    "id fraction": (annotation(1.5), "id is no integer (1.5)"),
    "id infinite": (annotation(float("inf")), "id is no integer (inf)"),
    "image id unhashable": (annotation(image_id={}), "image_id is no integer ({})"),
    "image id true": (annotation(image_id=True), "image_id is no integer (True)"),
    "image id of 400 digits": (annotation(image_id=HUGE), "image_id is beyond 64 bits"),
    "category id unhashable": (annotation(category_id=[9]), "category_id is no integer ([9])"),
    "category id text": (annotation(category_id="-9"), "category_id is no integer (-9)"),
    # Crowds
    **{
        f"crowd {value!r}": (annotation(iscrowd=value), f"iscrowd is neither 0 nor 1 ({value})")
        for value in ("0", "false", "", 2, -1, 0.5, None, True, False, [], [0])
    },
    # Areas
    **{
        f"area {value!r}"[:40]: (annotation(area=value), "area is no number from 0 to 1e10")
        for value in ("12", None, True, [12], -1, 1e11, HUGE, float("nan"), float("inf"))
    },
    # Boxes
    **{
        f"box {value!r}"[:60]: (annotation(bbox=value), "bbox is not four finite numbers")
        for value in (
            "1134",
            {"1": 1, "2": 2, "3": 3, "4": 4},
            ["1", "1", "3", "4"],
            [True, True, 3, 4],
            [1, 1, HUGE, 4],
            [1, 1, float("inf"), 4],
            [[1, 1, 3, 4]],
            7,
        )
    },
    "box without float32 width": (annotation(bbox=[1, 1, 1e-9, 4]), "too thin for float32"),
    "box without float32 height": (annotation(bbox=[1, 1, 3, 1e-30]), "too thin for float32"),
    "box of a sliver inside": (annotation(bbox=[-3, 1, 3.0000001, 4]), "too thin for float32"),
    # Polygons
    "polygon of 1e30": (
        annotation(segmentation=[[1, 1, 1e30, 1, 1e30, 1e30]]),
        "polygon is longer than 2000000 pixels",
    ),
    "polygon far outside": (
        annotation(segmentation=[[1, 1, 4, 1, 4, 5, -1_100_000, 5]]),
        "polygon is longer than 2000000 pixels",
    ),
    "polygon of 400 digits": (
        annotation(segmentation=[[1, 1, HUGE, 1, 4, 5]]),
        "polygon is not made of finite numbers",
    ),
    "polygon of 400 digits that cancel": (
        annotation(segmentation=[[1, 1, HUGE, 1, -HUGE, 5]]),
        "polygon is longer than 2000000 pixels",
    ),
    "polygon to and fro": (
        annotation(segmentation=[[1, 1, 1000, 5] * 1100]),
        "polygon is longer than 2000000 pixels",
    ),
    "polygon with bool": (
        annotation(segmentation=[[True, 1, 4, 1, 4, 5]]),
        "polygon is not a list of numbers",
    ),
    "polygon of polygons": (annotation(segmentation=[SQUARE]), "polygon is not a list of numbers"),
    # Run lengths
    "rle overflow": (annotation(segmentation=rle([2**62] * 4 + [20, 28])), "do not add up"),
    "rle of 400 digits": (annotation(segmentation=rle([HUGE, 48])), "cannot be decoded"),
    "rle negative": (annotation(segmentation=rle([-20, 40, 28])), "do not add up"),
    "rle long string": (annotation(segmentation=rle("1" * 1000)), "has more runs than"),
    "rle long number": (annotation(segmentation=rle("o" * 20 + "1")), "cannot be decoded"),
    "rle cut string": (annotation(segmentation=rle("6<n")), "cannot be decoded"),
    "rle lone surrogate": (annotation(segmentation=rle("\ud800")), "cannot be decoded"),
    **{
        f"rle {value!r}"[:40]: (
            annotation(segmentation=rle(value)),
            "RLE counts are neither a list of integers nor a string",
        )
        for value in (None, 48, {}, [6.0, 12, 30], ["6", "12", "30"], [[6], [12], [30]], [True])
    },
    "rle size": (annotation(segmentation=rle([6, 12, 30], "68")), "RLE size disagrees"),
    "rle size deep": (annotation(segmentation=rle([6, 12, 30], [DEEP, 8])), "RLE size disagrees"),
    # Keypoints
    **{
        f"keypoints {value!r}"[:60]: (
            annotation(keypoints=value),
            "keypoints are not 2 triples of finite numbers",
        )
        for value in (
            ["1", "1", "2", "3", "4", "2"],
            [1, 1, True, 3, 4, 2],
            [1, 1, 2, HUGE, 4, 2],
            [1, 1, 2, float("nan"), 4, 2],
            [[1, 1, 2], [3, 4, 2]],
            "112342",
            {"nose": [1, 1, 2]},
        )
    },
    "keypoints far outside": (annotation(keypoints=[1, 1, 2, 1e30, 4, 2]), "far outside"),
    "keypoints seen by half": (annotation(keypoints=[1, 1, 2, 3, 4, 0.5]), "visibility 0, 1 or 2"),
    # Entries
    "entry null": (None, "entry is no JSON object (None)"),
    "entry deep": (DEEP, "entry is no JSON object ([[["),
}


@pytest.mark.parametrize(("bad", "reason"), BAD_ANNOTATIONS.values(), ids=BAD_ANNOTATIONS)
def test_bad_annotations(tmp_path, bad, reason):
    data, line = load(write(tmp_path, annotations=[bad, annotation(2)]), tmp_path)
    assert reason in line
    assert line.startswith("annotation id " if isinstance(bad, dict) else "annotation entry 0: ")
    assert [instance.annotation_id for instance in data.records[0].instances] == [2]


def test_numbers_of_thousands_of_digits(tmp_path):
    # More digits than Python converts; the file is read all the same.
    bad = [annotation(1, bbox=[1, 1, "DIGITS", 4]), annotation(2, area="DIGITS"), annotation(3)]
    file = write(tmp_path, annotations=[*bad, annotation("DIGITS")])
    file.write_text(file.read_text().replace('"DIGITS"', "9" * (sys.get_int_max_str_digits() + 1)))
    with pytest.warns(UserWarning, match="left out 3 items"):
        data = load_coco(file, tmp_path)
    assert [instance.annotation_id for instance in data.records[0].instances] == [3]


def test_a_key_that_stands_twice(tmp_path):
    file = write(tmp_path, annotations=[annotation(1), annotation(2, bbox="TWICE"), annotation(3)])
    text = file.read_text()
    file.write_text(text.replace('"bbox": "TWICE"', '"bbox": [1, 1, 3, 4], "bbox": [0, 0, 2, 2]'))
    data, line = load(file, tmp_path)
    assert line == "annotation id 2 (image id 7): a key stands more than once (['bbox'])"
    assert [instance.annotation_id for instance in data.records[0].instances] == [1, 3]
    file.write_text(text.replace('"bbox": "TWICE"', '"segmentation": {"size": 1, "size": 2}'))
    assert "a key stands more than once" in load(file, tmp_path)[1]
    for key in ("images", "other"):
        file.write_text(f'{{"images": [], "other": 1, "{key}": 2}}')
        with pytest.raises(ValueError, match=rf"instances\.json: .*each key once.*\['{key}'\]"):
            load_coco(file, tmp_path)


def test_deep_nesting(tmp_path):
    file = write(tmp_path, annotations=[annotation(1, segmentation="DEEP"), annotation(2)])
    text = file.read_text()
    file.write_text(text.replace('"DEEP"', deep(100_000)))
    with pytest.raises(ValueError, match=r"instances\.json: .*a few levels deep"):
        load_coco(file, tmp_path)
    # As deep as the reader goes: the item is named, in a few words.
    file.write_text(text.replace('"DEEP"', deep(900)))
    data, line = load(file, tmp_path)
    assert "annotation id 1" in line and len(data.records[0].instances) == 1
    file.write_text(text.replace('"id": 2', f'"id": {deep(900)}'))
    with pytest.warns(UserWarning, match="left out 2 items"):
        load_coco(file, tmp_path)


BAD_IMAGES = {
    "id true": (image(id=True), "image entry 1: id is no integer (True)"),
    "id unhashable": (image(id={}), "image entry 1: id is no integer ({})"),
    "id too large": (image(id=2**63), "image entry 1: id is beyond 64 bits"),
    "id missing": ({"file_name": "a.jpg"}, "image entry 1: id is missing"),
    "entry": (3, "image entry 1: entry is no JSON object (3)"),
    "width text": (image(id=1, width="8"), "image id 1: width is no integer (8)"),
    "width true": (image(id=1, width=True), "image id 1: width is no integer (True)"),
    "height huge": (image(id=1, height=HUGE), "image id 1: height is beyond 64 bits"),
    "height negative": (image(id=1, height=-6), "image id 1: height or width is not positive"),
    "size": (image(id=1, width=10**9), f"image id 1: picture has more than {MAX_PIXELS} pixels"),
    "size in parts": (
        image(id=1, width=10**9, file_name="a.tif"),
        f"image id 1: picture has more than {MAX_PIXELS_IN_PARTS} pixels",
    ),
    "size of a whole slide": (
        image(id=1, width=10**9, file_name="a.SVS"),
        f"image id 1: picture has more than {MAX_PIXELS_IN_PARTS} pixels",
    ),
    "name null": (image(id=1, file_name=None), "image id 1: file_name is no path (None)"),
    "name list": (image(id=1, file_name=["a.jpg"]), "file_name is no path"),
    "name empty": (image(id=1, file_name=""), "file_name is no path"),
    "name dot": (image(id=1, file_name="."), "file_name is no path"),
    "name null byte": (image(id=1, file_name="a.jpg\0"), "file_name is no path"),
    "name lone surrogate": (image(id=1, file_name="a\ud800.jpg"), "file_name is no path"),
    "name long": (image(id=1, file_name="a" * 300), "picture is missing"),
    "name very long": (image(id=1, file_name="a/" * 10**6), "file_name is no path"),
    "name in a file": (image(id=1, file_name="a.jpg/b.jpg"), "picture is missing"),
}


@pytest.mark.parametrize(("bad", "reason"), BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_bad_images(tmp_path, bad, reason):
    entries = [annotation(1), annotation(2, image_id=1)]
    file = write(tmp_path, [image(), bad], entries if "image id 1" in reason else entries[:1])
    data, line = load(file, tmp_path)
    assert reason in line
    assert ("with it its 1 annotations" in line) == ("image id 1" in reason)
    assert [record.image_id for record in data.records] == [7]
    assert len(data.records[0].instances) == 1


def test_ids_that_are_written_with_a_point(tmp_path):
    file = write(
        tmp_path, [image(id=7.0, height=6.0)], [annotation(1.0, image_id=7.0, category_id=9.0)]
    )
    (record,) = load_coco(file, tmp_path, on_error="raise").records
    assert (record.image_id, record.height, record.objects[0].annotation_id) == (7, 6, 1)
    assert type(record.image_id) is type(record.height) is int


@pytest.fixture
def pictures(tmp_path):
    """A picture folder with links, beside what must not be reached."""
    folder, outside = tmp_path / "pictures", tmp_path / "outside"
    for place in (folder / "sub", outside):
        place.mkdir(parents=True)
        (place / "b.jpg").touch()
    (folder / "inside.jpg").symlink_to(folder / "sub" / "b.jpg")
    (folder / "again").symlink_to(folder / "sub")
    (folder / "out.jpg").symlink_to(outside / "b.jpg")
    (folder / "out").symlink_to(outside)
    (folder / "zero.jpg").symlink_to("/dev/zero")
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    return folder


OUT = "file_name leads out of the picture folder"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/dev/zero", OUT),
        ("../outside/b.jpg", OUT),
        ("sub/../a.jpg", OUT),
        ("sub/..", OUT),
        ("out.jpg", OUT),
        ("out/b.jpg", OUT),
        ("zero.jpg", OUT),
        ("gone.jpg", "picture is missing"),
        ("loop.jpg", "picture is missing"),
        ("pipe.jpg", "picture is no regular file"),
        ("folder.jpg", "picture is no regular file"),
        ("sub", "picture is no regular file"),
    ],
)
def test_names_that_lead_elsewhere(pictures, name, reason):
    file = write(pictures, [image(), image(id=1, file_name=name)])
    data, line = load(file, pictures)
    assert line.startswith(f"image id 1: {reason} (") and name in line
    assert [record.path for record in data.records] == [str(pictures / "a.jpg")]


def test_an_absolute_name_is_refused_also_in_the_folder(pictures):
    file = write(pictures, [image(), image(id=1, file_name=str(pictures / "sub" / "b.jpg"))])
    assert OUT in load(file, pictures)[1]


def test_links_within_the_folder(pictures, tmp_path):
    names = ["inside.jpg", "again/b.jpg", "./sub/b.jpg"]
    images = [image(id=number, file_name=name) for number, name in enumerate(names)]
    file = write(pictures, images)
    (tmp_path / "link").symlink_to(pictures)  # The folder itself may be reached by a link.
    for folder in (pictures, tmp_path / "link"):
        data = load_coco(file, folder, on_error="raise")
        assert [record.path for record in data.records] == [str(folder / name) for name in names]


BAD_CATEGORIES = {
    "id true": ([{"id": True, "name": "a"}], "id is no integer"),
    "id huge": ([{"id": HUGE, "name": "a"}], "id is beyond 64 bits"),
    "id missing": ([{"name": "a"}], "id is missing"),
    "entry": (["cat"], "no JSON object"),
    "name number": ([{"id": 9, "name": 3}], "a text as name.*'id': 9"),
    "name missing": ([{"id": 9}], "a text as name.*'id': 9"),
    "name deep": ([{"id": 9, "name": DEEP}], "a text as name.*'id': 9"),
    "name twice": (
        [{"id": 9, "name": "cat"}, {"id": 8, "name": "cat"}],
        "1 category names occur more than once: cat",
    ),
    "keypoints text": ([{"id": 9, "name": "a", "keypoints": "nose"}], "category id 9.*list of nam"),
    "keypoints deep": ([{"id": 9, "name": "a", "keypoints": DEEP}], "category id 9.*list of names"),
    "keypoints twice": (
        [{"id": 9, "name": "a", "keypoints": ["nose", "nose"]}],
        "1 keypoint names of category id 9 occur more than once: nose",
    ),
}


@pytest.mark.parametrize(("bad", "words"), BAD_CATEGORIES.values(), ids=BAD_CATEGORIES)
def test_bad_categories(tmp_path, bad, words):
    with pytest.raises(ValueError, match=rf"instances\.json: .*{words}") as error:
        load_coco(write(tmp_path, annotations=[annotation()], categories=bad), tmp_path)
    assert len(str(error.value)) < 600


def test_messages_stay_short(tmp_path):
    long = "x" * 200_000
    images = [image(), image(id=1, file_name=long), image(id=2, file_name="no\nsuch.jpg")]
    bad = [annotation(1, iscrowd=long), annotation(2, id=[long] * 50), annotation(long)]
    with pytest.warns(UserWarning) as caught:
        data = load_coco(write(tmp_path, images, bad), tmp_path)
    assert len(data.warnings) == 5
    assert all(len(line) < 500 and line.isprintable() for line in data.warnings)
    assert len(str(caught[0].message)) < 3000


def test_mutated_files(tmp_path):
    """Random values in random places: nothing stops the load, and nothing is lost in silence."""
    values = [
        *(None, True, False, 0, 1, -1, 2**31, 2**63, HUGE, 1e30, 1e-30, float("nan")),
        *(float("inf"), "", "0", "\ud800", "../a.jpg", "/dev/zero", [], [[]], {}, DEEP, [1] * 6),
        *([True] * 4, ["1"] * 4, rle([HUGE]), rle("o" * 30), {"size": None, "counts": []}),
    ]
    rng = np.random.default_rng(0)
    for _ in range(600):
        entries = [annotation(0), annotation(1, segmentation=rle([6, 12, 30]))]
        entries.append(annotation(2, keypoints=[1, 1, 2, 3, 4, 1]))
        entries, images = copy.deepcopy(entries), [image(), image(id=8)]
        part = (entries, images)[int(rng.integers(2))]
        entry = part[int(rng.integers(len(part)))]
        key = sorted(entry)[int(rng.integers(len(entry)))]
        value = values[int(rng.integers(len(values)))]
        if isinstance(entry[key], list) and rng.random() < 0.5:
            entry[key][int(rng.integers(len(entry[key])))] = value
        else:
            entry[key] = value
        file = write(tmp_path, images, entries)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            data = load_coco(file, tmp_path, on_error="warn")
        instances = [i for record in data.records for i in record.instances]
        lost = len(entries) - len(instances)
        named = {line.split(" (image")[0] for line in data.warnings if line.startswith("annot")}
        with_picture = sum("with it" in line for line in data.warnings)
        assert lost <= len(named) + 3 * with_picture, (key, value, data.warnings)
        for instance in instances:
            low, high = np.float32(instance.box[:2]), np.float32(instance.box[2:])
            assert (high > low).all() and np.isfinite(instance.area)
