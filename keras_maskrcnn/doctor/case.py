"""What checks look at, and the checks by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.doctor.findings import Finding, Kind, Place
from keras_maskrcnn.doctor.pictures import PictureFacts
from keras_maskrcnn.images.input_size import InputSize
from keras_maskrcnn.images.tiling import Tiling


@dataclass(frozen=True)
class Seen:
    """A picture, its annotations, and what reading it told."""

    place: Place
    record: ImageRecord
    facts: PictureFacts

    @property
    def is_usable(self) -> bool:
        """Whether training can read it: a picture of another size is left out there."""
        return self.facts.size == (self.record.height, self.record.width)


@dataclass(frozen=True, eq=False)
class Case:
    """A data set as the checks see it.

    Args:
        splits: the parts by name.
        facts: of the pictures of each part, in the order of its records.
        input_size: how large the network sees a picture.
        anchor_sizes: square roots of the anchors' areas, all levels together, in its pixels.
        anchor_ratios: heights over widths.
        tiling: by which pictures are seen in tiles; `None`: whole.
    """

    splits: Mapping[str, DetectionData]
    facts: Mapping[str, list[PictureFacts]]
    input_size: InputSize
    anchor_sizes: tuple[float, ...]
    anchor_ratios: tuple[float, ...]
    tiling: Tiling | None = None

    @cached_property
    def pictures(self) -> list[Seen]:
        """All pictures of all parts."""
        return [
            Seen(Place(split, record.image_id, record.path), record, facts)
            for split, data in self.splits.items()
            for record, facts in zip(data.records, self.facts[split], strict=True)
        ]

    @property
    def training_split(self) -> str:
        """The part called train, or else the first."""
        names = list(self.splits)
        return next((name for name in names if name.lower().startswith("train")), names[0])

    def objects(self) -> Iterator[tuple[Seen, Instance]]:
        """All objects, crowd regions apart."""
        for seen in self.pictures:
            for instance in seen.record.objects:
                yield seen, instance

    def named(self, seen: Seen, instance: Instance) -> str:
        """An object for a sentence: its id and class."""
        name = self.splits[seen.place.split].class_names[instance.category]
        return f"object {instance.annotation_id} ({name})"

    @cached_property
    def class_counts(self) -> dict[str, dict[str, int]]:
        """Objects by class, then by part; a class that a part does not know is not in it."""
        counts: dict[str, dict[str, int]] = {}
        for split, data in self.splits.items():
            for name in data.class_names:
                counts.setdefault(name, {})[split] = 0
            for record in data.records:
                for instance in record.objects:
                    counts[data.class_names[instance.category]][split] += 1
        return counts

    def scale(self, record: ImageRecord) -> float:
        """By which the network's picture is larger than the one on disk."""
        if self.tiling is not None:
            return max(self.tiling.scales)
        height, width = self.input_size.resized(record.height, record.width)
        return max(height / record.height, width / record.width)

    @cached_property
    def sides(self) -> np.ndarray:
        """Width and height of each object's box as the network sees it, float64 `[N, 2]`."""
        rows = [
            (scale * (o.box[2] - o.box[0]), scale * (o.box[3] - o.box[1]))
            for record, scale in ((s.record, self.scale(s.record)) for s in self.pictures)
            for o in record.objects
        ]
        return np.array(rows, np.float64).reshape(-1, 2)


CheckFunction = Callable[[Case], Iterator[Finding]]


@dataclass(frozen=True)
class Check:
    """A function that looks for findings of a few kinds."""

    find: CheckFunction
    kinds: tuple[Kind, ...]


CHECKS: list[Check] = []


def check(*kinds: Kind) -> Callable[[CheckFunction], CheckFunction]:
    """Decorator: `validate` runs the function, and the page explains its kinds.

    ```python
    @check(TINY)
    def tiny_objects(case):
        for seen, instance in case.objects():
            ...
            yield TINY.found("...", seen.place, annotation_ids=[instance.annotation_id])
    ```
    """

    def add(function: CheckFunction) -> CheckFunction:
        CHECKS.append(Check(function, kinds))
        return function

    return add
