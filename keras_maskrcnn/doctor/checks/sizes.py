"""Objects against what the network sees: its input size and its anchors."""

from __future__ import annotations

from collections.abc import Iterator

from keras_maskrcnn.doctor.anchors import as_setting, best_overlaps, proposed_sizes
from keras_maskrcnn.doctor.case import Case, check
from keras_maskrcnn.doctor.findings import Finding, Kind, Severity

VANISHING = Kind(
    "vanishing_objects",
    Severity.WARNING,
    "Objects that vanish when the picture is made smaller",
    "Smaller than one cell of the finest feature map (4 pixels) in the network, though larger on "
    "disk. Train with a larger min_size and max_size, or cut the pictures into tiles.",
)
ANCHORS = Kind(
    "anchors_do_not_fit",
    Severity.WARNING,
    "Objects that no anchor fits",
    "An object is proposed by anchors of about its size and shape. Give the RPN other "
    "anchor_sizes or anchor_ratios, or train on larger pictures.",
)

_CELL = 4.0
_FITS = 0.5
# In COCO it is a fifth.
_MOST_MISFITS = 0.25


@check(VANISHING)
def vanishing_objects(case: Case) -> Iterator[Finding]:
    for seen in case.pictures:
        record, scale = seen.record, case.scale(seen.record)
        if scale >= 1:
            continue
        roots = [
            max(0.0, (o.box[2] - o.box[0]) * (o.box[3] - o.box[1])) ** 0.5 for o in record.objects
        ]
        ids = [
            instance.annotation_id
            for instance, root in zip(record.objects, roots, strict=True)
            if root >= _CELL > root * scale
        ]
        if ids:
            height, width = (round(scale * side) for side in (record.height, record.width))
            yield VANISHING.found(
                f"{len(ids)} of {len(record.objects)} objects vanish: the network sees "
                f"{width} x {height} of {record.width} x {record.height} pixels",
                seen.place,
                annotation_ids=ids,
                objects=len(ids),
                scale=scale,
            )


@check(ANCHORS)
def anchors_that_do_not_fit(case: Case) -> Iterator[Finding]:
    if not len(case.sides):
        return
    best = best_overlaps(case.sides, case.anchor_sizes, case.anchor_ratios)
    misfits = float((best < _FITS).mean())
    if misfits > _MOST_MISFITS:
        proposed = proposed_sizes(case.sides, case.anchor_sizes, case.anchor_ratios)
        remedy = (
            "no other sizes fit better: look at their shapes"
            if proposed == case.anchor_sizes
            else f"proposed: {as_setting(proposed)}"
        )
        yield ANCHORS.found(
            f"{misfits:.0%} of {len(best)} objects overlap no anchor of "
            f"{_listed(case.anchor_sizes)} pixels by half, even when it is centred on them; "
            f"{remedy}",
            share=misfits,
            objects=len(best),
        )


def _listed(sizes: tuple[float, ...]) -> str:
    return ", ".join(f"{size:g}" for size in sizes)
