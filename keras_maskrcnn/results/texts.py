"""Results in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_maskrcnn.results.detections import Detections

ROWS_SHOWN = 10


def class_name(names: Sequence[str], index: int) -> str:
    """Name of a class index; `class_7` where no name is known."""
    return names[index] if 0 <= index < len(names) else f"class_{index}"


def headline(found: Detections) -> str:
    """How many objects, in a picture of which size."""
    height, width = found.image_size
    objects = "1 object" if len(found) == 1 else f"{len(found)} objects"
    return f"{objects} in a picture of {width} x {height} pixels"


def as_text(found: Detections) -> str:
    """The best objects as a table for a terminal."""
    lines = [f"Detections: {headline(found)}"]
    shown = found[:ROWS_SHOWN]
    side = max([4, *(len(name) for name in shown.names)])
    if len(found):
        lines.append(
            f"  {'#':>3}  {'name':<{side}}  score  {'x1':>7} {'y1':>7} {'x2':>7} {'y2':>7}"
        )
    for i, (name, score, box) in enumerate(
        zip(shown.names, shown.scores, shown.boxes, strict=True)
    ):
        corners = " ".join(f"{v:7.1f}" for v in box)
        lines.append(f"  {i:>3}  {name:<{side}}  {score:.3f}  {corners}")
    if len(found) > ROWS_SHOWN:
        lines.append(f"  and {len(found) - ROWS_SHOWN} more")
    return "\n".join(lines)
