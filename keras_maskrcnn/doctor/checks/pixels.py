"""What the values of the pixels say."""

from __future__ import annotations

from collections.abc import Iterator

from keras_maskrcnn.doctor.case import Case, check
from keras_maskrcnn.doctor.findings import Finding, Kind, Severity

BLANK = Kind(
    "blank_picture",
    Severity.WARNING,
    "Pictures of one colour",
    "All pixels are alike, such as all black: often a file of 16 bits or of values 0..1 that was "
    "saved as 8 bits. Objects on them cannot be found.",
)
LOW_CONTRAST = Kind(
    "low_contrast",
    Severity.NOTE,
    "Pictures with little contrast",
    "Almost all values lie within 32 of 256 levels. Stretch them if your other pictures are not "
    "like that.",
)
MIXED = Kind(
    "grey_and_colour",
    Severity.NOTE,
    "Grey pictures among coloured ones",
    "A model may learn what only the colour tells. Have both in every split.",
)

# Grey levels: standard deviation of a channel, and between its hundredth and 99th part.
_BLANK_DEVIATION = 1.0
_LOW_SPREAD = 32


@check(BLANK, LOW_CONTRAST)
def flat_pictures(case: Case) -> Iterator[Finding]:
    for seen in case.pictures:
        facts = seen.facts
        if facts.mean is None or facts.square is None:
            continue
        words = f"values {facts.low} to {facts.high}"
        deviation = float((facts.square - facts.mean**2).clip(0).max()) ** 0.5
        if deviation < _BLANK_DEVIATION:
            yield BLANK.found(words, seen.place, low=facts.low, high=facts.high)
        elif facts.spread < _LOW_SPREAD:
            words = f"{words}, 98 % of them within {facts.spread} levels"
            yield LOW_CONTRAST.found(words, seen.place, spread=facts.spread)


@check(MIXED)
def grey_and_coloured_pictures(case: Case) -> Iterator[Finding]:
    read = [seen for seen in case.pictures if seen.facts.size is not None]
    grey = sum(seen.facts.is_grey for seen in read)
    if 0 < grey < len(read):
        yield MIXED.found(f"{grey} of {len(read)} pictures are grey", grey=grey, pictures=len(read))
