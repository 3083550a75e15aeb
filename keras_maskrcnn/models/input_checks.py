"""Mistakes in pictures that a model would not notice, but find nothing in.

Pure functions on arrays. Legend: `B` pictures, `H W` pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from keras_maskrcnn.checks import check_shape
from keras_maskrcnn.images.input_size import InputSize
from keras_maskrcnn.images.pixels import PixelFormat

RGB = PixelFormat()
_SHOWN = 80
_PARTS = 3
# Of 0..255, for what resizing in another library rounds.
_PIXEL_TOLERANCE = 0.5
# Training may draw the size of each picture: as many alike are no chance.
_SIZES_COMPARED = 8


def shown(value: Any, limit: int = _SHOWN) -> str:
    """A value in a message: its `repr`, cut."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def described(value: Any) -> str:
    """What a message says of a value that is too large to show: its type, and some of it."""
    kind = type(value).__name__
    if isinstance(value, tuple):
        return f"{kind} of ({', '.join(map(described, value[:_PARTS]))})"
    if isinstance(value, dict):
        return f"{kind} with {shown(sorted(map(str, value)))}"
    if isinstance(value, str):
        return shown(value)
    shape = getattr(value, "shape", None)
    return kind if shape is None else f"{kind} of shape {tuple(shape)}"


def check_picture(picture: np.ndarray, name: str, pixels: PixelFormat = RGB) -> None:
    """Checks a picture that `predict` was given.

    Args:
        picture: what should be `[H, W, C]`.
        name: of the picture, for the message.
        pixels: of the model: its channels, and the range of the picture's values.

    Raises:
        ValueError: when it has another shape or range.
    """
    count = pixels.channels
    if picture.ndim != 3 or picture.shape[-1] != count or 0 in picture.shape:
        advice = _shape_advice(picture.shape) if count == 3 else ""
        low, high = pixels.value_range or (0, 255)
        raise ValueError(
            f"a picture must be a path, a picture of Pillow, or an array [height, width, {count}] "
            f"with values {low}..{high}{advice}. "
            f"Received: {name} of shape {picture.shape}, dtype {picture.dtype}"
        )
    if pixels.value_range is None and picture.dtype == np.uint16:
        return
    _check_pixels(picture, name, pixels)


def check_elements(spec: Any, needed: Iterable[str]) -> None:
    """Checks what a `tf.data.Dataset` tells about its elements before any is read.

    Args:
        spec: its `element_spec`.
        needed: names of targets.

    Raises:
        ValueError: when elements are not batches of images and a dict with these targets.
    """
    pair = isinstance(spec, tuple) and len(spec) == 2 and isinstance(spec[1], dict)
    if not pair or not set(needed) <= set(spec[1]):
        received = described(spec[1] if pair else spec)
        raise ValueError(
            "a data set must give (images, targets), targets a dict with "
            f"{sorted(needed)}. Received: {'targets=' if pair else 'elements of '}{received}"
        )
    rank = spec[0].shape.rank
    if rank not in (4, None):
        advice = ""
        if rank == 3:
            advice = " rather than single pictures: DetectionData.batches gives them"
        raise ValueError(
            f"a data set must give batches of images [B, H, W, C]{advice}. "
            f"Received: images of shape {tuple(spec[0].shape)}"
        )


def check_images(
    images: np.ndarray,
    image_sizes: np.ndarray,
    image_ids: np.ndarray | None = None,
    pixels: PixelFormat = RGB,
) -> list[str]:
    """Checks the pictures of a batch.

    Args:
        images: what should be `[B, H, W, C]`, on the scale 0..255.
        image_sizes: what should be `[B, 2]`: height and width of each picture without padding.
        image_ids: `[B]`, for messages.
        pixels: of the model.

    Returns:
        A name of each picture, for further messages.

    Raises:
        ValueError: when a shape or the range differs. Names the picture and its id.
    """
    if images.ndim != 4 or images.shape[-1] != pixels.channels or 0 in images.shape:
        raise ValueError(
            f"images of a batch must be [B, H, W, {pixels.channels}]. "
            f"Received: images of shape {images.shape}, dtype {images.dtype}"
        )
    count = len(images)
    names = [f"picture {row} of the batch" for row in range(count)]
    if image_ids is not None and image_ids.shape == (count,):
        names = [f"{name} (image id {key})" for name, key in zip(names, image_ids, strict=True)]
    # Of a batch and not of each picture: one may be black.
    if _pixel_problem(images, pixels) is not None:
        for image, name in zip(images, names, strict=True):
            _check_pixels(image, name, pixels)
    check_shape("image_sizes", image_sizes, (count, 2))
    for (height, width), name in zip(image_sizes.tolist(), names, strict=True):
        if not (1 <= height <= images.shape[1] and 1 <= width <= images.shape[2]):
            raise ValueError(
                "image_sizes must be the height and width of each picture within the batch's "
                f"{images.shape[1:3]}. Received: {name} with image_sizes={(height, width)}"
            )
    return names


