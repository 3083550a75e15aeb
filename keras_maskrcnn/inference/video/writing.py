"""Frames with times become an MP4 file."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from keras_maskrcnn.inference.video.reading import import_av

# FFmpeg's numbers for BT.709 and for a range of 16..235, which players assume of large frames.
_BT709, _LIMITED = 1, 1


class Encoder(NamedTuple):
    """An encoder of FFmpeg.

    Args:
        name: as FFmpeg has it.
        codec: what it writes.
        options: of its own.
        bits: a pixel and frame, where it is not told a quality but a rate.
        finest: the largest denominator of its unit of time.
    """

    name: str
    codec: str
    options: dict[str, str]
    bits: float = 0.0
    finest: int = 2**31 - 1


# The first that is there is taken.
ENCODERS = (
    # Quick, since the model waits for it on few cores; 18 is hard to tell from the original.
    Encoder("libx264", "H.264", {"crf": "18", "preset": "veryfast"}),
    Encoder("libopenh264", "H.264", {}, bits=0.2),
    Encoder("mpeg4", "MPEG-4 Part 2", {}, bits=0.4, finest=65535),
)


class VideoWriter:
    """An MP4 file in the making: H.264 where an encoder is there, else MPEG-4 Part 2.

    Each frame keeps its own time, so that a variable rate stays one. Frames with odd sides keep
    their size; H.264 then has a colour for every pixel (4:4:4), which browsers do not play.

    Args:
        path: of the file.
        time_base: the unit of time in seconds, of which all times are multiples; see
            `VideoReader`.
        rate: frames a second on average.
        pixel_aspect: how many times as wide as high a pixel is shown.

    Attributes:
        codec: what the frames are written in, such as `"H.264"`.

    Raises:
        ImportError: without the package `av`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        time_base: Fraction,
        rate: Fraction,
        pixel_aspect: Fraction = Fraction(1),
    ) -> None:
        self._av = import_av()
        self._encoder = next(one for one in ENCODERS if self._is_there(one.name))
        self.codec = self._encoder.codec
        self._time_base = time_base
        if time_base.denominator > self._encoder.finest:
            self._time_base = Fraction(1, self._encoder.finest)
        self._rate = rate
        self._aspect = pixel_aspect
        self._container = self._av.open(os.fspath(path), "w", format="mp4")
        self._stream: Any = None
        # The last packet waits: only the next, or the end, tells how long it lasts.
        self._held: Any = None
        self._last = -1

    def _is_there(self, name: str) -> bool:
        try:
            self._av.Codec(name, "w")
        except self._av.codec.codec.UnknownCodecError:
            return False
        return True

    def write(self, picture: np.ndarray, time: float) -> None:
        """Appends a frame.

        Args:
            picture: uint8 `[h, w, 3]` RGB, of the first frame's size.
            time: when it is shown, in seconds.

        Raises:
            ValueError: for another size.
        """
        height, width = picture.shape[:2]
        if self._stream is None:
            self._stream = self._new_stream(height, width)
        if (height, width) != (self._stream.height, self._stream.width):
            raise ValueError(
                "Expected frames of one size to be written, (h, w)="
                f"{(self._stream.height, self._stream.width)}. Received: {(height, width)}"
            )
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame = frame.reformat(
            format=self._stream.pix_fmt, dst_colorspace="ITU709", dst_color_range="MPEG"
        )
        # Two frames that a file shows at one time are shown one after the other.
        self._last = frame.pts = max(round(time / self._time_base), self._last + 1)
        frame.time_base = self._time_base
        self._mux(self._stream.encode(frame))

    def _new_stream(self, height: int, width: int) -> Any:
        encoder = self._encoder
        stream = self._container.add_stream(
            encoder.name, rate=self._rate, options=dict(encoder.options)
        )
        stream.height, stream.width = height, width
        is_odd = (height % 2 or width % 2) and encoder.name == "libx264"
        stream.pix_fmt = "yuv444p" if is_odd else "yuv420p"
        context = stream.codec_context
        context.time_base = self._time_base
        context.sample_aspect_ratio = self._aspect
        # Without them packets come in the order of their times.
        context.max_b_frames = 0
        if encoder.bits:
            context.bit_rate = round(encoder.bits * height * width * self._rate)
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED
        return stream

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            if self._held is not None:
                self._container.mux(self._held)
            self._held = packet

    def close(self, end: float | None = None) -> None:
        """Writes what is left; without a frame the file is one of nothing.

        Args:
            end: when the last frame ends, in seconds; by default after the time of one frame.
        """
        if self._stream is not None:
            self._mux(self._stream.encode(None))
        if self._held is not None:
            last = self._held
            shown = 1 / self._rate if end is None else end - float(last.pts * last.time_base)
            last.duration = max(1, round(shown / last.time_base))
            self._container.mux(last)
        self._container.close()
