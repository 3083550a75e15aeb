"""The size of a picture from its header, held against what its annotations count."""

from __future__ import annotations

import os

from keras_maskrcnn.data.formats.problems import ItemError, shown
from keras_maskrcnn.data.headers import PictureHeader, read_header
from keras_maskrcnn.data.picture_files import MAX_PIXELS

# Most headers end well before; of other files the whole is read.
_FIRST_BYTES = 1 << 16


def stored_size(
    path: str, *, annotated: tuple[int, int] | None = None, turned: bool = False
) -> tuple[int, int]:
    """Height and width of a picture as it is stored; no pixel is decoded.

    This is the one place where an EXIF orientation meets annotations.

    Args:
        path: the picture; a regular file.
        annotated: height and width that the annotations give.
        turned: whether the annotations count pixels of the picture as its EXIF orientation turns
            it, as tools that show pictures in a browser do.

    Raises:
        ItemError: if there is no picture or it is too large, `annotated` is another size, or the
            annotations count pixels of a turned picture, which cannot be told from here yet.
    """
    header = _header(path)
    if header.pixels > MAX_PIXELS:
        raise ItemError(f"picture has more than {MAX_PIXELS} pixels", f" ({shown(path)})")
    if turned and header.orientation != 1:
        raise ItemError(
            "picture is turned by its EXIF orientation, and so are its annotations",
            f" (orientation {header.orientation}, {shown(path)})",
        )
    size = header.height, header.width
    if annotated is not None and annotated != size:
        raise ItemError(
            "annotated height and width are not the picture's",
            f" ({annotated[0]} x {annotated[1]}, but {shown(path)} has {size[0]} x {size[1]})",
        )
    return size


def _header(path: str) -> PictureHeader:
    try:
        length = os.stat(path).st_size
        with open(path, "rb") as file:
            start = file.read(_FIRST_BYTES)
            if length > len(start):
                # A GIF is as large as its largest frame.
                try:
                    if not start.startswith(b"GIF8"):
                        return read_header(start)
                except ValueError:
                    pass
                start += file.read(3 * MAX_PIXELS)
        return read_header(start)
    except OSError as error:
        raise ItemError("picture cannot be read", f" ({shown(path)}: {error.strerror})") from None
    except ValueError as error:
        raise ItemError("picture cannot be read", f" ({shown(path)}: {error})") from None
