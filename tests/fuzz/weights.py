"""Broken weights files: pickles, archives, HDF5."""

from __future__ import annotations

import functools
import io
import os
import pickle
import random
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from matterport_writer import write_matterport_file
from torch_writer import write_torch_file

from fuzz.archives import mutate_hdf5, mutate_npy, mutate_zip, write_zip
from fuzz.fuzzer import Fuzzer
from fuzz.mutations import mutate_bytes
from fuzz.pickles import forge, instructions, mutate_pickle
from fuzz.verdicts import ACCEPTED, REFUSED, SilentError, UnclearError, check_refusal

_SHAPES = {"kernel": (3, 3, 2, 4), "wide": (5, 6), "bias": (4,)}
# Names by which the readers know whose network it is.
_NAMES = {
    "pkl": ("res5.0.conv1.weight", "stem.conv1.weight", "stem.conv1.norm.bias"),
    "pth": ("layer4.0.conv1.weight", "fc.weight", "bn1.bias"),
    "npz": ("conv1_conv/kernel", "conv2_block1_1_conv/kernel", "conv5_block1_1_conv/bias"),
    "h5": ("res5a_branch2a/kernel", "conv1/kernel", "conv1/bias"),
}
# What stands in the file that no weights file may read.
_SECRET = np.float32(12345.678)


class Case(NamedTuple):
    """A weights file.

    Args:
        kind: its ending.
        content: the file.
        sound: whether nothing was done to it.
    """

    kind: str
    content: bytes
    sound: bool


