"""Ground truth straight from an annotation file, as COCO's own tool reads it.

The readers of `keras_maskrcnn.data` leave out what cannot be trained on: pictures that are not on
disk, outlines of two points, what of a box reaches out of its picture. Here nothing is left out or
changed: what cannot be scored is an error.
"""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import numpy as np

from keras_maskrcnn.data.formats.problems import ItemError, require_unique
from keras_maskrcnn.evaluation.checks import (
    Size,
    check_box,
    check_keypoints,
    encode_outline,
    is_id,
    is_number,
    shown,
    size_of,
)
from keras_maskrcnn.evaluation.json_entries import read_json_entries, scan_json
from keras_maskrcnn.evaluation.truth import region_of

_PARTS = ("images", "annotations", "categories")


class AnnotationFile:
    """The pictures, categories and annotations of a COCO file. No picture is opened or looked for.

    The file is read once from its beginning to its end; of its annotations, only where they stand
    is kept, and they are read again when they are asked for.

    Args:
        file: path of the JSON file.

    Attributes:
        sizes: height and width of each picture by its id; `None` where the file tells neither.
        file_names: of each picture by its id, as far as the file tells.
        class_names, category_ids: K of each, by rising id. A name that occurs twice has its id
            added; a category without a name is called by its id.
        image_ids: int64 `[N]`, of each annotation.
        joints: keypoints of the first annotation that has some; `None`: none has.

    Raises:
        ValueError: when there is no such file, it is not valid JSON, lacks a part, or holds a
            picture, category or annotation that is malformed, occurs twice or belongs to none of
            the file's pictures or categories. The message names the file and the id.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.sizes: dict[int, Size | None] = {}
        self.file_names: dict[int, str] = {}
        self.joints: int | None = None
        self._all_have_outlines = True
        ids = {part: array("q") for part in _PARTS}
        offsets, lengths, image_ids = array("q"), array("q"), array("q")
        # Annotations may stand before what they belong to.
        category_of = array("q")
        categories: list[dict[str, Any]] = []
        for part, offset, length, entry in scan_json(file, _PARTS):
            self._check_id(entry, part, len(ids[part]))
            ids[part].append(entry["id"])
            if part == "images":
                self._add_image(entry)
            elif part == "categories":
                categories.append(entry)
            else:
                for key, column in (("image_id", image_ids), ("category_id", category_of)):
                    if not is_id(entry.get(key)):
                        raise self._unknown(entry["id"], key, entry.get(key))
                    column.append(entry[key])
                offsets.append(offset)
                lengths.append(length)
                self._note(entry)
        for part, found in ids.items():
            if len(np.unique(np.array(found))) < len(found):
                what = "category" if part == "categories" else part.removesuffix("s")
                require_unique(list(found), f"{what} ids", file)
        if not self.sizes or not categories:
            raise ValueError(f"{file}: expected at least one image and one category")
        categories.sort(key=lambda category: category["id"])
        self.category_ids = [category["id"] for category in categories]
        self.class_names = _names(categories)
        self.image_ids, self._offsets, self._lengths = (
            np.array(column, np.int64) for column in (image_ids, offsets, lengths)
        )
        known = (
            ("image_id", self.image_ids, list(self.sizes)),
            ("category_id", np.array(category_of, np.int64), self.category_ids),
        )
        for key, values, all_ids in known:
            for place in np.flatnonzero(~np.isin(values, np.array(all_ids, np.int64)))[:1].tolist():
                raise self._unknown(ids["annotations"][place], key, int(values[place]))

    def annotated_types(self) -> list[str]:
        """Which comparisons the ground truth allows."""
        types = ["bbox"]
        if self._all_have_outlines:
            types.append("segm")
        if self.joints is not None:
            types.append("keypoints")
        return types

    def annotations(self, iou_type: str, rows: np.ndarray | None = None) -> list[dict[str, Any]]:
        """Annotations with what one comparison needs.

        A crowd region without an outline is its box; an area that is not given is the box's; an
        object without `keypoints` is none that a model must find. COCO's own tool stops at these.

        Args:
            iou_type: `"bbox"`, `"segm"` or `"keypoints"`.
            rows: int `[n]`, which of the file's annotations, counted from 0; `None`: all.

        Raises:
            ValueError: when an annotation lacks what is needed, or it is malformed. The message
                names the file and the annotation.
        """
        if iou_type == "keypoints" and self.joints is None:
            raise ValueError(f"{self.file}: expected annotations with keypoints. Received: none")
        rows = np.arange(len(self.image_ids)) if rows is None else rows
        places = zip(self._offsets[rows].tolist(), self._lengths[rows].tolist(), strict=True)
        annotations = []
        for entry in read_json_entries(self.file, places):
            try:
                size = self.sizes[entry["image_id"]]
                annotations.append(_read(entry, iou_type, size, self.joints))
            except ItemError as problem:
                raise ValueError(
                    f"{self.file}, annotation id {entry['id']} "
                    f"(image id {entry['image_id']}): {problem}"
                ) from None
        return annotations

    def _check_id(self, entry: Any, part: str, number: int) -> None:
        if not isinstance(entry, dict) or not is_id(entry.get("id")):
            raise ValueError(
                f"{self.file}: expected each entry of {part!r} to have an integer id. "
                f"Received: entry {number}, {shown(entry)}"
            )

    def _add_image(self, image: dict[str, Any]) -> None:
        try:
            self.sizes[image["id"]] = size_of(image.get("height"), image.get("width"))
        except ItemError as problem:
            raise ValueError(f"{self.file}, image id {image['id']}: {problem}") from None
        if isinstance(image.get("file_name"), str):
            self.file_names[image["id"]] = image["file_name"]

    def _note(self, annotation: dict[str, Any]) -> None:
        """What an annotation says of all."""
        if not annotation.get("segmentation") and not annotation.get("iscrowd"):
            self._all_have_outlines = False
        points = annotation.get("keypoints")
        if self.joints is None and points:
            # What is malformed is said when it is needed.
            self.joints = max(1, len(points) // 3) if isinstance(points, list) else 1

    def _unknown(self, annotation_id: int, key: str, value: Any) -> ValueError:
        return ValueError(
            f"{self.file}, annotation id {annotation_id}: expected {key} to be one of the file's. "
            f"Received: {key}={shown(value)}"
        )


def _names(categories: list[dict[str, Any]]) -> list[str]:
    names = [str(category.get("name", category["id"])) for category in categories]
    return [
        name if names.count(name) == 1 else f"{name} ({category['id']})"
        for name, category in zip(names, categories, strict=True)
    ]


def _read(
    entry: dict[str, Any], iou_type: str, size: Size | None, joints: int | None
) -> dict[str, Any]:
    annotation = {key: entry[key] for key in ("image_id", "category_id")}
    is_crowd = entry.get("iscrowd", 0)
    if not (isinstance(is_crowd, int) and is_crowd in (0, 1)):
        raise ItemError(f"expected iscrowd to be 0 or 1. Received: iscrowd={shown(is_crowd)}")
    annotation["iscrowd"] = int(is_crowd)

    # Masks alone can be scored without a box.
    needs_box = iou_type != "segm" or entry.get("area") is None or "bbox" in entry
    box = check_box(entry.get("bbox")) if needs_box else None
    if box is not None:
        annotation["bbox"] = box
    area: Any = entry.get("area")
    if area is None and box is not None:
        area = box[2] * box[3]
    if not (is_number(area) and area >= 0):
        raise ItemError(f"expected area as a number from 0. Received: area={shown(area)}")
    annotation["area"] = float(area)

    if iou_type == "segm":
        outline = entry.get("segmentation")
        if is_crowd and not outline and box is not None:
            outline = region_of(box)
        annotation["segmentation"] = encode_outline(outline, size)
    elif iou_type == "keypoints":
        points = entry.get("keypoints") or []
        annotation["keypoints"] = check_keypoints(points, joints) if points else []
        count = entry.get("num_keypoints", sum(v > 0 for v in annotation["keypoints"][2::3]))
        if not is_id(count) or count < 0:
            raise ItemError(
                f"expected num_keypoints as a count. Received: num_keypoints={shown(count)}"
            )
        annotation["num_keypoints"] = int(count)
    return annotation
