"""A clip becomes a table and an overlay: whole, or not at all."""

import json
import threading

import numpy as np
import pytest
from picture_archive import CLASSES, find_squares, stub_model

av = pytest.importorskip("av", reason="needs av")

from clips import (  # noqa: E402
    COUNT,
    LIT,
    RATE,
    SIZE,
    make_clip,
    packets,
    picture,
    spoil,
    square,
    told,
    turn,
)

from keras_maskrcnn.drawing import PALETTE  # noqa: E402
from keras_maskrcnn.inference.video import VideoReader, predict_video, stream  # noqa: E402
from keras_maskrcnn.inference.video.outputs import Outputs  # noqa: E402


@pytest.fixture(autouse=True)
def _finds_squares(monkeypatch):
    def find(model, pictures):
        return find_squares(model, [np.select([p > 200, p > LIT], [255, 128]) for p in pictures])

    monkeypatch.setattr(stream, "predict_batch", find)


def predict(path, folder, **options):
    options = {"table": folder / "clip.jsonl", "overlay": folder / "seen.mp4"} | options
    return predict_video(stub_model(), path, **options)


def rows(folder):
    return [json.loads(line) for line in (folder / "clip.jsonl").read_text().splitlines()]


def check_objects(objects, numbers):
    assert [row["frame"] for row in objects] == list(numbers)
    for row in objects:
        x1, y1, x2, y2 = square(row["frame"])
        assert row["time"] == pytest.approx(row["frame"] / RATE)
        assert row["bbox"] == [x1, y1, x2 - x1, y2 - y1]
        assert row["category_name"] == CLASSES[row["frame"] % 2]
        assert row["category_id"] == 1 + row["frame"] % 2
        assert row["score"] == 0.5 + 0.5 * (row["frame"] % 2)
        assert row["segmentation"]["size"] == list(SIZE)


def test_table_and_overlay(tmp_path):
    path, done = make_clip(tmp_path / "clip.mp4"), []
    summary = predict(path, tmp_path / "out", tell=lambda *given: done.append(given))
    assert (summary.frames, summary.objects, summary.faults) == (COUNT, COUNT, {})
    assert summary.codec == "H.264"
    assert done == [(number, COUNT) for number in range(1, COUNT + 1)]
    objects = rows(tmp_path / "out")
    check_objects(objects, range(COUNT))
    for row in objects:
        (found,) = find_squares(None, [np.where(picture(row["frame"]) > LIT, 255, 0)])
        assert row["segmentation"] == found.rles()[0]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["clip.jsonl", "seen.mp4"]
    assert told(tmp_path / "out" / "seen.mp4") == told(path)


def test_a_class_has_one_colour(tmp_path):
    predict(make_clip(tmp_path / "clip.mp4"), tmp_path)
    with VideoReader(tmp_path / "seen.mp4") as video:
        for frame in video:
            x1, y1, x2, _ = square(frame.number)
            outline = np.median(frame.picture[y1 : y1 + 1, x1 + 2 : x2 - 2], axis=(0, 1))
            color = np.array(PALETTE[frame.number % 2])
            other = np.array(PALETTE[1 - frame.number % 2])
            assert np.abs(outline - color).sum() < np.abs(outline - other).sum()
            # Below the square nothing is drawn.
            np.testing.assert_allclose(frame.picture[-8:].astype(int), 0, atol=12)


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".avi"])
def test_other_containers(tmp_path, suffix):
    codec = {"codec": "mpeg4", "qscale": "2"} if suffix == ".avi" else {}
    path = make_clip(tmp_path / f"clip{suffix}", bf="0", **codec)
    assert predict(path, tmp_path).frames == COUNT
    times, size, duration = told(tmp_path / "seen.mp4")
    assert size == SIZE and duration == pytest.approx(COUNT / RATE)
    assert times == pytest.approx([number / RATE for number in range(COUNT)])


def test_variable_rate_and_every_few_frames(tmp_path):
    path = make_clip(tmp_path / "clip.mp4", 5, ticks=[0, 3, 50, 51, 100])
    predict(path, tmp_path)
    times, _, duration = told(tmp_path / "seen.mp4")
    assert (times, duration) == (told(path)[0], told(path)[2])
    summary = predict(path, tmp_path, every=3)
    times, _, duration = told(tmp_path / "seen.mp4")
    assert (times, duration) == ([0, 0.51], told(path)[2]) and summary.frames == 2
    assert [row["frame"] for row in rows(tmp_path)] == [0, 3]


def test_turned(tmp_path):
    """Pixels of the upright frame, in the table as in the overlay."""
    path = make_clip(tmp_path / "clip.mp4")
    turn(path, 0, 1, -1, 0)
    predict(path, tmp_path)
    assert told(tmp_path / "seen.mp4")[1] == SIZE[::-1]
    for row in rows(tmp_path):
        x1, y1, x2, y2 = square(row["frame"])
        assert row["bbox"] == [SIZE[0] - y2, x1, y2 - y1, x2 - x1]


def test_thresholds(tmp_path):
    path = make_clip(tmp_path / "clip.mp4")
    assert predict(path, tmp_path, threshold=0.6).objects == COUNT // 2
    assert {row["category_name"] for row in rows(tmp_path)} == {"white"}
    summary = predict(path, tmp_path, threshold=0.6, class_thresholds={"grey": 0.5})
    assert summary.objects == COUNT


