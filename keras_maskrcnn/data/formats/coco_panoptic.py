"""Reads COCO's panoptic format: a PNG of ids for each picture, explained by a JSON file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_maskrcnn.data.formats.checks import (
    check_crowd,
    check_entry,
    check_integer,
    check_list,
)
from keras_maskrcnn.data.formats.coco_layout import CocoFiles, picture_folders
from keras_maskrcnn.data.formats.coco_parts import read_categories, read_images, read_parts
from keras_maskrcnn.data.formats.collector import Collector
from keras_maskrcnn.data.formats.embedded import colour_file
from keras_maskrcnn.data.formats.id_masks import fitted, masks_of
from keras_maskrcnn.data.formats.problems import ItemError
from keras_maskrcnn.data.formats.reader import FORMATS
from keras_maskrcnn.data.formats.source import Source
from keras_maskrcnn.data.records import ImageRecord


@FORMATS.register("coco_panoptic")
class CocoPanoptic(CocoFiles):
    """`panoptic_train2017.json`, and PNG files in a folder of the same name.

    The id of a pixel is red + 256 green + 65536 blue; 0 is nothing. Segments of categories with
    `isthing` 0 (sky, grass) are no objects.
    """

    title = "COCO panoptic"
    is_panoptic = True

    def read(self, source: Source, found: Collector) -> None:
        file = source.path
        content = read_parts(file, source.json(file))
        categories = read_categories(content["categories"], file)
        things = [category for category in categories if category.get("isthing", 1) != 0]
        if not things:
            raise ValueError(
                f"{file}: expected categories that are things. Received: {len(categories)}, all "
                "with isthing 0"
            )
        found.declare_classes([c["name"] for c in things], [c["id"] for c in things])
        names = {c["id"]: c["name"] for c in things}
        stuff = {c["id"] for c in categories} - set(names)
        images = read_images(content, file, found, [file.parent, *picture_folders(source)])
        masks = [file.with_suffix(""), source.root / file.stem]
        passed_over = 0
        without_mask = {key for key, image in images.items() if image}
        for number, entry in enumerate(content["annotations"]):
            with found.item(f"annotation entry {number}"):
                image_id = check_integer(check_entry(entry), "image_id")
                if image_id not in images:
                    raise ItemError("unknown image id", f" {image_id}")
                image = images[image_id]
                if image is None:
                    continue
                if image_id not in without_mask:
                    raise ItemError("picture has several masks")
                without_mask.remove(image_id)
                path = Path(found.find_picture(entry.get("file_name"), masks))
                colours = colour_file(path)
                image = fitted(image, colours, found)
                segments = check_list(entry, "segments_info")
                # Only now: a picture whose objects cannot be read is not one without objects.
                found.add_record(image)
                passed_over += _add_segments(
                    segments, path.name, _ids(colours), image, names, stuff, found
                )
        for key in sorted(without_mask):
            found.problems.add(f"image id {key}", ItemError("picture has no mask"))
        if passed_over:
            found.note(f"{passed_over} segments are of {len(stuff)} categories that are no things")


def _ids(colours: np.ndarray) -> np.ndarray:
    """int64 `[h, w]`: red + 256 green + 65536 blue."""
    return (colours >> 16) | (colours & 0xFF00) | (colours & 0xFF) << 16


def _add_segments(
    segments: list[Any],
    name: str,
    ids: np.ndarray,
    image: ImageRecord,
    names: dict[int, str],
    stuff: set[int],
    found: Collector,
) -> int:
    """Adds the objects of a picture; gives the number of segments that are none."""
    masks = dict(masks_of(ids))
    passed_over = 0
    for number, segment in enumerate(segments):
        item = f"{name}, segment {number}"
        with found.item(item):
            key = check_integer(check_entry(segment), "id")
            category = check_integer(segment, "category_id")
            if category in stuff:
                passed_over += 1
                continue
            if category not in names:
                raise ItemError("unknown category id", f" {category}")
            if key not in masks:
                raise ItemError("no pixel has its id")
            found.add_object(
                image, names[category], parts=[masks[key]], is_crowd=check_crowd(segment)
            )
    return passed_over
