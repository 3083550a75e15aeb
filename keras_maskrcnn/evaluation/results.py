"""Results in COCO's format: what they must be, and what of them is scored."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from pycocotools import mask as coco_mask

from keras_maskrcnn.data.formats.problems import ItemError
from keras_maskrcnn.evaluation.checks import (
    Size,
    check_box,
    check_keypoints,
    encode_outline,
    is_id,
    is_number,
    shown,
)

# What each comparison compares.
RESULT_FIELDS = {"bbox": "bbox", "segm": "segmentation", "keypoints": "keypoints"}


def check_results(
    results: Sequence[Any],
    images: Collection[int],
    category_ids: Collection[int],
    place: Callable[[int], str],
) -> None:
    """Makes sure that results say what they are about, and how sure they are.

    Args:
        results: as `Detections.to_coco` gives them.
        images, category_ids: ids of the ground truth.
        place: what an error calls the result of a number.

    Raises:
        ValueError: when a result has no finite score, or an image or category that is unknown.
    """
    for number, result in enumerate(results):
        try:
            check_result(result, images, category_ids)
        except ItemError as problem:
            raise ValueError(f"{place(number)}: {problem}") from None


def check_result(result: Any, images: Collection[int], category_ids: Collection[int]) -> None:
    """`check_results` of one.

    Raises:
        ItemError: when it cannot be scored.
    """
    if not isinstance(result, dict):
        raise ItemError(f"expected a result. Received: {shown(result)}")
    image_id, category_id = result.get("image_id"), result.get("category_id")
    if not is_id(image_id) or image_id not in images:
        raise ItemError(
            f"expected an image of the ground truth. Received: image_id={shown(image_id)}"
        )
    if not is_id(category_id) or category_id not in category_ids:
        raise ItemError(
            f"expected a category of the ground truth. Received: category_id={shown(category_id)}"
        )
    if not is_number(result.get("score")):
        raise ItemError(
            f"expected a finite number as score. Received: score={shown(result.get('score'))}"
        )


def is_held(result: dict[str, Any], field: str) -> bool:
    """Whether a result has a field; an empty list stands for none, as in pycocotools."""
    value = result.get(field)
    return value is not None and not (isinstance(value, list) and not value)


def prepare_results(
    results: Sequence[dict[str, Any]],
    iou_type: str,
    *,
    area_of: str,
    sizes: Mapping[int, Size | None],
    place: Callable[[int], str],
    joints: int | None = None,
) -> list[dict[str, Any]]:
    """Results as they are scored: with an id, an area, and what is compared.

    Args:
        results: checked by `check_results`.
        iou_type: `"bbox"`, `"segm"` or `"keypoints"`. Boxes are made of what `area_of` names where
            the results have none: around the mask, or around the keypoints.
        area_of: field whose area an unmatched result has, which makes it small, medium or large:
            of the box, of the mask, or of the rectangle around the keypoints.
        sizes: height and width of each picture.
        place: what an error calls the result of a number.
        joints: keypoints that each result must have; `None`: as many as the first.

    Raises:
        ValueError: when a result lacks what is needed, or it is malformed.
    """
    field = RESULT_FIELDS[iou_type]
    prepared = []
    for number, result in enumerate(results):
        try:
            measured = _read(result, area_of, sizes[result["image_id"]], joints)
            if field == area_of:
                compared = measured
            elif field == "bbox" and not is_held(result, field):
                compared = bounds_of(area_of, measured)
            else:
                compared = _read(result, field, sizes[result["image_id"]], joints)
        except ItemError as problem:
            raise ValueError(f"{place(number)}: {problem}") from None
        if iou_type == "keypoints":
            joints = len(compared) // 3
        scored = {key: result[key] for key in ("image_id", "category_id", "score")}
        scored |= {"id": number + 1, "iscrowd": 0, "area": _area(area_of, measured)}
        scored[field] = compared
        prepared.append(scored)
    return prepared


def _read(result: dict[str, Any], field: str, size: Size | None, joints: int | None) -> Any:
    if not is_held(result, field):
        raise ItemError(
            f"the comparison needs {field!r} in every result. Received: {sorted(map(str, result))}"
        )
    if field == "bbox":
        return check_box(result[field])
    if field == "segmentation":
        return encode_outline(result[field], size)
    return check_keypoints(result[field], joints)


def _area(field: str, value: Any) -> float:
    if field == "segmentation":
        return float(coco_mask.area(value))
    _, _, width, height = bounds_of(field, value)
    return width * height


def bounds_of(field: str, value: Any) -> list[float]:
    """x, y, width and height of a box, a mask or keypoints."""
    if field == "bbox":
        return value
    if field == "segmentation":
        return [float(v) for v in coco_mask.toBbox(value)]
    x, y = value[0::3], value[1::3]
    return [min(x), min(y), max(x) - min(x), max(y) - min(y)]
