"""Tiles on a composed picture of any size: AP beside that of its parts alone, memory, time.

    python benchmarks/large_picture.py runs/demo --side 12000 --objects 5000
    python benchmarks/large_picture.py runs/demo --side 1280 --objects 140 --beside supervision sahi

MODEL was trained by `maskrcnn demo`. Unseen scenes of 160 pixels are set into cells of a plain
ground, which tiles cut anywhere. The picture is written as a TIFF of tiles by a process of its own
and read part by part. "a tile for each scene" has no seam: each lies in the middle of one.
`--beside` names packages that slice pictures, as far as they are installed, on the same tiles; they
hold the whole picture, and a mask of its size for each of thousands of detections: at 2000 pixels a
side supervision's take 20 GB.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from workers.describe import describe_machine, status_megabytes

CELL, DISTINCT = 160, 400
GROUND = (118, 112, 104)


def compose(folder: Path, side: int, objects: int, seed: int) -> None:
    """`picture.tif`, and where which scene lies, `cells.json`."""
    import tifffile

    from keras_maskrcnn.data import load_coco
    from keras_maskrcnn.data.reading import read_image
    from keras_maskrcnn.demo.scenes import build_scenes

    build_scenes(folder / "scenes", train=1, val=DISTINCT, size=CELL, seed=seed)
    scenes = load_coco(folder / "scenes/instances_val.json", folder / "scenes/val")
    rng = np.random.default_rng(seed)
    picture = np.empty((side, side, 3), "uint8")
    picture[:] = GROUND
    cells = []
    for cell in rng.permutation((side // CELL) ** 2):
        if objects <= 0:
            break
        y, x = (int(v) * CELL for v in np.unravel_index(cell, (side // CELL, side // CELL)))
        number = int(rng.integers(DISTINCT))
        record = scenes.records[number]
        picture[y : y + record.height, x : x + record.width] = read_image(record.path)
        cells.append({"scene": number, "left": x, "top": y})
        objects -= len(record.objects)
    options: dict[str, Any] = {"photometric": "rgb", "tile": (512, 512), "compression": "zlib"}
    tifffile.imwrite(folder / "picture.tif", picture, **options)
    (folder / "cells.json").write_text(json.dumps(cells))


class Truth:
    """The picture's objects, and what is found of them.

    Args:
        folder: of `compose`.
        side: of the picture.
    """

    def __init__(self, folder: Path, side: int) -> None:
        from keras_maskrcnn.data import DetectionData, ImageRecord, load_coco

        self.size = (side, side)
        self.picture = folder / "picture.tif"
        self.scenes = load_coco(folder / "scenes/instances_val.json", folder / "scenes/val")
        self.cells = json.loads((folder / "cells.json").read_text())
        names = self.scenes.class_names
        self.category_ids = list(range(1, len(names) + 1))
        instances = tuple(
            self.moved(instance, cell, number)
            for number, (cell, instance) in enumerate(
                (cell, instance)
                for cell in self.cells
                for instance in self.scenes.records[cell["scene"]].objects
            )
        )
        record = ImageRecord(1, str(self.picture), side, side, instances)
        self.data = DetectionData([record], names, self.category_ids, name="large")

    def moved(self, instance: Any, cell: dict[str, int], number: int) -> Any:
        """An object of a scene where that lies."""
        x, y = cell["left"], cell["top"]
        x1, y1, x2, y2 = instance.box
        return dataclasses.replace(
            instance,
            box=(x1 + x, y1 + y, x2 + x, y2 + y),
            outline=self.run_lengths(instance.outline.draw_whole(CELL, CELL) > 0, x, y),
            annotation_id=number + 1,
        )

    def run_lengths(self, bits: np.ndarray, left: int, top: int) -> Any:
        """A crop in the picture."""
        from keras_maskrcnn.outlines.rle import encode_crop

        return encode_crop(bits, left, top, self.size)

    def score(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """COCO's numbers, for as many objects as there are."""
        from keras_maskrcnn.evaluation import coco_metrics

        return coco_metrics(
            self.data, results, max_detections=10 * len(self.data.records[0].objects)
        )


