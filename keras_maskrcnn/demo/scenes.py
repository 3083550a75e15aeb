"""A small COCO data set of composed scenes with exact masks, made without network.

Objects (see `sprites.py`) are laid over photographs in random order, size, angle and light; what
lies above hides what lies below. An object's mask is what is visible of it. Things of no class
(bars, crosses, triangles, wedges) lie between them unlabelled.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from keras_maskrcnn.demo import sprites, textures
from keras_maskrcnn.outlines import Bitmap
from keras_maskrcnn.outlines.cells import pixel_outlines

# As in COCO itself, the ids have gaps.
CATEGORY_IDS = (1, 3, 4, 7, 9)
_CLUTTER = -1
# Objects of a scene, from and to: the more it has, the more a training scene teaches.
_OBJECTS = {"train": (5, 9), "val": (2, 5)}
_MIN_VISIBLE = 0.5  # fraction of an object that must stay visible
_MIN_CONTRAST = 0.25  # between a textured object and what it covers, in 0..1
_TRIES = 12


@dataclasses.dataclass(frozen=True)
class Scene:
    """One composed picture.

    Args:
        image: uint8 `[h, w, 3]`.
        masks: bool `[N, h, w]`: the visible part of each object.
        classes: int `[N]`: indices into `sprites.CLASS_NAMES`.
    """

    image: np.ndarray
    masks: np.ndarray
    classes: np.ndarray


@dataclasses.dataclass(frozen=True)
class Cast:
    """The things of scenes.

    Args:
        names: of the classes.
        category_ids: of each in COCO's files.
        cut_out: called with the name of a class, the split, the longer side of the picture and the
            source of randomness; gives colours uint8 `[h, w, 3]`, or `None` for a thing that is to
            be painted, and coverage float32 `[h, w]` in 0..1.
        unchanged: names of those that keep their own light, however little they stand out.
    """

    names: Sequence[str]
    category_ids: Sequence[int]
    cut_out: Callable[[str, str, int, np.random.Generator], tuple[np.ndarray | None, np.ndarray]]
    unchanged: Sequence[str] = ()


def build_scenes(
    folder: str | os.PathLike[str],
    *,
    train: int = 240,
    val: int = 48,
    size: int = 192,
    seed: int = 0,
    cast: Cast | None = None,
) -> Path:
    """Writes a COCO data set of composed scenes.

    The same arguments write the same bytes. Pictures with an odd id are JPEG, the others PNG;
    masks are compressed RLE for horses and for whatever has a hole, polygons for the rest.

    Args:
        folder: is created; receives `train/`, `val/`, `instances_train.json` and
            `instances_val.json`. File names in the JSON are relative to the split's folder.
        train: number of pictures to train on.
        val: number of pictures to validate on. They share no background, texture or coin with the
            training pictures.
        size: longer side of a picture in pixels. A picture is square, or its shorter side is
            5/6 of it.
        seed: of everything random.
        cast: the things; by default those of the demo.

    Returns:
        The folder.

    Raises:
        ValueError: when a count is below 1 or `size` below 64.
    """
    for name, count in (("train", train), ("val", val)):
        if count < 1:
            raise ValueError(f"{name} must be at least 1 picture. Received: {name}={count}")
    if size < 64:
        raise ValueError(f"size must be at least 64 pixels. Received: size={size}")
    folder, cast = Path(folder), cast or DEMO_CAST
    # Resizing and rotating pictures do not hold Python's lock.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for split, count in (("train", train), ("val", val)):
            (folder / split).mkdir(parents=True, exist_ok=True)
            # Each scene has random numbers of its own: the order of the work does not matter.
            keys = [(seed, textures.SPLITS.index(split), i) for i in range(1, count + 1)]
            scenes = pool.map(
                lambda key, split=split: compose_scene(
                    split, size, np.random.default_rng(key), cast
                ),
                keys,
            )
            content = {
                "info": {"description": f"Composed scenes, {split}, seed {seed}"},
                "categories": [
                    {"id": i, "name": name, "supercategory": "thing"}
                    for i, name in zip(cast.category_ids, cast.names, strict=True)
                ],
                **_write_pictures(scenes, folder / split, cast),
            }
            (folder / f"instances_{split}.json").write_text(json.dumps(content) + "\n")
    return folder


def _write_pictures(scenes: Iterable[Scene], folder: Path, cast: Cast) -> dict[str, list[dict]]:
    """Writes the pictures; returns the `images` and `annotations` of a COCO file."""
    images: list[dict] = []
    annotations: list[dict] = []
    for image_id, scene in enumerate(scenes, 1):
        file_name = f"{image_id:06d}.{'jpg' if image_id % 2 else 'png'}"
        Image.fromarray(scene.image).save(folder / file_name, quality=92)
        height, width = scene.image.shape[:2]
        images.append({"id": image_id, "file_name": file_name, "height": height, "width": width})
        for mask, k in zip(scene.masks, scene.classes, strict=True):
            number = len(annotations) + 1
            annotations.append(
                {"id": number, "image_id": image_id, **_annotation(mask, cast, int(k))}
            )
    return {"images": images, "annotations": annotations}


def compose_scene(
    split: str, size: int, rng: np.random.Generator, cast: Cast | None = None
) -> Scene:
    """Draws one scene of `_OBJECTS` and up to 3 pieces of clutter.

    Args:
        split: `"train"` or `"val"`.
        size: longer side in pixels.
        rng: the only source of randomness.
        cast: the things; by default those of the demo.
    """
    cast = cast or DEMO_CAST
    short = round(size * 5 / 6)
    height, width = ((size, size), (short, size), (size, short))[rng.integers(3)]
    canvas = _background(split, height, width, rng)
    # Which layer is on top at each pixel; -1 is the background.
    top = np.full((height, width), -1)
    classes: list[int] = []
    areas: list[int] = []
    count = rng.integers(*_OBJECTS[split], endpoint=True)
    wanted = [int(k) for k in rng.integers(len(cast.names), size=count)]
    wanted += [_CLUTTER] * int(rng.integers(0, 4))
    for k in rng.permutation(wanted):
        name = "clutter" if k == _CLUTTER else cast.names[k]
        cut_out = _clutter if k == _CLUTTER else cast.cut_out
        for _ in range(_TRIES):
            colors, coverage = cut_out(name, split, size, rng)
            here, part = _place(coverage.shape, canvas.shape, rng)
            coverage = coverage[part]
            seen = top.copy()
            seen[here][coverage >= 0.5] = len(areas)
            visible = np.bincount(seen[seen >= 0], minlength=len(areas) + 1)
            whole = np.append(areas, int((coverage >= 0.5).sum()))
            objects = np.append(classes, k) != _CLUTTER
            if np.all(visible[objects] >= _MIN_VISIBLE * whole[objects]):
                colors = (
                    _filling(split, coverage.shape, rng)
                    if colors is None
                    else colors[part].astype("float32") / 255
                )
                colors = colors * np.float32(rng.uniform(0.75, 1.15))
                if name not in cast.unchanged:
                    colors = _contrasted(colors, canvas[here], coverage, rng)
                canvas[here] += coverage[..., None] * (np.clip(colors, 0, 1) - canvas[here])
                top = seen
                classes.append(int(k))
                areas.append(int(whole[-1]))
                break
    noise = rng.normal(0, 0.012, canvas.shape)
    image = (np.clip(canvas + noise, 0, 1) * 255).round().astype("uint8")
    kept = [i for i, k in enumerate(classes) if k != _CLUTTER]
    masks = np.stack([top == i for i in kept])
    return Scene(image, masks, np.array([classes[i] for i in kept]))


def _background(split: str, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A texture, tinted and dimmed, `[height, width, 3]`."""
    tint = rng.uniform(0.8, 1.1, size=3) * rng.uniform(0.6, 1.0)
    surface = textures.texture(split, height, width, rng) * tint
    return np.clip(surface, 0, 1).astype("float32")


