"""Encodes a mask as Label Studio's brush does; `formats.brush` decodes, and tells the code."""

from __future__ import annotations

import numpy as np

_CHANNELS = 4
_WORD = 8
# Bits of the counts of runs: most are short, and a count of the last takes 16 bits.
_LENGTHS = (3, 4, 8, 16)


def encode_brush(mask: np.ndarray) -> list[int]:
    """The code's bytes.

    Args:
        mask: bool `[h, w]`.
    """
    flat = mask.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=~flat[:1]))
    counts = (np.diff(starts, append=flat.size) * _CHANNELS).tolist()
    bits = [f"{flat.size * _CHANNELS:032b}", f"{_WORD - 1:05b}"]
    bits += [f"{length - 1:04b}" for length in _LENGTHS]
    for start, count in zip(starts.tolist(), counts, strict=True):
        value = f"{255 * int(flat[start]):0{_WORD}b}"
        while count:
            part = min(count, 1 << _LENGTHS[-1])
            place = next(k for k, length in enumerate(_LENGTHS) if part <= 1 << length)
            bits.append(f"1{place:02b}{part - 1:0{_LENGTHS[place]}b}{value}")
            count -= part
    text = "".join(bits)
    size = (len(text) + 7) // 8
    return list(int(text.ljust(8 * size, "0"), 2).to_bytes(size, "big"))
