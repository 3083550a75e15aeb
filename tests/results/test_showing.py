"""Results that know their picture, and draw themselves on it."""

import copy
import dataclasses
import gc
import pickle
import weakref

import numpy as np
import pytest
from PIL import Image

from keras_maskrcnn import notebook
from keras_maskrcnn.images.pixels import PixelFormat
from keras_maskrcnn.results import Detections, KnownPicture
from keras_maskrcnn.visualize import draw_detections

SIZE = (200, 300)


class Picture(np.ndarray):
    """An array whose end can be seen."""


def pixels():
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)


def make(source=None, scores=(0.9, 0.6), size=SIZE, names=("cat", "dog"), format=None):
    boxes = np.array([[40, 60, 140, 160], [180, 80, 260, 150]])[: len(scores)]
    picture = None if source is None else KnownPicture(source, format)
    masks = np.ones((len(boxes), 28, 28))
    return Detections(boxes, np.arange(len(boxes)), scores, masks, size, names, picture=picture)


@pytest.fixture
def shown(monkeypatch):
    images = []
    monkeypatch.setattr(notebook, "show", images.append)
    return images


@pytest.mark.parametrize("kind", ["path", "array", "pillow", "given"])
def test_plot_draws_on_the_known_picture(tmp_path, kind):
    image = pixels()
    Image.fromarray(image).save(tmp_path / "a.png")
    sources = {"path": tmp_path / "a.png", "array": image, "pillow": Image.fromarray(image)}
    found = make(sources.get(kind))
    drawn = found.plot(image if kind == "given" else None, threshold=0.7)
    assert isinstance(drawn, Image.Image) and drawn.size == (300, 200)
    expected = draw_detections(image, found, threshold=0.7)
    np.testing.assert_array_equal(np.asarray(drawn), expected)


def test_pixels_are_shown_as_the_data_set_says():
    image = np.zeros((*SIZE, 4), np.uint16)
    image[..., 3] = 1000
    found = make(image, format=PixelFormat(4, (0, 1000), (3, 0, 0)))
    np.testing.assert_array_equal(np.asarray(found.plot(labels=False))[10, 10], [255, 0, 0])
    # One that is given may be RGB already.
    rgb = np.full((*SIZE, 3), 7, np.uint8)
    np.testing.assert_array_equal(np.asarray(found.plot(rgb))[10, 10], [7, 7, 7])


def test_unknown_and_wrong_pictures(tmp_path):
    with pytest.raises(ValueError, match=r"not known.*show\('picture.jpg'\)"):
        make().plot()
    with pytest.raises(ValueError, match="Received: image of shape"):
        make(pixels()[:100]).show()
    with pytest.raises(ValueError, match=r"gone\.png"):
        make(tmp_path / "gone.png").plot()
    with pytest.raises(ValueError, match="Received: image of type list"):
        make().plot([1, 2])


def test_an_array_is_held_by_reference_and_cut_results_share_it():
    image = pixels().view(Picture)
    end = weakref.ref(image)
    found = make(image)
    parts = [found[0], *found, found[found.scores > 0.5], found.above({}), copy.copy(found)]
    assert all(part.picture is found.picture and part.picture.source is image for part in parts)
    del image, found, parts
    gc.collect()
    assert end() is None


@pytest.mark.parametrize("source", [pixels(), "a.png"])
def test_pickles_and_copies_do_not_hold_the_picture(source):
    found = make(source)
    content = pickle.dumps(found)
    assert len(content) < 15_000 and b"a.png" not in content
    for other in (pickle.loads(content), copy.deepcopy(found)):
        assert other.picture is None
        np.testing.assert_array_equal(other.boxes, found.boxes)
    assert dataclasses.asdict(found)["picture"] is None


def test_show_enlarges_small_pictures_and_tells_what_is_not_drawn(shown, capsys):
    found = make(pixels(), scores=(0.9, 0.3))
    found.show()
    assert shown[0].shape == (267, 400, 3)
    assert capsys.readouterr().out.startswith("Drawn: 1 of 2, those with a score of 0.5 or more.")
    found.show(threshold=0.2, scale=1)
    assert capsys.readouterr().out == "" and shown[1].shape == (200, 300, 3)
    found.show(threshold=0.95)
    assert "Drawn: 0 of 2, those with a score of 0.95 or more" in capsys.readouterr().out


def test_where_no_score_is_good_the_ten_best_are_drawn(shown, capsys):
    found = dataclasses.replace(make(pixels())[[0] * 12], scores=np.arange(12) / 100 + 0.3)
    found.show()
    told = "Drawn: 10 of 12: no score reaches 0.5, the best is 0.41."
    assert capsys.readouterr().out.startswith(told) and told in found._repr_html_()
    expected = found.plot(threshold=0.32, scale=4 / 3)
    np.testing.assert_array_equal(shown[0], np.asarray(expected))
    assert np.asarray(make(pixels(), scores=()).plot()).shape == (*SIZE, 3)


def test_large_pictures_are_made_smaller_in_a_notebook_alone(shown, monkeypatch):
    size = (1600, 2400)
    found = make(np.zeros((*size, 3), np.uint8), size=size)
    found.show()
    monkeypatch.setattr(notebook, "in_notebook", lambda: True)
    found.show()
    assert [image.shape for image in shown] == [(1600, 2400, 3), (800, 1200, 3)]


def test_html(tmp_path):
    hostile = "<script>alert(1)</script>"
    html = make(pixels(), scores=(0.9, 0.3), names=(hostile, "dog"))._repr_html_()
    assert "2 objects in a picture of 300 x 200 pixels" in html
    assert html.count("<img ") == 1 and html.count("<tr>") == 3 and len(html) < 400_000
    assert "Drawn: 1 of 2" in html and "<script" not in html and "9,996" in html
    plain = make()._repr_html_()
    assert "<img" not in plain and plain.count("<tr>") == 3
    gone = make(tmp_path / "<b>gone")._repr_html_()
    assert "Without the picture: " in gone and "<b>" not in gone and gone.count("<tr>") == 3
    many = make()[[0] * 25]._repr_html_()
    assert many.count("<tr>") == 11 and "and 15 more" in many
    assert "<table" not in make(scores=())._repr_html_()
