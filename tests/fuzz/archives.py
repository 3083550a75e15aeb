"""Mutations of zip archives and HDF5 files: of their members, not of their bytes."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

Members = dict[str, bytes]


def write_zip(members: Members, compression: int = zipfile.ZIP_STORED) -> bytes:
    """An archive."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


def mutate_zip(rng: random.Random, members: Members) -> tuple[bytes, str]:
    """An archive of the members with something wrong, and what."""
    names = list(members)
    name = rng.choice(names)
    action = rng.choice(
        ("delete", "rename", "method", "encrypted", "sizes", "bomb", "double", "add", "comment")
    )
    if action == "delete":
        del members[name]
    elif action == "rename":
        members[rng.choice((f"../{name}", f"/{name}", name.upper(), "x", name[:-4]))] = members.pop(
            name
        )
    elif action == "add":
        members[rng.choice(("x/data.pkl", "config.json", "evil.npy", "archive/data/99"))] = b"x"
    content = write_zip(members)
    if action == "method":
        method = rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 99))
        if method != 99:
            return write_zip(members, method), f"method {method}"
        content = _set_fields(content, name, {10: 99})
    elif action == "encrypted":
        content = _set_fields(content, name, {8: rng.choice((1, 8, 32, 64))})
    elif action == "sizes":
        size = rng.choice((0, 1, 2**31 - 1, 2**32 - 2))
        content = _set_fields(content, name, {rng.choice((20, 24, 42)): size})
    elif action == "bomb":
        return _bomb(members, name), f"{name} of 2 GB in some kilobytes"
    elif action == "double":
        archive = io.BytesIO(content)
        with zipfile.ZipFile(archive, "a") as file:
            file.fp.seek(0, 2) if file.fp else None
            file.filelist.append(file.filelist[0])
            file._didModify = True  # type: ignore[attr-defined]
        content = archive.getvalue()
    elif action == "comment":
        content = b"MZ" * rng.choice((1, 1000)) + content
    return content, f"{action} {name}"


def _set_fields(content: bytes, name: str, fields: dict[int, int]) -> bytes:
    """Fields of a member's entry in the directory, by their place in it."""
    at = content.find(b"PK\x01\x02")
    while content[at + 46 : at + 46 + len(name)] != name.encode():
        at = content.find(b"PK\x01\x02", at + 4)
    changed = bytearray(content)
    for place, value in fields.items():
        struct.pack_into("<H" if place < 12 else "<I", changed, at + place, value)
    return bytes(changed)


def _bomb(members: Members, name: str) -> bytes:
    """The archive, one of its members zeros without end."""
    # A block that can be repeated: it ends on a whole byte, and refers to nothing before it.
    block, count = 1 << 24, 128
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(bytes(block)) + packer.flush(zlib.Z_FULL_FLUSH)
    stream = packed * count + packer.flush()
    content = write_zip({**members, name: stream})
    sizes = {10: zipfile.ZIP_DEFLATED, 24: block * count}
    content = _set_fields(content, name, sizes)
    at = content.find(stream) - len(name) - 30
    changed = bytearray(content)
    struct.pack_into("<H", changed, at + 8, zipfile.ZIP_DEFLATED)
    struct.pack_into("<I", changed, at + 22, block * count)
    return bytes(changed)


_HEADER_CHANGES = (
    ("'<f4'", ("'|O'", "'<f2'", "'<f16'", "'>f4'", "'|V4'", "'<U1'", "'<c8'", "'|b1'", "'<i4'")),
    ("'<f4'", ("'<M8[s]'", "[('a','<f4')]", "''", "None", "[('a','|O')]")),
    ("'shape': (", tuple(f"'shape': ({n}, " for n in (-1, 0, "2**40", 10**9, 10**11))),
    ("'shape': (", ("'shape': ([], ", "'shape': (True, ", "'shape': 3 or (")),
    ("False", ("True", "None", "1")),
    ("{", ("", "{" * 500, "[", "__import__('os')#")),
)


