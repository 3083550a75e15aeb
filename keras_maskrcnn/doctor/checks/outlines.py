"""Outlines by themselves: against their picture, their box, and their own edges."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from keras_maskrcnn.doctor.case import Case, check
from keras_maskrcnn.doctor.findings import Finding, Fix, Kind, Severity
from keras_maskrcnn.outlines import Outline, Polygons
from keras_maskrcnn.outlines.geometry import signed_area

OUTSIDE = Kind(
    "outline_outside",
    Severity.WARNING,
    "Outlines that leave their picture",
    "What lies outside is not learned. Where it is much, the outline may belong to another "
    "picture, or to one of another size or orientation.",
    Fix.CUT,
)
EMPTY = Kind(
    "empty_object",
    Severity.WARNING,
    "Objects that cover nothing",
    "Nothing of the outline lies in the picture, or it has no area.",
    Fix.LEAVE_OUT_OBJECTS,
)
TINY = Kind(
    "tiny_object",
    Severity.WARNING,
    "Tiny objects",
    "Narrower than 2 pixels: often a stray click. No detector finds such objects, and they count "
    "as missed.",
)
BOX = Kind(
    "box_disagrees",
    Severity.WARNING,
    "Boxes that disagree with their outlines",
    "Training cuts the mask at the box and learns both. Often the outline was moved after the box "
    "was written.",
    Fix.REDRAW_BOX,
)
CROSSING = Kind(
    "self_crossing",
    Severity.WARNING,
    "Outlines that cross themselves",
    "What an outline encloses twice counts as outside (the even-odd rule), so a loop leaves a "
    "hole. Often two points were set in the wrong order.",
)

# Pixels: tools round vertices, and some let the last pixel reach over the border.
_OUTSIDE = 1.0
_TINY = 2.0
# A side of the box that is off by more than this, and this part of the box' length, disagrees.
_BOX_PIXELS, _BOX_PART = 2.0, 0.05
# Pixels by which an end lies on the other side of an edge: less is a touch or rounding.
_CROSSING = 1e-3
_LEAST_AREA = 1e-6
# Pairs of edges that are compared at a time, which bounds the memory.
_PAIRS = 1 << 20


@check(OUTSIDE, EMPTY, TINY, BOX)
def outlines_and_boxes(case: Case) -> Iterator[Finding]:
    for seen, instance in case.objects():
        place, ids = seen.place, [instance.annotation_id]
        named = case.named(seen, instance)
        box = np.array(instance.box, np.float64)
        frame = np.array([0, 0, seen.record.width, seen.record.height], np.float64)
        outline = instance.outline
        bounds = box if outline is None else np.array(outline.bounds())
        inside = np.concatenate(
            [np.maximum(bounds[:2], frame[:2]), np.minimum(bounds[2:], frame[2:])]
        )
        has_area = bool(np.all(inside[2:] > inside[:2]) and np.all(box[2:] > box[:2]))
        is_within = bool((inside == bounds).all())
        if not has_area or (outline is not None and _is_empty(outline, frame, is_within)):
            words = f"{named} covers nothing of its picture"
            yield EMPTY.found(words, place, annotation_ids=ids)
            continue
        out = float(np.abs(inside - bounds).max())
        if out > _OUTSIDE:
            words = f"{named} reaches {out:.0f} pixels out of its picture"
            yield OUTSIDE.found(words, place, annotation_ids=ids, pixels=out)
        off = float(np.abs(inside - box).max())
        if outline is not None and off > max(_BOX_PIXELS, _BOX_PART * (box[2:] - box[:2]).max()):
            words = f"the box of {named} is {off:.0f} pixels off its outline"
            yield BOX.found(words, place, annotation_ids=ids, pixels=off)
        width, height = (box[2:] - box[:2]).tolist()
        if min(width, height) < _TINY:
            words = f"{named} is {width:.1f} x {height:.1f} pixels"
            yield TINY.found(words, place, annotation_ids=ids, width=width, height=height)


@check(CROSSING)
def outlines_that_cross(case: Case) -> Iterator[Finding]:
    for seen, instance in case.objects():
        count = crossings(instance.outline) if instance.outline is not None else 0
        if count:
            times = "once" if count == 1 else f"{count} times"
            yield CROSSING.found(
                f"the outline of {case.named(seen, instance)} crosses itself {times}",
                seen.place,
                annotation_ids=[instance.annotation_id],
                crossings=count,
            )


def crossings(outline: Outline) -> int:
    """How often edges of one polygon cross each other; 0 for what is no polygon.

    Edges that touch, or run along each other as the slits do that join a hole, do not cross.
    """
    if not isinstance(outline, Polygons):
        return 0
    count = 0
    for group in outline.groups:
        start = np.concatenate(group)
        end = np.concatenate([np.roll(loop, -1, axis=0) for loop in group])
        way = end - start
        along = way / np.maximum(np.hypot(*way.T), 1e-12)[:, None]
        step = max(1, _PAIRS // len(start))
        for first in range(0, len(start), step):
            part = slice(first, first + step)
            cross = _lie_apart(start[part], along[part], start, end)
            # And the other way round: the ends of these edges, seen from each edge.
            is_all = step >= len(start)
            back = cross if is_all else _lie_apart(start, along, start[part], end[part])
            count += int((cross & back.T).sum())
    return count // 2


def _lie_apart(
    start: np.ndarray, along: np.ndarray, ones: np.ndarray, others: np.ndarray
) -> np.ndarray:
    """Whether two points lie on the two sides of an edge's line.

    Args:
        start: `[E, 2]`.
        along: `[E, 2]`, of length 1.
        ones, others: `[V, 2]`: pairs of points.

    Returns:
        bool `[E, V]`.
    """
    low, high = (
        along[:, :1] * (y - start[:, 1:]) - along[:, 1:] * (x - start[:, :1])
        for x, y in (ones.T, others.T)
    )
    return (np.minimum(low, high) < -_CROSSING) & (np.maximum(low, high) > _CROSSING)


def _is_empty(outline: Outline, frame: np.ndarray, is_within: bool) -> bool:
    """Whether nothing of an outline lies in the frame."""
    if is_within and isinstance(outline, Polygons):
        # Most outlines are one loop with an area, and need not be drawn. What is walked twice
        # has an area too, but encloses nothing by the even-odd rule: it is drawn.
        for group in outline.groups:
            loop = group[0]
            is_once = len({*map(tuple, loop.tolist())}) == len(loop)
            if len(group) == 1 and is_once and abs(signed_area(loop)) > _LEAST_AREA:
                return False
    return outline.crop(frame.tolist()) is None
