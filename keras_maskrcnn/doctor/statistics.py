"""The numbers of a data set: what it holds, and how its values are distributed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_maskrcnn.doctor.anchors import best_overlaps, proposed_sizes
from keras_maskrcnn.doctor.case import Case

# Upper ends of bars; one more bar holds what is beyond.
_SIZES = tuple(float(2**octave) for octave in range(1, 11))
_RATIOS = (0.125, 0.25, 0.5, 0.71, 1.0, 1.41, 2.0, 4.0, 8.0)
_COUNTS = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_LEVELS = tuple(float(level) for level in range(32, 256, 32))


@dataclass(frozen=True)
class Histogram:
    """Counts of values in bars.

    Args:
        title: what is counted.
        upper: upper ends of the bars, which belong to them.
        counts: one more than there are ends: the last counts what is beyond.
    """

    title: str
    upper: tuple[float, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, title: str, values: Any, upper: tuple[float, ...]) -> Histogram:
        place = np.searchsorted(upper, np.asarray(values, np.float64))
        return cls(title, upper, tuple(np.bincount(place, minlength=len(upper) + 1).tolist()))


def split_numbers(case: Case) -> dict[str, dict[str, int]]:
    """Counts by part and name."""
    numbers = {}
    for split, data in case.splits.items():
        seen = [s for s in case.pictures if s.place.split == split]
        numbers[split] = {
            "pictures": len(data),
            "readable_pictures": sum(s.is_usable for s in seen),
            "pictures_without_objects": sum(not record.objects for record in data.records),
            "objects": sum(len(record.objects) for record in data.records),
            "crowd_regions": sum(len(record.crowds) for record in data.records),
            "objects_with_a_box_only": len(data.boxes_only),
            "items_left_out": len(data.warnings),
        }
    return numbers


def histograms(case: Case) -> dict[str, Histogram]:
    """Distributions by name, over all parts."""
    sides = case.sides
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.nan_to_num(sides[:, 1] / sides[:, 0])
    means = [float(s.facts.mean.mean()) for s in case.pictures if s.facts.mean is not None]
    return {
        "object_sizes": Histogram.of(
            "Objects by size: square root of the box' area, in pixels of the network",
            np.sqrt(sides.prod(axis=1)),
            _SIZES,
        ),
        "object_ratios": Histogram.of("Objects by height over width", ratios, _RATIOS),
        "objects_per_picture": Histogram.of(
            "Pictures by their number of objects",
            [len(s.record.objects) for s in case.pictures],
            _COUNTS,
        ),
        "brightness": Histogram.of("Pictures by mean value, 0 to 255", means, _LEVELS),
    }


def anchor_numbers(case: Case) -> dict[str, Any]:
    """How the anchors fit; None where there are no objects."""
    sides, sizes, ratios = case.sides, case.anchor_sizes, case.anchor_ratios
    proposed = proposed_sizes(sides, sizes, ratios)

    def fit(tried: tuple[float, ...]) -> float | None:
        return float(best_overlaps(sides, tried, ratios).mean()) if len(sides) else None

    return {
        "anchor_sizes": list(sizes),
        "anchor_ratios": list(ratios),
        "mean_best_iou": fit(sizes),
        "proposed_anchor_sizes": list(proposed),
        "proposed_mean_best_iou": fit(proposed),
    }


def pixel_numbers(case: Case) -> dict[str, Any]:
    """Mean and standard deviation by channel over all pixels; None where none could be read."""
    total = count = square = np.zeros(1)
    grey = 0
    for seen in case.pictures:
        facts = seen.facts
        if facts.size is not None and facts.mean is not None and facts.square is not None:
            pixels = facts.size[0] * facts.size[1]
            count = count + pixels
            total = total + pixels * facts.mean
            square = square + pixels * facts.square
            grey += facts.is_grey
    if not count.any():
        return {"mean": None, "std": None, "grey_pictures": 0}
    mean = total / count
    return {
        "mean": mean.tolist(),
        "std": np.sqrt(np.maximum(square / count - mean**2, 0)).tolist(),
        "grey_pictures": grey,
    }
