"""Frames as they come: in order, each with its own, few at a time."""

import logging
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import tiny_model
from picture_archive import CLASSES, find_squares, stub_model

av = pytest.importorskip("av", reason="needs av")

from clips import COUNT, LIT, RATE, make_clip, picture, spoil, square  # noqa: E402

from keras_maskrcnn.images.pixels import PixelFormat  # noqa: E402
from keras_maskrcnn.inference.video import VideoReader, predict_stream, stream  # noqa: E402
from keras_maskrcnn.inference.video.ahead import ahead  # noqa: E402


def find(model, pictures):
    """The square, whatever coding made of black, grey and white."""
    levels = [np.select([p > 200, p > LIT], [255, 128]) for p in pictures]
    return find_squares(model, levels)


@pytest.fixture
def batches(monkeypatch):
    """How many frames the model saw at a time."""
    seen = []

    def watched(model, pictures):
        seen.append(len(pictures))
        return find(model, pictures)

    monkeypatch.setattr(stream, "predict_batch", watched)
    return seen


def check(results, count=COUNT):
    assert [frame.number for frame, _ in results] == list(range(count))
    for frame, found in results:
        assert found.boxes.tolist() == [[float(v) for v in square(frame.number)]]
        assert found.names.tolist() == [CLASSES[frame.number % 2]]


@pytest.mark.parametrize(("batch_size", "expected"), [(1, [1] * 12), (5, [5, 5, 2])])
def test_found_boxes_follow_the_square(tmp_path, batches, batch_size, expected):
    path = make_clip(tmp_path / "clip.mp4")
    results = list(predict_stream(stub_model(), path, batch_size=batch_size))
    check(results)
    assert batches == expected
    assert [frame.time for frame, _ in results] == pytest.approx([n / RATE for n in range(COUNT)])


def test_a_reader_with_a_choice_of_frames(tmp_path, batches):
    reader = VideoReader(make_clip(tmp_path / "clip.mp4"), every=5)
    results = list(predict_stream(stub_model(), reader, batch_size=2))
    assert [frame.number for frame, _ in results] == [0, 5, 10] and batches == [2, 1]


def test_arrays_of_a_camera(batches):
    """Which fills one array again and again."""
    buffer = np.zeros((48, 64, 3), "uint8")

    def camera():
        for number in range(COUNT):
            buffer[:] = picture(number)
            yield buffer

    results = list(predict_stream(stub_model(), camera()))
    check(results)
    assert all(frame.time is None for frame, _ in results)
    for frame, _ in results:
        np.testing.assert_array_equal(frame.picture, picture(frame.number))
    check(list(predict_stream(stub_model(), np.stack([picture(n) for n in range(4)]))), 4)
    assert list(predict_stream(stub_model(), [])) == []


def test_results_come_before_the_stream_ends(batches):
    def endless():
        number = 0
        while True:
            yield picture(number % COUNT)
            number += 1

    threads = threading.active_count()
    results = predict_stream(stub_model(), endless(), batch_size=2)
    check([next(results) for _ in range(6)], 6)
    results.close()
    assert threading.active_count() == threads


def test_few_frames_are_held(batches):
    """However many come: two batches wait, and one is looked at."""
    asked = 0

    def camera():
        nonlocal asked
        for number in range(200):
            asked += 1
            yield picture(number % COUNT)

    for taken, _ in enumerate(predict_stream(stub_model(), camera(), batch_size=3)):
        assert asked <= taken + 1 + 3 * 3
    assert asked == 200


def test_frames_are_fetched_while_the_model_is_at_work(monkeypatch):
    """The second is there before the first was looked at: else this waits in vain."""
    fetched = threading.Event()

    def camera():
        yield picture(0)
        fetched.set()
        yield picture(1)

    def slow(model, pictures):
        assert fetched.wait(60)
        return find(model, pictures)

    monkeypatch.setattr(stream, "predict_batch", slow)
    check(list(predict_stream(stub_model(), camera())), 2)


def test_lost_frames_are_told(tmp_path, batches, caplog):
    path = make_clip(tmp_path / "clip.mp4", g="1", bf="0")
    spoil(path, 0.4)
    with caplog.at_level(logging.WARNING, "keras_maskrcnn"):
        results = list(predict_stream(stub_model(), path, batch_size=3))
    assert [frame.number for frame, _ in results] == [n for n in range(COUNT) if n != 4]
    for frame, found in results:
        assert found.boxes.tolist() == [[float(v) for v in square(frame.number)]]
    (message,) = caplog.messages
    assert message.startswith(f"frame 4 of {path} is lost: it cannot be decoded")


@pytest.mark.parametrize(
    ("frames", "error", "told"),
    [
        (["a.png"], TypeError, "Expected frames as arrays.*Received: frame 0 of type str"),
        ([picture(0), None], TypeError, "Received: frame 1 of type NoneType"),
        (picture(0), ValueError, r"Received: picture 0 of shape \(64, 3\)"),
        ([picture(0), picture(0) / 255], ValueError, "picture 1"),
    ],
)
def test_what_is_no_frame(batches, frames, error, told):
    with pytest.raises(error, match=told):
        list(predict_stream(stub_model(), frames))


def test_wrong_arguments_are_told_at_once(tmp_path):
    with pytest.raises(ValueError, match="batch_size must be at least 1. Received: batch_size=0"):
        predict_stream(stub_model(), [], batch_size=0)
    with pytest.raises(ValueError, match=r"Cannot open the video .*none\.mp4"):
        predict_stream(stub_model(), tmp_path / "none.mp4")


def test_errors_of_a_camera_come_through(batches):
    def camera():
        yield picture(0)
        raise RuntimeError("unplugged")

    results = predict_stream(stub_model(), camera())
    assert next(results)[0].number == 0
    with pytest.raises(RuntimeError, match="unplugged"):
        next(results)


def test_models_of_other_pictures(tmp_path, monkeypatch):
    """A grey model sees the frame's luma; of five channels there are none."""
    path, shapes = make_clip(tmp_path / "clip.mp4", 2), []

    def watched(model, pictures):
        shapes.extend(picture.shape for picture in pictures)
        return find(model, [np.repeat(picture, 3, axis=2) for picture in pictures])

    monkeypatch.setattr(stream, "predict_batch", watched)
    check(list(predict_stream(SimpleNamespace(pixels=PixelFormat(1)), path)), 2)
    assert shapes == [(48, 64, 1)] * 2
    with pytest.raises(
        ValueError, match="Cannot look at frame 0: expected a picture of 5 channels"
    ):
        list(predict_stream(SimpleNamespace(pixels=PixelFormat(5)), path))


def test_equal_to_predict(tmp_path):
    model = tiny_model(**{"box.score_threshold": 0.0})
    path = make_clip(tmp_path / "clip.mp4", 3)
    results = list(predict_stream(model, path, batch_size=2))
    assert len(results) == 3
    for frame, found in results:
        (expected,) = model.predict(frame.picture, verbose=0)
        assert len(found) == len(expected) > 0
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
        np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.01)


def test_ahead_of_nothing():
    assert list(ahead([], 3)) == [] and list(ahead(range(7), 3)) == list(range(7))
