"""Label Studio's JSON export."""

import numpy as np
import pytest
from format_files import drawn, load, outline_of, save_picture, write_json

from keras_maskrcnn.data import ItemError, load_dataset
from keras_maskrcnn.data.formats.brush import decode_brush


def result(kind, label="pear", number="r", **value):
    size = {"original_width": 80, "original_height": 60, "image_rotation": 0}
    labels = {f"{kind}labels": [label]} if label is not None else {}
    return size | {"id": number, "type": f"{kind}labels", "value": value | labels}


def task(*results, image="/data/upload/1/a.jpg", number=1, **annotation):
    entry = {"id": 5, "was_cancelled": False, "result": list(results)} | annotation
    return {"id": number, "data": {"image": image}, "annotations": [entry], "predictions": []}


def write(folder, *tasks):
    save_picture(folder / "a.jpg")
    return write_json(folder / "export.json", list(tasks))


POLYGON = {"points": [[12.5, 50], [50, 25], [75, 75]]}  # Of 80 x 60: (10, 30), (40, 15), (60, 45).


def test_points_are_percent_of_width_and_height(tmp_path, capsys):
    save_picture(tmp_path / "b.jpg")
    write(tmp_path, task(result("polygon", **POLYGON)), task(image="b.jpg", number=2))
    data = load(tmp_path)
    assert outline_of(data.records[0].objects[0]) == [[10, 30, 40, 15, 60, 45]]
    assert [len(record.objects) for record in data.records] == [1, 0]
    load_dataset(tmp_path)
    assert "Label Studio JSON\n  2 pictures" in capsys.readouterr().out


def test_rectangles_turn_about_their_corner_and_ellipses_about_their_centre(tmp_path):
    box = {"x": 50, "y": 50, "width": 25, "height": 10}
    oval = {"x": 50, "y": 50, "radiusX": 25, "radiusY": 10}
    shapes = [result("rectangle", rotation=r, **box) for r in (0, 90, 30)]
    shapes += [result("ellipse", rotation=r, **oval) for r in (0, 90)]
    write(tmp_path, task(*shapes))
    flat, down, slanted, lying, standing = load(tmp_path).records[0].objects
    assert outline_of(flat) == [[40, 30, 60, 30, 60, 36, 40, 36]]
    np.testing.assert_allclose(down.box, (34, 30, 40, 50), atol=1e-9)
    corner = (40 + 20 * np.cos(np.pi / 6), 30 + 20 * np.sin(np.pi / 6))
    np.testing.assert_allclose(outline_of(slanted)[0][2:4], corner)
    np.testing.assert_allclose(lying.box, (20, 24, 60, 36), atol=0.05)
    np.testing.assert_allclose(standing.box, (34, 10, 46, 50), atol=0.05)


def encode_brush(alpha, runs=True, word=8):
    """The code as it is described, written plainly: a text of zeros and ones."""
    values = np.repeat(alpha.ravel(), 4).tolist()
    lengths = (3, 5, 9, 16)
    text = f"{len(values):032b}{word - 1:05b}" + "".join(f"{n - 1:04b}" for n in lengths)
    at = 0
    while at < len(values):
        end = at + 1
        while end < len(values) and values[end] == values[at] and runs:
            end += 1
        end = min(end, at + 65_536) if runs else min(at + 7, len(values))
        count = end - at - 1
        which = next(k for k, n in enumerate(lengths) if count < 1 << n)
        chosen = values[at : at + 1] if runs else values[at:end]
        text += f"{int(runs)}{which:02b}{count:0{lengths[which]}b}"
        text += "".join(f"{value:0{word}b}" for value in chosen)
        at = end
    text += "0" * (-len(text) % 8)
    return [int(text[k : k + 8], 2) for k in range(0, len(text), 8)]


@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.parametrize("word", [8, 10])
def test_the_code_of_the_brush_is_its_own(tmp_path, runs, word):
    rng = np.random.default_rng(0)
    alpha = np.zeros((60, 80), np.uint8)
    alpha[10:20, 30:60] = 255
    alpha[40:44, 5:9] = rng.integers(0, 256, (4, 4))
    code = encode_brush(alpha, runs, word)
    write(tmp_path, task(result("brush", format="rle", rle=code)))
    (pear,) = load(tmp_path).records[0].objects
    np.testing.assert_array_equal(drawn(pear), alpha >= 128)


def test_a_code_worked_by_hand():
    # 4 values of 8 bits; lengths 1, 1, 1 and 1; a run of two zeros, then 7 and 200 as they are.
    text = f"{4:032b}00111" + "0000" * 4 + "1001" + "00000000" + "0001" + "00000111" + "11001000"
    text += "0" * (-len(text) % 8)
    code = [int(text[k : k + 8], 2) for k in range(0, len(text), 8)]
    np.testing.assert_array_equal(decode_brush(code, 1, 1), [[True]])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda code: code[:-3], "rle is cut off"),
        (lambda code: code[:3], "rle is cut off"),
        (lambda code: [], "rle is cut off"),
        (lambda code: [255] * 4 + code[4:], "rle is not of its picture's size (4294967295 values"),
        (lambda code: [*code[:-1], 256], "rle is no list of bytes"),
        (lambda code: [*code[:-1], "0"], "rle is no list of integers"),
        (lambda code: "text", "rle is no list of integers"),
    ],
)
def test_damaged_codes(change, reason):
    code = encode_brush(np.full((6, 8), 255, np.uint8))
    with pytest.raises(ItemError) as error:
        decode_brush(change(code), 6, 8)
    assert reason in str(error.value) + error.value.details


