"""The checks; importing them registers them, and the page follows this order."""

from keras_maskrcnn.doctor.checks import (  # noqa: I001
    sense,
    left_out,
    files,
    duplicates,
    outlines,
    twins,
    classes,
    crowding,
    sizes,
    pixels,
)

__all__ = [
    "classes",
    "crowding",
    "duplicates",
    "files",
    "left_out",
    "outlines",
    "pixels",
    "sense",
    "sizes",
    "twins",
]
