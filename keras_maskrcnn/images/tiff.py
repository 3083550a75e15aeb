"""TIFF files: the values of their one page, as they are stored."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from keras_maskrcnn.optional import needed_for

# None, deflate (its two numbers) and PackBits, which need no other package.
_OWN_COMPRESSIONS = (1, 8, 32946, 32773)


def decode_tiff(content: bytes) -> np.ndarray:
    """The values of a TIFF file of one page, as they are stored.

    Args:
        content: the file, of which the size was checked.

    Returns:
        `[H, W]` or `[H, W, C]`; white is the largest value, and palettes and other colours than RGB
        are RGB.

    Raises:
        ValueError: if it is damaged, of several pages, or needs a package to be decompressed.
    """
    return with_one_error(lambda: _tiff_values(content))


def _tiff_values(content: bytes) -> np.ndarray:
    # Needed for this format alone.
    from tifffile import PHOTOMETRIC, TiffFile

    with TiffFile(io.BytesIO(content)) as file:
        pages = [page for page in (p.aspage() for p in file.pages) if not page.is_reduced]
        if len(pages) != 1:
            raise ValueError(
                f"expected a TIFF file of one page. Received: {len(pages)} pages; save the one "
                "that is meant as a file"
            )
        page = pages[0]
        plain = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.RGB)
        bits = page.bitspersample
        is_own = page.compression in _OWN_COMPRESSIONS
        if page.photometric in plain and (bits != 8 or is_own):
            if not is_own:
                with needed_for("reading this compression of TIFF", "maskrcnn-keras[tiff]"):
                    import imagecodecs  # noqa: F401  # By tifffile.
            values = page.asarray()
            if values.ndim == 3 and page.planarconfig == 2:
                values = np.moveaxis(values, 0, -1)
            if page.photometric == PHOTOMETRIC.MINISWHITE:
                values = ~values if values.dtype.kind in "bu" else 1 - values
            return values
    if bits > 8:
        raise ValueError(
            f"expected a TIFF file of grey or RGB. Received: {PHOTOMETRIC(page.photometric).name}"
        )
    # Of more than 8 bits, Pillow would keep the upper ones alone.
    with Image.open(io.BytesIO(content), formats=["TIFF"]) as picture:
        return np.asarray(picture if picture.mode in ("L", "LA", "RGB") else picture.convert("RGB"))


def with_one_error(decode: Callable[[], Any]) -> Any:
    """Decodes a file, with one kind of error instead of the many that decoders raise.

    Args:
        decode: gives an array or a picture of Pillow.

    Returns:
        The array, or the pixels as RGB.

    Raises:
        ValueError: if it cannot be decoded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = decode()
            return np.asarray(result.convert("RGB")) if isinstance(result, Image.Image) else result
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(str(error) or type(error).__name__) from None
