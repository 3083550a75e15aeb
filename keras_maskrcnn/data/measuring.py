"""Mean and deviation of the pixels of a data set, by channel."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np

from keras_maskrcnn.checks import at_least
from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.data.windows import read_bands

# Pictures per core that are held at a time.
_AHEAD = 2

# How many pixels, their mean, and the sum of the squares around it, by channel.
_Moments = tuple[int, np.ndarray, np.ndarray]


def measure_pixels(data: DetectionData, max_pictures: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Measures what a model must know of pictures that are not like ImageNet's.

    Pictures are decoded one after the other, on all cores, and none is kept: a picture of a
    megapixel takes some hundredths of a second. All pixels of a picture count alike.

    Args:
        data: the pictures to train on.
        max_pictures: of more, so many are measured, chosen at random.
        seed: of that choice.

    Returns:
        arguments of `MaskRCNN`: `channels` and `value_range` as those of `data.pixels`;
        `pixel_mean` and `pixel_std`, a number for each channel on the scale 0..255 on which
        `value_range` is black and white. A channel whose values are all alike gets a deviation
        of 1.

    Raises:
        ValueError: if `max_pictures` is under 1, there are no pictures, or none can be read.

    Warns:
        UserWarning: where pictures cannot be read, and so are not measured.

    Example:
        data = load_dataset("fields/", channels=4, value_range=(0, 4095))
        model = MaskRCNN(len(data.class_names), **measure_pixels(data))
    """
    at_least(1, max_pictures=max_pictures)
    if not data.records:
        raise ValueError(f"Expected pictures to measure. Received: none in {data.name!r}")
    records = data.records
    if len(records) > max_pictures:
        places = np.random.default_rng(seed).choice(len(records), max_pictures, replace=False)
        records = [records[place] for place in np.sort(places)]
    channels = data.pixels.channels
    all_pixels: _Moments = (0, np.zeros(channels), np.zeros(channels))
    problems = []
    for found in _measured(records, data):
        if isinstance(found, str):
            problems.append(found)
            continue
        all_pixels = _joined(all_pixels, found)
    count, mean, squares = all_pixels
    if not count:
        raise ValueError(f"No picture of {data.name!r} can be read, such as: {problems[0]}")
    if problems:
        warnings.warn(
            f"{len(problems)} of {len(records)} pictures of {data.name!r} cannot be read and are "
            f"not measured, such as: {problems[0]}",
            UserWarning,
            stacklevel=2,
        )
    deviation = np.sqrt(squares / count)
    return {
        "channels": channels,
        "value_range": data.pixels.value_range,
        "pixel_mean": tuple(mean.tolist()),
        "pixel_std": tuple(np.where(deviation > 0, deviation, 1.0).tolist()),
    }


def _joined(one: _Moments, other: _Moments) -> _Moments:
    """Of two parts together (Chan, Golub and LeVeque 1979)."""
    (count, mean, squares), (size, own_mean, own_squares) = one, other
    total = count + size
    apart = own_mean - mean
    return (
        total,
        mean + apart * (size / total),
        squares + own_squares + apart**2 * (count * size / total),
    )


def _moments(image: np.ndarray) -> _Moments:
    values = image.reshape(-1, image.shape[2])
    mean = values.mean(axis=0, dtype=np.float64)
    # Channel by channel: the float64 of one is held, not of all.
    squares = [np.square(values[:, c] - mean[c]).sum() for c in range(len(mean))]
    return len(values), mean, np.array(squares)


def _measured(records: list[ImageRecord], data: DetectionData) -> Iterator[_Moments | str]:
    """Of each picture, in order; or why it cannot be read."""

    def measure(record: ImageRecord) -> _Moments | str:
        try:
            # Some are too large to be decoded as a whole: crops of them are trained on.
            return functools.reduce(_joined, map(_moments, read_bands(record, data.pixels)))
        except ValueError as error:
            return str(error)

    cores = os.cpu_count() or 1
    left = iter(records)
    with ThreadPoolExecutor(cores) as threads:
        waiting = [threads.submit(measure, record) for record in islice(left, _AHEAD * cores)]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [threads.submit(measure, record) for record in islice(left, 1)]
