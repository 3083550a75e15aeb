"""Mutations of plain bytes, and hostile values."""

from __future__ import annotations

import random
from collections.abc import Callable


def flip_bits(rng: random.Random, data: bytes) -> bytes:
    """One to twenty bits, mostly near the start, where headers are."""
    changed = bytearray(data)
    end = len(data) if rng.random() < 0.5 else max(1, len(data) // 8)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        changed[rng.randrange(end)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncate(rng: random.Random, data: bytes) -> bytes:
    """Anything from nothing at all to all but the last byte."""
    return data[: rng.choice((rng.randrange(len(data)), rng.randrange(min(64, len(data))), -1))]


def overwrite(rng: random.Random, data: bytes) -> bytes:
    """A run of bytes with noise, zeros or ones."""
    length = min(len(data), rng.choice((1, 4, 8, 64)))
    at = rng.randrange(len(data) - length + 1)
    noise = rng.choice((rng.randbytes(length), bytes(length), b"\xff" * length))
    return data[:at] + noise + data[at + length :]


def repeat(rng: random.Random, data: bytes) -> bytes:
    """A slice once more."""
    start, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:end] + data[start:end] + data[end:]


def remove(rng: random.Random, data: bytes) -> bytes:
    """A short slice."""
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.choice((1, 2, 4, 16, 256)) :]


def append(rng: random.Random, data: bytes) -> bytes:
    """Noise at the end."""
    return data + rng.randbytes(rng.choice((1, 4, 1000)))


def set_integer(rng: random.Random, data: bytes) -> bytes:
    """Four or eight bytes as an extreme number, which lengths and offsets are."""
    size = rng.choice((2, 4, 8))
    if len(data) < size:
        return b""
    top = 1 << (8 * size)
    value = rng.choice((0, 1, top - 1, top // 2, top // 2 - 1, top // 16, 1 << 15))
    at = rng.randrange(len(data) - size + 1)
    order = rng.choice(("little", "big"))
    return data[:at] + (value % top).to_bytes(size, order) + data[at + size :]


BYTE_MUTATIONS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    flip_bits,
    flip_bits,
    truncate,
    overwrite,
    repeat,
    remove,
    append,
    set_integer,
)


def mutate_bytes(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    """The mutated bytes and what was done."""
    mutation = rng.choice(BYTE_MUTATIONS)
    return mutation(rng, data), mutation.__name__