def mutate_npy(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    """The header of an array file."""
    (length,) = struct.unpack_from("<H", data, 8)
    header, body = data[10 : 10 + length].decode(), data[10 + length :]
    old, choices = rng.choice(_HEADER_CHANGES)
    new = rng.choice(choices)
    changed = header.replace(old, new, 1).encode()
    if rng.random() < 0.2:
        version, size = rng.choice(((1, 65535), (2, 0), (9, len(changed)), (3, len(changed))))
        return data[:6] + struct.pack("<BBH", version, 0, size) + changed + body, "npy version"
    return data[:8] + struct.pack("<H", len(changed)) + changed + body, f"{old} becomes {new:.30}"


def mutate_hdf5(rng: random.Random, path: Path, secret: Path) -> str:
    """Replaces one array of an HDF5 file by something else.

    Args:
        rng: to draw from.
        path: of the file, which is changed.
        secret: a file that nobody may read through it.

    Returns:
        What was done.
    """
    names: list[str] = []
    with h5py.File(path, "r+") as file:
        file.visititems(lambda name, item: names.append(name) if _is_array(item) else None)
        name = rng.choice(sorted(names))
        shape, values = file[name].shape, file[name][()]
        del file[name]
        what = rng.choice(list(_REPLACEMENTS))
        _REPLACEMENTS[what](file, name, shape, values, secret)
    return f"{name}: {what}"


def _is_array(item: h5py.HLObject) -> bool:
    return isinstance(item, h5py.Dataset)


Replacement = Callable[[h5py.File, str, tuple, np.ndarray, Path], object]


def _external_storage(
    file: h5py.File, name: str, shape: tuple, values: np.ndarray, secret: Path
) -> None:
    where = [(str(secret), 0, values.nbytes)]
    file.create_dataset(name, shape, "float32", external=where)


def _virtual(file: h5py.File, name: str, shape: tuple, values: np.ndarray, secret: Path) -> None:
    layout = h5py.VirtualLayout(shape, "float32")
    layout[...] = h5py.VirtualSource(str(secret.with_suffix(".h5")), "data", shape)
    file.create_virtual_dataset(name, layout)


def _huge(file: h5py.File, name: str, *_: object) -> None:
    file.create_dataset(name, (10**6, 10**6), "float32")


def _huge_chunked(file: h5py.File, name: str, *_: object) -> None:
    file.create_dataset(
        name, (30_000, 30_000), "float32", chunks=(1000, 1000), compression="gzip", fillvalue=1.0
    )


def _as(dtype: object) -> Replacement:
    return lambda file, name, shape, values, _: file.create_dataset(
        name, data=np.zeros(shape, dtype)
    )


def _set(value: float) -> Replacement:
    def replace(file: h5py.File, name: str, shape: tuple, values: np.ndarray, _: Path) -> None:
        changed = values.copy()
        changed.flat[0] = value
        file[name] = changed

    return replace


_REPLACEMENTS: dict[str, Replacement] = {
    "external storage": _external_storage,
    "virtual": _virtual,
    "external link": lambda file, name, shape, values, secret: file.__setitem__(
        name, h5py.ExternalLink(str(secret.with_suffix(".h5")), "data")
    ),
    "dangling link": lambda file, name, *_: file.__setitem__(name, h5py.SoftLink("/nowhere")),
    "link to itself": lambda file, name, *_: file.__setitem__(name, h5py.SoftLink(f"/{name}")),
    "link to the root": lambda file, name, *_: file.__setitem__(name, file["/"]),
    "group": lambda file, name, *_: file.create_group(name),
    "nothing": lambda *_: None,
    "huge": _huge,
    "huge, in chunks": _huge_chunked,
    "null": lambda file, name, *_: file.__setitem__(name, h5py.Empty("float32")),
    "scalar": lambda file, name, *_: file.__setitem__(name, np.float32(1)),
    "texts": lambda file, name, *_: file.__setitem__(name, ["a", "b"]),
    "complex": _as("complex64"),
    "half": _as("float16"),
    "long double": _as("longdouble"),
    "whole numbers": _as("int64"),
    "truth values": _as("bool"),
    "bytes": _as("S4"),
    "records": _as([("a", "f4"), ("b", "i4")]),
    "references": lambda file, name, shape, *_: file.create_dataset(name, shape, h5py.ref_dtype),
    "lists": lambda file, name, *_: file.create_dataset(name, (2,), h5py.vlen_dtype("float32")),
    "big-endian": lambda file, name, shape, values, _: file.__setitem__(name, values.astype(">f4")),
    "transposed": lambda file, name, shape, values, _: file.__setitem__(name, values.T),
    "compressed": lambda file, name, shape, values, _: file.create_dataset(
        name, data=values, chunks=True, compression="gzip", shuffle=True, fletcher32=True
    ),
    "one infinite": _set(float("inf")),
    "one no number": _set(float("nan")),
}
