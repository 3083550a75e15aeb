"""The two files: numbers by hand, and a page that any text may stand in."""

import base64
import dataclasses
import inspect
import io
import json
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from doctor_data import data_of, examined, pixels, record, save, sound, thing
from PIL import Image

import keras_maskrcnn
from keras_maskrcnn.data import DetectionData
from keras_maskrcnn.doctor import Kind, Severity, case, check, examining, validate
from keras_maskrcnn.doctor.report import known_kinds
from keras_maskrcnn.doctor.thumbnails import thumbnail
from keras_maskrcnn.images.input_size import InputSize
from keras_maskrcnn.outlines import Bitmap
from keras_maskrcnn.parts import setting_names

HOSTILE = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;"


class Tags(HTMLParser):
    """Tags with their attributes, and all text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_numbers_of_the_json(tmp_path):
    dark = np.full((60, 80, 3), 10, np.uint8)
    dark[:, 40:] = 30
    paths = [save(tmp_path / f"{k}.png", dark + np.uint8(100 * k)) for k in range(2)]
    things = [
        thing(1, (0, 0, 32, 32)),
        thing(2, (40, 0, 56, 32), category=1, outline=None),
        thing(3, (0, 40, 10, 50), is_crowd=True),
    ]
    data = data_of([record(1, paths[0], things), record(2, paths[1])], ["cat", "dog"])
    data.warnings = ["annotation id 9: box has no area"]
    examined(data).save(tmp_path / "out")
    content = json.loads((tmp_path / "out" / "report.json").read_text())
    assert content["makes_sense"] is True
    assert content["splits"] == {
        "data": {
            "pictures": 2,
            "readable_pictures": 2,
            "pictures_without_objects": 1,
            "objects": 2,
            "crowd_regions": 1,
            "objects_with_a_box_only": 1,
            "items_left_out": 1,
        }
    }
    assert content["classes"] == {"cat": {"data": 1}, "dog": {"data": 1}}
    assert content["input_size"] == {"min_size": 60, "max_size": 1000}
    bars = content["histograms"]
    # Roots of 32 x 32 and 16 x 32: 32 belongs to the bar that ends there, and so does 22.6.
    assert bars["object_sizes"]["upper"] == [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
    assert bars["object_sizes"]["counts"] == [0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0]
    assert bars["object_ratios"]["upper"][4:7] == [1, 1.41, 2]
    assert bars["object_ratios"]["counts"] == [0, 0, 0, 0, 1, 0, 1, 0, 0, 0]
    assert bars["objects_per_picture"]["counts"] == [1, 0, 1, 0, 0, 0, 0, 0, 0]
    assert bars["brightness"]["counts"] == [1, 0, 0, 1, 0, 0, 0, 0]
    # Half 10, half 30, and both 100 lighter: 10, 30, 110, 130 are 70 +- sqrt(2600).
    assert content["pixels"]["mean"] == pytest.approx([70, 70, 70])
    assert content["pixels"]["std"] == pytest.approx([2600**0.5] * 3)
    assert content["pixels"]["grey_pictures"] == 2
    assert content["anchors"]["mean_best_iou"] == pytest.approx(0.75)
    counts = {"boxes_only": 1, "left_out": 1, "class_with_few_objects": 2, "low_contrast": 2}
    assert content["counts"] == counts
    (boxes,) = [f for f in content["findings"] if f["kind"] == "boxes_only"]
    assert boxes == {
        "kind": "boxes_only",
        "severity": "warning",
        "words": "1 of 2 objects have a box only",
        "pictures": [{"split": "data", "image_id": 1, "path": str(paths[0])}],
        "annotation_ids": [2],
        "numbers": {"objects": 1},
        "fix": "",
    }


def test_empty_data_have_a_page(tmp_path):
    report = validate(DetectionData([], [], []), verbose=False)
    report.save(tmp_path)
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["makes_sense"] is False and content["pixels"]["mean"] is None
    assert content["anchors"]["mean_best_iou"] is None
    assert "Training makes no sense" in (tmp_path / "report.html").read_text()


def test_hostile_names_stay_text(tmp_path):
    """As class, split, path and warning; a name that is no UTF-8 is written all the same."""
    path = save(tmp_path / "x'><b onload=a>.png", pixels(1))
    tiny = thing(1, (10, 10, 42, 11))
    data = data_of([record(1, path, [tiny]), record(2, f"no\udcff{HOSTILE}", [tiny])], [HOSTILE])
    data.warnings = [HOSTILE]
    examined({HOSTILE: data}).save(tmp_path / "out")
    text = (tmp_path / "out" / "report.html").read_bytes().decode("utf-8")
    page = Tags(text)
    assert not {"script", "iframe", "link"} & {tag for tag, _ in page.tags}
    assert not [a for _, attrs in page.tags for a in attrs if a.startswith("on")]
    sources = [attrs["src"] for tag, attrs in page.tags if tag == "img"]
    assert sources and all(s.startswith("data:image/jpeg;base64,") for s in sources)
    assert all(attrs.get("href", "#").startswith("#") for _, attrs in page.tags)
    assert page.text.count(HOSTILE) >= 5 and str(path) in page.text
    assert "http://" not in text and "https://" not in text
    json.loads((tmp_path / "out" / "report.json").read_bytes())


def test_page_shows_some_and_counts_the_rest(tmp_path):
    things = [thing(k, (5 * k, 10, 5 * k + 4, 11)) for k in range(15)]
    path = save(tmp_path / "x.png", pixels(1))
    examined(data_of([*sound(tmp_path), record(77, path, things)])).save(tmp_path / "out")
    text = (tmp_path / "out" / "report.html").read_text()
    assert text.count("is 4.0 x 1.0 pixels") == 12
    assert "<p>and 3 more: see report.json</p>" in text
    assert len(json.loads((tmp_path / "out" / "report.json").read_text())["findings"]) > 15


def opened(address):
    return np.array(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))), int)


def is_red(image):
    """Near to the first colour of the palette, (255, 86, 70), as a JPEG keeps it."""
    return np.abs(image - (255, 86, 70)).max(axis=-1) < 60


def test_thumbnail_shows_the_outline_where_it_is():
    blue = np.zeros((100, 200, 3), np.uint8)
    blue[..., 2] = 255
    image = opened(thumbnail(blue, [thing(1, (20, 20, 80, 80))], near=False))
    assert image.shape == (150, 300, 3)  # Times 1.5.
    red = np.argwhere(is_red(image))
    np.testing.assert_allclose(red.min(axis=0), [30, 30], atol=3)
    np.testing.assert_allclose(red.max(axis=0), [120, 120], atol=3)
    assert not is_red(image)[60:90, 60:90].any()
    bits = Bitmap(np.ones((60, 60), bool), 20, 20)
    filled = opened(thumbnail(blue, [thing(1, (20, 20, 80, 80), outline=bits)], near=False))
    assert (filled[75, 75] - image[75, 75])[0] > 80


def test_thumbnail_of_a_small_object_is_near_it():
    blue = np.zeros((1000, 1000, 3), np.uint8)
    image = opened(thumbnail(blue, [thing(1, (500, 500, 510, 510))], near=True))
    # 24 pixels around 10: 58 pixels are shown in 300.
    red = np.argwhere(is_red(image))
    np.testing.assert_allclose(red.min(axis=0), [300 * 24 / 58] * 2, atol=3)
    np.testing.assert_allclose(red.max(axis=0), [300 * 34 / 58] * 2, atol=3)


@pytest.mark.parametrize("box", [(190, 10, 240, 60), (-5000, -20, 3, 5000), (500, 500, 600, 600)])
def test_thumbnail_of_what_leaves_the_picture(box):
    image = opened(thumbnail(np.zeros((100, 200, 3), np.uint8), [thing(1, box)], near=True))
    assert max(image.shape) == 300 and (image.min(axis=-1) > 200).any()  # Beyond the picture.


def test_sizes_and_anchors_of_a_model(tmp_path):
    layer = SimpleNamespace(sizes=((16,), (24, 48)), ratios=(1,))
    network = SimpleNamespace(rpn=SimpleNamespace(anchors=layer))
    data = data_of(sound(tmp_path))
    size = InputSize(120, 500)
    model = SimpleNamespace(network=network, input_size=size, pixels=data.pixels)
    report = validate(data, model=model, verbose=False)
    assert report.anchors["anchor_sizes"] == [16, 24, 48]
    assert report.anchors["anchor_ratios"] == [1]
    assert report.input_size == {"min_size": 120, "max_size": 500}
    assert report.histograms["object_sizes"].counts[5] == 10  # 32 pixels are 64.
    report = validate(data, model=model, input_size=InputSize(30, 90), verbose=False)
    assert report.input_size == {"min_size": 30, "max_size": 90}


def test_a_real_model_has_what_is_asked_of_it(tmp_path):
    from helpers import tiny_model

    model = tiny_model()
    report = validate(data_of(sound(tmp_path)), model=model, verbose=False)
    sizes = [s for level in model.network.rpn.anchors.sizes for s in level]
    assert report.anchors["anchor_sizes"] == sizes
    assert report.input_size["min_size"] == model.input_size.min_size


def test_default_anchors_are_those_of_the_model():
    from keras_maskrcnn.heads.rpn import RPN

    ratios = inspect.signature(RPN).parameters["anchor_ratios"].default
    assert ratios == examining._ANCHOR_RATIOS
    assert tuple(8.0 * stride for stride in (4, 8, 16, 32, 64)) == examining._ANCHOR_SIZES


def test_settings_that_advice_names_are_there():
    from keras_maskrcnn.heads import RPN, Box

    text = " ".join(kind.advice for kind in known_kinds().values())
    named = re.findall(r"\b(box|rpn)\.(\w+)", text)
    known = {"box": setting_names(Box), "rpn": setting_names(RPN)}
    assert ("box", "max_detections") in named
    assert [pair for pair in named if pair[1] not in known[pair[0]]] == []


def test_progress_is_told_on_standard_error(tmp_path, capsys):
    validate(data_of(sound(tmp_path)))
    told = capsys.readouterr()
    assert told.out == "" and told.err.endswith("\rreading pictures: 10 of 10\n")
    examined(data_of(sound(tmp_path)))
    assert capsys.readouterr().err == ""


def test_what_is_no_data():
    for nothing in ((), [data_of([])] * 3, {}):
        with pytest.raises(ValueError, match=r"Received: \d data sets"):
            validate(nothing, verbose=False)
    assert keras_maskrcnn.validate is validate


def test_the_data_are_not_changed(tmp_path):
    data = data_of(sound(tmp_path))
    before = dataclasses.replace(data, records=list(data.records))
    report = examined(data)
    assert data.records == before.records and report.data["data"] is data


def test_a_check_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.setattr(case, "CHECKS", list(case.CHECKS))
    monkeypatch.setattr("keras_maskrcnn.doctor.report.CHECKS", case.CHECKS)
    odd = Kind("odd_id", Severity.ERROR, "Odd <ids>", "Count by twos.")

    @check(odd)
    def odd_ids(given):
        for seen in given.pictures:
            if seen.record.image_id % 2:
                yield odd.found("odd", seen.place, number=seen.record.image_id)

    report = examined(data_of(sound(tmp_path)))
    assert [f.numbers["number"] for f in report.findings] == [1, 3, 5, 7, 9]
    assert report.counts == {"odd_id": 5} and not report.makes_sense
    report.save(tmp_path / "out")
    assert "Odd &lt;ids&gt;" in (tmp_path / "out" / "report.html").read_text()
    assert "  error: Odd <ids> (5)" in report.summary()