def alone(model: Any, truth: Truth, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Each scene in the middle of a tile of its own; what is found with its centre in the scene."""
    from keras_maskrcnn.inference.tiling.pictures import as_large_picture
    from keras_maskrcnn.inference.tiling.predict import model_finder
    from keras_maskrcnn.results.pixels import crops

    picture = as_large_picture(truth.picture, 0, model.pixels)
    side = truth.size[0]
    find = model_finder(model)
    results = []
    for cell in truth.cells:
        x, y = (
            min(max(0, cell[name] + (CELL - options.tile) // 2), side - options.tile)
            for name in ("left", "top")
        )
        tile = picture.read((x, y, x + options.tile, y + options.tile))
        (found,) = find([tile], 1.0, [tile.shape[:2]])
        rows = zip(found.to_coco(1, truth.category_ids), crops(found), strict=True)
        for row, (left, top, values) in rows:
            bx, by, width, height = row["bbox"]
            across, down = bx + x + width / 2 - cell["left"], by + y + height / 2 - cell["top"]
            if 0 <= across < CELL and 0 <= down < CELL:
                mask = truth.run_lengths(values >= 0.5, left + x, top + y).to_coco(*truth.size)
                box = [bx + x, by + y, width, height]
                results.append({**row, "bbox": box, "segmentation": mask})
    return results


def tiled(model: Any, truth: Truth, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Ours."""
    (found,) = model.predict(
        truth.picture, batch_size=8, verbose=0, tile=options.tile, overlap=options.overlap
    )
    return found.to_coco(1, truth.category_ids)


def by_supervision(model: Any, truth: Truth, options: argparse.Namespace) -> list[dict[str, Any]]:
    """`supervision.InferenceSlicer`, with its own merging of what overlaps."""
    import supervision as sv

    from keras_maskrcnn.data.reading import read_image

    look_in_own_size(model, options.tile)
    slicer = sv.InferenceSlicer(
        callback=lambda tile: model.predict(tile, verbose=0)[0].to_supervision(),
        slice_wh=(options.tile, options.tile),
        overlap_wh=(options.overlap, options.overlap),
        iou_threshold=0.5,
    )
    found = slicer(read_image(truth.picture))
    return rows(truth, zip(found.xyxy, found.mask, found.class_id, found.confidence, strict=True))


def by_sahi(model: Any, truth: Truth, options: argparse.Namespace) -> list[dict[str, Any]]:
    """`sahi.get_sliced_prediction`, with that of its rules which keeps things that cover others."""
    from sahi.predict import get_sliced_prediction

    from keras_maskrcnn.data.reading import read_image
    from keras_maskrcnn.inference.sahi import SahiModel

    look_in_own_size(model, options.tile)
    found = get_sliced_prediction(
        read_image(truth.picture),
        SahiModel(model, confidence_threshold=0.0),
        slice_height=options.tile,
        slice_width=options.tile,
        overlap_height_ratio=options.overlap / options.tile,
        overlap_width_ratio=options.overlap / options.tile,
        perform_standard_pred=False,
        postprocess_type="NMS",
        postprocess_match_metric="IOU",
        batch_size=8,
        verbose=0,
    ).object_prediction_list
    return rows(
        truth,
        ((o.bbox.to_xyxy(), o.mask.bool_mask, o.category.id, o.score.value) for o in found),
    )


def look_in_own_size(model: Any, side: int) -> None:
    """At slices, which `predict` would resize as it does pictures."""
    model.input_size = dataclasses.replace(model.input_size, min_size=side, max_size=side)


def rows(truth: Truth, found: Iterable[tuple[Any, Any, Any, Any]]) -> list[dict[str, Any]]:
    """COCO's results of boxes, masks of the whole picture, classes and scores."""
    return [
        {
            "image_id": 1,
            "category_id": truth.category_ids[int(k)],
            "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)],
            "score": float(score),
            "segmentation": truth.run_lengths(mask, 0, 0).to_coco(*truth.size),
        }
        for (x1, y1, x2, y2), mask, k, score in found
    ]


BESIDE: dict[str, Callable[..., list[dict[str, Any]]]] = {
    "supervision": by_supervision,
    "sahi": by_sahi,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="of `maskrcnn demo`: a file, or the folder of its run")
    parser.add_argument("--side", type=int, default=12000)
    parser.add_argument("--objects", type=int, default=5000)
    parser.add_argument("--tile", type=int, default=320)
    parser.add_argument("--overlap", type=int, default=96)
    parser.add_argument("--beside", nargs="*", choices=BESIDE, default=[])
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--compose", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.compose:
        compose(options.compose, options.side, options.objects, options.seed)
        return
    print(describe_machine(), flush=True)

    from keras_maskrcnn.cli.options import load_model

    with tempfile.TemporaryDirectory() as name:
        subprocess.run([sys.executable, *sys.argv, "--compose", name], check=True)
        truth = Truth(Path(name), options.side)
        model = load_model(options.model)
        count = len(truth.data.records[0].objects)
        print(f"{options.side} x {options.side}, {count} objects in {len(truth.cells)} scenes")
        print(
            "| | mask AP | AP50 | box AP | objects | s | peak, MB |\n|---|--:|--:|--:|--:|--:|--:|"
        )

        def tell(what: str, look: Callable[[], list[dict[str, Any]]]) -> None:
            start = time.perf_counter()
            results = look()
            seconds, peak = time.perf_counter() - start, status_megabytes("VmHWM")
            scores = truth.score(results)
            numbers = [f"{100 * scores[k]:.1f}" for k in ("mask_ap", "mask_ap50", "box_ap")]
            sure = sum(row["score"] >= 0.5 for row in results)
            cells = [what, *numbers, f"{sure}", f"{seconds:.0f}", f"{peak:.0f}"]
            print(f"| {' | '.join(cells)} |", flush=True)

        tell("tiles", lambda: tiled(model, truth, options))
        tell("a tile for each scene", lambda: alone(model, truth, options))
        for package in options.beside:
            tell(package, lambda package=package: BESIDE[package](model, truth, options))


if __name__ == "__main__":
    main()
