"""What backgrounds and objects of the demo's scenes are covered with: pieces of photographs.

All photographs come with the scikit-image wheel; nothing is downloaded. Those of the training and
of the validation scenes are different ones. A dozen photographs are soon known by heart, and a
model that knows nothing else takes whatever is new for an object; pieces for training are therefore
mixed, recoloured, and some of them no photograph at all.
"""

from __future__ import annotations

import functools

import numpy as np
import skimage.data
from PIL import Image

SPLITS = ("train", "val")

# Names of functions in skimage.data.
_PHOTOGRAPHS = {
    "train": (
        *("gravel", "grass", "moon", "chelsea", "immunohistochemistry", "rocket", "text"),
        *("retina", "clock", "cell", "colorwheel"),
    ),
    "val": ("brick", "camera", "page", "hubble_deep_field", "astronaut"),
}


def photograph(name: str) -> Image.Image:
    """A bundled photograph in RGB."""
    return Image.fromarray(getattr(skimage.data, name)()).convert("RGB")


@functools.cache
def photographs(split: str) -> tuple[Image.Image, ...]:
    """The photographs of one split."""
    return tuple(photograph(name) for name in _PHOTOGRAPHS[split])


def texture(split: str, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A surface, float32 `[height, width, 3]` in 0..1.

    Args:
        split: `"train"` or `"val"`, where it is a piece of a photograph as it is.
        height, width: in pixels.
        rng: the only source of randomness.
    """
    if split == "val":
        return _piece(split, height, width, rng)
    surface = _piece_or_pattern(split, height, width, rng)
    if rng.random() < 0.35:
        share = np.float32(rng.uniform(0.3, 0.7))
        surface = share * surface + (1 - share) * _piece_or_pattern(split, height, width, rng)
    surface = surface[..., rng.permutation(3)]
    if rng.random() < 0.25:
        surface = 1 - surface
    return surface ** np.float32(np.exp(rng.uniform(-0.5, 0.5)))


def _piece_or_pattern(split: str, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.2:
        return _pattern(height, width, rng)
    piece = _piece(split, height, width, rng)
    return piece[::-1] if rng.random() < 0.5 else piece


def _piece(split: str, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A random window of a random photograph, or its mirror image."""
    photos = photographs(split)
    photo = photos[rng.integers(len(photos))]
    scale = min(photo.height / height, photo.width / width)
    scale *= rng.uniform(min(1.0, 0.75 / scale), 1.0)
    h, w = int(height * scale), int(width * scale)
    y = int(rng.integers(photo.height - h + 1))
    x = int(rng.integers(photo.width - w + 1))
    window = photo.resize((width, height), Image.Resampling.BICUBIC, (x, y, x + w, y + h))
    piece = np.asarray(window, "float32") / 255
    return piece[:, ::-1] if rng.random() < 0.5 else piece


def _pattern(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Colours that flow into each other, over spots of 4 pixels or over half of the surface."""
    spots = round(2 ** rng.uniform(1, 5.5))
    colors = rng.integers(0, 256, (spots, spots, 3), dtype="uint8")
    enlarged = Image.fromarray(colors).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(enlarged, "float32") / 255
