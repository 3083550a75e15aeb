"""Reads COCO's annotation JSON."""

from __future__ import annotations

import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.formats.checks import (
    NUMBERS,
    check_area,
    check_box,
    check_crowd,
    check_entry,
    check_keypoints,
)
from keras_maskrcnn.data.formats.coco_layout import CocoFiles, picture_folders
from keras_maskrcnn.data.formats.coco_parts import (
    check_id,
    drop_root,
    keypoint_flip_pairs,
    note_lvis,
    read_categories,
    read_images,
    read_keypoint_names,
    read_parts,
)
from keras_maskrcnn.data.formats.collector import Collector
from keras_maskrcnn.data.formats.outlines import check_outline
from keras_maskrcnn.data.formats.picture_folder import PictureFolder
from keras_maskrcnn.data.formats.picture_tree import PictureTree
from keras_maskrcnn.data.formats.problems import ItemError, MissingPictureError, shown
from keras_maskrcnn.data.formats.reader import FORMATS, run_reader
from keras_maskrcnn.data.formats.source import Source
from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.images.pixels import PixelFormat

CROWD = ("auto", "keep", "objects")
# In COCO itself, one object of 80 is a crowd region. Where more than one of so many is, it is said.
_FEW_CROWDS = 20


def load_coco(
    annotation_file: str | os.PathLike[str],
    image_dir: str | os.PathLike[str],
    *,
    crowd: str = "auto",
    orientation: str = "auto",
    on_error: str = "warn",
    channels: int = 3,
    value_range: tuple[float, float] | None = None,
    display: tuple[int, int, int] | None = None,
) -> DetectionData:
    """Reads a data set in COCO format; of pictures, only the headers.

    Category ids may have gaps: class k is the category with the k-th smallest id. Boxes are taken
    from `bbox` (x, y, width, height), clipped to the picture. When a category names keypoints, its
    points are read too: COCO counts whole pixels from 0, so half a pixel is added to arrive at
    continuous coordinates, and `left_*` and `right_*` names become flip pairs. An object without
    `segmentation` (absent, null or empty) is read as a box, with its keypoints.

    The file may come from anywhere: a `file_name` that leads out of `image_dir` (absolute, by `..`
    or by a link) or to something other than a regular file counts as an item that cannot be used.
    Where there is no picture of that path, it is found in `image_dir` by the end of its path, never
    by a guess between two.

    Exports of Roboflow, CVAT, Label Studio, VIA and LVIS differ from COCO; what is decided about
    them stands in `DetectionData.notes`, and is told by a Python warning each.

    Args:
        annotation_file: path of the JSON file.
        image_dir: folder to which each `file_name` is relative.
        crowd: what `iscrowd=1` means. `"keep"`: a crowd region, which is ignored in training.
            `"objects"`: nothing, as in files of CVAT and datumaro, which mark every object whose
            shape is a mask. `"auto"`: nothing where the file marks every object, and each has an
            outline; else a crowd region.
        orientation: which pixels annotations count where a picture has an EXIF orientation.
            `"auto"`: told by the annotated size; where that is the same either way, by the data
            set's other pictures, or by what is known of the format's tools, else upright is taken
            and said. `"upright"` or `"stored"`. Pictures and objects are always read upright.
        on_error: what happens with an item that cannot be used, such as a missing picture, an
            outline of two points or a box without area. `"warn"` leaves the item out, adds a line
            to `DetectionData.warnings`, and gives one Python warning that counts them; `"raise"`
            raises the same text as an error.
        channels, value_range, display: what the pictures' pixels mean; see `PixelFormat`. Files are
            read as they are trained on, with so many channels.

    Returns:
        The pictures that exist, also those without objects, in the file's order.

    Raises:
        ValueError: if the file or folder is missing, the JSON is invalid or lacks a part, ids of
            pictures or ids or names of categories occur twice, a category cannot be read, no
            picture can be used, or with `on_error="raise"` any item cannot be used. The message
            names the file and the item.
    """
    pixels = PixelFormat(channels, value_range, display)
    folder = cache(lambda: PictureFolder(image_dir))
    tree = cache(lambda: PictureTree(Path(image_dir)))

    def find(name: Any, near: Any) -> str:
        try:
            return folder().find(name)
        except MissingPictureError as missing:
            try:
                return tree().find(name)
            except MissingPictureError:
                raise missing from None

    source = Source(Path(annotation_file), root=Path(image_dir))
    data = run_reader(
        CocoReader(crowd=crowd), source, find=find, orientation=orientation, on_error=on_error
    )
    data.pixels = pixels
    return data