def test_one_of_both(tmp_path):
    path = make_clip(tmp_path / "clip.mp4")
    summary = predict(path, tmp_path, overlay=None)
    assert summary.codec == "" and not (tmp_path / "seen.mp4").exists()
    check_objects(rows(tmp_path), range(COUNT))
    (tmp_path / "clip.jsonl").unlink()
    predict(path, tmp_path, table=None)
    assert not (tmp_path / "clip.jsonl").exists() and len(told(tmp_path / "seen.mp4")[0]) == COUNT


def test_lost_and_damaged_frames_have_lines(tmp_path):
    path = make_clip(tmp_path / "clip.mp4", bf="0", g="6", container={"movflags": "faststart"})
    spoil(path, 0.4)
    _, place, *_ = packets(path)[9]
    path.write_bytes(path.read_bytes()[:place])
    summary = predict(path, tmp_path, batch_size=3)
    assert list(summary.faults) == [4, 5, 9, 10, 11] and summary.frames == 8
    found = rows(tmp_path)
    assert [row["frame"] for row in found] == [0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10, 11]
    faults = [row for row in found if "error" in row]
    assert {row["frame"]: row["error"] for row in faults} == summary.faults
    assert [row["time"] for row in faults] == [pytest.approx(0.4), pytest.approx(0.5), *[None] * 3]
    # What is left is shown when it was.
    times, _, duration = told(tmp_path / "seen.mp4")
    assert times == pytest.approx([0, 0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.8])
    assert duration == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1. Received: batch_size=0"),
        ({"every": 0}, "every must be at least 1. Received: every=0"),
        ({"threshold": 2}, "threshold must be in 0..1"),
        ({"class_thresholds": {"gray": 0.5}}, "Did you mean 'grey'"),
        ({"overlay": "seen.avi"}, r"a file \.mp4. Received: overlay=seen\.avi"),
        ({"overlay": None, "table": None}, "Received: neither"),
    ],
)
def test_arguments(tmp_path, options, told):
    with pytest.raises(ValueError, match=told):
        predict(make_clip(tmp_path / "clip.mp4"), tmp_path, **options)


def test_the_video_itself_is_not_written_over(tmp_path):
    path = make_clip(tmp_path / "clip.mp4")
    (tmp_path / "link.mp4").symlink_to(path)
    before = path.read_bytes()
    for overlay in (path, tmp_path / "link.mp4"):
        with pytest.raises(ValueError, match=f"beside the video.*Received: {overlay}"):
            predict(path, tmp_path, overlay=overlay)
    assert path.read_bytes() == before


def check_nothing_is_written(tmp_path, path, told, **options):
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    (out / "seen.mp4").write_text("of before")
    threads = threading.active_count()
    with pytest.raises(ValueError, match=told):
        predict(path, out, **options)
    assert threading.active_count() == threads
    assert [file.name for file in out.iterdir()] == ["seen.mp4"]
    assert (out / "seen.mp4").read_text() == "of before"


def test_no_frame_that_can_be_decoded(tmp_path):
    path = make_clip(tmp_path / "clip.mp4", 3, g="1", bf="0")
    for number in range(3):
        spoil(path, number / RATE)
    check_nothing_is_written(tmp_path, path, f"any of the 3 frames of {path}. Received: it cannot")
    empty = make_clip(tmp_path / "empty.avi", 0, codec="mpeg4")
    check_nothing_is_written(tmp_path, empty, "empty.avi, of none")


def test_a_model_that_fails(tmp_path, monkeypatch):
    find, calls = stream.predict_batch, []

    def fails(model, pictures):
        calls.append(1)
        if len(calls) == 3:
            raise ValueError("out of order")
        return find(model, pictures)

    monkeypatch.setattr(stream, "predict_batch", fails)
    path = make_clip(tmp_path / "clip.mp4")
    check_nothing_is_written(tmp_path, path, "out of order", batch_size=2)


def test_frames_whose_size_changes(tmp_path):
    small = make_clip(tmp_path / "small.ts", 20, size=(48, 64)).read_bytes()
    large = make_clip(tmp_path / "large.ts", 20, size=(96, 64)).read_bytes()
    path = tmp_path / "both.ts"
    path.write_bytes(small + large)
    check_nothing_is_written(tmp_path, path, rf"frame 20 of {path}.*Received: \(96, 64\)")
    # The table knows nothing of it.
    assert predict(path, tmp_path, overlay=None).frames == 40


def test_few_frames_are_held(tmp_path, monkeypatch):
    """Decoded, looked at, drawn and not yet written: those of a few batches."""
    lock, held, most = threading.Lock(), 0, 0
    picture_of, write = VideoReader._picture, Outputs.write

    def counting(self, *arguments):
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)
        return picture_of(self, *arguments)

    def watched(self, frame, made):
        nonlocal held
        write(self, frame, made)
        with lock:
            held -= 1

    monkeypatch.setattr(VideoReader, "_picture", counting)
    monkeypatch.setattr(Outputs, "write", watched)
    predict(make_clip(tmp_path / "clip.mp4", 120), tmp_path, batch_size=2)
    # Two batches are decoded ahead, one is looked at, two wait to be written.
    assert held == 0 and most <= 6 * 2 + 2
