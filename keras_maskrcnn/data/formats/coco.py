"""Reads COCO's annotation JSON."""

from __future__ import annotations

import os
import warnings
from collections import Counter
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
from keras_maskrcnn.data.formats.json_file import RepeatedKeys, read_json
from keras_maskrcnn.data.formats.outlines import check_outline
from keras_maskrcnn.data.formats.picture_folder import PictureFolder
from keras_maskrcnn.data.formats.problems import ItemError, Problems, require_unique, shown
from keras_maskrcnn.data.picture_files import MAX_PIXELS
from keras_maskrcnn.data.records import DetectionData, ImageRecord, Instance


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
    if on_error not in ("warn", "raise"):
        raise ValueError(f"Expected on_error to be 'warn' or 'raise'. Received: {on_error=}")
    file = Path(annotation_file)
    content = _read_parts(file)
    folder = PictureFolder(image_dir)
    if not content["images"]:
        raise ValueError(f"{file}: expected at least one image. Received: an empty 'images' list")

    problems = Problems(file)
    categories = _read_categories(content["categories"], file)
    class_of = {category["id"]: index for index, category in enumerate(categories)}
    keypoint_names = _read_keypoint_names(categories, file)
    images = _read_images(content["images"], folder, file, problems)
    if not any(images.values()):
        raise ValueError(f"No picture of the data set can be used. {problems.summary()}")

    instances: dict[int, list[Instance]] = {key: [] for key, image in images.items() if image}
    without_picture: Counter[int] = Counter()
    seen: set[int] = set()
    for number, entry in enumerate(content["annotations"]):
        try:
            key = check_integer(check_entry(entry), "id")
            if key in seen:
                raise ItemError("its annotation id occurs twice")
            seen.add(key)
            image_id = check_integer(entry, "image_id")
            if image_id not in images:
                raise ItemError("unknown image id")
            image = images[image_id]
            if image is None:
                without_picture[image_id] += 1
                continue
            category_id = check_integer(entry, "category_id")
            if category_id not in class_of:
                raise ItemError("unknown category id", f" {category_id}")
            instance, bad_parts = _read_instance(
                entry, key, class_of[category_id], image, len(keypoint_names)
            )
            instances[image_id].append(instance)
            for part, problem in bad_parts:
                problems.add(f"{_annotation_name(number, entry)}, part {part}", problem)
        except ItemError as problem:
            problems.add(_annotation_name(number, entry), problem)
    for image_id, count in without_picture.items():
        problems.extend(f"image id {image_id}", f", and with it its {count} annotations")

    if problems.lines:
        if on_error == "raise":
            raise ValueError(problems.summary())
        warnings.warn(problems.summary(), UserWarning, stacklevel=2)
    records = [
        ImageRecord(
            image.image_id, image.path, image.height, image.width, tuple(instances[image.image_id])
        )
        for image in images.values()
        if image
    ]
    return DetectionData(
        records=records,
        class_names=[category["name"] for category in categories],
        category_ids=[category["id"] for category in categories],
        keypoint_names=keypoint_names,
        keypoint_flip_pairs=keypoint_flip_pairs(keypoint_names),
        warnings=problems.lines,
        name=file.stem,
    )


def keypoint_flip_pairs(names: list[str]) -> list[tuple[int, int]]:
    """Index pairs of keypoints called `left_x` and `right_x`, which a mirror exchanges."""
    places = {name: index for index, name in enumerate(names)}
    return [
        (index, places["right_" + name.removeprefix("left_")])
        for name, index in places.items()
        if name.startswith("left_") and "right_" + name.removeprefix("left_") in places
    ]


def _read_parts(file: Path) -> dict[str, list[Any]]:
    content = read_json(file)
    if isinstance(content, RepeatedKeys):
        raise ValueError(
            f"{file}: expected a JSON object with each key once. "
            f"Received: more than one {shown(content.repeated)}"
        )
    for part in ("images", "annotations", "categories"):
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
    entries: list[Any], folder: PictureFolder, file: Path, problems: Problems
) -> dict[int, ImageRecord | None]:
    """Records without instances by image id; None for pictures that cannot be used."""
    images: dict[int, ImageRecord | None] = {}
    keys = []
    for number, entry in enumerate(entries):
        name = f"image entry {number}"
        try:
            key = check_integer(check_entry(entry), "id")
            keys.append(key)
            name = f"image id {key}"
            images[key] = None
            images[key] = _read_image(entry, key, folder)
        except ItemError as problem:
            problems.add(name, problem)
    require_unique(keys, "image ids", file)
    return images


def _read_image(entry: dict[str, Any], key: int, folder: PictureFolder) -> ImageRecord:
    height, width = check_integer(entry, "height"), check_integer(entry, "width")
    if min(height, width) <= 0:
        raise ItemError("height or width is not positive", f" ({height}, {width})")
    if height * width > MAX_PIXELS:
        raise ItemError(f"picture has more than {MAX_PIXELS} pixels", f" ({height} x {width})")
    if "file_name" not in entry:
        raise ItemError("file_name is missing")
    return ImageRecord(key, folder.find(entry["file_name"]), height, width)


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
        area=check_area(entry, box),
        annotation_id=key,
        keypoints=check_keypoints(entry.get("keypoints"), num_keypoints, image),
    )
    return instance, bad_parts


def _annotation_name(number: int, entry: Any) -> str:
    if not isinstance(entry, dict) or "id" not in entry:
        return f"annotation entry {number}"
    return f"annotation id {shown(entry['id'])} (image id {shown(entry.get('image_id'))})"
