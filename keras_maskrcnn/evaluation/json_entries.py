"""The entries of lists in a JSON file, one at a time, and again by where they stand in it.

A million results take gigabytes as Python's objects; where they stand takes 16 bytes for each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from keras_maskrcnn.data.formats.json_file import as_integer, read_json

_BLOCK = 1 << 20
# What ends this near the end of a block may go on in the next: a number, with its exponent's sign.
_NEAR = 64
_SPACE = re.compile(r"[ \t\n\r]*")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_DECODER = json.JSONDecoder()
# For integers of more digits than Python converts; a function of ours for each takes its time.
_PATIENT = json.JSONDecoder(parse_int=as_integer)


class Entry(NamedTuple):
    """An entry of a list.

    Args:
        part: key of the list in the file's object; empty where the file is the list.
        offset, length: of its text in the file, in bytes.
        value: what it holds.
    """

    part: str
    offset: int
    length: int
    value: Any


def scan_json(file: Path, parts: tuple[str, ...] = ()) -> Iterator[Entry]:
    """Reads a JSON file from its beginning to its end, in the memory of its largest entry.

    Args:
        file: path of the file, in UTF-8.
        parts: keys of lists in the file's object, of which all others are passed over; without any
            the file itself is a list.

    Yields:
        Each entry of the lists, in the file's order.

    Raises:
        ValueError: if the file is missing, is no JSON, or does not hold these lists, each once; the
            message names it.
    """
    if not file.is_file():
        raise ValueError(f"Expected a JSON file. Received: {file}")
    try:
        with open(file, "rb") as opened:
            text = _Text(opened)
            if parts:
                yield from _parts(file, text, parts)
            elif text.peek() == "[":
                yield from _entries(text, "")
            else:
                _refuse(file, "a JSON list of results")
            if text.peek():
                raise json.JSONDecodeError("Extra data", "", 0)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        read_json(file)  # Says what is wrong, and where.
        raise ValueError(f"{file}: expected JSON in UTF-8") from error


def read_json_entries(file: Path, places: Iterable[tuple[int, int]]) -> Iterator[Any]:
    """What stands at these offsets and lengths of a file that was scanned."""
    with open(file, "rb") as opened:
        for offset, length in places:
            opened.seek(offset)
            yield _parse(opened.read(length).decode())


def _parse(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # Too many digits.
        return _PATIENT.decode(text)


def _parts(file: Path, text: _Text, parts: tuple[str, ...]) -> Iterator[Entry]:
    missing = set(parts)
    if text.peek() != "{":
        _refuse(file, f"a JSON object with a list called {parts[0]!r}")
    text.expect("{")
    while text.peek() != "}":
        if text.peek() != '"':
            raise json.JSONDecodeError("Expecting a key", "", 0)
        key = text.value()[-1]
        text.expect(":")
        if key not in parts:
            text.value()
        elif text.peek() == "[" and key in missing:
            missing.remove(key)
            yield from _entries(text, key)
        else:
            _refuse(file, f"a JSON object with a list called {key!r}, once")
        text.expect_comma_before("}")
    text.expect("}")
    for part in parts:
        if part in missing:
            _refuse(file, f"a JSON object with a list called {part!r}")


def _entries(text: _Text, part: str) -> Iterator[Entry]:
    text.expect("[")
    while text.peek() != "]":
        yield Entry(part, *text.value())
        text.expect_comma_before("]")
    text.expect("]")


def _refuse(file: Path, expected: str) -> None:
    content = read_json(file)  # What is no JSON at all is said first.
    keys = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
    raise ValueError(f"{file}: expected {expected}. Received: {keys!s:.200}")


class _Text:
    """The text of a file from some place on.

    Each character is a byte, so that places in the text are places in the file: what stands in
    JSON beside strings is ASCII. Strings of other characters are decoded again.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._text, self._start, self._at, self._ended = "", 0, 0, False
        self._more()
        if "\0" in self._text[:4]:  # Of characters of two or four bytes.
            raise json.JSONDecodeError("Expecting UTF-8", "", 0)
        if self._text.startswith(_BYTE_ORDER_MARK.decode("latin-1")):
            self._at = len(_BYTE_ORDER_MARK)

    def peek(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._more()

    def expect(self, character: str) -> None:
        """Passes over the next character, which must be this."""
        if self.peek() != character:
            raise json.JSONDecodeError(f"Expecting {character!r}", "", 0)
        self._at += 1

    def expect_comma_before(self, end: str) -> None:
        """Passes over a comma, unless here is the end; after it there must be more."""
        if self.peek() != end:
            self.expect(",")
            if self.peek() == end:
                raise json.JSONDecodeError("Expecting value", "", 0)

    def value(self) -> tuple[int, int, Any]:
        """Offset and length of the next value, and what it is."""
        self.peek()
        while True:
            try:
                value, end = self._decode()
            except json.JSONDecodeError:
                if self._ended:
                    raise
            else:
                if self._ended or end < len(self._text) - _NEAR:
                    break
            self._more()
        start, self._at = self._at, end
        if not self._text.isascii():
            text = self._text[start:end]
            if not text.isascii():
                value = _parse(text.encode("latin-1").decode())
        return self._start + start, end - start, value

    def _decode(self) -> tuple[Any, int]:
        try:
            return _DECODER.raw_decode(self._text, self._at)
        except json.JSONDecodeError:
            raise
        except ValueError:  # Too many digits.
            return _PATIENT.raw_decode(self._text, self._at)

    def _more(self) -> None:
        """Drops what was read; what is left grows by as much again, that a long value is not tried
        too often."""
        self._text, self._start = self._text[self._at :], self._start + self._at
        self._at = 0
        content = self._file.read(max(_BLOCK, len(self._text)))
        self._ended = not content
        self._text += content.decode("latin-1")
