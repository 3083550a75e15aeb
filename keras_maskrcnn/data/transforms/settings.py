"""Checks of settings that several transforms have."""

from __future__ import annotations

from typing import Any


def number_range(name: str, value: Any, least: float, most: float) -> tuple[float, float]:
    """`(low, high)` of a setting; `ValueError` unless `least <= low <= high <= most`."""
    if not _are_numbers(value, 2) or not least <= value[0] <= value[1] <= most:
        raise ValueError(
            f"{name} must be two numbers (low, high) with {least} <= low <= high <= {most}. "
            f"Received: {name}={value!r}"
        )
    return float(value[0]), float(value[1])


def picture_size(name: str, value: Any) -> tuple[int, int] | None:
    """`(height, width)` of a setting that is one side of a square, both sides, or `None`."""
    if value is None:
        return None
    sides = (value, value) if isinstance(value, int | float) else value
    if not _are_numbers(sides, 2) or any(int(v) != v or v < 1 for v in sides):
        raise ValueError(
            f"{name} must be a number of pixels, (height, width) or None. "
            f"Received: {name}={value!r}"
        )
    return int(sides[0]), int(sides[1])


def fill_value(value: Any) -> str | float | tuple[float, ...]:
    """A setting that fills what lies beyond a picture: a number, one per channel, or `"mean"`."""
    if value == "mean":
        return value
    values = (value,) if isinstance(value, int | float) else value
    if not _are_numbers(values) or not all(0 <= v <= 255 for v in values):
        raise ValueError(
            "fill must be a number in 0..255, one for each channel, or 'mean'. "
            f"Received: fill={value!r}"
        )
    return tuple(value) if isinstance(value, list | tuple) else value


def _are_numbers(values: Any, count: int | None = None) -> bool:
    if not isinstance(values, list | tuple) or not values or len(values) != (count or len(values)):
        return False
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
