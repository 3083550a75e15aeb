"""Reads COCO's annotation JSON."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from keras_maskrcnn.data.formats.checks import (
    check_area,
    check_box,
    check_crowd,
    check_entry,
    check_integer,
    check_keypoints,
)
from keras_maskrcnn.data.formats.coco_file import PARTS, looks_like_coco
from keras_maskrcnn.data.formats.collector import Collector
from keras_maskrcnn.data.formats.json_file import RepeatedKeys
from keras_maskrcnn.data.formats.outlines import check_outline
from keras_maskrcnn.data.formats.picture_folder import PictureFolder
from keras_maskrcnn.data.formats.problems import ItemError, require_unique, shown
from keras_maskrcnn.data.formats.reader import FORMATS, SPLITS, Reader, run_reader
from keras_maskrcnn.data.formats.source import Source
from keras_maskrcnn.data.picture_files import MAX_PIXELS
from keras_maskrcnn.data.records import DetectionData, ImageRecord, Instance

# A folder with more JSON files holds one for each picture.
_MOST_FILES = 64


def load_coco(
    annotation_file: str | os.PathLike[str],
    image_dir: str | os.PathLike[str],
    *,
    on_error: str = "warn",
) -> DetectionData:
    """Reads a data set in COCO format; no picture is opened.

    Category ids may have gaps: class k is the category with the k-th smallest id. Boxes are taken
    from `bbox` (x, y, width, height), clipped to the picture. When a category names keypoints, its
    points are read too: COCO counts whole pixels from 0, so half a pixel is added to arrive at
    continuous coordinates, and `left_*` and `right_*` names become flip pairs. An object without
    `segmentation` (absent, null or empty) is read as a box, with its keypoints.

    The file may come from anywhere: a `file_name` that leads out of `image_dir` (absolute, by `..`
    or by a link) or to something other than a regular file counts as an item that cannot be used.

    Args:
        annotation_file: path of the JSON file.
        image_dir: folder to which each `file_name` is relative.
        on_error: what happens with an item that cannot be used, such as a missing picture, an
            outline of two points or a box without area. `"warn"` leaves the item out, adds a line
            to `DetectionData.warnings`, and gives one Python warning that counts them; `"raise"`
            raises the same text as an error.

    Returns:
        The pictures that exist, also those without objects, in the file's order.

    Raises:
        ValueError: if the file or folder is missing, the JSON is invalid or lacks a part, ids of
            pictures or ids or names of categories occur twice, a category cannot be read, no
            picture can be used, or with `on_error="raise"` any item cannot be used. The message
            names the file and the item.
    """
    file = Path(annotation_file)

    @lru_cache(1)
    def folder() -> PictureFolder:
        return PictureFolder(image_dir)

    return run_reader(
        CocoReader(),
        Source(file, root=Path(image_dir)),
        find=lambda name, near: folder().find(name),
        on_error=on_error,
    )


@FORMATS.register("coco")
class CocoReader(Reader):
    """One JSON file for many pictures; see `load_coco`."""

    title = "COCO JSON"

    def finds(self, source: Source) -> bool:
        return bool(_coco_files(source))

    def splits(self, source: Source) -> dict[str, Source]:
        files = _coco_files(source)
        parts: dict[str, Source] = {}
        for file in files:
            name = _split_name(file, source)
            if name in parts:
                raise ValueError(
                    f"{source.path}: expected one COCO file for each split. Received: "
                    f"{parts[name].path} and {file}"
                )
            parts[name] = source.part(file)
        return parts if source.path.is_dir() else {}

    def read(self, source: Source, found: Collector) -> None:
        file = source.path
        content = _read_parts(file, source.json(file))
        near = (file.parent, *_picture_folders(source))
        if not content["images"]:
            raise ValueError(
                f"{file}: expected at least one image. Received: an empty 'images' list"
            )
        categories = _read_categories(content["categories"], file)
        names = [category["name"] for category in categories]
        found.declare_classes(names, [category["id"] for category in categories])
        keypoint_names = _read_keypoint_names(categories, file)
        found.declare_keypoints(keypoint_names, keypoint_flip_pairs(keypoint_names))
        images = _read_images(content["images"], file, found, near)
        name_of = {category["id"]: category["name"] for category in categories}
        without_picture: Counter[int] = Counter()
        for number, entry in enumerate(content["annotations"]):
            with found.item(partial(_annotation_name, number, entry)):
                key = check_integer(check_entry(entry), "id")
                found.claim_id(key)
                image_id = check_integer(entry, "image_id")
                if image_id not in images:
                    raise ItemError("unknown image id")
                image = images[image_id]
                if image is None:
                    without_picture[image_id] += 1
                    continue
                category_id = check_integer(entry, "category_id")
                if category_id not in name_of:
                    raise ItemError("unknown category id", f" {category_id}")
                category = found.category(name_of[category_id])
                instance, bad_parts = _read_instance(
                    entry, key, category, image, len(keypoint_names)
                )
                found.add_instance(image, instance)
                for part, problem in bad_parts:
                    found.problems.add(f"{_annotation_name(number, entry)}, part {part}", problem)
        for image_id, count in without_picture.items():
            found.problems.extend(f"image id {image_id}", f", and with it its {count} annotations")


def keypoint_flip_pairs(names: list[str]) -> list[tuple[int, int]]:
    """Index pairs of keypoints called `left_x` and `right_x`, which a mirror exchanges."""
    places = {name: index for index, name in enumerate(names)}
    return [
        (index, places["right_" + name.removeprefix("left_")])
        for name, index in places.items()
        if name.startswith("left_") and "right_" + name.removeprefix("left_") in places
    ]


def _coco_files(source: Source) -> list[Path]:
    return [file for file in source.with_suffix(".json")[:_MOST_FILES] if looks_like_coco(file)]


def _split_name(file: Path, source: Source) -> str:
    """`train` of `train/_annotations.coco.json`, `train2017` of `instances_train2017.json`."""
    if file.parent.name.lower() in SPLITS and file.parent != source.path:
        return file.parent.name
    return file.stem.removeprefix("instances_")


def _picture_folders(source: Source) -> list[Path]:
    split = source.path.stem.removeprefix("instances_")
    return [source.root / split, source.root / "images" / split, source.root / "images"]


def _read_parts(file: Path, content: Any) -> dict[str, list[Any]]:
    if isinstance(content, RepeatedKeys):
        raise ValueError(
            f"{file}: expected a JSON object with each key once. "
            f"Received: more than one {shown(content.repeated)}"
        )
    for part in PARTS:
        if not isinstance(content, dict) or not isinstance(content.get(part), list):
            raise ValueError(f"{file}: expected a JSON object with a list called {part!r}")
    return content


def _read_categories(entries: list[Any], file: Path) -> list[dict[str, Any]]:
    """Id, name and keypoints of each; a category that cannot be read would cost all its objects."""
    if not entries:
        raise ValueError(f"{file}: expected at least one category. Received: an empty list")
    categories = []
    for entry in entries:
        try:
            category = dict(check_entry(entry), id=check_integer(entry, "id"))
        except ItemError as problem:
            raise ValueError(
                f"{file}: expected categories with an integer as id: {problem}. "
                f"Received: {shown(entry)}"
            ) from None
        if not isinstance(category.get("name"), str):
            raise ValueError(
                f"{file}: expected categories with a text as name. Received: {shown(entry)}"
            )
        categories.append(category)
    require_unique([category["id"] for category in categories], "category ids", file)
    require_unique([category["name"] for category in categories], "category names", file)
    return sorted(categories, key=lambda category: category["id"])


def _read_keypoint_names(categories: list[dict[str, Any]], file: Path) -> list[str]:
    layouts = []
    for category in categories:
        names = category.get("keypoints")
        if names is None or names == []:
            continue
        if not (isinstance(names, list) and set(map(type, names)) == {str}):
            raise ValueError(
                f"{file}: expected the keypoints of category id {category['id']} to be a list of "
                f"names. Received: {shown(names)}"
            )
        require_unique(names, f"keypoint names of category id {category['id']}", file)
        if names not in layouts:
            layouts.append(names)
    if len(layouts) > 1:
        raise ValueError(
            f"{file}: expected all categories with keypoints to name the same ones. "
            f"Received: {shown(layouts)}"
        )
    return layouts[0] if layouts else []


def _read_images(
    entries: list[Any], file: Path, found: Collector, near: Sequence[Path]
) -> dict[int, ImageRecord | None]:
    """Records by image id; None for pictures that cannot be used."""
    images: dict[int, ImageRecord | None] = {}
    keys = []
    for number, entry in enumerate(entries):
        name = f"image entry {number}"
        try:
            key = check_integer(check_entry(entry), "id")
            keys.append(key)
            name = f"image id {key}"
            images[key] = None
            images[key] = _read_image(entry, key, found, near)
        except ItemError as problem:
            found.problems.add(name, problem)
    require_unique(keys, "image ids", file)
    for image in images.values():
        if image:
            found.add_record(image)
    found.require_pictures()
    return images


def _read_image(
    entry: dict[str, Any], key: int, found: Collector, near: Sequence[Path]
) -> ImageRecord:
    height, width = check_integer(entry, "height"), check_integer(entry, "width")
    if min(height, width) <= 0:
        raise ItemError("height or width is not positive", f" ({height}, {width})")
    if height * width > MAX_PIXELS:
        raise ItemError(f"picture has more than {MAX_PIXELS} pixels", f" ({height} x {width})")
    if "file_name" not in entry:
        raise ItemError("file_name is missing")
    return ImageRecord(key, found.find_picture(entry["file_name"], near), height, width)


def _read_instance(
    entry: dict[str, Any], key: int, category: int, image: ImageRecord, num_keypoints: int
) -> tuple[Instance, list[tuple[int, ItemError]]]:
    """The object, and the parts of its outline that had to be left out."""
    box = check_box(entry.get("bbox"), image)
    outline, bad_parts = check_outline(entry.get("segmentation"), box, image)
    instance = Instance(
        category=category,
        box=box,
        outline=outline,
        is_crowd=check_crowd(entry),
        annotated_area=check_area(entry),
        annotation_id=key,
        keypoints=check_keypoints(entry.get("keypoints"), num_keypoints, image),
    )
    return instance, bad_parts


def _annotation_name(number: int, entry: Any) -> str:
    if not isinstance(entry, dict) or "id" not in entry:
        return f"annotation entry {number}"
    return f"annotation id {shown(entry['id'])} (image id {shown(entry.get('image_id'))})"
