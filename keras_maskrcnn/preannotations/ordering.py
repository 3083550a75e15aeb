"""Which pictures a person should see first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from keras_maskrcnn.checks import one_of
from keras_maskrcnn.names import ORDERS


def uncertainty(scores: Iterable[float]) -> float:
    """How many mistakes of a model are to be expected in a picture: the sum of `min(s, 1 - s)`.

    A score stands for the probability that an object is there. Who keeps those of at least one
    half is wrong with probability `1 - s` about what is kept, and with `s` about what is left out;
    the expected number of mistakes is their sum. That is what a person can correct there, and what
    a model learns from: a sure picture teaches it nothing, and of two unsure ones, that with more
    unsure objects teaches more for one look. The mean would put a picture with one doubtful object
    before one with ten and many sure ones.

    Objects that the model did not consider at all, also with a low score, count as none; so give
    the scores without a threshold.

    Args:
        scores: of all objects of a picture, 0..1.

    Returns:
        0 or more; 0 for a picture without any object.
    """
    values = np.asarray(list(scores), np.float64)
    return float(np.minimum(values, 1 - values).sum())


def places_in_order(scores: Sequence[Iterable[float]], order: str) -> list[int]:
    """The numbers of pictures in the order in which they are to be seen.

    Args:
        scores: of the objects of each picture.
        order: `"given"`, or `"uncertainty"` for the most uncertain first; equal ones stay as they
            are given.

    Raises:
        ValueError: for another order.
    """
    one_of("order", order, ORDERS)
    places = list(range(len(scores)))
    if order == "uncertainty":
        values = [uncertainty(of_picture) for of_picture in scores]
        places.sort(key=lambda place: -values[place])
    return places