class WeightsFuzzer(Fuzzer):
    """Weights files of a few small arrays."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.secret = folder / "secret"
        self.secret.write_bytes(np.full(1000, _SECRET).tobytes())
        with h5py.File(self.secret.with_suffix(".h5"), "w") as file:
            file["data"] = np.full((3, 3, 2, 4), _SECRET)

    def make(self, number: int) -> tuple[Case, str]:
        rng = random.Random(f"weights {number}")
        kind = rng.choice(list(_MAKERS))
        maker, ending = _MAKERS[kind]
        if rng.random() < 0.03:
            return Case(ending, _whole(kind), True), f"{kind}: nothing"
        content, what = maker(rng, self.folder)
        return Case(ending, content, False), f"{kind}: {what}"

    def judge(self, number: int, case: Case) -> str:
        import keras

        from keras_maskrcnn.weights.files import read_weights_file
        from keras_maskrcnn.weights.report import Slot, fill

        file = self.folder / f"case{number}.{case.kind}"
        file.write_bytes(case.content)
        expected = tensors(case.kind)
        variables = {name: keras.Variable(np.zeros_like(x)) for name, x in expected.items()}
        slots = [Slot(variable, (name,), _same) for name, variable in variables.items()]
        before = sorted(os.listdir(self.folder))
        try:
            read = read_weights_file(file)
            fill(slots, read.tensors, source=str(read), ignore={})
        except Exception as error:
            check_refusal(error, file.name)
            if case.sound:
                raise UnclearError(f"a whole file is refused: {error}") from error
            return REFUSED
        finally:
            if sorted(os.listdir(self.folder)) != before:
                raise SilentError("the file wrote a file")
        for name, variable in variables.items():
            values = keras.ops.convert_to_numpy(variable)
            if not np.isfinite(values).all():
                raise SilentError(f"accepted {name}, which is not finite")
            if (values == _SECRET).any():
                raise SilentError(f"{name} holds what stands in another file")
            if case.sound and not np.array_equal(values, expected[name]):
                raise SilentError(f"{name} differs")
        return ACCEPTED


def tensors(kind: str) -> dict[str, np.ndarray]:
    """What the files of that kind hold."""
    rng = np.random.default_rng(0)
    shapes = zip(_NAMES[kind], _SHAPES.values(), strict=True)
    return {name: rng.normal(size=shape).astype("float32") for name, shape in shapes}


def _same(tensor: np.ndarray) -> np.ndarray:
    return tensor


@functools.cache
def _whole(kind: str) -> bytes:
    if kind.startswith("pkl"):
        content = {"model": tensors("pkl"), "__author__": "nobody", "n": np.float64(2.5)}
        return pickle.dumps(content, protocol=int(kind[-1]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "whole.npz"
        if kind == "h5":
            write_matterport_file(path, tensors("h5"))
        elif kind == "npz":
            np.savez(path, **tensors("npz"))
        else:
            write_torch_file(path, tensors("pth"), legacy=kind == "pth legacy")
        return path.read_bytes()


def _members(kind: str) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(_whole(kind))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _mutate_numbers(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    """The bytes of float32: one that is no number, too few, too many."""
    action = rng.choice(("nan", "inf", "short", "long", "empty"))
    if action in ("nan", "inf"):
        at = 4 * rng.randrange(len(data) // 4)
        return data[:at] + np.float32(action).tobytes() + data[at + 4 :], action
    return {"short": data[:-1], "long": data * 2, "empty": b""}[action], action


def _make_pkl(protocol: int) -> Callable[[random.Random, Path], tuple[bytes, str]]:
    def make(rng: random.Random, _: Path) -> tuple[bytes, str]:
        whole = _whole(f"pkl {protocol}")
        if rng.random() < 0.1:
            raw = tensors("pkl")["stem.conv1.weight"].tobytes()
            numbers, what = _mutate_numbers(rng, raw)
            return whole.replace(raw, numbers.ljust(len(raw), b"\0")[: len(raw)]), what
        if rng.random() < 0.15:
            return forge(rng, _NAMES["pkl"], rng.choice((b"A" * 64, bytes(64), rng.randbytes(64))))
        return (mutate_pickle if rng.random() < 0.75 else mutate_bytes)(rng, whole)

    return make


def _make_pth(rng: random.Random, _: Path) -> tuple[bytes, str]:
    members, way = _members("pth"), rng.random()
    if way < 0.15:
        return mutate_bytes(rng, _whole("pth"))
    if way < 0.4:
        return mutate_zip(rng, members)
    name = "archive/data.pkl" if way < 0.8 else rng.choice(list(members))
    if name == "archive/data.pkl":
        members[name], what = mutate_pickle(rng, members[name])
    elif name == "archive/byteorder":
        members[name], what = rng.choice((b"big", b"", b"\xff")), "byte order"
    elif "/data/" in name:
        members[name], what = _mutate_numbers(rng, members[name])
    else:
        members[name], what = mutate_bytes(rng, members[name])
    return write_zip(members), f"{name}: {what}"


def _make_legacy(rng: random.Random, _: Path) -> tuple[bytes, str]:
    whole = _whole("pth legacy")
    if rng.random() < 0.25:
        return mutate_bytes(rng, whole)
    # Five pickles: a mark, a version, sizes, the tensors, their keys; then the numbers.
    starts = [0]
    for _number in range(5):
        starts.append(starts[-1] + [end for *_, end in instructions(whole[starts[-1] :])][-1])
    place = rng.choice((0, 1, 2, 3, 3, 3, 3, 4, 5))
    before, rest = whole[: starts[place]], whole[starts[place] :]
    rest, what = (mutate_bytes if place == 5 else mutate_pickle)(rng, rest)
    return before + rest, f"part {place}: {what}"


def _make_npz(rng: random.Random, _: Path) -> tuple[bytes, str]:
    members, way = _members("npz"), rng.random()
    if way < 0.2:
        return mutate_bytes(rng, _whole("npz"))
    if way < 0.5:
        return mutate_zip(rng, members)
    name = rng.choice(list(members))
    head, body = members[name][:128], members[name][128:]
    if way < 0.9:
        members[name], what = mutate_npy(rng, members[name])
    else:
        numbers, what = _mutate_numbers(rng, body)
        members[name] = head + numbers
    return write_zip(members), f"{name}: {what}"


def _make_h5(rng: random.Random, folder: Path) -> tuple[bytes, str]:
    if rng.random() < 0.4:
        return mutate_bytes(rng, _whole("h5"))
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / "made.h5"
        path.write_bytes(_whole("h5"))
        what = mutate_hdf5(rng, path, folder / "secret")
        return path.read_bytes(), what


_MAKERS: dict[str, tuple[Callable[[random.Random, Path], tuple[bytes, str]], str]] = {
    "pkl 2": (_make_pkl(2), "pkl"),
    "pkl 4": (_make_pkl(4), "pkl"),
    "pth": (_make_pth, "pth"),
    "pth legacy": (_make_legacy, "pth"),
    "npz": (_make_npz, "npz"),
    "h5": (_make_h5, "h5"),
}

FUZZER = WeightsFuzzer
