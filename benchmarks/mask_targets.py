"""Which mask targets are nearest to the exact ones?

    python benchmarks/mask_targets.py instances.json... --output benchmarks/results/mask_targets.md

The exact target is the share of each cell of a RoI's M x M grid that the object's polygons cover,
by `exact_area.py` in float64. Held against it, on the same RoIs: masks of whole pictures through
RoIAlign, as torchvision makes them and with less loss; crops of several sides; and detectron2's
polygons drawn at the RoI's resolution. Objects are those of COCO annotation files, their pictures
as large as the network's input; and stars made here, 2 to 350 pixels in radius. The RoIs are the
objects' boxes with each edge moved by up to 35 % of the side, where the IoU is .5 or more: what is
sampled for the mask head.

`flipped`: cells on the other side of .5 than the exact target, %. `error`: mean absolute difference
from it, over the cells of the RoI, %. `area`: sum of the targets less that of the exact ones, in %
of it: the bias that a mask head learns.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from exact_area import coverage
from pycocotools import mask as coco_mask

from keras_maskrcnn.images.input_size import resize_shape
from keras_maskrcnn.ops.mask_targets import masks_from_crops, masks_from_pictures
from keras_maskrcnn.outlines import Polygons as PolygonOutline

Polygons = list[np.ndarray]
# polygons and size of the picture as on disk, size of the network's input, rois there -> [P, M, M]
Method = Callable[[Polygons, tuple[int, int], tuple[int, int], np.ndarray], np.ndarray]


def _flat(polygons: Polygons) -> list[list[float]]:
    return [p.ravel().tolist() for p in polygons]


def _raster(polygons: Polygons, height: int, width: int) -> np.ndarray:
    """The COCO tools' pixels."""
    rle = coco_mask.merge(coco_mask.frPyObjects(_flat(polygons), height, width))
    return coco_mask.decode(rle)


def _scaled(polygons: Polygons, size: tuple[int, int], new: tuple[int, int]) -> Polygons:
    return [p * (new[1] / size[1], new[0] / size[0]) for p in polygons]


def _box(polygons: Polygons) -> np.ndarray:
    points = np.concatenate(polygons)
    return np.concatenate([points.min(0), points.max(0)])


def _from_picture(picture: np.ndarray, rois: np.ndarray, side: int, aligned: bool) -> np.ndarray:
    pictures = np.broadcast_to(picture.astype("float32"), (len(rois), *picture.shape))
    return np.asarray(masks_from_pictures(pictures, rois.astype("float32"), side, aligned))


def torchvision(side: int) -> Method:
    """Drawn in the picture as on disk, enlarged with it by nearest neighbour, RoIAlign."""

    def make(polygons, size, new, rois):
        y, x = (np.arange(n) * m // n for n, m in zip(new, size, strict=True))
        picture = _raster(polygons, *size)[y[:, None], x]
        return _from_picture(picture, rois, side, aligned=False)

    return make


def whole(side: int) -> Method:
    """Drawn at the size of the network's input, RoIAlign with its half pixel."""

    def make(polygons, size, new, rois):
        picture = _raster(_scaled(polygons, size, new), *new)
        return _from_picture(picture, rois, side, aligned=True)

    return make


def crop(side: int, crop_side: int) -> Method:
    """Coverage in the object's own box, then the mean over each cell."""

    def make(polygons, size, new, rois):
        box = _box(polygons)
        mask = PolygonOutline(_flat(polygons)).draw(tuple(box), crop_side).astype("float32") / 255
        frame = (box * np.tile([new[1] / size[1], new[0] / size[0]], 2)).astype("float32")
        crops = np.broadcast_to(mask, (len(rois), *mask.shape))
        frames = np.broadcast_to(frame, (len(rois), 4))
        return np.asarray(masks_from_crops(crops, frames, rois.astype("float32"), side))

    return make


def detectron2(side: int) -> Method:
    """Polygons in the RoI's coordinates, times M over its sides, drawn by the COCO tools."""

    def make(polygons, size, new, rois):
        polygons = _scaled(polygons, size, new)
        targets = []
        for roi in rois:
            scale = side / np.maximum(roi[2:] - roi[:2], 0.1)
            targets.append(_raster([(p - roi[:2]) * scale for p in polygons], side, side))
        return np.stack(targets).astype("float32")

    return make


def coco_objects(file: Path) -> Iterator[tuple[Polygons, tuple[int, int], float]]:
    """Polygons, the picture's (height, width), and area of the objects outlined by polygons."""
    content = json.loads(file.read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    for entry in content["annotations"]:
        if not entry.get("iscrowd") and isinstance(entry["segmentation"], list):
            polygons = [np.reshape(p, (-1, 2)).astype("float64") for p in entry["segmentation"]]
            yield polygons, sizes[entry["image_id"]], entry["area"]


def stars(count: int, random: np.random.Generator) -> Iterator[tuple[Polygons, tuple, float]]:
    """Stars of uneven points in a picture that the network takes as it is."""
    for _ in range(count):
        radius = np.exp(random.uniform(np.log(2), np.log(350)))
        angles = np.sort(random.uniform(0, 2 * np.pi, int(random.integers(5, 40))))
        spread = radius * random.uniform(0.35, 1, len(angles))
        points = np.stack([np.cos(angles), np.sin(angles)], axis=1) * spread[:, None]
        points += random.uniform([radius, radius], [1333 - radius, 800 - radius])
        x, y = points.T
        area = 0.5 * abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))
        yield [points], (800, 1333), area


