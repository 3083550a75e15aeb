"""Whether there is anything to train on."""

from __future__ import annotations

from collections.abc import Iterator

from keras_maskrcnn.doctor.case import Case, check
from keras_maskrcnn.doctor.findings import Finding, Kind, Severity

NO_READABLE_PICTURE = Kind(
    "no_readable_picture",
    Severity.ERROR,
    "No picture can be read",
    "Training and validation each need at least one picture of the annotated size.",
)
NO_OBJECTS = Kind(
    "no_objects",
    Severity.ERROR,
    "No objects",
    "Training needs objects on pictures that can be read; crowd regions are ignored in it. CVAT "
    "writes iscrowd=1 for objects that were drawn with its brush.",
)
BOXES_ONLY = Kind(
    "boxes_only",
    Severity.WARNING,
    "Objects without an outline",
    "A model with a mask head needs an outline of every object; without a mask head (heads=[]) "
    "boxes are enough.",
)


@check(NO_READABLE_PICTURE, NO_OBJECTS)
def nothing_to_train_on(case: Case) -> Iterator[Finding]:
    for split, data in case.splits.items():
        usable = [s for s in case.pictures if s.place.split == split and s.is_usable]
        if not usable:
            yield NO_READABLE_PICTURE.found(
                f"{split}: none of {len(data)} pictures can be read", pictures_read=0
            )
        elif split == case.training_split and not any(s.record.objects for s in usable):
            crowds = sum(len(s.record.crowds) for s in usable)
            objects = sum(len(record.objects) for record in data.records)
            yield NO_OBJECTS.found(
                f"{split}: no objects on the {len(usable)} pictures that can be read, "
                f"{objects} on others, {crowds} crowd regions",
                objects=objects,
                crowds=crowds,
            )


@check(BOXES_ONLY)
def boxes_without_outline(case: Case) -> Iterator[Finding]:
    for seen in case.pictures:
        ids = [o.annotation_id for o in seen.record.objects if o.outline is None]
        if ids:
            yield BOXES_ONLY.found(
                f"{len(ids)} of {len(seen.record.objects)} objects have a box only",
                seen.place,
                annotation_ids=ids,
                objects=len(ids),
            )
