"""What the doctor says, and its two files."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.doctor.case import CHECKS, Case
from keras_maskrcnn.doctor.findings import Finding, Kind, Severity
from keras_maskrcnn.doctor.statistics import (
    Histogram,
    anchor_numbers,
    histograms,
    pixel_numbers,
    split_numbers,
)
from keras_maskrcnn.html_page import save_report_files

_ORDER = (Severity.ERROR, Severity.WARNING, Severity.NOTE)


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """Findings and numbers of a data set.

    Args:
        data: what was looked at, by the names of its parts.
        findings: errors first, then warnings and notes.
        splits: for each part its counts: `pictures`, `readable_pictures`,
            `pictures_without_objects`, `objects`, `crowd_regions`, `objects_with_a_box_only`,
            `items_left_out`.
        classes: for each class the number of objects in each part that knows it.
        histograms: by name: `object_sizes`, `object_ratios`, `objects_per_picture`, `brightness`.
        anchors: `anchor_sizes`, `anchor_ratios`, `mean_best_iou`, `proposed_anchor_sizes`,
            `proposed_mean_best_iou`; see `doctor.anchors`.
        pixels: `mean` and `std` by channel, `grey_pictures`.
        input_size: `min_size` and `max_size` that the data was held against; in tiles, `tile`.
    """

    data: Mapping[str, DetectionData]
    findings: tuple[Finding, ...]
    splits: Mapping[str, Mapping[str, int]]
    classes: Mapping[str, Mapping[str, int]]
    histograms: Mapping[str, Histogram]
    anchors: Mapping[str, Any]
    pixels: Mapping[str, Any]
    input_size: Mapping[str, int]

    @property
    def makes_sense(self) -> bool:
        """Whether training does: there is no error among the findings."""
        return all(finding.severity != Severity.ERROR for finding in self.findings)

    @property
    def counts(self) -> dict[str, int]:
        """How many findings there are of each kind, in their order."""
        return dict(Counter(finding.kind for finding in self.findings))

    def summary(self) -> str:
        """A few lines for a terminal."""
        kinds = known_kinds()
        lines = [
            f"{split}: {n['readable_pictures']} of {n['pictures']} pictures can be read, "
            f"{n['objects']} objects"
            for split, n in self.splits.items()
        ]
        for name, count in self.counts.items():
            kind = kinds[name]
            lines.append(f"  {kind.severity}: {kind.title} ({count})")
        verdict = "Training makes sense." if self.makes_sense else "Training makes no sense."
        return "\n".join([*lines, verdict])

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        from keras_maskrcnn.doctor.shown import report_html

        return report_html(self)

    def to_json(self) -> dict[str, Any]:
        """All of it but the data, as JSON holds it."""
        return {
            "makes_sense": self.makes_sense,
            "counts": self.counts,
            "splits": self.splits,
            "classes": self.classes,
            "histograms": {name: asdict(h) for name, h in self.histograms.items()},
            "anchors": self.anchors,
            "pixels": self.pixels,
            "input_size": self.input_size,
            "findings": [finding.to_json() for finding in self.findings],
        }

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes `report.json`, and `report.html`, which needs no other file and no network.

        Args:
            folder: it is created; files of these names in it are replaced.

        Raises:
            OSError: if they cannot be written.
        """
        from keras_maskrcnn.doctor.page import page

        save_report_files(folder, page(self), json.dumps(self.to_json(), indent=1))


def known_kinds() -> dict[str, Kind]:
    """The kinds of all checks by name."""
    return {kind.name: kind for check in CHECKS for kind in check.kinds}


def make_report(case: Case) -> Report:
    """Runs all checks."""
    order = list(known_kinds())
    findings = [finding for check in CHECKS for finding in check.find(case)]
    findings.sort(key=lambda f: (_ORDER.index(f.severity), order.index(f.kind)))
    return Report(
        data=case.splits,
        findings=tuple(findings),
        splits=split_numbers(case),
        classes=case.class_counts,
        histograms=histograms(case),
        anchors=anchor_numbers(case),
        pixels=pixel_numbers(case),
        input_size=_input_size(case),
    )


def _input_size(case: Case) -> dict[str, int]:
    if case.tiling is not None:
        return {"tile": case.tiling.tile}
    return {"min_size": case.input_size.min_size, "max_size": case.input_size.max_size}
