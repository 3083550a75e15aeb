"""The frames of a video: upright, with their numbers and times, and those that are lost."""

from __future__ import annotations

import heapq
import os
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from keras_maskrcnn.checks import at_least
from keras_maskrcnn.images.orientation import upright
from keras_maskrcnn.optional import needed_for

# Seconds that an address may take to answer.
_PATIENCE = 30.0
# The container's own unit of time.
_MICROSECOND = Fraction(1, 1_000_000)
# Seconds by which times may go back for no other reason than that the file is badly made.
_BACKWARDS = 1
# Of frames without a time, as a stream without a container has them, and of no rate: FFmpeg's own.
_RATE = Fraction(25)
_NO_PICTURE = "the decoder gives no picture of it, as where the frame before it is lost"
# EXIF's orientation by the signs of a, b, c and d, where a stored point (x, y) is shown at
# (a x + c y, b x + d y), y downwards.
_ORIENTATIONS = {
    (1, 0, 0, 1): 1,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}


class Frame(NamedTuple):
    """A frame of a video.

    Args:
        number: its place in the video, from 0 on, lost frames counted too.
        time: when it is shown, in seconds from the beginning; `None` where that is not known.
        picture: uint8 `[h, w, 3]` RGB, upright.
        damaged: whether parts of it may be the decoder's guess: it, or a frame since the last key
            frame, cannot be decoded as a whole.
    """

    number: int
    time: float | None
    picture: np.ndarray
    damaged: bool = False


class LostFrame(NamedTuple):
    """A frame that there is no picture of.

    Args:
        number: its place in the video.
        time: when it would be shown, where that is known.
        error: why it is lost.
    """

    number: int
    time: float | None
    error: str


def import_av() -> Any:
    """PyAV.

    Raises:
        ImportError: where it is not installed.
    """
    with needed_for("video", "maskrcnn-keras[video]"):
        import av
    return av


class _Missing:
    """Which packets become no frame, in the order of their times.

    Args:
        codec: FFmpeg's name of it.
    """

    def __init__(self, codec: str) -> None:
        # These drop in silence what builds on frames that are not there. Of the others a packet
        # may hold no frame that is shown, and tells an error where it cannot be decoded.
        self._is_one_each = codec in ("h264", "hevc")
        self._waiting: list[tuple[int, str]] = []
        self._timeless: list[str] = []
        self._given_up: deque[int] = deque(maxlen=100)

    def sent(self, packet: Any, error: str) -> None:
        """A packet went to the decoder, which told an error, or none (`""`)."""
        if packet.pts is None:
            self._timeless += [error] if error else []
        elif not packet.is_discard and (error or self._is_one_each):
            heapq.heappush(self._waiting, (packet.pts, error))

    def is_given_up(self, frame: Any) -> bool:
        """Whether the frame comes after those that follow it: it is counted as lost already."""
        return frame.pts in self._given_up

    def before(self, frame: Any) -> list[tuple[int | None, str]]:
        """Times of packets before a frame, or before the end (`None`), and why they gave none."""
        found: list[tuple[int | None, str]] = [(None, error) for error in self._timeless]
        self._timeless.clear()
        pts = None if frame is None else frame.pts
        if frame is not None and frame.interlaced_frame:
            # Each half of a frame may be a packet.
            self._is_one_each = False
        while self._waiting and (frame is None or (pts is not None and self._waiting[0][0] <= pts)):
            at, error = heapq.heappop(self._waiting)
            if at != pts and (error or self._is_one_each):
                found.append((at, error or _NO_PICTURE))
                self._given_up.append(at)
        return found


