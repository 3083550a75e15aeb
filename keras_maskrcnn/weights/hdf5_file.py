"""Reads the tensors of Keras 2's `.h5` weights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from keras_maskrcnn.weights.limits import (
    PLAIN_DTYPES,
    Budget,
    UnsafeFileError,
    WeightsFileError,
    reading,
    shown,
)

# Keras' files have 5 levels: a layer of a model in a model.
_MOST_LEVELS = 16

# Keras stores tensors whole and unpacked. Nothing else is read: HDF5's filters unpack whatever
# they are given without a limit, and a virtual dataset is made of other files.
_LAYOUTS = (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS)


def read_hdf5_file(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a weights file of Keras 2, or the weights of a model that it saved.

    Returns:
        `"<layer>/<variable>"`, such as `"conv1_conv/kernel"`, to array, in the machine's byte
        order.

    Raises:
        UnsafeFileError: when the file refers to others (external data, links, virtual datasets),
            or holds anything but plain numbers as Keras stores them.
        ValueError: when it is damaged, or of Keras 3.
    """
    path = Path(path)
    budget = Budget(path)
    tensors: dict[str, np.ndarray] = {}
    with reading(path, "HDF5"), h5py.File(path, "r") as file:
        for full_name, dataset in _datasets(file, path):
            # "conv1_conv/conv1_conv/kernel:0"; some writers repeat the model's name.
            name = "/".join(full_name.split("/")[-2:]).removesuffix(":0")
            if re.fullmatch(r"vars/\d+", name):
                raise WeightsFileError(
                    f"{path} is of Keras 3, and not another project's: load it with the model's "
                    "own load_weights"
                )
            if name in tensors:
                raise WeightsFileError(f"{path} is damaged: it holds {shown(name)} twice")
            tensors[name] = _read(dataset, name, budget)
    return tensors


def _datasets(file: h5py.File, path: Path) -> Iterator[tuple[str, h5py.Dataset]]:
    """All datasets with their full names; of a whole model those of its weights."""
    seen: set[int] = set()
    # Groups to be visited, the next one last.
    groups: list[tuple[str, h5py.Group]] = [("", file)]
    while groups:
        prefix, group = groups.pop()
        names = list(group)
        if group == file and "model_weights" in names:
            names = ["model_weights"]  # beside the optimizer's
        inner = []
        for name in names:
            full_name = f"{prefix}{name}"
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise UnsafeFileError(
                    f"{path} is refused: {shown(full_name)} is a link, maybe to another file"
                )
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen or full_name.count("/") >= _MOST_LEVELS:
                raise UnsafeFileError(
                    f"{path} is refused: {shown(full_name)} goes round in circles"
                )
            seen.add(address)
            if isinstance(item, h5py.Dataset):
                yield full_name, item
            elif isinstance(item, h5py.Group):
                inner.append((f"{full_name}/", item))
            else:
                raise UnsafeFileError(f"{path} is refused: {shown(full_name)} is no tensor")
        groups += reversed(inner)


def _read(dataset: h5py.Dataset, name: str, budget: Budget) -> np.ndarray:
    properties = dataset.id.get_create_plist()
    if properties.get_external_count():
        raise UnsafeFileError(
            f"{budget.path} is refused: the data of {shown(name)} is in another file"
        )
    if properties.get_layout() not in _LAYOUTS:
        raise UnsafeFileError(
            f"{budget.path} is refused: {shown(name)} is stored in chunks or in other files. "
            "Expected tensors as Keras stores them; a file that was packed since can be unpacked "
            "with `h5repack -l CONTI`"
        )
    # The size first: numpy's twin of an unknown type may have another.
    item_size, dtype = dataset.id.get_type().get_size(), dataset.dtype
    if dtype.newbyteorder("=") not in PLAIN_DTYPES.values() or dtype.itemsize != item_size:
        raise UnsafeFileError(
            f"{budget.path} is refused: expected plain numbers in {shown(name)}. "
            f"Received: {shown(str(dtype))}"
        )
    size = budget.take_tensor(name, dataset.shape, dtype)
    stored = dataset.id.get_storage_size()
    if stored != size:
        raise WeightsFileError(
            f"{budget.path} is incomplete: {name} {dataset.shape} needs {size} bytes. "
            f"Received: {stored}"
        )
    return dataset[()].astype(dtype.newbyteorder("="), copy=False)
