"""Mutations of pickles, which are programs: of their instructions, numbers and names."""

from __future__ import annotations

import pickletools
import random
from collections.abc import Iterator

# What a file may ask for: what weights need, relatives of it, and what would run code.
_GLOBALS = (
    *("numpy dtype", "numpy ndarray", "numpy matrix", "numpy memmap", "numpy load", "numpy.core"),
    *("numpy.core.multiarray scalar", "numpy.core.multiarray _reconstruct", "numpy fromfile"),
    *("numpy._core.multiarray scalar", "numpy._core.multiarray _reconstruct", "numpy frombuffer"),
    *("torch._utils _rebuild_tensor_v2", "torch FloatStorage", "torch QInt8Storage", "torch Size"),
    *("collections OrderedDict", "collections defaultdict", "_codecs encode", "_codecs decode"),
    *("os system", "posix system", "builtins eval", "builtins exec", "builtins getattr"),
    *("subprocess Popen", "keras_maskrcnn.weights.torch_file _Tensor", "builtins bytearray"),
)
_CODES = (
    *("O", "O8", "V", "V16", "U4", "S4", "S0", "M8", "m8[ns]", "f16", "c8", "c16", "g", "?", "b"),
    *("f2", "f4", "f8", "i8", "u1", "<f4", ">f4", "|", "<", ">", "=", "f4,f4", "(2,3)f4", "x", ""),
)
_NUMBERS = (
    *(0, 1, 2, 3, -1, -2, 255, 256, 2**15, 2**31 - 1, -(2**31), 2**31, 2**40, 2**62, 2**63),
    *(-(2**63), 2**64, 2**100, 63, 8, 16),
)


def instructions(data: bytes) -> Iterator[tuple[str, object, int, int]]:
    """Name, argument, beginning and end of each instruction of the first pickle in the data."""
    found = [(op.name, argument, at) for op, argument, at in pickletools.genops(data)]
    ends = [at for _, _, at in found[1:]]
    for (name, argument, at), end in zip(found, [*ends, found[-1][2] + 1], strict=True):
        yield name, argument, at or 0, end or 0


def mutate_pickle(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    """Changes one instruction.

    Args:
        rng: to draw from.
        data: a pickle, and what follows it.

    Returns:
        The changed pickle with what follows, and what was done.
    """
    program = list(instructions(data))
    kind = rng.choice(("number", "number", "text", "global", "order", "insert", "size"))
    if kind == "number":
        wanted = {"BININT", "BININT1", "BININT2", "LONG1", "INT", "LONG"}
    elif kind == "text":
        wanted = {"SHORT_BINUNICODE", "BINUNICODE", "SHORT_BINSTRING", "SHORT_BINBYTES", "STRING"}
    elif kind == "global":
        wanted = {"GLOBAL", "STACK_GLOBAL"}
    elif kind == "size":
        wanted = {"BINUNICODE", "BINBYTES", "BINSTRING", "FRAME", "SHORT_BINUNICODE", "BINGET"}
    else:
        wanted = {name for name, *_ in program[1:]}
    places = [step for step in program if step[0] in wanted] or program[1:]
    name, argument, at, end = rng.choice(places)
    before, old, after = data[:at], data[at:end], data[end:]
    if kind == "number":
        number = rng.choice(_NUMBERS)
        return before + _number(number) + after, f"{argument!r:.20} becomes {number}"
    if kind == "text":
        code = rng.choice(_CODES)
        return before + _text(code) + after, f"{argument!r:.40} becomes {code!r}"
    if kind == "global":
        module, _, attribute = rng.choice(_GLOBALS).partition(" ")
        new = b"c%b\n%b\n" % (module.encode(), attribute.encode())
        if name == "STACK_GLOBAL":  # It takes two names, which go.
            new = b"00" + new
        return before + new + after, f"{argument!r:.40} becomes {module}.{attribute}"
    if kind == "size":
        size = rng.choice((0, 1, 255, 2**31 - 1, 2**32 - 1))
        new = old[:1] + size.to_bytes(8, "little")[: 8 if name == "FRAME" else 4] + old[5:]
        return before + new + after, f"the size of {name} becomes {size}"
    if kind == "order":
        action = rng.choice(("delete", "double"))
        new = b"" if action == "delete" else old + old
        return before + new + after, f"{action} {name} {argument!r:.30}"
    new = rng.choice(_INSERTED)
    return before + new + after, f"insert {new[:12]!r} at {at}"


def _number(number: int) -> bytes:
    if -(2**31) <= number < 2**31:
        return b"J" + number.to_bytes(4, "little", signed=True)
    raw = number.to_bytes(16, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def _text(text: str) -> bytes:
    raw = text.encode()
    return b"X" + len(raw).to_bytes(4, "little") + raw


def forge(rng: random.Random, names: tuple[str, ...], values: bytes) -> tuple[bytes, str]:
    """A file of arrays whose dtype was told that it holds other things than it does.

    Args:
        rng: to draw from.
        names: of the arrays.
        values: bytes of each.

    Returns:
        The pickle, of the form of detectron2's, and what is wrong with it.
    """
    code = rng.choice((b"O8", b"O", b"V8", b"f4", b"f8", b"U1"))
    order = rng.choice((b"|", b"<", b">"))
    size, alignment = rng.choice(((-1, -1), (8, 1), (0, 1), (8, 8), (4, 4)))
    flags = rng.choice((0, 0, 0, 1, 27, 63))
    dtype = b"cnumpy\ndtype\n(S'%b'\nI0\nI1\ntR(I3\nS'%b'\nNNNI%d\nI%d\nI%d\ntb" % (
        *(code, order, size, alignment, flags),
    )
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    count = len(values) // rng.choice((4, 8))
    state = b"(I1\n(I%d\nt%bI00\n%btb" % (count, dtype, _latin(values))
    entries = b"".join(_text(name) + array + state + b"s" for name in names)
    content = b"\x80\x02}" + _text("model") + b"}" + entries + b"s."
    return content, f"a dtype {code!r} of order {order!r}, {size} bytes, flags {flags}"


def _latin(values: bytes) -> bytes:
    """As Python 2 wrote the bytes of an array."""
    return b"T" + len(values).to_bytes(4, "little") + values


# Single instructions, loops of references, and numbers, texts and towers that take memory.
_INSERTED = (
    *(b"0", b"1", b"2", b"(", b")", b"]", b"}", b"N", b".", b"R", b"b", b"t", b"d", b"s", b"a"),
    *(b"o", b"\x81", b"\x92", b"\x93", b"\x86", b"Q", b"P1\n", b"h\xff", b"j\xff\xff\xff\x7f"),
    *(b"\x8b\xff\xff\xff\x7f", b"\x8b" + (1 << 20).to_bytes(4, "little"), b"I" + b"9" * 5000),
    *(b"B\xff\xff\xff\xff", b"\x8e" + (1 << 40).to_bytes(8, "little"), b"X\xff\xff\xff\xff"),
    *(b"r\xff\xff\xff\x7f", b"N" + b"\x85" * 100_000, b"]" * 100_000, b"(" * 100_000),
    *(b"\x96" + (1 << 40).to_bytes(8, "little"), b"\x95" + (1 << 50).to_bytes(8, "little")),
    *(
        b"]q\x01h\x01a",
        b"}q\x01K\x01h\x01s",
        b"\x82\x01",
        b"\x84\x01\x00\x00\x00",
        b"\x97",
        b"\x98",
    ),
)
