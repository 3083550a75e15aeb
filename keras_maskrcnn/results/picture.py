"""Where the picture of some results is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_maskrcnn.images.pillow import of_pillow
from keras_maskrcnn.images.pixels import PixelFormat


class KnownPicture:
    """A picture that is read only when it is drawn.

    It is known by its path, or by a reference. Nothing is copied, and nothing of it goes into
    pickles and deep copies: there is `None` in its place.

    Args:
        source: a path, an array `[H, W, C]` or `[H, W]`, or a picture of Pillow, as
            `MaskRCNN.predict` takes it.
        pixels: what its pixels mean; by default RGB; of an array that has other
            channels, the first three of these are shown, or the first.
    """

    def __init__(self, source: Any, pixels: PixelFormat | None = None) -> None:
        self.source = source
        self.pixels = pixels

    def read(self) -> np.ndarray:
        """The pixels for eyes, uint8 `[H, W, 3]`.

        Raises:
            ValueError: when it cannot be read; the message names the file.
        """
        pixels = self.pixels or PixelFormat()
        if isinstance(self.source, str | Path):
            # TensorFlow decodes files; results alone do not need it.
            from keras_maskrcnn.data.reading import read_image

            return pixels.displayed(read_image(self.source, pixels))
        if isinstance(self.source, Image.Image):
            return pixels.displayed(of_pillow(self.source, "the picture", pixels))
        values = np.asarray(self.source)
        if values.ndim == 2:
            values = values[..., None]
        if values.ndim != 3:
            raise ValueError(
                "image must be a path, an array [H, W, C], or a picture of Pillow. "
                f"Received: image of type {type(self.source).__name__}, shape {values.shape}"
            )
        if self.pixels is None or values.shape[2] != pixels.channels:
            pixels = PixelFormat(values.shape[2])
        return pixels.displayed(pixels.of_array(values))

    def __repr__(self) -> str:
        if isinstance(self.source, str | Path):
            return f"KnownPicture({str(self.source)!r})"
        return f"KnownPicture(<{type(self.source).__name__}>)"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()
