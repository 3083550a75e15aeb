"""The colours of Pascal VOC's label pictures."""

from __future__ import annotations


def voc_palette() -> list[int]:
    """Red, green, blue of the values 0..255: a value's bits, by threes, are their highest ones."""
    colours = []
    for value in range(256):
        for channel in range(3):
            bits = (value >> (3 * k + channel) & 1 for k in range(3))
            colours.append(sum(bit << (7 - k) for k, bit in enumerate(bits)))
    return colours
