"""Frames become a file: their times, size and colours, and what there is without an encoder."""

from fractions import Fraction

import numpy as np
import pytest

av = pytest.importorskip("av", reason="needs av")

from clips import told  # noqa: E402

from keras_maskrcnn.inference.video import (  # noqa: E402
    VideoReader,
    VideoWriter,
    writing,
)

COLORS = ((255, 86, 70), (40, 160, 255), (50, 210, 110), (0, 0, 0), (255, 255, 255))


def stripes(height=48, width=80):
    made = np.zeros((height, width, 3), "uint8")
    for number, color in enumerate(COLORS):
        made[:, width * number // 5 :] = color
    return made


def write(path, times, end=None, *, picture=None, time_base=Fraction(1, 1000), rate=10):
    writer = VideoWriter(path, time_base=time_base, rate=Fraction(rate))
    for time in times:
        writer.write(stripes() if picture is None else picture, time)
    writer.close(end)
    return writer.codec


@pytest.mark.parametrize(
    ("times", "time_base", "end"),
    [
        ([0, 0.1, 0.2], Fraction(1, 1000), 0.3),
        ([0, 0.013, 0.5, 2.0], Fraction(1, 1000), 2.75),
        ([n * 1001 / 30000 for n in range(9)], Fraction(1, 90000), 9 * 1001 / 30000),
        ([n * 1001 / 24000 for n in range(3)], Fraction(1, 24000), 3 * 1001 / 24000),
        ([0.5, 0.6], Fraction(1, 12800), 0.9),
    ],
)
def test_times_are_kept(tmp_path, times, time_base, end):
    assert write(tmp_path / "a.mp4", times, end, time_base=time_base) == "H.264"
    found, size, duration = told(tmp_path / "a.mp4")
    np.testing.assert_allclose(found, times, atol=1e-9)
    assert size == (48, 80) and duration == pytest.approx(end - times[0], abs=1e-9)


def test_the_last_frame_lasts_as_long_as_others(tmp_path):
    write(tmp_path / "a.mp4", [0, 0.1, 0.2])
    assert told(tmp_path / "a.mp4")[2] == pytest.approx(0.3)


def test_frames_of_one_time(tmp_path):
    write(tmp_path / "a.mp4", [0, 0.1, 0.1, 0.1, 0.2], 0.3)
    assert told(tmp_path / "a.mp4")[0] == pytest.approx([0, 0.1, 0.101, 0.102, 0.2])


@pytest.mark.parametrize("size", [(48, 80), (47, 80), (48, 81), (47, 81)])
def test_size_and_colours(tmp_path, size):
    """As they were drawn, to what coding leaves of them."""
    write(tmp_path / "a.mp4", [0, 0.1], picture=stripes(*size))
    assert told(tmp_path / "a.mp4")[1] == size
    with VideoReader(tmp_path / "a.mp4") as video:
        for frame in video:
            for number, color in enumerate(COLORS):
                shown = frame.picture[24, (2 * number + 1) * size[1] // 10].astype(int)
                assert np.abs(shown - color).max() <= 6, (color, shown)
    with av.open(str(tmp_path / "a.mp4")) as file:
        # A player that is not told guesses by the size.
        context = file.streams.video[0].codec_context
        assert context.colorspace == context.color_primaries == 1 and context.color_range == 1


def test_pixels_that_are_not_square(tmp_path):
    aspect = Fraction(4, 3)
    writer = VideoWriter(
        tmp_path / "a.mp4",
        time_base=Fraction(1, 10),
        rate=Fraction(10),
        pixel_aspect=aspect,
    )
    writer.write(stripes(), 0.0)
    writer.close()
    with VideoReader(tmp_path / "a.mp4") as video:
        list(video)
        assert video.pixel_aspect == aspect


def test_without_an_encoder_of_h264(tmp_path, monkeypatch):
    """MPEG-4 Part 2 knows no unit of time as fine as a transport stream's."""
    monkeypatch.setattr(writing, "ENCODERS", writing.ENCODERS[2:])
    times = [n / 10 for n in range(5)]
    codec = write(tmp_path / "a.mp4", times, 0.5, time_base=Fraction(1, 90000))
    assert codec == "MPEG-4 Part 2"
    found, size, duration = told(tmp_path / "a.mp4")
    np.testing.assert_allclose(found, times, atol=1 / 65535)
    assert size == (48, 80) and duration == pytest.approx(0.5, abs=1e-4)
    with VideoReader(tmp_path / "a.mp4") as video:
        assert np.abs(next(iter(video)).picture.astype(int) - stripes()).mean() < 8


def test_an_encoder_that_is_not_there_is_passed_by(tmp_path, monkeypatch):
    nobody = writing.Encoder("nobody has it", "H.265", {})
    monkeypatch.setattr(writing, "ENCODERS", (nobody, *writing.ENCODERS))
    assert write(tmp_path / "a.mp4", [0]) == "H.264"


def test_another_size(tmp_path):
    writer = VideoWriter(tmp_path / "a.mp4", time_base=Fraction(1, 10), rate=Fraction(10))
    writer.write(stripes(), 0.0)
    with pytest.raises(ValueError, match=r"one size.*\(48, 80\). Received: \(48, 64\)"):
        writer.write(stripes(48, 64), 0.1)
    writer.close()
    assert told(tmp_path / "a.mp4")[0] == [0]
