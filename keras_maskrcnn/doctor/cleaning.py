"""Data without what the doctor can put right."""

from __future__ import annotations

import dataclasses
import operator
from collections import defaultdict
from collections.abc import Iterable

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.doctor.findings import Finding, Fix
from keras_maskrcnn.doctor.report import Report

Key = tuple[str, int, int]


def clean(report: Report) -> dict[str, DetectionData]:
    """The data of a report with every finding put right that has a `fix`.

    Nothing is guessed: what only a person can decide, such as a misspelt class, stays. The data
    of the report are not changed.

    Args:
        report: of `validate`.

    Returns:
        The parts by name.

    Raises:
        ValueError: if no picture would be left in a part.
    """
    pictures: set[tuple[str, int]] = set()
    objects: dict[Fix, set[Key]] = defaultdict(set)
    for finding in report.findings:
        # Of copies and twins the first stays.
        if finding.fix == Fix.LEAVE_OUT_PICTURES:
            pictures |= {(place.split, place.image_id) for place in finding.pictures}
        elif finding.fix == Fix.LEAVE_OUT_COPIES:
            pictures |= {(place.split, place.image_id) for place in finding.pictures[1:]}
        elif finding.fix == Fix.LEAVE_OUT_TWINS:
            objects[Fix.LEAVE_OUT_OBJECTS] |= _keys(finding, finding.annotation_ids[1:])
        elif finding.fix:
            objects[finding.fix] |= _keys(finding, finding.annotation_ids)
    cleaned = {}
    for split, data in report.data.items():
        records = [
            _cleaned(split, record, objects)
            for record in data.records
            if (split, record.image_id) not in pictures
        ]
        if not records:
            raise ValueError(
                f"Expected pictures that can be used in {split!r}. Received: {len(data)} pictures, "
                "all of which are left out"
            )
        cleaned[split] = dataclasses.replace(data, records=records, warnings=[])
    return cleaned


def _keys(finding: Finding, ids: Iterable[int]) -> set[Key]:
    place = finding.pictures[0]
    return {(place.split, place.image_id, key) for key in ids}


def _cleaned(split: str, record: ImageRecord, objects: dict[Fix, set[Key]]) -> ImageRecord:
    kept = []
    for instance in record.instances:
        key = (split, record.image_id, instance.annotation_id)
        if key not in objects[Fix.LEAVE_OUT_OBJECTS]:
            is_cut, is_redrawn = (key in objects[f] for f in (Fix.CUT, Fix.REDRAW_BOX))
            kept.append(
                _put_right(instance, record, is_redrawn) if is_cut or is_redrawn else instance
            )
    is_same = len(kept) == len(record.instances) and all(map(operator.is_, kept, record.instances))
    return record if is_same else dataclasses.replace(record, instances=tuple(kept))


def _put_right(instance: Instance, record: ImageRecord, with_box: bool) -> Instance:
    """Box and outline within their picture, or the box that of the outline."""
    width, height = float(record.width), float(record.height)
    x1, y1, x2, y2 = instance.box
    box = max(x1, 0.0), max(y1, 0.0), min(x2, width), min(y2, height)
    if instance.outline is None:
        return dataclasses.replace(instance, box=box, annotated_area=None)
    # What has nothing in the picture is left out as empty.
    outline = instance.outline.crop((0.0, 0.0, width, height)) or instance.outline
    box = outline.bounds() if with_box else box
    return dataclasses.replace(instance, outline=outline, box=box, annotated_area=None)