def _cut_out(
    name: str, split: str, size: int, rng: np.random.Generator
) -> tuple[np.ndarray | None, np.ndarray]:
    """One object, turned: its own colours, if it has some, and its coverage."""
    side = rng.uniform(0.24, 0.5) * size
    angle = rng.uniform(0, 360)
    colors = None
    if name == "coin":
        candidates = sprites.coins(split)
        sprite = candidates[rng.integers(len(candidates))]
        metal = np.array([(1.0, 1.0, 1.0), (1.1, 0.95, 0.65), (1.1, 0.8, 0.65)])[rng.integers(3)]
        colors, coverage = np.minimum(sprite.colors * metal, 255).astype("uint8"), sprite.coverage
    elif name == "cup":
        colors, coverage = sprites.cup().colors, sprites.cup().coverage
        side *= 1.15
        angle = rng.uniform(-30, 30)
    elif name == "horse":
        coverage = sprites.horse()
        side *= 1.25
        angle = rng.uniform(-25, 25)
    elif name == "ring":
        coverage = sprites.ring(rng.uniform(0.25, 0.5))
    else:
        coverage = sprites.star(int(rng.integers(5, 8)), rng.uniform(0.4, 0.6))
    return turned(colors, coverage, side, angle, rng)


def _clutter(name: str, split: str, size: int, rng: np.random.Generator) -> tuple[None, np.ndarray]:
    """Something that belongs to no class."""
    side, angle = rng.uniform(0.24, 0.5) * size, rng.uniform(0, 360)
    coverage = sprites.clutter_shape(rng)
    return None, turned(None, coverage, side * rng.uniform(0.5, 0.9), angle, rng)[1]


