"""The parts of COCO's JSON: pictures and categories, as many tools write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_maskrcnn.data.formats.addresses import local_path, without_upload_prefix
from keras_maskrcnn.data.formats.checks import check_entry, check_integer
from keras_maskrcnn.data.formats.coco_file import PARTS
from keras_maskrcnn.data.formats.collector import Collector
from keras_maskrcnn.data.formats.json_file import RepeatedKeys
from keras_maskrcnn.data.formats.problems import (
    ItemError,
    MissingPictureError,
    require_unique,
    shown,
)
from keras_maskrcnn.data.picture_files import MAX_PIXELS, most_pixels
from keras_maskrcnn.data.records import ImageRecord

_NEGATIVE, _PARTLY = "neg_category_ids", "not_exhaustive_category_ids"


def keypoint_flip_pairs(names: list[str]) -> list[tuple[int, int]]:
    """Index pairs of keypoints called `left_x` and `right_x`, which a mirror exchanges."""
    places = {name: index for index, name in enumerate(names)}
    return [
        (index, places["right_" + name.removeprefix("left_")])
        for name, index in places.items()
        if name.startswith("left_") and "right_" + name.removeprefix("left_") in places
    ]


def read_parts(file: Path, content: Any) -> dict[str, list[Any]]:
    """The three lists that make a COCO file; without pictures, `ValueError`."""
    if isinstance(content, RepeatedKeys):
        raise ValueError(
            f"{file}: expected a JSON object with each key once. "
            f"Received: more than one {shown(content.repeated)}"
        )
    for part in PARTS:
        if not isinstance(content, dict) or not isinstance(content.get(part), list):
            raise ValueError(f"{file}: expected a JSON object with a list called {part!r}")
    if not content["images"]:
        raise ValueError(f"{file}: expected at least one image. Received: an empty 'images' list")
    return content


def read_categories(entries: list[Any], file: Path) -> list[dict[str, Any]]:
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


def read_keypoint_names(categories: list[dict[str, Any]], file: Path) -> list[str]:
    """Those of the categories that have some; all must have the same."""
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


def read_images(
    content: dict[str, Any], file: Path, found: Collector, near: Sequence[Path]
) -> dict[int, ImageRecord | None]:
    """Records by image id, still to be added; None for pictures that cannot be used."""
    is_stretched = _is_of_label_studio(content)
    images: dict[int, ImageRecord | None] = {}
    keys = []
    for number, entry in enumerate(content["images"]):
        name = f"image entry {number}"
        try:
            key = check_id(check_entry(entry), "id")
            keys.append(key)
            name = f"image id {key}"
            images[key] = None
            images[key] = image = _read_image(entry, key, found, near)
            size = image.height, image.width
            found.frames.note_size(image.path, size, is_stretched=is_stretched)
        except ItemError as problem:
            found.problems.add(name, problem)
    require_unique(keys, "image ids", file)
    return images


def _read_image(
    entry: dict[str, Any], key: int, found: Collector, near: Sequence[Path]
) -> ImageRecord:
    height, width = check_integer(entry, "height"), check_integer(entry, "width")
    if min(height, width) <= 0:
        raise ItemError("height or width is not positive", f" ({height}, {width})")
    # LVIS gives the address on COCO's server alone.
    given = [entry[name] for name in ("file_name", "coco_url") if name in entry]
    if not given:
        raise ItemError("file_name is missing")
    most = most_pixels(given[0]) if isinstance(given[0], str) else MAX_PIXELS
    if height * width > most:
        raise ItemError(f"picture has more than {most} pixels", f" ({height} x {width})")
    return ImageRecord(key, _find(given[0], found, near), height, width)


def _find(name: Any, found: Collector, near: Sequence[Path]) -> str:
    """A picture by its name, or where there is none of it, by its path in a storage."""
    try:
        return found.find_picture(name, near)
    except MissingPictureError as missing:
        local = local_path(name)
        for other in (local, without_upload_prefix(local)):
            try:
                return found.find_picture(other, near)
            except MissingPictureError:
                continue
        raise missing from None


def _is_of_label_studio(content: dict[str, Any]) -> bool:
    """Its points are parts of the upright picture times the sides that the file gives, which may
    be those of the stored one (its issue 6608)."""
    info = content.get("info")
    return isinstance(info, dict) and info.get("contributor") == "Label Studio"


def check_id(entry: dict[str, Any], key: str) -> int:
    """An id; VIA writes some as text."""
    value = entry.get(key)
    if type(value) is int and -(2**63) <= value < 2**63:  # Nearly always, and at once.
        return value
    if isinstance(value, str) and value.isdecimal() and value.isascii() and len(value) < 20:
        return check_integer({key: int(value)}, key)
    return check_integer(entry, key)


def drop_root(
    categories: list[dict[str, Any]], annotations: list[Any], found: Collector
) -> list[dict[str, Any]]:
    """Without the category 0 that Roboflow adds: all others name it as `supercategory`, and no
    annotation uses it. Where one of the two does not hold, it is a class."""
    root, *others = categories
    if root["id"] != 0 or not others:
        return categories
    if any(category.get("supercategory") != root["name"] for category in others):
        return categories
    if any(isinstance(a, dict) and a.get("category_id") in (0, "0") for a in annotations):
        return categories
    found.note(
        f"the category {shown(root['name'])!r} (id 0) is no class: all others name it as "
        "supercategory, and no object is of it"
    )
    return others


def note_lvis(images: list[Any], found: Collector) -> None:
    """LVIS says of each picture which classes are surely not on it, and of which some are missing;
    COCO's scores know neither."""
    marked = [image for image in images if isinstance(image, dict) and _NEGATIVE in image]
    if not marked:
        return
    negative = sum(len(image[_NEGATIVE]) for image in marked if isinstance(image[_NEGATIVE], list))
    partly = [image.get(_PARTLY) for image in marked]
    missing = sum(len(ids) for ids in partly if isinstance(ids, list))
    found.note(
        f"{len(marked)} pictures are annotated as LVIS is: on the average, each says of "
        f"{negative / len(marked):.1f} classes that they are not on it and of "
        f"{missing / len(marked):.1f} that not all are marked; of other classes nothing is known. "
        "The scores of this package are COCO's, which count every unmarked object that is found "
        "as an error: for LVIS' scores, give the results (Detections.to_coco) to the package lvis"
    )
