"""Classes: too few objects, only in one split, names that are nearly equal."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from keras_maskrcnn.doctor.case import Case, check
from keras_maskrcnn.doctor.findings import Finding, Kind, Severity, counted

NO_OBJECTS = Kind(
    "class_without_objects",
    Severity.NOTE,
    "Classes without objects",
    "The annotations name them, but no object is of them. They cost little, and are never found.",
)
FEW = Kind(
    "class_with_few_objects",
    Severity.WARNING,
    "Classes with few objects to train on",
    "With fewer than 10 objects a class is hardly learned. Annotate more, or join it to another.",
)
ONE_SPLIT = Kind(
    "class_in_one_split",
    Severity.WARNING,
    "Classes that only some splits have",
    "What is not trained on is never found; what is not validated on has no score.",
)
MISSPELT = Kind(
    "misspelt_class",
    Severity.WARNING,
    "Class names that are nearly equal",
    "Perhaps one class under two names. Where it is, rename one of them: for a model they are two "
    "classes.",
)

_FEW = 10
_LIKENESS = 0.8
# How many times as many objects the right spelling has: `male` and `female` are two classes.
_MORE_COMMON = 4


@check(NO_OBJECTS, FEW, ONE_SPLIT)
def rare_classes(case: Case) -> Iterator[Finding]:
    train = case.training_split
    for name, by_split in case.class_counts.items():
        total = sum(by_split.values())
        if not total:
            yield NO_OBJECTS.found(f"{name}: no objects", objects=0)
            continue
        there = [split for split in case.splits if by_split.get(split)]
        missing = [split for split in case.splits if split not in there]
        if missing:
            where = f"in {', '.join(there)}, none in {', '.join(missing)}"
            words = f"{name}: {counted(total, 'object')} {where}"
            yield ONE_SPLIT.found(words, objects=total)
        count = by_split.get(train, 0)
        if 0 < count < _FEW:
            yield FEW.found(f"{name}: {counted(count, 'object')} in {train}", objects=count)


@check(MISSPELT)
def misspelt_classes(case: Case) -> Iterator[Finding]:
    totals = {name: sum(counts.values()) for name, counts in case.class_counts.items()}
    # The right spelling is the one with more objects.
    names = sorted(totals, key=lambda name: -totals[name])
    for place, name in enumerate(names):
        known = names[:place]
        plain = _plain(name)
        same = [other for other in known if _plain(other) == plain]
        common = [k for k in known if totals[k] >= _MORE_COMMON * max(1, totals[name])]
        near = difflib.get_close_matches(name, common, n=1, cutoff=_LIKENESS)
        found = same or [other for other in near if _letters(other) != _letters(name)]
        if found:
            yield MISSPELT.found(
                f"{name!r} ({counted(totals[name], 'object')}): perhaps {found[0]!r} "
                f"({counted(totals[found[0]], 'object')})",
                objects=totals[name],
                nearest_objects=totals[found[0]],
            )


def _plain(name: str) -> str:
    """The name without case, spaces and marks."""
    return re.sub(r"[\W_]+", "", name.casefold()) or name


def _letters(name: str) -> str:
    """The name without digits: `part1` and `part2` are numbered, not misspelt."""
    return re.sub(r"\d+", "", name)
