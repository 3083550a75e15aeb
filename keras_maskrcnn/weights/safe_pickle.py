"""Reads pickles that other people wrote, without running them."""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from keras_maskrcnn.weights.limits import UnsafeFileError, WeightsFileError, reading, shown
from keras_maskrcnn.weights.pickle_codes import (
    GETS,
    LINES,
    NUMBERS,
    PUTS,
    STRINGS,
    TUPLES,
    VALUES,
    decode_index,
)

# A tensor takes some 35 instructions, a detector has 700 tensors.
_MOST_STEPS = 1_000_000


class StandIn:
    """Stands for an object that a file wants: it keeps what the file says of it."""

    def __repr__(self) -> str:
        """For messages: without an address, which differs from run to run."""
        return f"<{type(self).__name__.strip('_')}>"

    def set_state(self, state: Any) -> None:
        """Takes what the pickle sets after making the object."""
        raise ValueError(f"expected nothing that has a state. Received: {shown(state)}")


def load_pickle(
    file: IO[bytes],
    path: Path,
    allowed: Mapping[str, Any],
    *,
    persistent_load: Callable[[Any], Any] | None = None,
) -> Any:
    """Reads the pickle at a file's position; the position is behind it afterwards.

    A pickle is a program for a machine with a stack: `pickle.load` runs whatever function it
    names, changes whatever object it names, and takes whatever memory it asks for. The machine here
    knows only the instructions that plain data needs; every name is looked up in `allowed`, never
    imported; only stand-ins get a state; lengths are held against the bytes that are there; keys
    are such that their hash is cheap; and the number of steps is limited.

    Args:
        file: open binary file that can seek.
        path: for messages.
        allowed: `"module.name"` to what stands for it: a value, or a function that the file may
            call. Functions must not take memory in proportion to anything but their arguments.
        persistent_load: resolves the file's references to data outside the pickle.

    Returns:
        What was pickled, of `None`, `bool`, `int`, `float`, `str`, `bytes`, `tuple`, `list`, `dict`
        and what `allowed` made. Python 2's strings are `str`, decoded as latin1.

    Raises:
        UnsafeFileError: when the file asks for anything but data.
        WeightsFileError: when it is damaged.
    """
    with reading(path, "pickled weights"):
        return _Machine(file, path, allowed, persistent_load).run()


def new_dict(pairs: Any = ()) -> dict[Any, Any]:
    """A dict of pairs, whose keys may be text, bytes, `None` and 64-bit numbers.

    To hash a nested tuple may take for ever, and so may many integers of one hash.
    """
    if not isinstance(pairs, list | tuple):
        raise ValueError(f"expected pairs. Received: {shown(pairs)}")
    for key, _ in pairs:
        is_integer = isinstance(key, int) and -(2**63) <= key < 2**63
        if not (is_integer or key is None or isinstance(key, str | bytes | float)):
            raise ValueError(f"expected a plain key. Received: {shown(key)}")
    return dict(pairs)


def _pairs(items: list[Any]) -> dict[Any, Any]:
    """Keys and values in turn."""
    return new_dict(list(zip(items[::2], items[1::2], strict=True)))


