"""What every sampling owes, and what is done with pictures without objects."""

from __future__ import annotations

import abc
from typing import Any

import numpy as np

from keras_maskrcnn.checks import at_least, fraction
from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.parts import DataRegistry, Part

SAMPLINGS = DataRegistry("sampling")


class Sampling(Part, abc.ABC):
    """Base of all samplings.

    Args:
        empty_share: part of each pass, in 0..1 without 1, that pictures without objects make up:
            they are left out by turns, or repeated; `None`: as it comes.
        max_empty: how many pictures without objects a pass has at most; the others have their turn
            in later passes. `None`: no limit.

    Raises:
        ValueError: for a setting that is out of range.
    """

    def __init__(self, *, empty_share: float | None = None, max_empty: int | None = None) -> None:
        if empty_share is not None:
            fraction(empty_share=empty_share)
            if empty_share == 1:
                raise ValueError("empty_share must be below 1. Received: empty_share=1")
        if max_empty is not None:
            at_least(0, max_empty=max_empty)
        self.empty_share = empty_share
        self.max_empty = max_empty

    @property
    def is_by_content(self) -> bool:
        """Whether it matters what is on the pictures."""
        return not (isinstance(self, Every) and self.empty_share is None and self.max_empty is None)

    @abc.abstractmethod
    def repeats(self, data: DetectionData) -> np.ndarray:
        """How often each picture should come in a pass, whatever is done with those without
        objects: float64 `[pictures]`."""

    def weights(self, data: DetectionData) -> np.ndarray:
        """How often each picture comes in a pass on average: float64 `[pictures]`.

        Raises:
            ValueError: if no picture would be left.
        """
        weights = np.asarray(self.repeats(data), np.float64)
        if self.empty_share is None and self.max_empty is None:
            return weights
        empty = np.array([not record.objects for record in data.records])
        has_both = empty.any() and not empty.all()
        if self.empty_share is not None and has_both:
            share = self.empty_share / (1 - self.empty_share)
            weights[empty] *= weights[~empty].sum() * share / weights[empty].sum()
        if self.max_empty is not None and weights[empty].sum() > self.max_empty:
            weights[empty] *= self.max_empty / weights[empty].sum()
        if round(weights.sum()) < 1:
            raise ValueError(
                f"{data.name}: expected pictures with objects, or a larger max_empty. Received: "
                f"{len(data)} pictures without objects and max_empty={self.max_empty}"
            )
        return weights

    def get_config(self) -> dict[str, Any]:
        """What `SAMPLINGS` makes it from again: name and settings."""
        return {"name": SAMPLINGS.name_of(type(self)), **super().get_config()}


@SAMPLINGS.register("all")
class Every(Sampling):
    """Each picture once."""

    def repeats(self, data: DetectionData) -> np.ndarray:
        return np.ones(len(data.records))


def pictures_with(data: DetectionData) -> tuple[list[set[int]], np.ndarray]:
    """The classes of each picture's objects, and how many pictures have each: int64 `[K]`."""
    classes = [{o.category for o in record.objects} for record in data.records]
    counts = np.zeros(len(data.class_names), np.int64)
    for found in classes:
        counts[list(found)] += 1
    return classes, counts
