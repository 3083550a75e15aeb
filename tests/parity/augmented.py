"""Test-time augmentation against detectron2's recording."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from unittest import mock

import numpy as np
from PIL import Image

from keras_maskrcnn.inference import augmented
from keras_maskrcnn.inference.augmented import AugmentedInput, TestTimeAugmentation
from keras_maskrcnn.models.mask_rcnn import MaskRCNN
from keras_maskrcnn.results import Detections
from parity.golden_files import arrays
from parity.golden_models import build
from parity.inference import BOX, MASK, SCORE
from parity.record import Record, match

FILE = "d2_tta"
AUGMENTATION = TestTimeAugmentation(min_sizes=(256, 320, 384), max_size=4000)
# Those of an input's rows that were recorded: every eighth, of these inputs.
_RECORDED_INPUTS = (0, 4, 5)
# Of a detection of ours, as of torchvision's.
_LEAST_SIDE = 0.01


def augmented_checks() -> Record:
    """Both pictures, one of them also as if it had been half as large."""
    record = Record(FILE)
    model = build("d2_mask_r50_fpn")
    for name in ("image0", "image1"):
        picture = arrays("images")[name]
        with _detectron2_inputs(model, picture):
            _inputs(record, name, model, picture)
            _found(record, name, model, picture)
            (got,) = model.predict(picture, verbose=0, augment=AUGMENTATION)
        _merged(record, name, got)
    half = dataclasses.replace(got, boxes=got.boxes / 2, image_size=(144, 192))
    _merged(record, "image1_as_144x192", half)
    return record


@contextlib.contextmanager
def _detectron2_inputs(model: MaskRCNN, picture: np.ndarray) -> Iterator[None]:
    """Inputs as detectron2 makes them: Pillow's antialiased bytes, sides rounded to the nearest
    pixel, and three inputs padded alike. What is padded reaches the features beside it.

    Ours are resized as the model's other inputs are: without antialiasing, sides rounded down.
    """
    inputs = AUGMENTATION.inputs(model.input_size)
    made = {}
    for three in (inputs[:3], inputs[3:]):
        pictures = [_resized(picture, seen) for seen in three]
        height, width = three[0].size.padded([p.shape[:2] for p in pictures])
        for seen, resized in zip(three, pictures, strict=True):
            h, w = resized.shape[:2]
            images = np.zeros((1, height, width, 3), "float32")
            images[0, :h, :w] = resized
            made[seen] = {"images": images, "image_sizes": np.array([[h, w]], "int32")}
    with mock.patch.object(AugmentedInput, "arrays", lambda seen, _: dict(made[seen])):
        yield


def _resized(picture: np.ndarray, seen: AugmentedInput) -> np.ndarray:
    height, width = picture.shape[:2]
    scale = seen.size.min_size / min(height, width)
    size = int(width * scale + 0.5), int(height * scale + 0.5)
    resized = Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(resized)[:, :: -1 if seen.is_mirrored else 1]


def _inputs(record: Record, name: str, model: MaskRCNN, picture: np.ndarray) -> None:
    inputs = AUGMENTATION.inputs(model.input_size)
    for number in _RECORDED_INPUTS:
        made = inputs[number].arrays(picture)
        (height, width) = made["image_sizes"][0]
        rows = made["images"][0, :height:8, :width, ::-1]  # as BGR
        expected = arrays(FILE)[f"{name}_input{number}_rows8"]
        record.equal(f"{name}: rows of input {number}", np.moveaxis(rows, -1, 0), expected)


def _found(record: Record, name: str, model: MaskRCNN, picture: np.ndarray) -> None:
    """Up to 100 detections of each input, mapped back."""
    recorded = arrays(FILE)
    first = 0
    for number, seen in enumerate(AUGMENTATION.inputs(model.input_size)):
        boxes, scores, classes = augmented.find(model, picture, seen)
        rows = slice(first, first := first + len(boxes))
        expected = [recorded[f"{name}_all_{key}"][rows] for key in ("boxes", "classes", "scores")]
        what = f"{name}, input {number}"
        has_sides = (expected[0][:, 2:] - expected[0][:, :2] >= _LEAST_SIDE).all(axis=1)
        if not has_sides.all():
            note = "detectron2 keeps them at the picture's edge; ours have another in their place"
            slivers = (~has_sides).sum()
            record.meant(f"{what}: boxes of sides under {_LEAST_SIDE} px", slivers, "unequal", note)
        expected = [values[has_sides] for values in expected]
        own = match(boxes, expected[0], classes, expected[1])
        record.equal(f"{what}: each found once", len(set(own)), len(own))
        record.absolute(f"{what}: boxes", boxes[own], expected[0], BOX, "px")
        record.absolute(f"{what}: scores", scores[own], expected[2], SCORE)
    record.equal(f"{name}: number of all", first, len(recorded[f"{name}_all_boxes"]))


def _merged(record: Record, name: str, got: Detections) -> None:
    recorded = arrays(FILE)
    expected = recorded[f"{name}_boxes"]
    own = match(got.boxes, expected, got.classes, recorded[f"{name}_classes"])
    record.equal(f"{name}: number", len(got), len(expected))
    record.equal(f"{name}: each found once", len(set(own)), len(own))
    got = got[own]
    record.equal(f"{name}: classes", got.classes, recorded[f"{name}_classes"])
    record.absolute(f"{name}: boxes", got.boxes, expected, BOX, "px")
    record.absolute(f"{name}: scores", got.scores, recorded[f"{name}_scores"], SCORE)
    masks = recorded[f"{name}_mean_masks_first20"]
    record.absolute(f"{name}: mean masks", got.mask_probabilities[:20], masks, MASK)
    sums = got.mask_probabilities.sum(axis=(1, 2), dtype="float64")
    record.relative(f"{name}: sums of mean masks", sums, recorded[f"{name}_mean_mask_sums"], MASK)
    areas = got.masks.sum(axis=(1, 2))
    record.relative(f"{name}: pasted areas", areas, recorded[f"{name}_pasted_area"], MASK)
    bits = np.unpackbits(recorded[f"{name}_pasted_bits_first6"], axis=-1).astype(bool)
    unequal = (got.masks[:6] != bits[..., : got.image_size[1]]).sum() / bits.sum()
    record.absolute(f"{name}: pasted bits unequal", unequal, 0.0, MASK)
