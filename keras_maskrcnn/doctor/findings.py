"""What the doctor finds, as data."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


class Severity(enum.StrEnum):
    """How much a finding matters."""

    ERROR = "error"  # Training makes no sense.
    WARNING = "warning"  # It is lost for training, or teaches something wrong.
    NOTE = "note"  # Worth a look.


class Fix(enum.StrEnum):
    """What the cleaned data do about a finding."""

    NOTHING = ""
    LEAVE_OUT_PICTURES = "leave out the pictures"
    LEAVE_OUT_COPIES = "leave out all pictures but the first"
    LEAVE_OUT_OBJECTS = "leave out the objects"
    LEAVE_OUT_TWINS = "leave out all objects but the first"
    CUT = "cut the outlines at the picture's border"
    REDRAW_BOX = "take the boxes of the outlines"


def counted(count: int, what: str) -> str:
    """`1 object`, `2 objects`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


@dataclass(frozen=True)
class Place:
    """A picture of a data set.

    Args:
        split: name of its part.
        image_id: in that part.
        path: its file.
    """

    split: str
    image_id: int
    path: str


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Args:
        kind: name of its `Kind`.
        severity: of that kind.
        words: what was found, in a sentence.
        pictures: where.
        annotation_ids: the objects that are meant, of the first picture.
        numbers: what was measured, by name.
        fix: what `clean` does about it.
    """

    kind: str
    severity: Severity
    words: str
    pictures: tuple[Place, ...] = ()
    annotation_ids: tuple[int, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)
    fix: Fix = Fix.NOTHING

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Kind:
    """What findings of one sort have in common.

    Args:
        name: for programs, such as `"tiny_object"`.
        severity: how much it matters.
        title: for people, such as `"Tiny objects"`.
        advice: what it means and what to do, in a sentence or two.
        fix: what `clean` does about it.
    """

    name: str
    severity: Severity
    title: str
    advice: str
    fix: Fix = Fix.NOTHING

    def found(
        self,
        words: str,
        *pictures: Place,
        annotation_ids: Sequence[int] = (),
        **numbers: float,
    ) -> Finding:
        """A finding of this kind."""
        return Finding(
            self.name, self.severity, words, pictures, tuple(annotation_ids), numbers, self.fix
        )
