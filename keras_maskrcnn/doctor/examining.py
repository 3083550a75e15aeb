"""Looks at a data set before training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras_maskrcnn.doctor.checks  # noqa: F401  They register themselves.
from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.doctor.case import Case
from keras_maskrcnn.doctor.pictures import progress_line, read_facts
from keras_maskrcnn.doctor.report import Report, make_report
from keras_maskrcnn.images.input_size import InputSize
from keras_maskrcnn.images.tiling import Tiling, as_tiling

# Of a feature pyramid; `MaskRCNN` has the same.
_ANCHOR_SIZES = (32.0, 64.0, 128.0, 256.0, 512.0)
_ANCHOR_RATIOS = (0.5, 1.0, 2.0)


def validate(
    data: DetectionData | Sequence[DetectionData] | Mapping[str, DetectionData],
    *,
    model: Any = None,
    input_size: InputSize | None = None,
    tile: int | Tiling | None = None,
    verbose: bool = True,
) -> Report:
    """Reads every picture and every annotation, and says what is wrong with them.

    Pictures are decoded by what training decodes them with, on all cores; on one, a picture of
    a megapixel takes some hundredths of a second. The data are never changed.

    Args:
        data: a data set; or a pair, such as `load_splits` gives, to train and to validate on; or
            the parts by name. The part called train is what is trained on, or else the first.
        model: a `MaskRCNN` whose input size and anchors the objects are held against; by default
            800, 1333 and the sizes 32, 64, 128, 256, 512 with the ratios .5, 1, 2.
        input_size: instead of the model's.
        tile: objects are held against what a network sees of pictures in tiles, as
            `DetectionData.batches` takes it: in their own size. TIFF and `.npy` files are then read
            part by part, and may have more than 100 megapixels.
        verbose: whether a line on standard error shows how far the reading is.

    Returns:
        The findings, and counts and distributions.

    Raises:
        ValueError: if there is no data set, a sequence of other than one or two, or their pictures
            are of other channels or another range than each other's, or the model's.

    Example:
        report = validate(load_splits("fruit/"))
        report.save("fruit_report")
    """
    splits = _named(data)
    first = next(iter(splits.values())).pixels if model is None else model.pixels
    for name, part in splits.items():
        first.require_like(part.pixels, f"{name!r}")
    if model is not None:
        anchors = model.network.rpn.anchors
        sizes = tuple(float(size) for level in anchors.sizes for size in level)
        ratios = tuple(float(ratio) for ratio in anchors.ratios)
        input_size = input_size or model.input_size
    else:
        sizes, ratios = _ANCHOR_SIZES, _ANCHOR_RATIOS
    pictures = [(record.path, part.pixels) for part in splits.values() for record in part.records]
    tiling = as_tiling(tile, None)
    told = [progress_line(len(pictures))] if verbose else []
    facts = iter(read_facts(pictures, *told, by_parts=tiling is not None))
    case = Case(
        splits=splits,
        facts={name: [next(facts) for _ in part.records] for name, part in splits.items()},
        input_size=input_size or InputSize(),
        anchor_sizes=sizes,
        anchor_ratios=ratios,
        tiling=tiling,
    )
    return make_report(case)


def _named(
    data: DetectionData | Sequence[DetectionData] | Mapping[str, DetectionData],
) -> dict[str, DetectionData]:
    if isinstance(data, DetectionData):
        return {data.name or "data": data}
    if isinstance(data, Mapping):
        splits = dict(data)
    else:
        splits = dict(zip(("train", "val"), data, strict=False)) if len(data) < 3 else {}
    if not splits:
        raise ValueError(
            "Expected a data set, two to train and to validate on, or data sets by name. "
            f"Received: {len(data)} data sets"
        )
    return splits
