"""The checksum of TFRecord files: CRC-32C (Castagnoli), which Python's own libraries lack.

Python takes a second for a picture, byte by byte. A CRC is linear: the bytes are cut into lanes, a
row of NumPy's each, which go through the tables together; then neighbouring lanes are joined. A
picture of 200 kB takes about two thousandths of a second.
"""

from __future__ import annotations

from functools import cache

import numpy as np

# Castagnoli's polynomial, its bits in reverse.
_POLYNOMIAL = 0x82F63B78
_WORDS = 16
# Of TFRecord's "masked" checksum: https://www.tensorflow.org/tutorials/load_data/tfrecord
_MASK_DELTA = 0xA282EAD8

# A linear map of 32 bits: for each of the four bytes of a value, lowest first, what it becomes.
_Map = np.ndarray


def masked_crc32c(content: bytes) -> int:
    """The checksum as TFRecord files have it: rotated, so that sums of what holds sums are safe."""
    crc = crc32c(content)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def crc32c(content: bytes) -> int:
    """CRC-32C of bytes, as RFC 3720 has it."""
    if len(content) < 4:
        crc = 0xFFFFFFFF
        for byte in content:
            crc = int(_step()[3][(crc ^ byte) & 0xFF]) ^ (crc >> 8)
        return crc ^ 0xFFFFFFFF
    lane = 4 * _WORDS
    # Zeros before the first byte change nothing while the register holds zero; what it holds at
    # the start is added to the first four bytes.
    padding = -len(content) % lane
    padded = np.zeros(padding + len(content), np.uint8)
    padded[padding:] = np.frombuffer(content, np.uint8)
    padded[padding : padding + 4] ^= 0xFF
    words = padded.view("<u4").reshape(-1, _WORDS).astype(np.uint32)
    crcs = np.zeros(len(words), np.uint32)
    for column in range(_WORDS):
        crcs = _apply(_step(), crcs ^ words[:, column])
    level = 0
    while len(crcs) > 1:
        if len(crcs) % 2:
            crcs = np.concatenate([np.zeros(1, np.uint32), crcs])
        crcs = _apply(_past_lanes(level), crcs[::2]) ^ crcs[1::2]
        level += 1
    return int(crcs[0]) ^ 0xFFFFFFFF


def _apply(table: _Map, values: np.ndarray) -> np.ndarray:
    return (
        table[0][values & 0xFF]
        ^ table[1][values >> 8 & 0xFF]
        ^ table[2][values >> 16 & 0xFF]
        ^ table[3][values >> 24]
    )


@cache
def _step() -> _Map:
    """What a register becomes when four zero bytes pass; row 3, of its highest byte, is the table
    of one byte, and so is what `crc32c` reads bytes by one at a time with."""
    one: np.ndarray = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        one = (one >> 1) ^ np.where(one & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
    rows: list[np.ndarray] = [one]
    for _ in range(3):
        rows.append(one[rows[-1] & 0xFF] ^ (rows[-1] >> 8))
    return np.stack(rows[::-1])


@cache
def _past_lanes(level: int) -> _Map:
    """What a register becomes when `2 ** level` lanes of zeros pass."""
    if level:
        half = _past_lanes(level - 1)
        return np.stack([_apply(half, row) for row in half])
    table = _step()
    for _ in range(_WORDS - 1):
        table = np.stack([_apply(_step(), row) for row in table])
    return table