def sampled_rois(
    box: np.ndarray, size: tuple[int, int], count: int, random: np.random.Generator
) -> np.ndarray:
    """Jittered boxes `[count, 4]` of IoU .5 or more with `box`, within the picture."""
    limits = np.tile([size[1], size[0]], 2)
    rois: list[np.ndarray] = []
    sides = np.tile(box[2:] - box[:2], 2)
    while len(rois) < count:
        roi = np.clip(box + random.uniform(-0.35, 0.35, 4) * sides, 0, limits)
        overlap = np.prod(np.maximum(np.minimum(roi[2:], box[2:]) - np.maximum(roi, box)[:2], 0))
        union = np.prod(roi[2:] - roi[:2]) + np.prod(box[2:] - box[:2]) - overlap
        if overlap >= 0.5 * union:
            rois.append(roi)
    return np.stack(rois)


def coco_size(area: float) -> str:
    return "small" if area < 32**2 else "medium" if area < 96**2 else "large"


def roi_size(roi: np.ndarray) -> str:
    side = float(np.sqrt(np.prod(roi[2:] - roi[:2])))
    limits = (0, 16, 28, 56, 112, 224)
    for low, high in itertools.pairwise(limits):
        if side < high:
            return f"{low}-{high} px"
    return f"{limits[-1]}- px"


class Table:
    """Sums of each method's errors by group of RoIs."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)
        self.sums: dict[str, dict[str, np.ndarray]] = {}
        self.counts: dict[str, int] = {}

    def add(self, groups: Iterable[str], targets: dict[str, np.ndarray], exact: np.ndarray) -> None:
        for group in groups:
            self.counts[group] = self.counts.get(group, 0) + 1
            rows = self.sums.setdefault(group, {name: np.zeros(4) for name in self.names})
            for name, target in targets.items():
                flipped = np.mean((target >= 0.5) != (exact >= 0.5))
                error = np.abs(target - exact).mean()
                rows[name] += flipped, error, (target - exact).sum(), exact.sum()

    def markdown(self) -> str:
        order = ["all", "small", "medium", "large"]
        order += sorted(set(self.sums) - set(order), key=lambda g: int(g.split("-")[0]))
        groups = [group for group in order if group in self.sums]
        lines = []
        for metric in ("flipped", "error", "area"):
            lines += [
                f"| {metric}, % | {' | '.join(groups)} |",
                f"|---{'|---' * len(groups)}|",
                *(f"| {name} | {self._row(name, metric, groups)} |" for name in self.names),
                "",
            ]
        counts = " | ".join(str(self.counts[group]) for group in groups)
        lines.insert(-1, f"| *number of RoIs* | {counts} |")
        return "\n".join(lines)

    def _row(self, name: str, metric: str, groups: list[str]) -> str:
        def value(group: str) -> float:
            flipped, error, bias, exact = self.sums[group][name]
            number = {"flipped": flipped, "error": error}.get(metric)
            return bias / exact if number is None else number / self.counts[group]

        return " | ".join(f"{100 * value(group):.3f}" for group in groups)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("annotations", nargs="*", type=Path, help="COCO annotation files")
    parser.add_argument("--side", type=int, default=28, help="M (%(default)s)")
    parser.add_argument("--rois", type=int, default=4, help="RoIs per object (%(default)s)")
    parser.add_argument("--stars", type=int, default=200, help="generated objects (%(default)s)")
    parser.add_argument("--min-size", type=int, default=800, help="shorter side (%(default)s)")
    parser.add_argument("--max-size", type=int, default=1333, help="longer side (%(default)s)")
    parser.add_argument("--output", type=Path, help="Markdown file for the tables")
    options = parser.parse_args()
    side = options.side
    soft: dict[str, Method] = {
        "whole, torchvision": torchvision(side),
        "whole, drawn at input size": whole(side),
        **{f"crop {n} x {n}": crop(side, n) for n in (28, 56, 112, 224)},
    }
    binary = ("whole, drawn at input size", "crop 112 x 112")
    drawn = {"polygon drawn at M x M, detectron2": detectron2(side)}
    names = [*soft, *(f"{name}, binary" for name in binary), *drawn]
    random = np.random.default_rng(0)
    sources = {file.stem: coco_objects(file) for file in options.annotations}
    if options.stars:
        sources["stars"] = stars(options.stars, np.random.default_rng(1))
    tables = {"annotated objects": Table(names), "stars": Table(names)}
    for source, objects in sources.items():
        table = tables["stars" if source == "stars" else "annotated objects"]
        for polygons, size, area in objects:
            new = resize_shape(*size, options.min_size, options.max_size)
            outline = _scaled(polygons, size, new)
            rois = sampled_rois(_box(outline), new, options.rois, random)
            targets = {name: make(polygons, size, new, rois) for name, make in soft.items()}
            targets |= {f"{name}, binary": targets[name] >= 0.5 for name in binary}
            targets |= {name: make(polygons, size, new, rois) for name, make in drawn.items()}
            for i, roi in enumerate(rois):
                exact = coverage(outline, roi, side)
                groups = ("all", coco_size(area), roi_size(roi))
                table.add(groups, {n: t[i].astype("float64") for n, t in targets.items()}, exact)
    files = ", ".join(f"`{file.name}`" for file in options.annotations)
    text = [
        f"M = {side}; {options.rois} RoIs per object; pictures resized to {options.min_size} / "
        f"{options.max_size}; annotations: {files or 'none'}. Sizes of objects are COCO's, by the "
        "area on disk; sides of RoIs are in pixels of the network's input.",
        "",
    ]
    for name, table in tables.items():
        if table.sums:
            text += [f"## {name}", "", table.markdown()]
    print("\n".join(text))
    if options.output:
        heading = "# Mask targets against exact coverage\n\nMade by `benchmarks/mask_targets.py`. "
        options.output.write_text(heading + "\n".join(text).rstrip() + "\n")


if __name__ == "__main__":
    main()
