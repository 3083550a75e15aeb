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
ORIENTATION = Kind(
    "exif_orientation",
    Severity.NOTE,
    "Pictures with an EXIF orientation",
    "They are shown and trained on upright. Where the outlines do not lie on the objects below, "
    "they were drawn on the picture as it is stored: read the data with orientation='stored'.",
)


@check(UNREADABLE, SIZE, ORIENTATION)
def conflicts_with_files(case: Case) -> Iterator[Finding]:
    for seen in case.pictures:
        record, facts = seen.record, seen.facts
        if facts.size is None:
            yield UNREADABLE.found(facts.problem, seen.place)
            continue
        annotated = record.height, record.width
        numbers: dict[str, Any] = {
            "annotated_height": record.height,
            "annotated_width": record.width,
            "height": facts.size[0],
            "width": facts.size[1],
            "orientation": facts.orientation,
        }
        if annotated != facts.size:
            yield SIZE.found(
                f"annotated as {annotated[0]} high and {annotated[1]} wide, but is "
                f"{facts.size[0]} high and {facts.size[1]} wide",
                seen.place,
                **numbers,
            )
        elif facts.orientation != 1:
            yield ORIENTATION.found(f"EXIF orientation {facts.orientation}", seen.place, **numbers)
