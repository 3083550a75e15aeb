"""What the reader could not use, and what it decided."""

from __future__ import annotations

from collections.abc import Iterator

from keras_maskrcnn.doctor.case import Case, check
from keras_maskrcnn.doctor.findings import Finding, Kind, Severity

LEFT_OUT = Kind(
    "left_out",
    Severity.WARNING,
    "Items that could not be read from the annotations",
    "These are lost for training: pictures that are not there, objects without area, outlines of "
    "two points. The cleaned file does not hold them.",
)


DECIDED = Kind(
    "decided",
    Severity.NOTE,
    "Where the annotations can be understood in two ways",
    "This is how they were read; each line tells how to read them otherwise.",
)


@check(LEFT_OUT)
def left_out_by_reader(case: Case) -> Iterator[Finding]:
    for split, data in case.splits.items():
        for line in data.warnings:
            yield LEFT_OUT.found(f"{split}: {line}")


@check(DECIDED)
def decided_by_reader(case: Case) -> Iterator[Finding]:
    for split, data in case.splits.items():
        for line in data.notes:
            yield DECIDED.found(f"{split}: {line}")
