"""Pictures that cannot be read are found before they are needed."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.reading import read_picture
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.data.windows import check_windows
from keras_maskrcnn.images.pixels import PixelFormat


def leave_out_unreadable(data: DetectionData, *, by_parts: bool = False) -> DetectionData:
    """The data without the pictures that cannot be decoded, or are not of the annotated size.

    A picture that is cut in its middle has a good header: each is decoded whole, on all cores.
    That costs a part of what every epoch spends on decoding.

    Args:
        data: pictures with their annotations.
        by_parts: whether pictures may be so large that only parts of them are decoded at a time.

    Returns:
        the data itself when all is well; else a new one, with a line for each picture that is
        left out added to its `warnings`.

    Raises:
        ValueError: when no picture is left.
    """
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        read = check_windows if by_parts else read_picture
        problems = list(threads.map(lambda r: _problem(read, r, data.pixels), data.records))
    found = [problem for problem in problems if problem is not None]
    if not found:
        return data
    if len(found) == len(data):
        raise ValueError(f"No picture of {data.name!r} can be read, such as: {found[0]}")
    return dataclasses.replace(
        data,
        records=[r for r, problem in zip(data.records, problems, strict=True) if problem is None],
        warnings=[*data.warnings, *found],
    )


def _problem(
    read: Callable[[ImageRecord, PixelFormat], Any], record: ImageRecord, pixels: PixelFormat
) -> str | None:
    try:
        read(record, pixels)
    except ValueError as error:
        return str(error)
    return None
