"""A results file in COCO's format: one JSON list, of any length, in any order."""

from __future__ import annotations

import logging
from array import array
from pathlib import Path
from typing import Any

import numpy as np

from keras_maskrcnn.data.formats.problems import ItemError
from keras_maskrcnn.evaluation.json_entries import read_json_entries, scan_json
from keras_maskrcnn.evaluation.result_source import ResultSource
from keras_maskrcnn.evaluation.results import check_result
from keras_maskrcnn.evaluation.truth_file import AnnotationFile

logger = logging.getLogger("keras_maskrcnn")


class ResultsFile(ResultSource):
    """The results of one file, of which only where they stand is kept.

    Args:
        file: path of the JSON file.
        truth: what they are compared to.

    Raises:
        ValueError: when there is no such file, it is no JSON list, or a result names no image or
            category of the ground truth, has no finite score, or other fields than the first; the
            message names the file, and the result by its number, counted from 0.
    """

    def __init__(self, file: Path, truth: AnnotationFile) -> None:
        super().__init__(str(file))
        self.file = file
        image_ids, offsets, lengths = array("q"), array("q"), array("q")
        categories = set(truth.category_ids)
        for number, (_, offset, length, result) in enumerate(scan_json(file)):
            try:
                check_result(result, truth.sizes, categories)
                self.note_fields(result, is_first=number == 0)
            except ItemError as problem:
                raise ValueError(f"{self.place(number)}: {problem}") from None
            image_ids.append(result["image_id"])
            offsets.append(offset)
            lengths.append(length)
        if not image_ids:
            logger.warning("%s holds no results", file)
        self.image_ids, self._offsets, self._lengths = (
            np.array(column, np.int64) for column in (image_ids, offsets, lengths)
        )

    def place(self, row: int) -> str:
        """The file and the number."""
        return f"{self.file}, result {row}"

    def read(self, rows: np.ndarray) -> list[dict[str, Any]]:
        """As they stand in the file."""
        places = zip(self._offsets[rows].tolist(), self._lengths[rows].tolist(), strict=True)
        return list(read_json_entries(self.file, places))

    def area_of(self, iou_type: str) -> str:
        """The first field that they hold, as `loadRes` of COCO's tool has it."""
        return self.fields[0]