def test_a_code_of_too_many_values():
    code = encode_brush(np.full((6, 9), 255, np.uint8))
    code[3] = 6 * 8 * 4
    with pytest.raises(ItemError, match="rle has too many values"):
        decode_brush(code, 6, 8)


@pytest.mark.parametrize(
    "image",
    [
        "/data/upload/3/0a1b2c3d-a.jpg",
        "s3://bucket/sub/photos/a.jpg",
        "/data/local-files/?d=photos%2Fa.jpg",
        "https://example.com/photos/a.jpg?token=1",
        "gs://bucket/with%20space/a.jpg",
    ],
)
def test_paths_of_storages_and_uploads(tmp_path, image):
    write(tmp_path, task(result("polygon", **POLYGON), image=image))
    assert load(tmp_path).records[0].path == str(tmp_path / "a.jpg")


def test_an_upload_whose_name_is_like_a_prefix_is_found_as_it_is(tmp_path):
    save_picture(tmp_path / "0a1b2c3d-a.jpg")
    write(tmp_path, task(result("polygon", **POLYGON), image="/data/upload/3/0a1b2c3d-a.jpg"))
    assert load(tmp_path).records[0].path == str(tmp_path / "0a1b2c3d-a.jpg")


def test_labels_that_stand_apart_from_their_shape(tmp_path):
    shape = result("polygon", None, "x", **POLYGON) | {"type": "polygon"}
    label = result("polygon", None, "x", **POLYGON, labels=["fig"]) | {"type": "labels"}
    choice = {"id": "c", "type": "choices", "value": {"choices": ["blurred"]}}
    write(tmp_path, task(shape, label, choice))
    data = load(tmp_path)
    assert (data.class_names, len(data.records[0].objects)) == (["fig"], 1)


def test_one_annotation_counts(tmp_path):
    good = task(result("polygon", **POLYGON))
    cancelled = {"was_cancelled": True, "result": [result("polygon", "fig", **POLYGON)]}
    good["annotations"].append(cancelled)
    save_picture(tmp_path / "b.jpg")
    truth = task(result("polygon", "fig", **POLYGON), image="b.jpg", number=2)
    truth["annotations"].append(truth["annotations"][0] | {"ground_truth": True})
    several = task(number=3)
    several["annotations"] *= 2
    none = task(number=4) | {"annotations": []}
    write(tmp_path, good, truth, several, none)
    data = load(
        tmp_path,
        "task 3: task has not one annotation (2)",
        "task 4: task has not one annotation (0)",
    )
    assert data.class_names == ["fig", "pear"]


def test_turned_pictures(tmp_path):
    """Trap of `formats.md` (issue 6608): the size of a photograph may be written unturned, so that
    a check of sizes passes, while the points are parts of the upright picture."""
    save_picture(tmp_path / "b.jpg", orientation=6)
    save_picture(tmp_path / "c.jpg")
    rotated = result("polygon", **POLYGON) | {"image_rotation": 90}
    write(
        tmp_path,
        task(result("polygon", **POLYGON)),
        task(result("polygon", **POLYGON), image="b.jpg", number=2),
        task(rotated, image="c.jpg", number=3),
    )
    data = load(
        tmp_path,
        "task 3: picture was turned while it was annotated (90 degrees)",
    )
    plain, turned = data.records
    assert (turned.height, turned.width) == (80, 60)
    scale = np.array([60 / 80, 80 / 60] * 2)
    np.testing.assert_allclose(turned.instances[0].box, plain.instances[0].box * scale)


def test_what_cannot_be_used_is_named(tmp_path):
    bad = [
        result("keypoint", x=1, y=1, width=1),
        result("polygon", ["a", "b"], **POLYGON) | {"value": {**POLYGON, "labels": ["a", "b"]}},
        result("polygon", None, **POLYGON),
        result("polygon", points=[[1, 2, 3]]),
        result("rectangle", x=1, y=1, width="2", height=2),
        result("ellipse", x=1, y=1, radiusX=0, radiusY=2),
        result("brush", rle=[1, 2]),
        result("bitmask", imageDataURL="data:"),
        result("polygon") | {"value": 3},
    ]
    for number, entry in enumerate(bad):
        entry["id"] = str(number)
    save_picture(tmp_path / "b.jpg")
    size = result("polygon", **POLYGON) | {"original_height": 61}
    write(
        tmp_path,
        task(result("polygon", **POLYGON), *bad),
        task(size, image="b.jpg", number=2),
        task(size, result("polygon", **POLYGON), image="b.jpg", number=3),
        task(image="gone.jpg", number=4),
        task(image="text", number=5),
        "text",
    )
    data = load(
        tmp_path,
        "task 1, result 1: shape is no region",
        "result 2: object has several classes (['a', 'b'])",
        "result 3: object has no class (None)",
        "result 4: points is no list of pairs of numbers",
        "result 5: rectangle is not a list of finite numbers",
        "result 6: radius is not positive",
        "result 7: rle is cut off",
        "result 8: shape is no region",
        "result 9: entry is no JSON object (3)",
        "task 2: annotated height and width are not the picture's (61 x 80",
        "task 3: annotations give their picture several sizes",
        "task 4: picture is missing (data/upload/gone.jpg"
        if False
        else "task 4: picture is missing",
        "task 5: task has not one picture ({'image': 'text'})",
        "task 5: entry is no JSON object (text)",
    )
    assert len(data.records[0].objects) == 1