class VideoReader:
    """The frames of a video, which can be iterated over once.

    Frames come as they are to be looked at: turned and mirrored as the file says. One that cannot
    be decoded is a `LostFrame` at its place; so are those that the header counts and the file ends
    before. (A Matroska file counts none: of one that ends early it is not known how many are
    missing.)

    Args:
        source: a file of any format that FFmpeg reads, or an address such as `rtsp://...` or
            `http://...`, which may be silent for half a minute.
        every: 1 for all frames, 5 for numbers 0, 5, 10 and so on.

    Attributes:
        source: as it was given, as text.
        count: how many frames there are, of which every so many come, where the header tells it;
            or `None`.
        time_base: `Fraction`, the unit of time, in seconds, of which all times are multiples.
        rate: `Fraction`, frames a second on average.
        pixel_aspect: `Fraction`, how many times as wide as high a pixel of an upright frame is
            shown; known, as `end`, once a frame has come.
        end: when the last frame ends that has come, in seconds.

    Raises:
        ValueError: for what is no video, has no pictures, or has no frame at all.
        ImportError: without the package `av`.
    """

    def __init__(self, source: str | os.PathLike[str], *, every: int = 1) -> None:
        at_least(1, every=every)
        self._av = import_av()
        self.source = os.fspath(source)
        self._every = every
        timeout = _PATIENCE if "://" in self.source else None
        try:
            # Metadata in another encoding is no reason to refuse a video.
            self._container = self._av.open(self.source, timeout=timeout, metadata_errors="replace")
        except (self._av.FFmpegError, OSError) as error:
            raise ValueError(f"Cannot open the video {self.source}: {error}") from error
        self._stream = self._first_stream()
        frames = self._stream.frames
        self.count = -(-frames // every) if frames else None
        self.time_base = self._stream.time_base
        self.rate = self._stream.average_rate or _RATE
        self.pixel_aspect = Fraction(1)
        self.end = 0.0
        start = self._container.start_time
        self._start = 0 if start is None else round(start * _MICROSECOND / self.time_base)

    def _first_stream(self) -> Any:
        # The cover of an album is a picture, and no video.
        cover = self._av.stream.Disposition.attached_pic
        streams = [s for s in self._container.streams if not s.disposition & cover]
        for stream in streams:
            if stream.type == "video" and stream.codec_context is not None:
                # Threads that each decode a frame would tell errors of other packets.
                stream.thread_type = "SLICE"
                return stream
        kinds = sorted({stream.type for stream in streams})
        self.close()
        raise ValueError(
            "Expected a video that can be decoded. "
            f"Received: {self.source}, of {' and '.join(kinds) or 'nothing'}"
        )

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the file."""
        self._container.close()

    def __iter__(self) -> Iterator[Frame | LostFrame]:
        number = packets = 0
        missing = _Missing(self._stream.codec.name)
        is_sure = True
        for packet in self._packets():
            packets += packet.size > 0
            frames, error = self._decode(packet)
            missing.sent(packet, error)
            for frame in frames:
                if missing.is_given_up(frame):
                    continue
                for pts, error in missing.before(frame):
                    yield LostFrame(number, self._seconds(pts), error)
                    number += 1
                    is_sure = False
                # Until the next key frame all may build on what was guessed or is not there.
                is_sure = not frame.is_corrupt and (is_sure or frame.key_frame)
                time = self._time(number, frame)
                if number % self._every == 0:
                    yield Frame(number, time, self._picture(frame, number), not is_sure)
                number += 1
        for pts, error in missing.before(None):
            yield LostFrame(number, self._seconds(pts), error)
            number += 1
        for _ in range(self._promised() - packets):
            yield LostFrame(number, None, "the file ends before it")
            number += 1
        if not number:
            raise ValueError(f"Expected a video with frames. Received: {self.source}, of none")

    def _packets(self) -> Iterator[Any]:
        """Packets whose times go on where those of the file start anew, as joined recordings do."""
        shift, before = 0, None
        try:
            for packet in self._container.demux(self._stream):
                if packet.dts is not None:
                    back = 0 if before is None else before - (packet.dts + shift)
                    if back * self.time_base > _BACKWARDS:
                        shift += back + packet.duration
                    before = packet.dts = packet.dts + shift
                if packet.pts is not None:
                    packet.pts += shift
                yield packet
        except self._av.FFmpegError as error:
            raise ValueError(f"Cannot read the video {self.source}: {error}") from error

    def _decode(self, packet: Any) -> tuple[list[Any], str]:
        """The frames that are ready, and what is wrong with the packet."""
        try:
            return packet.decode(), ""
        except self._av.FFmpegError as error:
            return [], f"it cannot be decoded: {error.strerror}"

    def _promised(self) -> int:
        """Packets that a whole file has; 0 where that is not known."""
        # The header also counts frames that an edit list takes away, and those of AVI that only
        # show the frame before them on: there are no packets of them.
        return min(self._stream.frames, len(self._stream.index_entries))

    def _seconds(self, pts: int | None) -> float | None:
        return None if pts is None else float((pts - self._start) * self.time_base)

    def _time(self, number: int, frame: Any) -> float:
        if frame.pts is None:
            start, length = number / self.rate, 1 / self.rate
        else:
            start = (frame.pts - self._start) * self.time_base
            length = frame.duration * self.time_base or 1 / self.rate
        self.end = max(self.end, float(start + length))
        return float(start)

    def _picture(self, frame: Any, number: int) -> np.ndarray:
        orientation = 1
        if (matrix := frame.side_data.get("DISPLAYMATRIX")) is not None:
            a, b, _, c, d = np.frombuffer(matrix, "<i4")[:5]
            signs = tuple(int(np.sign(value)) for value in (a, b, c, d))
            if signs not in _ORIENTATIONS:
                raise ValueError(
                    "Expected frames that are turned by quarters. "
                    f"Received: frame {number} of {self.source}, shown by the matrix {(a, b, c, d)}"
                )
            orientation = _ORIENTATIONS[signs]
        aspect = self._stream.sample_aspect_ratio or Fraction(1)
        self.pixel_aspect = 1 / aspect if orientation > 4 else aspect
        return np.ascontiguousarray(upright(frame.to_ndarray(format="rgb24"), orientation))
