"""What the values of pixels mean: how many channels, what counts as black and white, what is drawn.

Inside, pixels lie on one scale, 0..255 from black to white, whatever a file holds: uint8 as it is,
all else float32 of which no bit is lost. So augmentation, padding and thresholds are the same for
pictures of any depth.

Legend: `H W` pixels of a picture, `C` channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

# Rec. 601's weights of red, green and blue, in thousandths.
_LUMA = (299, 587, 114)


@dataclass(frozen=True)
class PixelFormat:
    """How the pixels of a data set, or of a model's pictures, are understood.

    Args:
        channels: `C` of each picture.
        value_range: `(low, high)`, the values that count as black and white. `None`: by the type of
            a file's values: 0..255 of uint8, 0..65535 of uint16 (of a TIFF or HEIC file of fewer
            bits, what these hold), 0..1 of floats; other types have no range of their own.
        display: three channels that are drawn as red, green and blue. By default the first three;
            of one or two channels the first, as grey.

    Raises:
        ValueError: if a number of channels is under 1, a range is none, or a channel is not there.
    """

    channels: int = 3
    value_range: tuple[float, float] | None = None
    display: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        if not _is_whole(self.channels) or self.channels < 1:
            raise ValueError(
                f"channels must be a whole number from 1 on. Received: channels={self.channels!r}"
            )
        if self.value_range is not None:
            low, high = _numbers(self.value_range, 2) or (0.0, 0.0)
            if not low < high:
                raise ValueError(
                    "value_range must be (low, high), finite numbers that count as black and "
                    f"white, low below high. Received: value_range={self.value_range!r}"
                )
            object.__setattr__(self, "value_range", tuple(map(_plain, self.value_range)))
        if self.display is not None:
            if _numbers(self.display, 3) is None or not all(
                _is_whole(c) and 0 <= c < self.channels for c in self.display
            ):
                raise ValueError(
                    f"display must be three channels, each in 0..{self.channels - 1}. "
                    f"Received: display={self.display!r}"
                )
            object.__setattr__(self, "display", tuple(map(_plain, self.display)))

    def __str__(self) -> str:
        values = "of their type's values"
        if self.value_range is not None:
            values = "of values {:g} to {:g}".format(*self.value_range)
        return f"{self.channels} channel{'s' if self.channels > 1 else ''} {values}"

    @property
    def is_common(self) -> bool:
        """Whether this is what most pictures are: RGB, or made so, by the type of the values."""
        return self.channels == 3 and self.value_range is None

    @property
    def keeps_bytes(self) -> bool:
        """Whether uint8 values are on the scale 0..255 as they are."""
        return self.value_range is None or self.value_range == (0, 255)

    def of_file(self, values: np.ndarray, white: int | None = None) -> np.ndarray:
        """Pixels of a file on the scale 0..255.

        A file's channels must be `C`, but for what has one meaning: grey, with transparency or
        without, becomes RGB by repeating it, and RGB becomes grey by its luma, .299 R + .587 G +
        .114 B (of uint8 rounded, halves up); transparency is dropped for both.

        Args:
            values: `[H, W]` or `[H, W, c]`, as stored; of another order of bytes, too.
            white: the largest value of uint16 values of fewer than 16 bits.

        Returns:
            `[H, W, C]`: uint8 as it is where `value_range` allows; else float32, not clipped.

        Raises:
            ValueError: for other channels or types, values that are NaN or infinite, or floats
                outside 0..1 without `value_range`.
        """
        levels = self._levels_of_file(self._own_channels(values), white)
        if levels.shape[2] == self.channels:
            return np.ascontiguousarray(levels)
        if self.channels == 1:
            return _luma(levels)
        return np.ascontiguousarray(np.broadcast_to(levels, (*levels.shape[:2], 3)))

    def of_array(self, values: np.ndarray) -> np.ndarray:
        """Pixels of an array on the scale 0..255, which floats and signed integers are on already
        where there is no `value_range`.

        Args:
            values: `[H, W, C]`, of numbers.
        """
        if values.dtype == np.uint8 and self.keeps_bytes:
            return values
        if self.value_range is not None:
            return to_levels(values, *self.value_range)
        return to_levels(values, 0, 65535) if values.dtype == np.uint16 else values

    def displayed(self, image: np.ndarray) -> np.ndarray:
        """What is shown of a picture, for eyes alone: values are rounded, and those beyond black
        and white are black and white.

        Args:
            image: uint8 or float `[H, W, C]`, on the scale 0..255.

        Returns:
            uint8 `[H, W, 3]`, RGB.
        """
        count = image.shape[2]
        chosen = self.display or ((0, 1, 2) if count > 2 else (0, 0, 0))
        return to_bytes(image if chosen == (0, 1, 2) and count == 3 else image[..., list(chosen)])

    def require_like(self, other: PixelFormat, what: str) -> None:
        """`ValueError` unless the other has the same channels and range; `what` it is of."""
        if (self.channels, self.value_range) != (other.channels, other.value_range):
            raise ValueError(
                f"the pictures of {what} must be of {self}, as those of the model or the other "
                f"data are: channels={self.channels}, value_range={self.value_range}. Received: "
                f"channels={other.channels}, value_range={other.value_range}"
            )

    def _own_channels(self, values: np.ndarray) -> np.ndarray:
        """`[H, W, c]` without transparency that is not asked for."""
        if values.ndim == 2:
            values = values[..., None]
        count = values.shape[2] if values.ndim == 3 else 0
        if count == self.channels:
            return values
        if self.channels == 3 and count in (1, 2, 4):
            return values[..., : 3 if count == 4 else 1]
        if self.channels == 1 and count in (2, 3, 4):
            return values[..., : 1 if count == 2 else 3]
        expected = f"a picture of {self.channels} channels"
        if self.channels in (1, 3):
            expected = "a grey or RGB picture, with transparency or without"
        raise ValueError(
            f"expected {expected}; channels=N reads all of N channels. "
            f"Received: values of shape {values.shape}"
        )

    def _levels_of_file(self, values: np.ndarray, white: int | None) -> np.ndarray:
        kind = values.dtype.kind
        if kind == "f" and not np.isfinite(values).all():
            count = int(np.count_nonzero(~np.isfinite(values)))
            what = "numbers" if self.value_range else "floats in 0..1"
            raise ValueError(f"expected finite {what}. Received: {count} that are NaN or infinite")
        if kind not in "buif":
            raise ValueError(f"expected numbers. Received: values of type {values.dtype}")
        if self.value_range is not None:
            if values.dtype == np.uint8 and self.keeps_bytes:
                return values
            return to_levels(values, *self.value_range)
        if kind == "b":
            return values.astype(np.uint8) * np.uint8(255)
        if values.dtype == np.uint8:
            return values
        if kind == "u" and values.dtype.itemsize == 2:
            return to_levels(values, 0, white or 65535)
        if kind == "f":
            low, high = float(values.min()), float(values.max())
            if low >= 0 and high <= 1:
                return to_levels(values, 0, 1)
            raise ValueError(
                "expected floats in 0..1, of which 1 is white, or a value_range=(low, high) that "
                f"says which values are black and white. Received: values of {low:g} to {high:g}"
            )
        raise ValueError(
            "expected unsigned integers of 8 or 16 bits, or floats in 0..1; for others "
            "value_range=(low, high) says which values are black and white. "
            f"Received: values of type {values.dtype}"
        )


def to_levels(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values on the scale on which `low` is 0 and `high` is 255: float32, not clipped."""
    # A float32 holds 16 bits with room to spare, but not 32.
    is_wide = values.dtype.itemsize > 2 and values.dtype != np.float32
    levels: np.ndarray[Any, np.dtype[np.floating[Any]]]
    levels = values.astype(np.float64 if is_wide else np.float32)
    levels -= low
    levels *= 255
    levels /= high - low
    return levels.astype(np.float32, copy=False)


def to_bytes(image: np.ndarray) -> np.ndarray:
    """uint8 of a picture on the scale 0..255, rounded and clipped: for eyes and histograms, never
    for training."""
    if image.dtype == np.uint8:
        return image
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _luma(image: np.ndarray) -> np.ndarray:
    """`[H, W, 1]` of RGB, of the same type."""
    whole = image.dtype == np.uint8
    parts = image.astype(np.int32 if whole else np.float64) @ np.array(_LUMA)
    grey = (parts + 500) // 1000 if whole else parts / 1000
    return grey[..., None].astype(image.dtype)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    """Python's own number, which JSON holds."""
    return value.item() if isinstance(value, np.generic) else value


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """So many finite numbers, or `None`."""
    if not isinstance(value, tuple | list) or len(value) != count:
        return None
    if any(isinstance(v, bool) or not isinstance(v, int | float | np.number) for v in value):
        return None
    return tuple(map(float, value)) if np.isfinite(value).all() else None
