"""Frames of files: numbers, times, orientation, and what is lost, by name and number."""

import functools
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest

av = pytest.importorskip("av", reason="needs av")

from clips import (  # noqa: E402
    COUNT,
    RATE,
    SIZE,
    bounds,
    make_clip,
    make_sound,
    packets,
    picture,
    spoil,
    square,
    turn,
)

from keras_maskrcnn.inference.video import Frame, LostFrame, VideoReader  # noqa: E402
from keras_maskrcnn.inference.video.reading import _Missing  # noqa: E402


def read(path, **options):
    with VideoReader(path, **options) as video:
        return list(video)


def numbers(frames):
    return [frame.number for frame in frames]


def lost(frames):
    return [frame.number for frame in frames if isinstance(frame, LostFrame)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_every_frame_with_its_number_and_time(tmp_path, suffix):
    """Coded out of order; a transport stream begins at another time than 0."""
    path = make_clip(tmp_path / f"clip{suffix}")
    times = [time for time, *_ in packets(path)]
    assert times != sorted(times) and (min(times) > 0) == (suffix == ".ts")
    with VideoReader(path) as video:
        frames = list(video)
        assert video.count == (COUNT if suffix == ".mp4" else None)
        assert video.rate == RATE and video.end == pytest.approx(COUNT / RATE)
        units = [frame.time / video.time_base for frame in frames]
    np.testing.assert_allclose(units, np.rint(units))
    assert numbers(frames) == list(range(COUNT))
    for number, frame in enumerate(frames):
        assert frame.time == pytest.approx(number / RATE) and not frame.damaged
        assert frame.picture.shape == (*SIZE, 3) and frame.picture.dtype == np.uint8
        assert bounds(frame.picture) == square(number)
        # Black, grey and white to what coding leaves of them.
        np.testing.assert_allclose(frame.picture.astype(int), picture(number), atol=8)


def test_variable_rate(tmp_path):
    ticks = [0, 3, 50, 51, 100]
    frames = read(make_clip(tmp_path / "clip.mp4", 5, ticks=ticks))
    assert [frame.time for frame in frames] == [tick / 100 for tick in ticks]


def test_every_few_frames(tmp_path):
    with VideoReader(make_clip(tmp_path / "clip.mp4"), every=5) as video:
        frames = list(video)
        assert video.count == 3 and video.end == pytest.approx(COUNT / RATE)
    assert numbers(frames) == [0, 5, 10] and [f.time for f in frames] == [0, 0.5, 1]
    assert [bounds(frame.picture) for frame in frames] == [square(n) for n in (0, 5, 10)]
    with pytest.raises(ValueError, match="every must be at least 1. Received: every=0"):
        VideoReader(tmp_path / "clip.mp4", every=0)


@pytest.mark.parametrize(
    "matrix",
    [
        *((a, 0, 0, d) for a in (1, -1) for d in (1, -1)),
        *((0, b, c, 0) for b in (1, -1) for c in (1, -1)),
    ],
)
def test_turned_and_mirrored(tmp_path, matrix):
    path = make_clip(tmp_path / "clip.mp4", 2)
    turn(path, *matrix)
    a, b, c, d = matrix
    height, width = SIZE
    moved = [(a * x + c * y, b * x + d * y) for x, y in ((0, 0), (width, height))]
    left, top = np.min(moved, axis=0)
    size = tuple(np.ptp(moved, axis=0)[::-1])
    for number, frame in enumerate(read(path)):
        x1, y1, x2, y2 = square(number)
        points = [(a * x + c * y - left, b * x + d * y - top) for x, y in ((x1, y1), (x2, y2))]
        assert frame.picture.shape[:2] == size and frame.picture.flags.c_contiguous
        assert bounds(frame.picture) == (*np.min(points, axis=0), *np.max(points, axis=0))


def test_turned_by_less_than_a_quarter(tmp_path):
    path = make_clip(tmp_path / "clip.mp4", 2)
    turn(path, 1, 1, -1, 1)
    with pytest.raises(ValueError, match=r"turned by quarters. Received: frame 0 of .*clip\.mp4"):
        read(path)


def test_a_frame_that_cannot_be_decoded(tmp_path):
    """Its number is missing, and what builds on it is not sure until the next key frame."""
    path = make_clip(tmp_path / "clip.mp4", g="8", bf="0")
    assert spoil(path, 0.4) is False
    frames = read(path)
    assert numbers(frames) == list(range(COUNT)) and lost(frames) == [4]
    assert frames[4].time == pytest.approx(0.4) and "cannot be decoded" in frames[4].error
    rest = [frame for frame in frames if isinstance(frame, Frame)]
    assert [frame.number for frame in rest if frame.damaged] == [5, 6, 7]
    assert [f.time for f in rest] == pytest.approx([f.number / RATE for f in rest])
    for frame in rest:
        assert frame.damaged or bounds(frame.picture) == square(frame.number)


def test_a_key_frame_that_cannot_be_decoded(tmp_path):
    """The decoder drops in silence what follows: no number moves all the same."""
    path = make_clip(tmp_path / "clip.mp4", 30, g="10")
    assert spoil(path, 1.0) is True
    frames = read(path)
    assert numbers(frames) == list(range(30)) and 10 in lost(frames) and len(lost(frames)) > 2
    for frame in frames:
        assert frame.time == pytest.approx(frame.number / RATE)
        if isinstance(frame, Frame) and not 10 <= frame.number < 20:
            assert not frame.damaged
    assert set(lost(frames)) <= set(range(8, 20))


def test_damage_within_a_frame_is_told(tmp_path):
    """Where the decoder guesses what is missing."""
    path = make_clip(tmp_path / "clip.mp4", 8, g="1", bf="0", qp="20")
    content = bytearray(path.read_bytes())
    _, place, size, _ = packets(path)[5]
    # After the headers.
    for k in range(place + size - 60, place + size - 10):
        content[k] ^= 0x55
    path.write_bytes(content)
    frames = read(path)
    assert numbers(frames) == list(range(8))
    bad = [f.number for f in frames if isinstance(f, LostFrame) or f.damaged]
    assert bad == [5]


def test_a_file_that_ends_early(tmp_path):
    path = make_clip(tmp_path / "clip.mp4", bf="0", container={"movflags": "faststart"})
    _, place, size, _ = packets(path)[7]
    path.write_bytes(path.read_bytes()[: place + size // 2])
    frames = read(path)
    assert numbers(frames) == list(range(COUNT)) and lost(frames) == list(range(7, COUNT))
    assert all("the file ends before it" in frame.error for frame in frames[8:])
    # Without the table of contents at the beginning nothing can be found.
    whole = make_clip(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"Cannot open the video .*half\.mp4: "):
        VideoReader(tmp_path / "half.mp4")


def test_a_recording_that_begins_between_key_frames(tmp_path):
    path = make_clip(tmp_path / "clip.ts", 30, g="10", bf="0")
    content, (_, place, *_) = path.read_bytes(), packets(path)[1]
    path.write_bytes(content[place:])
    frames = read(path)
    assert numbers(frames) == list(range(29)) and lost(frames) == list(range(9))
    assert [bounds(f.picture) for f in frames[9:12]] == [square(n) for n in (10, 11, 12)]


def test_joined_recordings(tmp_path):
    """Whose times start anew."""
    one = make_clip(tmp_path / "one.ts", 20).read_bytes()
    (tmp_path / "two.ts").write_bytes(one + one)
    frames = read(tmp_path / "two.ts")
    assert numbers(frames) == list(range(40)) and lost(frames) == []
    assert [f.time for f in frames] == pytest.approx([n / RATE for n in range(40)], abs=0.15)
    assert (np.diff([f.time for f in frames]) > 0).all()


@pytest.mark.parametrize(("codec", "missed"), [("vp8", []), ("h264", [1]), ("hevc", [1])])
@pytest.mark.parametrize("is_interlaced", [False, True])
def test_packets_of_no_frame(codec, missed, is_interlaced):
    """What other frames build on may be a packet that is not shown, and half a frame may be one."""
    missing = _Missing(codec)
    for time in (0, 1, 2):
        missing.sent(SimpleNamespace(pts=time, is_discard=False), "")
    told = []
    for time in (0, 2):
        frame = SimpleNamespace(pts=time, interlaced_frame=is_interlaced)
        told += [at for at, _ in missing.before(frame)]
    assert told == ([] if is_interlaced else missed)


def test_frames_that_are_shown_on(tmp_path):
    """An AVI file, whose rate is fixed, counts them where a camera was late."""
    ticks = [0, 10, 40, 50]
    path = make_clip(tmp_path / "clip.avi", 4, ticks=ticks, codec="mpeg4", bf="0", qscale="2")
    frames = read(path)
    assert numbers(frames) == list(range(4)) and lost(frames) == []
    assert [f.time for f in frames] == pytest.approx([tick / 100 for tick in ticks])


def test_no_times(tmp_path):
    """A stream without a container: FFmpeg takes 25 frames a second."""
    frames = read(make_clip(tmp_path / "clip.h264"))
    assert [f.time for f in frames] == pytest.approx([n / 25 for n in range(COUNT)])
    assert [bounds(f.picture) for f in frames] == [square(n) for n in range(COUNT)]


def test_what_is_no_video(tmp_path):
    sound = make_sound(tmp_path / "sound.m4a")
    with pytest.raises(ValueError, match=r"sound\.m4a, of audio"):
        VideoReader(sound)
    empty = make_clip(tmp_path / "empty.avi", 0, codec="mpeg4")
    with pytest.raises(ValueError, match=r"a video with frames. Received: .*empty\.avi, of none"):
        read(empty)
    for name, content in (("a.mp4", b""), ("b.mp4", b"no video at all " * 50)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"Cannot open the video .*{name}: "):
            VideoReader(tmp_path / name)
    with pytest.raises(ValueError, match=r"Cannot open the video .*c\.mp4: .*No such file"):
        VideoReader(tmp_path / "c.mp4")


def test_an_address(tmp_path):
    make_clip(tmp_path / "clip.mkv")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=tmp_path)
    handler.log_message = lambda *_: None
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            address = f"http://127.0.0.1:{server.server_port}"
            assert numbers(read(f"{address}/clip.mkv")) == list(range(COUNT))
            with pytest.raises(ValueError, match=f"Cannot open the video {address}/none.mkv"):
                VideoReader(f"{address}/none.mkv")
        finally:
            server.shutdown()


def test_without_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"video needs.*maskrcnn-keras\[video\]"):
        VideoReader(tmp_path / "clip.mp4")
