"""Results on disk: what of them is kept in memory, and how their rows are read again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_maskrcnn.data.formats.problems import ItemError
from keras_maskrcnn.evaluation.checks import shown
from keras_maskrcnn.evaluation.results import RESULT_FIELDS, is_held, prepare_results
from keras_maskrcnn.evaluation.truth_file import AnnotationFile


class ResultSource(ABC):
    """Results that all hold the same fields.

    Attributes:
        name: path, for messages.
        fields: of `"bbox"`, `"segmentation"`, `"keypoints"`, which the results hold; empty where
            there is no result.
        image_ids: int64 `[D]`, of each result, ids of the ground truth.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.fields: list[str] = []
        self.image_ids = np.zeros(0, np.int64)

    @abstractmethod
    def place(self, row: int) -> str:
        """What an error calls a result."""

    @abstractmethod
    def read(self, rows: np.ndarray) -> list[dict[str, Any]]:
        """Results with the ground truth's ids, as they were checked."""

    @abstractmethod
    def area_of(self, iou_type: str) -> str:
        """The field whose area makes an unmatched result small, medium or large."""

    def prepare(
        self, iou_type: str, truth: AnnotationFile, rows: np.ndarray | None = None
    ) -> list[dict[str, Any]]:
        """Results as they are scored; see `prepare_results`.

        Args:
            iou_type: one for which these results are.
            truth: what they are compared to.
            rows: int `[n]`, which of them, counted from 0; `None`: all.
        """
        rows = np.arange(len(self.image_ids)) if rows is None else rows
        if not len(rows):
            return []
        return prepare_results(
            self.read(rows),
            iou_type,
            area_of=self.area_of(iou_type),
            sizes=truth.sizes,
            place=lambda number: self.place(int(rows[number])),
            joints=truth.joints,
        )

    def note_fields(self, result: dict[str, Any], is_first: bool) -> None:
        """Takes the fields of the first result, and holds all others against them.

        Raises:
            ItemError: where they are others, or none.
        """
        fields = [field for field in RESULT_FIELDS.values() if is_held(result, field)]
        if is_first:
            self.fields = fields
            if not fields:
                raise ItemError(
                    f"expected one of {list(RESULT_FIELDS.values())}. Received: {shown(result)}"
                )
        elif fields != self.fields:
            raise ItemError(
                f"expected {self.fields}, as the first result of the file has. Received: {fields}"
            )


def held_types(sources: Sequence[ResultSource]) -> list[str]:
    """Which comparisons results allow: boxes are made of masks, where there are none."""
    held = {field for source in sources for field in source.fields}
    if "segmentation" in held:
        held.add("bbox")
    return [name for name, field in RESULT_FIELDS.items() if field in held]


def source_of(sources: Sequence[ResultSource], iou_type: str) -> ResultSource:
    """The one with results for a comparison; for boxes, else that with masks or keypoints.

    Raises:
        ValueError: when none has such results, or more than one.
    """
    if not any(source.fields for source in sources):
        return sources[0]
    wanted = RESULT_FIELDS.values() if iou_type == "bbox" else [RESULT_FIELDS[iou_type]]
    for field in wanted:
        holding = [source for source in sources if field in source.fields]
        if len(holding) > 1:
            raise ValueError(
                f"Expected one file with {field!r}. "
                f"Received: {', '.join(source.name for source in holding)}"
            )
        if holding:
            return holding[0]
    raise ValueError(
        f"Scoring {iou_type!r} needs results with {RESULT_FIELDS[iou_type]!r}. "
        f"Received: {', '.join(f'{source.name} with {source.fields}' for source in sources)}"
    )
