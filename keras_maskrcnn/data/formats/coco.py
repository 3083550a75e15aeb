"""Reads COCO's annotation JSON."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from keras_maskrcnn.data.formats.checks import (
    ItemError,
    Problems,
    check_box,
    check_polygons,
    check_rle,
    require_unique,
)
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
    continuous coordinates, and `left_*` and `right_*` names become flip pairs.

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
            pictures or categories occur twice, no picture can be used, or with `on_error="raise"`
            any item cannot be used. The message names the file and the item.
    """
    if on_error not in ("warn", "raise"):
        raise ValueError(f"Expected on_error to be 'warn' or 'raise'. Received: {on_error=}")
    file, folder = Path(annotation_file), Path(image_dir)
    content = _read_json(file)
    if not folder.is_dir():
        raise ValueError(f"Expected image_dir to be a folder. Received: image_dir={str(folder)!r}")
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
    seen: set[int] = set()
    for entry in content["annotations"]:
        name = "annotation"
        try:
            name = f"annotation id {entry['id']} (image id {entry['image_id']})"
            if entry["id"] in seen:
                raise ItemError("its annotation id occurs twice")
            seen.add(entry["id"])
            if entry["image_id"] not in images:
                raise ItemError("unknown image id")
            image = images[entry["image_id"]]
            if image is None:  # reported with its picture
                continue
            if entry["category_id"] not in class_of:
                raise ItemError(f"unknown category id {entry['category_id']}")
            category = class_of[entry["category_id"]]
            instance = _read_instance(entry, category, image, len(keypoint_names), name, problems)
            instances[image.image_id].append(instance)
        except ItemError as problem:
            problems.add(name, str(problem))
        except (KeyError, TypeError, AttributeError) as error:
            problems.add(name, "incomplete or malformed entry", f" ({error!r})")

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


def _read_json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise ValueError(f"Expected a COCO JSON file. Received: annotation_file={str(file)!r}")
    try:
        content = json.loads(file.read_bytes())
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{file} is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno} "
            f"(character {error.pos})"
        ) from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not valid JSON: {error}") from error
    for part in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(part), list):
            raise ValueError(f"{file}: expected a JSON object with a list called {part!r}")
    return content


def _read_categories(entries: list[Any], file: Path) -> list[dict[str, Any]]:
    for entry in entries:
        if not (isinstance(entry, dict) and _is_int(entry.get("id")) and "name" in entry):
            raise ValueError(f"{file}: expected categories with id and name. Received: {entry!r}")
    if not entries:
        raise ValueError(f"{file}: expected at least one category. Received: an empty list")
    require_unique([entry["id"] for entry in entries], "category", file)
    return sorted(entries, key=lambda entry: entry["id"])


def _read_keypoint_names(categories: list[dict[str, Any]], file: Path) -> list[str]:
    layouts = {tuple(entry["keypoints"]) for entry in categories if entry.get("keypoints")}
    if len(layouts) > 1:
        raise ValueError(
            f"{file}: expected all categories with keypoints to name the same ones. "
            f"Received: {sorted(layouts)}"
        )
    return list(layouts.pop()) if layouts else []


def _read_images(
    entries: list[Any], folder: Path, file: Path, problems: Problems
) -> dict[int, ImageRecord | None]:
    """Records without instances by image id; None for pictures that cannot be used."""
    listings: dict[Path, set[str]] = {}
    images: dict[int, ImageRecord | None] = {}
    ids = [entry.get("id") for entry in entries if isinstance(entry, dict)]
    require_unique(ids, "image", file)
    for number, entry in enumerate(entries):
        try:
            key, name, height, width = (entry[k] for k in ("id", "file_name", "height", "width"))
            sizes_are_valid = all(_is_int(value) for value in (key, height, width))
        except (KeyError, TypeError) as error:
            problems.add(f"image entry {number}", "incomplete or malformed", f" ({error!r})")
            if isinstance(entry, dict) and _is_int(entry.get("id")):
                images[entry["id"]] = None
            continue
        if not sizes_are_valid or min(height, width) <= 0 or not isinstance(name, str):
            problems.add(f"image id {key}", "id, file_name, height or width is invalid")
            images[key] = None
            continue
        path = folder / name
        if path.parent not in listings:
            listings[path.parent] = (
                {item.name for item in os.scandir(path.parent)} if path.parent.is_dir() else set()
            )
        if path.name in listings[path.parent]:
            images[key] = ImageRecord(key, str(path), height, width)
        else:
            problems.add(f"image id {key}", "picture is missing", f" ({path})")
            images[key] = None
    return images


def _read_instance(
    entry: dict[str, Any],
    category: int,
    image: ImageRecord,
    num_keypoints: int,
    name: str,
    problems: Problems,
) -> Instance:
    box = check_box(entry.get("bbox"), image)
    segmentation = entry.get("segmentation")
    is_crowd = bool(entry.get("iscrowd", 0))
    if isinstance(segmentation, dict):
        check_rle(segmentation, image)
    elif not is_crowd or segmentation:
        segmentation = check_polygons(segmentation, box, name, problems)
    return Instance(
        category=category,
        box=box,
        segmentation=segmentation if segmentation is not None else [],
        is_crowd=is_crowd,
        area=float(entry.get("area", (box[2] - box[0]) * (box[3] - box[1]))),
        annotation_id=entry["id"],
        keypoints=_read_keypoints(entry.get("keypoints"), num_keypoints),
    )


def _read_keypoints(value: Any, num_keypoints: int) -> np.ndarray | None:
    if not num_keypoints or value is None:
        return None
    try:
        points = np.array(value, np.float32).reshape(num_keypoints, 3)
    except (TypeError, ValueError):
        raise ItemError(f"keypoints are not {num_keypoints} triples") from None
    if not np.isfinite(points).all() or not np.isin(points[:, 2], (0, 1, 2)).all():
        raise ItemError("keypoints are not x, y and visibility 0, 1 or 2")
    points[:, :2] += 0.5
    points[points[:, 2] == 0] = 0.0
    return points


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
