"""More objects than a model can give back."""

from __future__ import annotations

from collections.abc import Iterator

from keras_maskrcnn.doctor.case import Case, check
from keras_maskrcnn.doctor.checks.twins import ALIKE, overlapping
from keras_maskrcnn.doctor.findings import Finding, Kind, Severity

MANY = Kind(
    "crowded_picture",
    Severity.WARNING,
    "Pictures with more than 100 objects",
    "A model gives back at most 100 objects of a picture by default; COCO's scores count as many. "
    "Raise the limit (box.max_detections), or cut the pictures into tiles.",
)
HIDDEN = Kind(
    "hidden_by_neighbours",
    Severity.NOTE,
    "Objects that overlap others of their class",
    "Of two boxes of one class with an intersection over union above .5 a model keeps one. "
    "Raise the threshold of its non-maximum suppression where there are many.",
)

# Defaults of the detections of a `MaskRCNN`.
_MOST_OBJECTS = 100
_NMS_IOU = 0.5


@check(MANY, HIDDEN)
def crowding(case: Case) -> Iterator[Finding]:
    for seen in case.pictures:
        objects = seen.record.objects
        if len(objects) > _MOST_OBJECTS:
            yield MANY.found(f"{len(objects)} objects", seen.place, objects=len(objects))
        boxes = [o.box for o in objects]
        twins = set(overlapping(boxes, ALIKE))
        hidden = sorted(
            {
                second
                for first, second in overlapping(boxes, _NMS_IOU)
                if objects[first].category == objects[second].category
                and (first, second) not in twins
            }
        )
        if hidden:
            yield HIDDEN.found(
                f"{len(hidden)} of {len(objects)} objects overlap another of their class",
                seen.place,
                annotation_ids=[objects[place].annotation_id for place in hidden],
                objects=len(hidden),
            )
