"""The same picture more than once.

Near copies are found by a difference hash: the picture is averaged to 9 x 8 parts, and each bit of
64 says whether a part is lighter than its left neighbour (N. Krawetz, "Kind of Like That", 2013).
A copy of another size or compression differs in few bits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from keras_maskrcnn.doctor.case import Case, Seen, check
from keras_maskrcnn.doctor.findings import Finding, Fix, Kind, Severity

_IN_SPLITS = (
    "A model knows what it was trained on: the scores on such pictures say nothing about new ones. "
)
LEAKED = Kind(
    "identical_in_splits",
    Severity.WARNING,
    "The same picture in several splits",
    f"{_IN_SPLITS}The cleaned data keep them for testing or validation.",
    Fix.LEAVE_OUT_COPIES,
)
IDENTICAL = Kind(
    "identical_pictures",
    Severity.WARNING,
    "The same picture more than once",
    "The files are equal byte by byte. They count more in training than others; where their "
    "annotations differ, they contradict each other. The cleaned data keep the one with the most "
    "objects.",
    Fix.LEAVE_OUT_COPIES,
)
SIMILAR_LEAKED = Kind(
    "similar_in_splits",
    Severity.WARNING,
    "Pictures that look alike in several splits",
    f"{_IN_SPLITS}Put pictures of one origin into one split.",
)
SIMILAR = Kind(
    "similar_pictures",
    Severity.NOTE,
    "Pictures that look alike",
    "Copies of another size or compression, or frames of one video. They teach little more than "
    "one of them.",
)

# Bits of 64, and grey levels of the 72 parts on average, by which near copies may differ.
_MOST_BITS = 4
_MOST_LEVELS = 6.0
# Grey levels: a picture whose parts vary less, such as a plain background, is like any other.
_LEAST_VARIATION = 8.0
_BITS = np.array([bin(value).count("1") for value in range(1 << 16)], np.uint8)


@check(LEAKED, IDENTICAL)
def identical_pictures(case: Case) -> Iterator[Finding]:
    groups = defaultdict(list)
    for seen in case.pictures:
        if seen.facts.size is not None:
            groups[seen.facts.digest].append(seen)
    for group in groups.values():
        if len(group) > 1:
            yield _finding(group, LEAKED, IDENTICAL, "are the same file")


@check(SIMILAR_LEAKED, SIMILAR)
def similar_pictures(case: Case) -> Iterator[Finding]:
    # Of identical ones the first is enough in each part; they are told above.
    first: dict[tuple[str, bytes], Seen] = {}
    for seen in case.pictures:
        if seen.facts.small is not None and _variation(seen.facts.small) >= _LEAST_VARIATION:
            first.setdefault((seen.place.split, seen.facts.digest), seen)
    for group in _alike(list(first.values())):
        if len({seen.facts.digest for seen in group}) > 1:
            yield _finding(group, SIMILAR_LEAKED, SIMILAR, "look alike")


def difference_hash(small: np.ndarray) -> int:
    """64 bits of a picture's means, uint8 `[8, 9, 3]`."""
    grey = small.astype(np.int64).sum(axis=-1)
    return int.from_bytes(np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes(), "big")


def _variation(small: np.ndarray) -> float:
    return float(small.mean(axis=-1).std())


def _alike(pictures: Sequence[Seen]) -> list[list[Seen]]:
    """Groups of pictures that are each like the group's first."""
    means = np.array([seen.facts.small for seen in pictures], np.int16).reshape(-1, 216)
    hashes = np.array([difference_hash(s.facts.small) for s in pictures], np.uint64)  # type: ignore[arg-type]
    words = hashes.view(np.uint16).reshape(-1, 4)
    leaders = np.zeros(len(pictures), np.int64)
    groups: list[list[Seen]] = []
    for number, seen in enumerate(pictures):
        known = leaders[: len(groups)]
        near = known[_BITS[words[known] ^ words[number]].sum(axis=1) <= _MOST_BITS]
        levels = np.abs(means[near] - means[number]).mean(axis=1)
        if len(near) and levels.min() <= _MOST_LEVELS:
            groups[int(np.searchsorted(known, near[levels.argmin()]))].append(seen)
        else:
            leaders[len(groups)] = number
            groups.append([seen])
    return [group for group in groups if len(group) > 1]


def _finding(group: list[Seen], across: Kind, within: Kind, what: str) -> Finding:
    """The one to keep comes first: of the test, of the validation, that with the most objects."""

    def order(seen: Seen) -> tuple[int, int]:
        name = seen.place.split.lower()
        rank = next(
            (k for k, part in enumerate(("test", "val", "train")) if name.startswith(part)), 3
        )
        return rank, -len(seen.record.instances)

    places = [seen.place for seen in sorted(group, key=order)]
    splits = sorted({place.split for place in places})
    where = f" in {', '.join(splits)}" if len(splits) > 1 else ""
    kind = across if len(splits) > 1 else within
    return kind.found(f"{len(places)} pictures{where} {what}", *places, pictures=len(places))
