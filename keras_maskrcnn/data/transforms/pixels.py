"""Actions that change pixels where they are, and how their numbers become pixels again.

Legend: `H W` pixels of a picture, `C` channels.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_maskrcnn.data.transforms.base import Action, Sample


class PixelAction(Action):
    """An action that changes pixels and moves none: boxes, outlines and keypoints stay."""

    @abc.abstractmethod
    def change(self, image: np.ndarray) -> np.ndarray:
        """The new picture, of the same shape and type; `image` itself stays as it is."""

    def turn(self, height: int, width: int) -> np.ndarray:
        return np.eye(2)

    def apply(self, sample: Sample) -> Sample:
        image, given = self.change(sample.image), sample.image
        if image.shape != given.shape or image.dtype != given.dtype:
            raise ValueError(
                f"{type(self).__name__} must give a picture of shape {given.shape} and type "
                f"{given.dtype}. Received: image of shape {image.shape} and type {image.dtype}"
            )
        return dataclasses.replace(sample, image=image)


def to_planes(image: np.ndarray) -> np.ndarray:
    """A picture `[H, W, C]` as float32 `[C, H, W]`, in memory of its own."""
    return np.array(image.transpose(2, 0, 1), np.float32, order="C")


def from_planes(planes: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Inverse of `to_planes`: for integer types rounded to the nearest, halves to the even one.

    Args:
        planes: float32 `[C, H, W]` of values that `dtype` holds. They are rounded in place.
        dtype: of the picture.
    """
    image = np.empty((*planes.shape[1:], len(planes)), dtype)
    for channel, plane in enumerate(rounded(planes, dtype)):
        image[..., channel] = plane
    return image


def rounded(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Values, which are rounded in place for an integer type, as that type."""
    if np.issubdtype(dtype, np.integer):
        np.rint(values, out=values)
    return values.astype(dtype, copy=False)


def number_range(
    name: str, value: Any, least: float, most: float, *, whole: bool = False
) -> tuple[Any, Any]:
    """The lowest and highest of a setting that is a number, or a pair of these.

    Args:
        name: of the setting, for messages.
        value: what was given.
        least, most: the limits.
        whole: whether they must be integers.

    Raises:
        ValueError: if it is something else, out of the limits, or the first is above the second.
    """
    pair = tuple(value) if isinstance(value, Sequence) and len(value) == 2 else (value, value)
    kind: Any = int if whole else int | float
    if any(isinstance(v, bool) or not isinstance(v, kind) for v in pair) or not (
        least <= pair[0] <= pair[1] <= most
    ):
        what = "an integer" if whole else "a number"
        raise ValueError(
            f"{name} must be {what} in {least}..{most}, or (lowest, highest) of these. "
            f"Received: {name}={value!r}"
        )
    return pair[0], pair[1]


def check_value_range(value_range: Any) -> None:
    """`ValueError` unless it is a number above 0."""
    is_number = isinstance(value_range, int | float) and not isinstance(value_range, bool)
    if not (is_number and value_range > 0):
        raise ValueError(
            "value_range, the highest value of a pixel, must be above 0. "
            f"Received: value_range={value_range!r}"
        )
