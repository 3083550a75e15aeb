"""TIFF files: the values of their one page, or of a page for each channel, as they are stored."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from keras_maskrcnn.optional import needed_for

# None, deflate (its two numbers) and PackBits, which need no other package.
OWN_COMPRESSIONS = (1, 8, 32946, 32773)


def decode_tiff(content: bytes, channels: int = 3, most_bytes: int | None = None) -> np.ndarray:
    """The values of a TIFF file, as they are stored.

    Args:
        content: the file, of which the size was checked.
        channels: that are wanted. Of more than RGB, all of the file's are read; and a file of as
            many pages of one size has a channel on each; see `are_channels`.
        most_bytes: that the values of a page may take in memory.

    Returns:
        `[H, W]` or `[H, W, c]`; white is the largest value, and palettes and other colours than RGB
        are RGB.

    Raises:
        ValueError: if it is damaged, of several pages that are no channels, larger than it may be,
            or needs a package to be decompressed.
    """
    return with_one_error(lambda: _tiff_values(content, channels, most_bytes))


def _tiff_values(content: bytes, channels: int, most_bytes: int | None) -> np.ndarray:
    # Needed for this format alone.
    from tifffile import TiffFile

    with TiffFile(io.BytesIO(content)) as file:
        pages = [page for page in (p.aspage() for p in file.pages) if not page.is_reduced]
        if len(pages) != 1 and not are_channels(len(pages), channels, file.series[0].axes):
            raise ValueError(
                f"expected a TIFF file of one page. Received: {len(pages)} pages; save the one "
                "that is meant as a file, or give channels=N for a channel on each of N pages, "
                "other than 3"
            )
        if len({(page.shape, page.dtype) for page in pages}) != 1:
            shapes = ", ".join(f"{page.shape} {page.dtype}" for page in pages)
            raise ValueError(f"expected pages of one size and type. Received: {shapes}")
        size = max(page.nbytes for page in pages)
        if most_bytes is not None and size > most_bytes:
            raise ValueError(f"expected values of at most {most_bytes} bytes. Received: {size}")
        if len(pages) > 1:
            # Each is what a file of that page would be.
            bands = [_page_values(page, content, channels=0) for page in pages]
            if any(band.ndim != 2 for band in bands):
                raise ValueError(
                    f"expected one channel on each page. Received: pages of {bands[0].shape}"
                )
            return np.stack(bands, axis=-1)
        return _page_values(pages[0], content, channels)


def are_channels(pages: int, channels: int, axes: str) -> bool:
    """Whether each page of a file is a channel.

    Three pages may be three pictures: as channels they are not guessed, but where the file says so,
    as OME-TIFF does.

    Args:
        pages: their number.
        channels: that are wanted.
        axes: of the file's first series, as `tifffile` names them: `"CYX"` of channels.
    """
    return pages == channels and (channels != 3 or axes == "CYX")


def _page_values(page: Any, content: bytes, channels: int) -> np.ndarray:
    from tifffile import PHOTOMETRIC

    plain = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.RGB)
    bits = page.bitspersample
    is_own = page.compression in OWN_COMPRESSIONS
    # Of 8 bits and up to RGB, Pillow knows more compressions; it would drop further channels.
    if page.photometric in plain and (bits != 8 or is_own or channels > 3 or channels == 0):
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