@FORMATS.register("coco")
class CocoReader(CocoFiles):
    """One JSON file for many pictures; see `load_coco`."""

    title = "COCO JSON"
    is_panoptic = False

    def __init__(self, *, crowd: str = "auto") -> None:
        if crowd not in CROWD:
            raise ValueError(f"Expected crowd to be one of {CROWD}. Received: {crowd=}")
        self.crowd = crowd

    def read(self, source: Source, found: Collector) -> None:
        file = source.path
        content = read_parts(file, source.json(file))
        near = (file.parent, *picture_folders(source))
        annotations = content["annotations"]
        categories = drop_root(read_categories(content["categories"], file), annotations, found)
        names = [category["name"] for category in categories]
        found.declare_classes(names, [category["id"] for category in categories])
        keypoint_names = read_keypoint_names(categories, file)
        found.declare_keypoints(keypoint_names, keypoint_flip_pairs(keypoint_names))
        images = read_images(content, file, found, near)
        for record in images.values():
            if record is not None:
                found.add_record(record)
        found.require_pictures()
        note_lvis(content["images"], found)
        are_crowds = self._are_crowds(annotations, found)
        name_of = {category["id"]: category["name"] for category in categories}
        without_picture: Counter[int] = Counter()
        for number, entry in enumerate(annotations):
            try:
                key = check_id(check_entry(entry), "id")
                found.claim_id(key)
                image_id = check_id(entry, "image_id")
                if image_id not in images:
                    raise ItemError("unknown image id")
                image = images[image_id]
                if image is None:
                    without_picture[image_id] += 1
                    continue
                category_id = check_id(entry, "category_id")
                if category_id not in name_of:
                    raise ItemError("unknown category id", f" {category_id}")
                category = found.category(name_of[category_id])
                instance, bad_parts = _read_instance(
                    entry, key, category, image, len(keypoint_names), are_crowds
                )
                found.add_instance(image, instance)
                for part, problem in bad_parts:
                    found.problems.add(f"{_annotation_name(number, entry)}, part {part}", problem)
            except ItemError as problem:
                found.problems.add(_annotation_name(number, entry), problem)
        for image_id, count in without_picture.items():
            found.problems.extend(f"image id {image_id}", f", and with it its {count} annotations")

    def _are_crowds(self, annotations: list[Any], found: Collector) -> bool:
        """Whether `iscrowd=1` means a crowd region in this file."""
        if self.crowd != "auto":
            return self.crowd == "keep"
        entries = [entry for entry in annotations if isinstance(entry, dict)]
        crowds = [entry for entry in entries if _is_marked(entry)]
        mark = f"{len(crowds)} of {len(entries)} objects are marked iscrowd=1"
        if crowds and len(crowds) == len(entries) and all(e.get("segmentation") for e in crowds):
            found.note(
                f"{mark}, as CVAT and datumaro mark all masks: they are read as single objects; "
                "crowd='keep' reads them as crowd regions"
            )
            return False
        if _FEW_CROWDS * len(crowds) > len(entries):
            found.note(
                f"{mark}, and not trained on. CVAT and datumaro mark all masks so: if they are "
                "single objects, read them by crowd='objects'"
            )
        return True


def _read_instance(
    entry: dict[str, Any],
    key: int,
    category: int,
    image: ImageRecord,
    num_keypoints: int,
    are_crowds: bool,
) -> tuple[Instance, list[tuple[int, ItemError]]]:
    """The object, and the parts of its outline that had to be left out."""
    box = check_box(entry.get("bbox"), image)
    outline, bad_parts = check_outline(_nested(entry.get("segmentation")), box, image)
    instance = Instance(
        category=category,
        box=box,
        outline=outline,
        is_crowd=check_crowd(entry) and are_crowds,
        annotated_area=check_area(entry),
        annotation_id=key,
        keypoints=check_keypoints(entry.get("keypoints"), num_keypoints, image),
    )
    return instance, bad_parts


def _is_marked(entry: dict[str, Any]) -> bool:
    return type(entry.get("iscrowd")) in NUMBERS and entry["iscrowd"] == 1


def _nested(segmentation: Any) -> Any:
    """VIA writes its one polygon without the list around it."""
    is_flat = isinstance(segmentation, list) and segmentation and type(segmentation[0]) in NUMBERS
    return [segmentation] if is_flat else segmentation


def _annotation_name(number: int, entry: Any) -> str:
    if not isinstance(entry, dict) or "id" not in entry:
        return f"annotation entry {number}"
    return f"annotation id {shown(entry['id'])} (image id {shown(entry.get('image_id'))})"
