"""Ground truth straight from an annotation file, as COCO's own tool reads it.

The readers of `keras_maskrcnn.data` leave out what cannot be trained on: pictures that are not on
disk, outlines of two points, what of a box reaches out of its picture. Here nothing is left out or
changed: what cannot be scored is an error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_maskrcnn.data.formats.json_file import read_json
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
from keras_maskrcnn.evaluation.truth import region_of


class AnnotationFile:
    """The pictures, categories and annotations of a COCO file. No picture is opened or looked for.

    Args:
        file: path of the JSON file.

    Attributes:
        sizes: height and width of each picture by its id; `None` where the file tells neither.
        class_names, category_ids: K of each, by rising id. A name that occurs twice has its id
            added; a category without a name is called by its id.

    Raises:
        ValueError: when there is no such file, it is not valid JSON, lacks a part, or holds a
            picture, category or annotation that is malformed, occurs twice or belongs to none of
            the file's pictures or categories. The message names the file and the id.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        content = read_json(file)
        for part in ("images", "annotations", "categories"):
            if not isinstance(content, dict) or not isinstance(content.get(part), list):
                raise ValueError(f"{file}: expected a JSON object with a list called {part!r}")
        images, categories, self._entries = (
            self._with_ids(content[part], part) for part in ("images", "categories", "annotations")
        )
        if not images or not categories:
            raise ValueError(f"{file}: expected at least one image and one category")
        self.sizes: dict[int, Size | None] = {}
        for image in images:
            try:
                self.sizes[image["id"]] = size_of(image.get("height"), image.get("width"))
            except ItemError as problem:
                raise ValueError(f"{file}, image id {image['id']}: {problem}") from None
        categories.sort(key=lambda category: category["id"])
        self.category_ids = [category["id"] for category in categories]
        self.class_names = _names(categories)
        references = (("image_id", set(self.sizes)), ("category_id", set(self.category_ids)))
        for entry in self._entries:
            for key, known in references:
                if not is_id(entry.get(key)) or entry[key] not in known:
                    raise ValueError(
                        f"{file}, annotation id {entry['id']}: expected {key} to be one of the "
                        f"file's. Received: {key}={shown(entry.get(key))}"
                    )

    def annotated_types(self) -> list[str]:
        """Which comparisons the ground truth allows."""
        types = ["bbox"]
        if all(e.get("segmentation") or e.get("iscrowd") for e in self._entries):
            types.append("segm")
        if any(e.get("keypoints") for e in self._entries):
            types.append("keypoints")
        return types

    def annotations(self, iou_type: str) -> list[dict[str, Any]]:
        """Annotations with what one comparison needs.

        A crowd region without an outline is its box; an area that is not given is the box's; an
        object without `keypoints` is none that a model must find. COCO's own tool stops at these.

        Args:
            iou_type: `"bbox"`, `"segm"` or `"keypoints"`.

        Raises:
            ValueError: when an annotation lacks what is needed, or it is malformed. The message
                names the file and the annotation.
        """
        if iou_type == "keypoints" and not any(e.get("keypoints") for e in self._entries):
            raise ValueError(f"{self.file}: expected annotations with keypoints. Received: none")
        joints: int | None = None
        annotations = []
        for entry in self._entries:
            try:
                annotation = _read(entry, iou_type, self.sizes[entry["image_id"]], joints)
            except ItemError as problem:
                raise ValueError(
                    f"{self.file}, annotation id {entry['id']} "
                    f"(image id {entry['image_id']}): {problem}"
                ) from None
            if annotation.get("keypoints"):
                joints = len(annotation["keypoints"]) // 3
            annotations.append(annotation)
        return annotations

    def _with_ids(self, entries: list[Any], part: str) -> list[dict[str, Any]]:
        for number, entry in enumerate(entries):
            if not isinstance(entry, dict) or not is_id(entry.get("id")):
                raise ValueError(
                    f"{self.file}: expected each entry of {part!r} to have an integer id. "
                    f"Received: entry {number}, {shown(entry)}"
                )
        what = "category" if part == "categories" else part.removesuffix("s")
        require_unique([entry["id"] for entry in entries], f"{what} ids", self.file)
        return entries


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
