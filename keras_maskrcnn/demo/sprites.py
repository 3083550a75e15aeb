"""Cut-outs for the demo's scenes: real objects that ship inside scikit-image, and drawn shapes.

Everything here comes with the scikit-image wheel; nothing is downloaded. Training and validation
scenes share no coin. There is one cup and one horse in those pictures, so these two differ between
the splits only by fill, size, angle, mirroring and light.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import skimage.data
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage import filters, measure, segmentation

CLASS_NAMES = ("coin", "cup", "horse", "ring", "star")

_SIDE = 128
_OVERSAMPLING = 4


@dataclasses.dataclass(frozen=True)
class Sprite:
    """A cut-out: colours `[h, w, 3]`, uint8, and coverage `[h, w]`, float32 in 0..1."""

    colors: np.ndarray
    coverage: np.ndarray


@functools.cache
def coins(split: str) -> tuple[Sprite, ...]:
    """The Greek coins of `skimage.data.coins`, every third of them for validation.

    The outline is a watershed between the dark cloth and the bright metal, on the gradient.
    """
    picture = skimage.data.coins()
    markers = np.where(picture < 30, 1, np.where(picture > 150, 2, 0))
    metal = segmentation.watershed(filters.sobel(picture), markers) == 2
    metal = ndimage.binary_opening(ndimage.binary_fill_holes(metal), iterations=2)
    regions = measure.regionprops(measure.label(metal))
    chosen = [r for i, r in enumerate(regions) if (i % 3 == 2) == (split == "val")]
    sprites = []
    for region in chosen:
        y1, x1, y2, x2 = region.bbox
        window = np.s_[y1 - 2 : y2 + 2, x1 - 2 : x2 + 2]
        mask = np.pad(region.image_filled, 2).astype("float32")
        colors = np.stack([picture[window]] * 3, axis=-1)
        scale = _SIDE / max(mask.shape)
        height, width = (round(side * scale) for side in mask.shape)
        coverage = resized(ndimage.gaussian_filter(mask, 0.8), height, width)
        # The enlarged outline is made sharp again; the blur above rounded its steps.
        coverage = np.clip((coverage - 0.5) * 4 + 0.5, 0, 1)
        sprites.append(Sprite(resized(colors, height, width), coverage))
    return tuple(sprites)


@functools.cache
def cup() -> Sprite:
    """The cup of `skimage.data.coffee` with saucer and spoon; the outlines were fitted by hand."""
    picture = skimage.data.coffee()
    height, width = picture.shape[:2]
    canvas = Image.new("L", (width * _OVERSAMPLING, height * _OVERSAMPLING))
    draw = ImageDraw.Draw(canvas)
    angles = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    saucer = _ellipse(angles, center=(278, 221), radii=(201, 168), tilt=0.06)
    rim = _ellipse(angles, center=(290, 113), radii=(117.5, 95), tilt=0.02)
    spoon = np.array([(397, 72), (406, 66), (418, 67), (424, 76), (414, 116), (400, 120)])
    for outline in (saucer, rim, spoon):
        draw.polygon([tuple(p) for p in outline * _OVERSAMPLING], fill=255)
    coverage = np.asarray(canvas.resize((width, height), Image.Resampling.BOX), "float32") / 255.0
    window = np.s_[12:396, 70:486]
    return Sprite(_reduced(picture[window]), _reduced(coverage[window]))


@functools.cache
def horse() -> np.ndarray:
    """Coverage `[h, w]` of the silhouette in `skimage.data.horse`."""
    shape = ~skimage.data.horse()
    return _reduced(ndimage.gaussian_filter(np.pad(shape, 4).astype("float32"), 1.0))


def ring(thickness: float) -> np.ndarray:
    """Coverage of an annulus; `thickness` is a fraction of the outer radius."""
    center = (_SIDE - 1) / 2
    radius = np.hypot(*(np.indices((_SIDE, _SIDE)) - center))
    outer = _SIDE / 2 - 2
    inner = outer * (1 - thickness)
    coverage = np.clip(outer - radius + 0.5, 0, 1) * np.clip(radius - inner + 0.5, 0, 1)
    return coverage.astype("float32")


def star(points: int, depth: float) -> np.ndarray:
    """Coverage of a star; `depth` is the inner radius over the outer one."""
    angles = np.arange(2 * points) * np.pi / points
    radii = np.where(np.arange(2 * points) % 2 == 0, 1.0, depth)
    return polygon(np.stack([np.sin(angles) * radii, -np.cos(angles) * radii], axis=-1))


def polygon(corners: np.ndarray) -> np.ndarray:
    """Coverage of a polygon given in -1..1, drawn on a square canvas."""
    side = _SIDE * _OVERSAMPLING
    canvas = Image.new("L", (side, side))
    points = (corners * 0.48 + 0.5) * side
    ImageDraw.Draw(canvas).polygon([tuple(p) for p in points], fill=255)
    small = canvas.resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return np.asarray(small, "float32") / 255.0


def clutter_shape(rng: np.random.Generator) -> np.ndarray:
    """Coverage of something that belongs to no class: a bar, a triangle, a cross or a wedge."""
    corners: list[tuple[float, float]]
    kind = rng.integers(4)
    if kind == 0:
        half = rng.uniform(0.08, 0.3)
        corners = [(-1, -half), (1, -half), (1, half), (-1, half)]
    elif kind == 1:
        corners = [(-1, 0.8), (1, 0.8), (rng.uniform(-0.7, 0.7), -0.9)]
    elif kind == 2:
        w = rng.uniform(0.15, 0.35)
        corners = [(-w, -1), (w, -1), (w, -w), (1, -w), (1, w), (w, w)]
        corners += [(w, 1), (-w, 1), (-w, w), (-1, w), (-1, -w), (-w, -w)]
    else:
        angles = np.linspace(0, rng.uniform(0.8, 1.8), 24)
        corners = [(-0.6, -0.6)] + [(1.6 * np.cos(a) - 0.6, 1.6 * np.sin(a) - 0.6) for a in angles]
    return polygon(np.asarray(corners))


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Smoothly resampled copy of a float32 `[h, w]` or uint8 `[h, w, 3]` array."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))


def rotated(image: np.ndarray, angle: float) -> np.ndarray:
    """A copy of the same, turned by `angle` degrees; what comes in at the corners is 0."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.rotate(angle, Image.Resampling.BILINEAR, expand=True))


def _reduced(image: np.ndarray) -> np.ndarray:
    """As large as an object of a scene can get, so that a scene is soon composed."""
    scale = 1.5 * _SIDE / max(image.shape)
    return resized(image, round(image.shape[0] * scale), round(image.shape[1] * scale))


def _ellipse(angles: np.ndarray, center: tuple, radii: tuple, tilt: float) -> np.ndarray:
    along, across = radii[0] * np.cos(angles), radii[1] * np.sin(angles)
    x = center[0] + along * np.cos(tilt) - across * np.sin(tilt)
    y = center[1] + along * np.sin(tilt) + across * np.cos(tilt)
    return np.stack([x, y], axis=-1)
