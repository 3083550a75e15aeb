"""One export that most tests read, and what `predict` says to the same pictures."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import MASK, keypoint_head, tiny_model
from PIL import Image

from keras_maskrcnn import MaskRCNN
from keras_maskrcnn.heads import Cascade, MaskRoIHead
from keras_maskrcnn.models.settings import merge_arguments
from keras_maskrcnn.ops.roi_align import BACKEND_VARIABLE
from keras_maskrcnn.results import Detections

# Unlike sizes: larger than the network's input, portrait, and smaller.
SIZES = ((150, 210), (200, 90), (41, 57))
# The export gives fewer detections than the model itself.
DETECTIONS, EXPORTED_DETECTIONS = 8, 6


def make_picture(height: int, width: int, seed: int) -> np.ndarray:
    """Rectangles of random colours."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.uint8)
    for _ in range(12):
        top, left = rng.integers(height - 8), rng.integers(width - 8)
        bottom, right = rng.integers(top + 8, height + 1), rng.integers(left + 8, width + 1)
        picture[top:bottom, left:right] = rng.integers(256, size=3)
    return picture


def encode(picture: np.ndarray, format: str, **options: Any) -> bytes:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, format, **options)
    return content.getvalue()


# What undoes the turn that an orientation asks for; all but the quarter turns undo themselves.
_BACK = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def encode_turned(picture: np.ndarray, format: str, orientation: int) -> bytes:
    """A file that shows the picture once it is turned as its EXIF orientation (1 to 8) says.

    A JPEG file of blocks of 8 pixels, each of one colour, keeps a colour alike wherever it stands:
    then all orientations show exactly the same picture.
    """
    image, exif = Image.fromarray(picture), Image.Exif()
    if orientation in _BACK:
        image = image.transpose(_BACK[orientation])
    exif[0x0112] = orientation
    options = {"quality": 100, "subsampling": 0} if format == "JPEG" else {}
    return encode(np.asarray(image), format, exif=exif, **options)


def distinct_model(gain=4.0, **changes):
    """A model whose scores and masks are far from each other, though its weights are random."""
    model = tiny_model(
        **merge_arguments({"box": {"score_threshold": 0.0, "max_detections": DETECTIONS}}, changes),
        class_names=("cup", "naïve ring"),
    )
    network = model.network
    layers = list(network.box.heads) if isinstance(network.box, Cascade) else [network.box.head]
    layers += [head.head for head in network.heads if isinstance(head, MaskRoIHead)]
    for weight in (weight for layer in layers for weight in layer.weights):
        if weight.name == "kernel":
            weight.assign(gain * weight)
    return model


@contextlib.contextmanager
def same_arithmetic() -> Iterator[None]:
    """Makes `predict` compute RoIAlign as exports do: the compiled op rounds otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(BACKEND_VARIABLE, "reference")
        yield


@dataclasses.dataclass
class Exported:
    """An export.

    Args:
        path: of the folder that a server takes.
        pictures, files: the same pictures as pixels and as files, and one more file, of grey.
        by_pixels, by_files: what `predict` finds in both.
        found_after: how many objects the model finds in the first picture when it was exported.
        backends_after: what its RoIs are then pooled by.
    """

    path: Path
    pictures: Sequence[np.ndarray]
    files: Sequence[Path]
    by_pixels: Sequence[Detections]
    by_files: Sequence[Detections]
    found_after: int
    backends_after: Sequence[str | None]

    @property
    def model(self) -> MaskRCNN:
        """The model, built anew."""
        return distinct_model(heads=(MASK, keypoint_head(2)))


def export_tiny(folder: Path) -> Exported:
    """The export, its pictures, and what `predict` finds in them."""
    model = distinct_model(heads=(MASK, keypoint_head(2)))
    pictures = [make_picture(*size, seed) for seed, size in enumerate(SIZES)]
    files = []
    for picture, name in zip(pictures, ("a.jpg", "b.png", "c.jpg"), strict=True):
        files.append(folder / name)
        files[-1].write_bytes(encode(picture, "JPEG" if name.endswith("jpg") else "PNG"))
    grey = folder / "grey.png"
    grey.write_bytes(encode(pictures[0][..., 0], "PNG"))
    files.append(grey)
    with same_arithmetic():
        by_pixels = [model.predict(picture, verbose=0)[0] for picture in pictures]
        by_files = model.predict([str(file) for file in files], batch_size=4, verbose=0)
    path, network = folder / "served", model.network
    model.export(path, rle_masks=True, max_detections=EXPORTED_DETECTIONS, verbose=False)
    return Exported(
        path=Path(path),
        pictures=pictures,
        files=files,
        by_pixels=[found[:EXPORTED_DETECTIONS] for found in by_pixels],
        by_files=[found[:EXPORTED_DETECTIONS] for found in by_files],
        found_after=len(model.predict(pictures[0], verbose=0)[0]),
        backends_after=[part.pooler.backend for part in (network.box, *network.heads)],
    )


def assert_results_equal(outputs, row, expected, atol=1e-4, pixels=1e-4):
    """Padded outputs of an export against `Detections`; `pixels` is the tolerance of places."""
    count = int(outputs["counts"][row])
    assert count == len(expected) > 0
    assert tuple(outputs["image_sizes"][row]) == expected.image_size
    for name, values in {
        "boxes": expected.boxes,
        "scores": expected.scores,
        "classes": expected.classes,
        "masks": expected.mask_probabilities,
        "keypoints": expected.keypoints,
    }.items():
        if values is None:
            assert name not in outputs
            continue
        allowed = pixels if name in ("boxes", "keypoints") else atol
        np.testing.assert_allclose(outputs[name][row][:count], values, atol=allowed, err_msg=name)
        assert np.all(outputs[name][row][count:] == (-1 if name == "classes" else 0))
