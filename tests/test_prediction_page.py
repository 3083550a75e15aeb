"""Which scores a page of predictions draws, and what it says of it."""

import numpy as np
import pytest
from PIL import Image

from keras_maskrcnn import pages
from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.outlines import outline_from_coco
from keras_maskrcnn.prediction_page import page_threshold, prediction_page
from keras_maskrcnn.results import Detections

SIZE = (200, 300)
BOX = (40.0, 60.0, 140.0, 160.0)


@pytest.fixture
def written(monkeypatch):
    """All that a page says, with its first words."""
    texts = []
    write = pages._write
    monkeypatch.setattr(pages, "_write", lambda *a: (texts.append(a[1]), write(*a)))
    return texts


def row(scores, annotated=1):
    outline = outline_from_coco([[40, 60, 140, 60, 140, 160, 40, 160]])
    objects = tuple(Instance(0, BOX, outline, False, 1e4, k) for k in range(annotated))
    found = Detections(
        np.tile(BOX, (len(scores), 1)),
        np.zeros(len(scores)),
        scores,
        np.ones((len(scores), 28, 28)),
        SIZE,
        ("cat",),
    )
    picture = np.full((*SIZE, 3), 100, np.uint8)
    return picture, ImageRecord(1, "folder/one.png", *SIZE, objects), found


@pytest.mark.parametrize(
    ("scores", "annotated", "threshold", "words"),
    [
        ([0.9, 0.6, 0.2], 3, 0.5, ""),
        # The third best of three annotated objects, rounded down.
        ([0.4, 0.3, 0.128, 0.1, 0.05], 3, 0.12, "nothing reached 0.5, and 3 objects"),
        ([0.4, 0.3], 3, 0.3, "nothing reached 0.5"),
        ([0.0049, 0.0031], 2, 0.0031, "scores of 0.0031 and more"),
        # A tenth of the annotated objects is enough; less is hardly anything.
        ([0.6, *[0.2] * 30], 10, 0.5, ""),
        ([0.6, *[0.2] * 30], 11, 0.2, "only 1 reached 0.5, and 11 objects"),
        ([0.6], 11, 0.5, ""),  # There is no more to show.
        ([], 3, 0.5, "found nothing in these pictures, whatever the score"),
        ([0.3, 0.1], 0, 0.5, "Nothing is annotated in these pictures, and nothing reached 0.5"),
        ([0.0], 1, 0.0, "nothing reached 0.5"),
    ],
)
def test_the_lowest_drawn_score(scores, annotated, threshold, words):
    lowest, note = page_threshold(np.array(scores), annotated, 0.5)
    assert lowest == pytest.approx(threshold, abs=1e-9)
    assert words in note and bool(words) == bool(note)


def test_a_page(tmp_path, written):
    page = prediction_page([row([0.9])] * 2, ["cat"], tmp_path / "page.png", tile=300)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "page.png")), page)
    assert page.shape == (2 * (200 + 46), 2 * 300 + 3 * 16, 3)
    assert written[:2] == ["one.png: 1 annotated", "1 found with a score of 0.5 or more"]
    with pytest.raises(ValueError, match="at least one picture"):
        prediction_page([], ["cat"])


def test_a_page_of_low_scores_shows_them_and_says_so(written):
    page = prediction_page([row([0.25, 0.1]), row([0.2, 0.1])], ["cat"], tile=300)
    assert page.shape[0] == 30 + 2 * (200 + 46)
    assert written[0] == (
        "Drawn are scores of 0.2 and more: nothing reached 0.5, and 2 objects are annotated."
    )
    assert written[2] == written[4] == "1 found with a score of 0.2 or more"
    # What is found is drawn at the right.
    drawn = page[60:260, 332:632]
    assert (drawn[110, 90] != 100).any() and (drawn[20, 20] == 100).all()


def test_long_captions_keep_their_end():
    page = pages.make_page([[(np.zeros((10, 20, 3), np.uint8), "x" * 200 + "end")]])
    short = pages.make_page([[(np.zeros((10, 20, 3), np.uint8), "end")]])
    assert page.shape == short.shape == (56, 280 + 32, 3)
    inked = (page[:30] < 250).any(axis=(0, 2)).nonzero()[0]
    assert inked.min() >= 16 and inked.max() < 296
