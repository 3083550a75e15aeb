"""Writes LabelMe's JSON, a file for each picture."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from PIL import Image

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.formats.problems import ItemError, Problems
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.data.writers.base import Part, Writer, item_of, register
from keras_maskrcnn.data.writers.regions import leave_out, region_of, visible_keypoints
from keras_maskrcnn.outlines import Bitmap

# Of the LabelMe files that these are like; LabelMe only compares it to warn.
_VERSION = "5.5.0"


@register("labelme")
class LabelMeWriter(Writer):
    """Each picture with its JSON beside it; a folder for each split.

    Masks stay masks. Parts and keypoints of an object share its `group_id`; attributes, such as
    the score of an object that a model found, are in its `description`.
    """

    title = "LabelMe JSON"

    def picture_folder(self, split: str) -> PurePath:
        return PurePath(split)

    def write(self, folder: Path, parts: Sequence[Part], lost: Problems) -> None:
        for part in parts:
            for name, record in part.pictures():
                shapes = _shapes(name, record, part.data, lost)
                document = labelme_document(shapes, name, (record.height, record.width))
                place = (folder / self.picture_folder(part.split) / name).with_suffix(".json")
                text = json.dumps(document, ensure_ascii=False)
                place.write_text(text + "\n", encoding="utf-8")


def _shapes(
    name: str, record: ImageRecord, data: DetectionData, lost: Problems
) -> list[dict[str, Any]]:
    shapes: list[dict[str, Any]] = []
    for group, o in enumerate(record.instances):
        item = item_of(name, o)
        if leave_out(o, item, lost, keypoints=False):
            continue
        label = data.class_names[o.category]
        region = region_of(o, record, item, lost)
        if region is None:
            lost.add(item, ItemError("box without outline is a rectangle, which is an outline"))
        names = data.keypoint_names
        shapes += labelme_object(
            label,
            group,
            region,
            o.box,
            note=", ".join(f"{key} {value:.3f}" for key, value in o.attributes.items()),
            points=[
                (f"{label}_{names[j]}", x, y, f"visibility {seen}")
                for j, x, y, seen in visible_keypoints(o)
            ],
        )
    return shapes


def labelme_object(
    label: str,
    group: int,
    region: Iterable[Any] | Bitmap | None,
    box: Sequence[float],
    *,
    note: str,
    points: Iterable[tuple[str, float, float, str]] = (),
) -> list[dict[str, Any]]:
    """The shapes of one object.

    Args:
        label: its class.
        group: a number of its own in the picture.
        region: its polygons, each of x, y in turn or in pairs; or its mask. Without either, `box`
            becomes a rectangle.
        box: `(x1, y1, x2, y2)`.
        note: the description of the shapes.
        points: further points with their label and description.
    """
    shapes = []
    if isinstance(region, Bitmap):
        height, width = region.bits.shape
        # Both corner pixels are part of the mask.
        last = region.left + width - 1, region.top + height - 1
        mask = _png(region.bits)
        shapes.append(
            _shape("mask", label, [region.left, region.top, *last], group, note, mask=mask)
        )
    else:
        shapes = [_shape("polygon", label, points, group, note) for points in region or ()]
    if not shapes:
        shapes.append(_shape("rectangle", label, box, group, note))
    shapes += [_shape("point", name, [x, y], group, told) for name, x, y, told in points]
    return shapes


def labelme_document(
    shapes: list[dict[str, Any]], image_path: str | os.PathLike[str], size: tuple[int, int]
) -> dict[str, Any]:
    """The annotation of one picture.

    Args:
        shapes: of `labelme_object`.
        image_path: the picture, as seen from the folder of the JSON file.
        size: its height and width.
    """
    return {
        "version": _VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": os.fspath(image_path),
        "imageData": None,
        "imageHeight": size[0],
        "imageWidth": size[1],
    }


def _shape(
    kind: str, label: str, points: Any, group: int, note: str, mask: str | None = None
) -> dict[str, Any]:
    return {
        "label": label,
        "points": np.reshape(np.asarray(points, float), (-1, 2)).tolist(),
        "group_id": group,
        "description": note,
        "shape_type": kind,
        "flags": {},
        "mask": mask,
    }


def _png(bits: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(bits).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode("ascii")
