"""Clips for tests, of a square that moves, made by PyAV and broken by hand."""

import struct
from fractions import Fraction

import av
import numpy as np

COUNT, RATE, SIZE, SIDE = 12, 10, (48, 64), 10
# Little is lost in coding; key frames, and such as look ahead, come where they are told to.
FINE = {"qp": "4", "bf": "2", "b_strategy": "0", "sc_threshold": "0"}
# Above what coding makes of black.
LIT = 60


def square(number):
    """x1 y1 x2 y2 of the square in a frame."""
    x, y = 4 + 3 * number, 8 + 2 * (number % 6)
    return x, y, x + SIDE, y + SIDE


def picture(number, size=SIZE):
    """White in odd frames, and grey in even ones."""
    made = np.zeros((*size, 3), "uint8")
    x1, y1, x2, y2 = square(number)
    made[y1:y2, x1:x2] = 255 if number % 2 else 128
    return made


def bounds(shown):
    """x1 y1 x2 y2 of what is not black."""
    y, x = np.nonzero(shown[..., 0] > LIT)
    return int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1


def make_clip(path, count=COUNT, *, size=SIZE, **options):
    """A clip of so many frames of the square; `options` as in `make_clip_of`."""
    return make_clip_of(path, (picture(number, size) for number in range(count)), **options)


def make_clip_of(path, frames, *, ticks=None, codec="libx264", container=None, **options):
    """A clip of pictures; `ticks` are their times in hundredths of a second."""
    options = {**(FINE if codec == "libx264" else {}), **options}
    unit = Fraction(1, RATE if ticks is None else 100)
    with av.open(str(path), "w", options=container or {}) as file:
        stream = file.add_stream(codec, rate=RATE, options=options)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = unit
        number = 0
        for number, shown in enumerate(frames, 1):
            if number == 1:
                stream.height, stream.width = shown.shape[:2]
            frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
            frame.pts = number - 1 if ticks is None else ticks[number - 1]
            frame.time_base = unit
            file.mux(stream.encode(frame))
        if number:
            file.mux(stream.encode(None))
        else:
            file.start_encoding()
    return path


def make_sound(path):
    """Half a second of silence."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4000), "float32"), "fltp", "mono")
        frame.sample_rate = 8000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def turn(path, a, b, c, d):
    """Has an MP4 file shown by a matrix: a point (x, y) at (a x + c y, b x + d y)."""
    content = bytearray(path.read_bytes())
    # The header of the track: version 0 has ten numbers before the matrix, and no more.
    start = content.find(b"tkhd") + 4
    assert content[start] == 0
    one, all_of = 1 << 16, 1 << 30
    matrix = (a * one, b * one, 0, c * one, d * one, 0, 0, 0, all_of)
    struct.pack_into(">9i", content, start + 40, *matrix)
    path.write_bytes(content)


def packets(path):
    """Time in seconds, place, size, and whether it is a key frame, of each packet in its order."""
    with av.open(str(path)) as file:
        (stream,) = file.streams.video
        return [
            (float(p.pts * p.time_base), p.pos, p.size, p.is_keyframe)
            for p in file.demux(stream)
            if p.size
        ]


def spoil(path, time):
    """Overwrites the packet of the frame of that time; tells whether it is a key frame."""
    content = bytearray(path.read_bytes())
    ((_, place, size, is_key),) = (p for p in packets(path) if abs(p[0] - time) < 1e-6)
    content[place : place + size] = bytes(size)
    path.write_bytes(content)
    return is_key


def told(path):
    """Times, size and duration in seconds as the file has them."""
    with av.open(str(path)) as file:
        (stream,) = file.streams.video
        times = [float(f.time) for f in file.decode(stream)]
        return times, (stream.height, stream.width), float(stream.duration * stream.time_base)
