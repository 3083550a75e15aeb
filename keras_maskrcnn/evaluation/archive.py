"""The parts that `predict_many` writes, against an annotation file.

An archive numbers its pictures by their places in a list, and its classes as the model does. Both
are found in the annotations by name: a picture where its path ends as the annotations' file name
does, a class where it is called the same.
"""

from __future__ import annotations

import logging
from array import array
from pathlib import Path
from typing import Any

import numpy as np

from keras_maskrcnn.data.formats.json_file import read_json
from keras_maskrcnn.data.formats.problems import ItemError
from keras_maskrcnn.evaluation.archive_pictures import ArchivePictures
from keras_maskrcnn.evaluation.archive_tables import TABLES, Table
from keras_maskrcnn.evaluation.checks import shown
from keras_maskrcnn.evaluation.result_source import ResultSource
from keras_maskrcnn.evaluation.results import RESULT_FIELDS, check_result
from keras_maskrcnn.evaluation.truth_file import AnnotationFile

logger = logging.getLogger("keras_maskrcnn")


class Archive(ResultSource):
    """The results in a folder of parts, of which only where they stand is kept.

    Results of pictures and classes that the annotations do not have are left out, and counted in
    the log.

    Args:
        folder: that `predict_many` has written, in one of its formats.
        truth: what they are compared to.

    Raises:
        ValueError: when the folder holds no parts, or a row is malformed; when an annotated picture
            or class is not there, or a picture twice or of another size. The message names the
            file or the picture.
        ImportError: for Parquet, without `pyarrow`.
    """

    def __init__(self, folder: Path, truth: AnnotationFile) -> None:
        super().__init__(str(folder))
        self._category_ids = _category_ids(folder, truth)
        pictures = ArchivePictures(folder, truth)
        self._tables: list[Table] = []
        for done in _done(folder):
            for row, (_, picture) in enumerate(done.scan()):
                pictures.add(picture, f"{done.path}, row {row}")
            objects = done.path.with_name(done.path.name.replace("pictures", "objects", 1))
            self._tables.append(type(done)(objects))
        pictures.finish()
        self._image_ids = pictures.image_ids
        self._scan(truth)

    def _scan(self, truth: AnnotationFile) -> None:
        columns = image_ids, tables, rows, places = [array("q") for _ in range(4)]
        categories, left_out = set(truth.category_ids), 0
        for number, table in enumerate(self._tables):
            for row, (place, result) in enumerate(table.scan()):
                try:
                    if not self._rename(result):
                        left_out += 1
                        continue
                    check_result(result, truth.sizes, categories)
                    self.note_fields(result, is_first=not image_ids)
                except ItemError as problem:
                    raise ValueError(f"{table.path}, row {row}: {problem}") from None
                for column, value in zip(
                    columns, (result["image_id"], number, row, place), strict=True
                ):
                    column.append(value)
        if left_out:
            logger.warning(
                "%s: left out %d results of pictures or classes that %s does not have",
                self.name,
                left_out,
                truth.file,
            )
        self.image_ids, self._table_of, self._rows, self._places = (
            np.array(column, np.int64) for column in (image_ids, tables, rows, places)
        )

    def place(self, row: int) -> str:
        """The part and the row in it."""
        return f"{self._tables[self._table_of[row]].path}, row {self._rows[row]}"

    def read(self, rows: np.ndarray) -> list[dict[str, Any]]:
        """As they stand in the parts, with the annotations' ids."""
        results: dict[int, dict[str, Any]] = {}
        for number in np.unique(self._table_of[rows]).tolist():
            own = rows[self._table_of[rows] == number]
            found = self._tables[number].read(self._places[own].tolist())
            for row, result in zip(own.tolist(), found, strict=True):
                self._rename(result)
                results[row] = result
        return [results[row] for row in rows.tolist()]

    def area_of(self, iou_type: str) -> str:
        """The field that is compared, as when a model is evaluated: `save_results` writes a file
        with that field alone for each comparison."""
        return RESULT_FIELDS[iou_type]

    def _rename(self, result: dict[str, Any]) -> bool:
        """Gives a row the annotations' ids; whether these have its picture and class.

        Raises:
            ItemError: when the archive itself does not have them.
        """
        for key, name, ids in (
            ("image_id", "image_id", self._image_ids),
            ("category_id", "category_name", self._category_ids),
        ):
            value = result.get(name)
            if not isinstance(value, int | str) or value not in ids:
                raise ItemError(f"expected {name} of the archive. Received: {shown(value)}")
            result[key] = ids[value]
        return result["image_id"] is not None and result["category_id"] is not None


def _done(folder: Path) -> list[Table]:
    """Tables of pictures, each of which is there once its part is done."""
    found = [
        table(path)
        for suffix, table in TABLES.items()
        for path in sorted(folder.glob(f"pictures-*.{suffix}"))
    ]
    if len({type(table) for table in found}) != 1:
        raise ValueError(
            f"{folder}: expected the parts of one archive, such as pictures-00000.jsonl. Received: "
            f"{', '.join(table.path.name for table in found[:3]) or 'none'}"
        )
    return found


def _category_ids(folder: Path, truth: AnnotationFile) -> dict[Any, int | None]:
    """The annotations' id of each class of the archive by name; `None` for one that they lack."""
    job = read_json(folder / "job.json")
    names = job.get("classes") if isinstance(job, dict) else None
    if not isinstance(names, list):
        raise ValueError(f"{folder / 'job.json'}: expected a list called 'classes'")
    ids = dict(zip(truth.class_names, truth.category_ids, strict=True))
    unknown = [name for name in truth.class_names if name not in names]
    if unknown:
        raise ValueError(
            f"{truth.file}: expected the classes of {folder}, {names}. Received: {unknown}"
        )
    return {name: ids.get(name) for name in names}
