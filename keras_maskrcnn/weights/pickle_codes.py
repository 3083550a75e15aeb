"""How pickles write plain values: the instructions that need nothing but the bytes after them."""

from __future__ import annotations

import codecs
import pickle
import struct
from collections.abc import Callable
from typing import Any

from keras_maskrcnn.weights.limits import shown

VALUES: dict[bytes, Any] = {
    pickle.NONE: None,
    pickle.NEWTRUE: True,
    pickle.NEWFALSE: False,
    pickle.EMPTY_TUPLE: (),
}
NUMBERS = {
    pickle.BININT: struct.Struct("<i"),
    pickle.BININT1: struct.Struct("<B"),
    pickle.BININT2: struct.Struct("<H"),
    pickle.BINFLOAT: struct.Struct(">d"),
}
# How the length is written, and the encoding. Python 2's strings are bytes or text: as latin1 they
# can become either.
STRINGS = {
    pickle.SHORT_BINSTRING: ("<B", "latin1"),
    pickle.BINSTRING: ("<I", "latin1"),
    pickle.SHORT_BINUNICODE: ("<B", "utf-8"),
    pickle.BINUNICODE: ("<I", "utf-8"),
    pickle.BINUNICODE8: ("<Q", "utf-8"),
    pickle.SHORT_BINBYTES: ("<B", None),
    pickle.BINBYTES: ("<I", None),
    pickle.BINBYTES8: ("<Q", None),
}
TUPLES = {pickle.TUPLE1: 1, pickle.TUPLE2: 2, pickle.TUPLE3: 3}
PUTS = {pickle.BINPUT: "<B", pickle.LONG_BINPUT: "<I"}
GETS = {pickle.BINGET: "<B", pickle.LONG_BINGET: "<I"}


def _decode_int(line: bytes) -> int | bool:
    if line in (b"00", b"01"):  # how protocol 0 writes bools
        return line == b"01"
    return int(line)


def decode_index(line: bytes) -> int:
    """A place in the memo, written as a line."""
    index = int(line)
    if not 0 <= index < 2**32:
        raise ValueError(f"expected a place in the memo. Received: {shown(index)}")
    return index


def _decode_string(line: bytes) -> str:
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise ValueError(f"expected a quoted string. Received: {shown(line)}")
    return codecs.escape_decode(line[1:-1])[0].decode("latin1")


# Protocol 0 writes values as lines.
LINES: dict[bytes, Callable[[bytes], Any]] = {
    pickle.INT: _decode_int,
    pickle.LONG: lambda line: int(line.removesuffix(b"L")),
    pickle.FLOAT: float,
    pickle.STRING: _decode_string,
    pickle.UNICODE: lambda line: str(line, "raw-unicode-escape"),
}
