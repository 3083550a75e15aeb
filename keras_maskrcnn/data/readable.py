"""Pictures that cannot be read are found before they are needed."""

from __future__ import annotations

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.reading import read_picture
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.images.pixels import PixelFormat


def leave_out_unreadable(data: DetectionData) -> DetectionData:
    """The data without the pictures that cannot be decoded, or are not of the annotated size.

    A picture that is cut in its middle has a good header: each is decoded whole, on all cores.
    That costs a part of what every epoch spends on decoding.

    Args:
        data: pictures with their annotations.

    Returns:
        the data itself when all is well; else a new one, with a line for each picture that is
        left out added to its `warnings`.

    Raises:
        ValueError: when no picture is left.
    """
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        problems = list(threads.map(lambda record: _problem(record, data.pixels), data.records))
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


def _problem(record: ImageRecord, pixels: PixelFormat) -> str | None:
    try:
        read_picture(record, pixels)
    except ValueError as error:
        return str(error)
    return None