def turned(
    colors: np.ndarray | None,
    coverage: np.ndarray,
    side: float,
    angle: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray | None, np.ndarray]:
    """A cut-out as it goes into a scene: of this longer side, turned, every other one mirrored.

    Args:
        colors: uint8 `[h, w, 3]`, or `None`.
        coverage: float32 `[h, w]` in 0..1.
        side: in pixels.
        angle: in degrees.
        rng: the only source of randomness.
    """
    scale = side / max(coverage.shape)
    height, width = (max(8, round(s * scale)) for s in coverage.shape)
    mirrored = np.s_[:, ::-1] if rng.random() < 0.5 else np.s_[:, :]

    def turn(image: np.ndarray) -> np.ndarray:
        return sprites.rotated(sprites.resized(image, height, width)[mirrored], angle)

    coverage = np.clip(turn(coverage), 0, 1)
    rows, columns = np.nonzero(coverage >= 0.5)
    window = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return None if colors is None else turn(colors)[window], coverage[window]


DEMO_CAST = Cast(sprites.CLASS_NAMES, CATEGORY_IDS, _cut_out, unchanged=("cup",))


def _place(
    shape: tuple[int, ...], canvas: tuple[int, ...], rng: np.random.Generator
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where an object goes on the canvas, and the part of it that is not beyond its edge.

    Objects are whole, but for a quarter that the picture's edge may cut off.
    """
    here, part = [], []
    for side, room in zip(shape[:2], canvas[:2], strict=True):
        start = int(rng.integers(-side // 4, room - side + side // 4 + 1))
        first, last = max(start, 0), min(start + side, room)
        here.append(slice(first, last))
        part.append(slice(first - start, last - start))
    return (here[0], here[1]), (part[0], part[1])


def _filling(split: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """A painted texture, `[*shape, 3]`: things are more of one colour than what is behind them."""
    surface = textures.texture(split, shape[0], shape[1], rng)
    paint = rng.uniform(0.1, 1.0, size=3).astype("float32")
    return np.clip(paint * (0.7 + 0.5 * (surface - surface.mean())), 0, 1)


def _contrasted(
    colors: np.ndarray, canvas: np.ndarray, coverage: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """`colors` made lighter or darker until they stand out from what they cover."""
    inside = coverage >= 0.5
    below, above = canvas[inside].mean(), colors[inside].mean()
    if abs(above - below) >= _MIN_CONTRAST:
        return colors
    contrast = rng.uniform(_MIN_CONTRAST, 2 * _MIN_CONTRAST)
    target = below + contrast if below < 0.5 else below - contrast
    return colors + np.float32(target - above)


def _annotation(mask: np.ndarray, cast: Cast, k: int) -> dict:
    rows, columns = np.nonzero(mask)
    x1, y1 = int(columns.min()), int(rows.min())
    box = [x1, y1, int(columns.max()) + 1 - x1, int(rows.max()) + 1 - y1]
    return {
        "category_id": cast.category_ids[k],
        "segmentation": _segmentation(mask, as_rle=cast.names[k] == "horse"),
        "bbox": box,
        "area": int(mask.sum()),
        "iscrowd": 0,
    }


def _segmentation(mask: np.ndarray, *, as_rle: bool) -> dict | Sequence[Sequence[int]]:
    """The mask as compressed RLE, or as polygons where it has no hole."""
    if as_rle or not np.array_equal(ndimage.binary_fill_holes(mask), mask):
        return Bitmap(mask).to_coco(*mask.shape)
    return pixel_outlines(mask)