class _Machine:
    def __init__(
        self,
        file: IO[bytes],
        path: Path,
        allowed: Mapping[str, Any],
        persistent_load: Callable[[Any], Any] | None,
    ) -> None:
        self._file, self._path, self._allowed = file, path, allowed
        self._persistent_load = persistent_load
        start = file.tell()
        self._left = file.seek(0, io.SEEK_END) - start
        file.seek(start)
        self._stack: list[Any] = []
        self._outer: list[list[Any]] = []  # of the marks that are open
        self._memo: dict[int, Any] = {}
        self._steps = 0

    def run(self) -> Any:
        while (code := self._take(1)) != pickle.STOP:
            self._spend(1)
            self._step(code)
        return self._stack.pop()

    def _step(self, code: bytes) -> None:
        if code in VALUES:
            self._stack.append(VALUES[code])
        elif code in NUMBERS:
            number = NUMBERS[code]
            self._stack.append(number.unpack(self._take(number.size))[0])
        elif code in STRINGS:
            length, encoding = STRINGS[code]
            data = self._take(self._number(length))
            self._stack.append(data if encoding is None else str(data, encoding, "surrogatepass"))
        elif code in LINES:
            self._stack.append(LINES[code](self._line()))
        elif code in TUPLES:
            count = TUPLES[code]
            items = tuple(self._stack[-count:])
            if len(items) < count:
                raise IndexError("its stack is too short")
            self._stack[-count:] = [items]
        elif code in PUTS:
            self._memo[self._number(PUTS[code])] = self._stack[-1]
        elif code in GETS:
            self._stack.append(self._memo[self._number(GETS[code])])
        else:
            self._rare_step(code)

    def _rare_step(self, code: bytes) -> None:
        stack = self._stack
        match code:
            case pickle.PROTO:
                self._take(1)
            case pickle.FRAME:
                self._take(8)
            case pickle.MARK:
                self._outer.append(stack)
                self._stack = []
            case pickle.LONG1:
                stack.append(int.from_bytes(self._take(self._number("<B")), "little", signed=True))
            case pickle.PUT:
                self._memo[decode_index(self._line())] = stack[-1]
            case pickle.MEMOIZE:
                self._memo[len(self._memo)] = stack[-1]
            case pickle.GET:
                stack.append(self._memo[decode_index(self._line())])
            case pickle.POP:
                stack.pop()
            case pickle.POP_MARK:
                self._marked()
            case pickle.DUP:
                stack.append(stack[-1])
            case pickle.EMPTY_LIST:
                stack.append([])
            case pickle.EMPTY_DICT:
                stack.append({})
            case pickle.TUPLE:
                self._close(tuple)
            case pickle.LIST:
                self._close(list)
            case pickle.DICT:
                self._close(_pairs)
            case pickle.APPEND:
                self._extend([stack.pop()])
            case pickle.APPENDS:
                self._extend(self._marked())
            case pickle.SETITEM:
                value = stack.pop()
                self._update([stack.pop(), value])
            case pickle.SETITEMS:
                self._update(self._marked())
            case pickle.GLOBAL:
                module, name = self._line().decode(), self._line().decode()
                stack.append(self._named(module, name))
            case pickle.STACK_GLOBAL:
                name = stack.pop()
                stack.append(self._named(stack.pop(), name))
            case pickle.REDUCE:
                arguments = stack.pop()
                stack.append(self._call(stack.pop(), arguments))
            case pickle.BUILD:
                self._set_state(stack.pop())
            case pickle.PERSID:
                stack.append(self._outside(self._line().decode()))
            case pickle.BINPERSID:
                stack.append(self._outside(stack.pop()))
            case _:
                raise UnsafeFileError(
                    f"{self._path} is refused: its pickle has the instruction {code!r}, which "
                    "weights do not need. The file may also be damaged"
                )

    def _spend(self, steps: int) -> None:
        self._steps += steps
        if self._steps > _MOST_STEPS:
            raise UnsafeFileError(
                f"{self._path} is refused: its pickle takes more than {_MOST_STEPS} steps"
            )

    def _take(self, count: int) -> bytes:
        data = self._file.read(count) if count <= self._left else b""
        if len(data) != count:
            raise WeightsFileError(
                f"{self._path} is incomplete: its pickle expects {count} more bytes. "
                f"Received: {self._left}"
            )
        self._left -= count
        return data

    def _number(self, code: str) -> int:
        return struct.unpack(code, self._take(struct.calcsize(code)))[0]

    def _line(self) -> bytes:
        line = self._file.readline()
        self._left -= len(line)
        if not line.endswith(b"\n"):
            raise WeightsFileError(f"{self._path} is incomplete: its pickle stops within a line")
        return line[:-1]

    def _marked(self) -> list[Any]:
        """What was pushed since the last mark."""
        items = self._stack
        self._stack = self._outer.pop()
        return items

    def _close(self, make: Callable[[list[Any]], Any]) -> None:
        made = make(self._marked())
        self._stack.append(made)

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise ValueError(f"expected a list to append to. Received: {shown(target)}")
        target.extend(items)

    def _update(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not dict:
            raise ValueError(f"expected a dict to fill. Received: {shown(target)}")
        target.update(_pairs(items))

    def _named(self, module: Any, name: Any) -> Any:
        full_name = f"{module}.{name}" if {type(module), type(name)} == {str} else ""
        if full_name not in self._allowed:
            raise UnsafeFileError(
                f"{self._path} is refused: it asks to run {shown(full_name)}, which weights do not "
                "need. The file may be malicious, or may hold more than weights (a whole pickled "
                f"model, say). Known names: {', '.join(sorted(self._allowed))}"
            )
        return self._allowed[full_name]

    def _call(self, function: Any, arguments: Any) -> Any:
        # Nothing on the stack can be called but what `allowed` holds.
        if not callable(function) or type(arguments) is not tuple:
            raise UnsafeFileError(f"{self._path} is refused: it calls {shown(function)}")
        self._spend(sum(len(value) for value in arguments if isinstance(value, list | tuple)))
        return function(*arguments)

    def _set_state(self, state: Any) -> None:
        target = self._stack[-1]
        if isinstance(target, StandIn):
            target.set_state(state)
        elif type(target) is not dict:  # a state dict's attributes are of no use here
            raise UnsafeFileError(f"{self._path} is refused: it changes {shown(target)}")

    def _outside(self, reference: Any) -> Any:
        if self._persistent_load is None:
            raise UnsafeFileError(
                f"{self._path} is refused: it refers to data outside the pickle, {shown(reference)}"
            )
        return self._persistent_load(reference)
