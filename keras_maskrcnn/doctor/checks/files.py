"""Pictures that cannot be read, or are not as annotated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keras_maskrcnn.doctor.case import Case, check
from keras_maskrcnn.doctor.findings import Finding, Fix, Kind, Severity

UNREADABLE = Kind(
    "unreadable_picture",
    Severity.WARNING,
    "Pictures that cannot be read",
    "Training leaves them out. Copy them anew, or save them as JPEG or PNG.",
    Fix.LEAVE_OUT_PICTURES,
)
SIZE = Kind(
    "size_conflict",
    Severity.WARNING,
    "Pictures of another size than annotated",
    "The outlines belong to another version of the picture. Training leaves them out.",
    Fix.LEAVE_OUT_PICTURES,
)
TURNED = Kind(
    "exif_conflict",
    Severity.WARNING,
    "Pictures annotated upright but stored turned",
    "The annotated size is that of the picture as its EXIF orientation turns it, while its pixels "
    "are stored otherwise. Save the pictures upright, without the EXIF tag.",
    Fix.LEAVE_OUT_PICTURES,
)
ORIENTATION = Kind(
    "exif_orientation",
    Severity.NOTE,
    "Pictures with an EXIF orientation",
    "Viewers turn these, and some annotation tools too. The annotated size fits the stored "
    "pixels; see below whether the outlines lie on the objects.",
)


@check(UNREADABLE, SIZE, TURNED, ORIENTATION)
def conflicts_with_files(case: Case) -> Iterator[Finding]:
    for seen in case.pictures:
        record, facts = seen.record, seen.facts
        if facts.size is None:
            yield UNREADABLE.found(facts.problem, seen.place)
            continue
        annotated, turned = (record.height, record.width), facts.orientation >= 5
        numbers: dict[str, Any] = {
            "annotated_height": record.height,
            "annotated_width": record.width,
            "height": facts.size[0],
            "width": facts.size[1],
            "orientation": facts.orientation,
        }
        sizes = (
            f"annotated as {annotated[0]} high and {annotated[1]} wide, "
            f"stored as {facts.size[0]} high and {facts.size[1]} wide"
        )
        if annotated == facts.size:
            if facts.orientation != 1:
                yield ORIENTATION.found(
                    f"EXIF orientation {facts.orientation}", seen.place, **numbers
                )
        elif turned and annotated == facts.size[::-1]:
            words = f"{sizes}; EXIF orientation {facts.orientation}"
            yield TURNED.found(words, seen.place, **numbers)
        else:
            yield SIZE.found(sizes, seen.place, **numbers)
