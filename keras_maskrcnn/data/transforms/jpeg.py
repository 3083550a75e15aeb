"""What JPEG leaves of a picture."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from keras_maskrcnn.data.transforms.base import TRANSFORMS, Sample, Sometimes
from keras_maskrcnn.data.transforms.pixels import (
    PixelAction,
    check_value_range,
    number_range,
    rounded,
)


@dataclasses.dataclass(frozen=True)
class JPEGAction(PixelAction):
    """Encodes a picture and decodes it again.

    Args:
        quality: 1..100.
        value_range: the highest value of a pixel.
    """

    quality: int
    value_range: float = 255

    def change(self, image: np.ndarray) -> np.ndarray:
        if image.shape[2] not in (1, 3):
            raise ValueError(
                "jpeg holds pictures of 1 or 3 channels only. "
                f"Received: image of shape {image.shape}"
            )
        scale = self.value_range / 255
        is_ready = image.dtype == np.uint8 and scale == 1
        given = image if is_ready else _as_bytes(image, scale)
        file = io.BytesIO()
        Image.fromarray(given[..., 0] if image.shape[2] == 1 else given).save(
            file, "JPEG", quality=self.quality
        )
        file.seek(0)
        # Not by `Image.open`, which doubts large pictures: this one was written here.
        decoded = np.asarray(JpegImageFile(file)).reshape(image.shape)
        return decoded if is_ready else rounded(decoded * np.float32(scale), image.dtype)


def _as_bytes(image: np.ndarray, scale: float) -> np.ndarray:
    return rounded(np.clip(image / np.float32(scale), 0, 255), np.dtype(np.uint8))


@TRANSFORMS.register("jpeg")
class JPEG(Sometimes):
    """Encodes pictures as JPEG and decodes them, which leaves blocks and rings at edges.

    As Pillow does it: baseline, colours at half the resolution (4:2:0), libjpeg's tables at the
    quality. JPEG holds 8 bits: other pictures, of floats or of another `value_range`, are scaled to
    0..255, rounded to the nearest, and scaled back after it.

    Args:
        quality: an integer in 1..100, or the lowest and highest.
        probability: with which each picture is encoded, in 0..1.
        value_range: the highest value of a pixel.

    Raises:
        ValueError: if a setting is out of range; of pictures of other than 1 or 3 channels.
    """

    def __init__(
        self,
        *,
        quality: int | tuple[int, int] = (40, 95),
        probability: float = 0.5,
        value_range: float = 255,
    ) -> None:
        super().__init__(probability=probability)
        check_value_range(value_range)
        self.quality = number_range("quality", quality, 1, 100, whole=True)
        self.value_range = value_range

    def draw_always(self, rng: np.random.Generator, sample: Sample) -> JPEGAction | None:
        return JPEGAction(int(rng.integers(*self.quality, endpoint=True)), self.value_range)
