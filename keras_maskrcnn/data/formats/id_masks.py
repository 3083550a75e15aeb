"""Objects of a picture whose values are their ids."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from keras_maskrcnn.data.formats.collector import Collector
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.outlines import Bitmap


def masks_of(ids: np.ndarray, skip: Collection[int] = (0,)) -> list[tuple[int, Bitmap]]:
    """The objects by id; those that touch stay apart, and one of several pieces stays one.

    Args:
        ids: `[h, w]` of integers.
        skip: values that are no objects.
    """
    rows, columns = np.nonzero(~np.isin(ids, list(skip)))
    if not rows.size:
        return []
    values, place = np.unique(ids[rows, columns], return_inverse=True)
    order = np.argsort(place, kind="stable")
    rows, columns = rows[order], columns[order]
    first = np.searchsorted(place[order], np.arange(len(values)))
    bounds = zip(
        np.minimum.reduceat(rows, first),
        np.maximum.reduceat(rows, first) + 1,
        np.minimum.reduceat(columns, first),
        np.maximum.reduceat(columns, first) + 1,
        strict=True,
    )
    return [
        (int(value), Bitmap(ids[top:bottom, left:right] == value, int(left), int(top)))
        for value, (top, bottom, left, right) in zip(values, bounds, strict=True)
    ]


def fitted(image: ImageRecord, mask: np.ndarray, found: Collector) -> ImageRecord:
    """A picture that is still to be added, as a mask of all of it sees it.

    Raises:
        ItemError: if the mask has another size.
    """
    size = mask.shape[0], mask.shape[1]
    return found.annotated(image, size, "mask is not of its picture's size")
