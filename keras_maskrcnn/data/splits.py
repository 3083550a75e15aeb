"""A data set for training and one for validation: those that lie there, or made of one."""

from __future__ import annotations

import dataclasses
import os
import re
from collections import defaultdict
from typing import Any

import numpy as np

from keras_maskrcnn.data.datasets import dataset_splits, load_dataset
from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.formats.reader import SPLITS
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.data.shard_files import name_as_file
from keras_maskrcnn.names import VAL_FRACTION

_TRAIN = re.compile(r"train(ing)?\d*$", re.IGNORECASE)
_VAL = re.compile(r"val(id|idation)?\d*$", re.IGNORECASE)
# Ends of names that pictures of one origin differ by: the copies of one photo that an export
# made, the frames of one video, the tiles of one large picture.
_SIBLINGS = (
    re.compile(r"\.rf\.[0-9a-zA-Z]+$"),
    re.compile(r"(?<=.)[_-]frame[_-]?\d+$", re.IGNORECASE),
    re.compile(r"(?<=.)[_-](tile[_-]?\d+|[xr]\d+[_-][yc]\d+)$", re.IGNORECASE),
)


def load_splits(
    path: str | os.PathLike[str],
    format: str = "auto",
    *,
    val_fraction: float = VAL_FRACTION,
    seed: int = 0,
    **options: Any,
) -> tuple[DetectionData, DetectionData]:
    """Reads what to train on and what to validate on, with the same classes.

    Args:
        path, format, options: as `load_dataset` has them, `channels` and `value_range` too.
        val_fraction: part of the pictures that is set aside where there is no split for
            validation; see `split_data`.
        seed: of that choice.

    Returns:
        The data for training and for validation. An object of a class that training does not
        know counts as an item that cannot be used.

    Raises:
        ValueError: as `load_dataset` and `split_data`, or where there are splits, but not one
            for training.
    """
    names = dataset_splits(path, format)
    if not names or _is_whole(names):
        return split_data(load_dataset(path, format, **options), val_fraction, seed)
    train = _one(names, _TRAIN, path)
    data = load_dataset(path, format, split=train, **options)
    if not any(map(_VAL.match, names)):
        return split_data(data, val_fraction, seed)
    options = {"class_names": data.class_names, **options}
    return data, load_dataset(path, format, split=_one(names, _VAL, path), **options)


def load_split(
    path: str | os.PathLike[str],
    format: str = "auto",
    *,
    split: str,
    val_fraction: float = VAL_FRACTION,
    seed: int = 0,
    **options: Any,
) -> DetectionData:
    """Reads one split: `"train"` and `"val"` are those of `load_splits`, whether they lie there
    or are made; others go by their names. Where it lies there, no other is read, so that a format
    which names no classes has those of its objects.

    Raises:
        ValueError: as `load_splits`.
    """
    names = dataset_splits(path, format)
    kind = {"train": _TRAIN, "val": _VAL}.get(split)
    if kind is None:
        return load_dataset(path, format, split=split, **options)
    if any(map(_VAL.match, names)):
        return load_dataset(path, format, split=_one(names, kind, path), **options)
    made = load_splits(path, format, val_fraction=val_fraction, seed=seed, **options)
    return made[split == "val"]


def split_data(
    data: DetectionData, val_fraction: float = VAL_FRACTION, seed: int = 0
) -> tuple[DetectionData, DetectionData]:
    """Sets a part of the pictures aside for validation.

    Where names say that pictures are of one origin, all of them are on the same side, since a
    model would know them: copies of one photo (`a.rf.0f3c.jpg`), frames of a video
    (`a_frame_12.jpg`), tiles (`a_tile3.jpg`, `a_x0_y512.jpg`).

    Args:
        data: all pictures.
        val_fraction: part of them to set aside, above 0 and below 1.
        seed: from which the choice follows; the same pictures and seed give the same choice,
            wherever they lie.

    Returns:
        The data for training, with the warnings, and for validation.

    Raises:
        ValueError: if the fraction is out of range, or all pictures are of one origin.
    """
    if not 0 < val_fraction < 1:
        raise ValueError(f"Expected val_fraction above 0 and below 1. Received: {val_fraction=}")
    groups: dict[str, list[ImageRecord]] = defaultdict(list)
    for record in data.records:
        groups[_origin(record.path)].append(record)
    if len(groups) < 2:
        raise ValueError(
            f"{data.name}: expected pictures of at least two origins to set some aside for "
            f"validation. Received: {len(data)} pictures of {len(groups)}"
        )
    keys = sorted(groups)
    wanted = max(1, round(val_fraction * len(data)))
    order = [keys[place] for place in np.random.default_rng(seed).permutation(len(keys))]
    taken: list[str] = []
    count = 0
    for key in order[:-1]:
        # A group that overshoots the number by more than is lacking stays in training.
        if count + len(groups[key]) / 2 <= wanted:
            taken.append(key)
            count += len(groups[key])
    taken = taken or [min(order, key=lambda key: len(groups[key]))]
    chosen = {record.image_id for key in taken for record in groups[key]}
    parts = [
        [record for record in data.records if (record.image_id in chosen) == is_val]
        for is_val in (False, True)
    ]
    return (
        dataclasses.replace(data, records=parts[0], name=f"{data.name}_train"),
        dataclasses.replace(data, records=parts[1], name=f"{data.name}_val", warnings=[]),
    )


def _origin(path: str) -> str:
    """The name that pictures of one origin share, with its folder's."""
    place = name_as_file(path)
    stem = place.stem
    for pattern in _SIBLINGS:
        stem = pattern.sub("", stem)
    return f"{place.parent.name}/{stem}"


def _is_whole(names: list[str]) -> bool:
    """Whether there is one part alone, whose name is no split's, such as that of a file."""
    return len(names) == 1 and not _TRAIN.match(names[0]) and names[0].lower() not in SPLITS


def _one(names: list[str], kind: re.Pattern[str], path: str | os.PathLike[str]) -> str:
    found = [name for name in names if kind.match(name)]
    if len(found) != 1:
        raise ValueError(
            f"{os.fspath(path)}: expected one split called {kind.pattern.split('(')[0]}. "
            f"Received: {', '.join(names)}"
        )
    return found[0]