class SizeCheck:
    """Whether a data set's pictures have the size that `predict` gives them.

    Args:
        input_size: of the model.
        drawn: whether pictures may be of various sizes on purpose, as in training. Then as many as
            eight must differ alike.
    """

    def __init__(self, input_size: InputSize, drawn: bool) -> None:
        self.input_size = input_size
        self.wanted = _SIZES_COMPARED if drawn else 1
        self.scales: list[float] = []
        self.decided = False

    def add(self, image_sizes: np.ndarray) -> str | None:
        """Looks at the `[B, 2]` sizes of one more batch.

        Returns:
            A sentence, once, when they differ from the model's.
        """
        rule = self.input_size
        for size in image_sizes.tolist():
            scale = min(rule.min_size / min(size), rule.max_size / max(size))
            self.scales.append(scale)
            # Sides are rounded down to whole pixels.
            alike = abs(scale - 1) * min(size) <= 1.5
            if alike or max(self.scales) > 1.05 * min(self.scales):
                self.decided = True
                return None
        if len(self.scales) < self.wanted:
            return None
        self.decided = True
        return (
            f"pictures of the data set are {size[0]} x {size[1]} (height x width), but the model's "
            f"predict makes the shorter side {rule.min_size} and the longer at most "
            f"{rule.max_size}: objects will have another size than in training. Pass min_size "
            "and max_size to DetectionData.batches, or build the model with those of the data"
        )


def _shape_advice(shape: tuple[int, ...]) -> str:
    if len(shape) == 2 or (len(shape) == 3 and shape[-1] == 1):
        return "; np.repeat(picture.reshape(height, width, 1), 3, -1) makes a grey one RGB"
    if len(shape) == 3 and shape[-1] == 4:
        return "; picture[..., :3] leaves transparency out"
    if len(shape) == 3 and shape[0] == 3:
        return "; np.moveaxis(picture, 0, -1) puts channels last"
    return ""


def _check_pixels(pixels: np.ndarray, name: str, format: PixelFormat) -> None:
    advice = _pixel_problem(pixels, format)
    if advice is not None:
        extent = ""
        if pixels.dtype.kind in "fiu":
            extent = f", minimum {pixels.min():g}, maximum {pixels.max():g}"
        raise ValueError(
            f"pixels must be 0..255: {advice}. Received: {name} of dtype {pixels.dtype}{extent}"
        )


def _pixel_problem(pixels: np.ndarray, format: PixelFormat) -> str | None:
    """What to do about pixels of another range."""
    if pixels.dtype == np.uint8:
        return None
    if pixels.dtype.name == "bfloat16":  # Of which numpy knows no kind.
        pixels = pixels.astype("float32")
    if pixels.dtype.kind not in "fiu":
        return "numbers are needed"
    if format.value_range is not None:
        # Values may lie beyond black and white.
        return None if np.isfinite(pixels).all() else "some are NaN or infinite"
    if pixels.dtype == np.uint16:
        return "convert 16 bits by (pixels / 257).astype('uint8')"
    low, high = float(pixels.min()), float(pixels.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        return "some are NaN or infinite"
    if low < -_PIXEL_TOLERANCE:
        return (
            "the model normalises pictures itself, so give them as they were before; where "
            "resizing overshot, np.clip(pixels, 0, 255) helps"
        )
    if high > 255 + _PIXEL_TOLERANCE:
        return "convert 16 bits by pixels / 257; where resizing overshot, np.clip(pixels, 0, 255)"
    # Whole numbers this small are a dark picture.
    if pixels.dtype.kind == "f" and 0 < high <= 1:
        return "multiply pixels in 0..1 by 255"
    return None
