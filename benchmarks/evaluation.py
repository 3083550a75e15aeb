"""Times our scoring beside plain pycocotools on the same results, and compares every number.

    python benchmarks/evaluation.py [--pictures 500] [--objects 20] [--rounds 5]

Objects are composed, from a seed: outlines of eight points, of five classes, each found once at a
somewhat wrong place, one in ten under another class; the results come from `Detections.to_coco`.
Both sides get the ground truth as records and the results as dicts, and repetitions alternate.
Below stands what else an evaluation costs beside the model itself: from the model's padded outputs
to results in COCO's format, masks encoded.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from workers.describe import describe_machine

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.evaluation import coco_metrics
from keras_maskrcnn.evaluation.metrics import PREFIXES
from keras_maskrcnn.outlines import Polygons
from keras_maskrcnn.results import Detections

HEIGHT, WIDTH, CLASSES, GRID = 480, 640, 5, 28
IOU_TYPES = ("bbox", "segm")
# The model's input is this much larger than the picture.
SCALE = 800 / HEIGHT


def compose(pictures: int, objects: int) -> tuple[DetectionData, list[dict[str, np.ndarray]]]:
    """Ground truth, and what a model would give for each picture as a batch of one."""
    random = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    y, x = (np.mgrid[:GRID, :GRID] + 0.5) / GRID - 0.5
    records, outputs = [], []
    for number in range(1, pictures + 1):
        side = random.uniform(12, 200, (objects, 2))
        corner = random.uniform(0, 1, (objects, 2)) * ((WIDTH, HEIGHT) - side)
        boxes = np.concatenate([corner, corner + side], axis=1)
        classes = random.integers(CLASSES, size=objects)
        instances = []
        for i in range(objects):
            radii = side[i] / 2 * random.uniform(0.7, 1.0, (8, 1))
            outline = (corner[i] + side[i] / 2 + radii * circle).ravel().tolist()
            area = float(side[i].prod())
            instances.append(
                Instance(int(classes[i]), tuple(boxes[i]), Polygons([outline]), False, area, i)
            )
        records.append(ImageRecord(number, f"{number}.jpg", HEIGHT, WIDTH, tuple(instances)))
        found = boxes + random.normal(0, 0.05, boxes.shape) * np.tile(side, 2)
        wrong = random.random(objects) < 0.1
        outputs.append(
            {
                "boxes": (found * SCALE).astype("float32")[None],
                "classes": np.where(wrong, random.integers(CLASSES, size=objects), classes)[None],
                "scores": random.random((1, objects), "float32"),
                "counts": np.array([objects]),
                "masks": np.exp(-4 * (x**2 + y**2) / random.uniform(0.8, 1.2, (1, objects, 1, 1))),
            }
        )
    names = [f"class {k}" for k in range(CLASSES)]
    return DetectionData(records, names, list(range(1, CLASSES + 1))), outputs


def to_results(data: DetectionData, outputs: list[dict[str, np.ndarray]]) -> list[dict[str, Any]]:
    """Results in COCO's format, as `evaluate_coco` makes them."""
    size = (round(HEIGHT * SCALE), round(WIDTH * SCALE))
    results: list[dict[str, Any]] = []
    for record, output in zip(data.records, outputs, strict=True):
        found = Detections.from_padded(
            output, 0, image_size=size, original_size=(record.height, record.width)
        )
        results.extend(found.to_coco(record.image_id, data.category_ids))
    return results


def our_numbers(data: DetectionData, results: list[dict[str, Any]]) -> dict[str, float]:
    """All numbers, and each class's."""
    metrics = coco_metrics(data, results, iou_types=IOU_TYPES)
    classes = (
        {f"{name} {key}": value for key, value in numbers.items()}
        for name, numbers in metrics.per_class.items()
    )
    return dict(metrics, **{key: value for numbers in classes for key, value in numbers.items()})


def plain_numbers(data: DetectionData, results: list[dict[str, Any]]) -> dict[str, float]:
    """The same by pycocotools alone."""
    numbers: dict[str, float] = {}
    for iou_type in IOU_TYPES:
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO()
            truth.dataset = {
                "images": [
                    {"id": r.image_id, "height": r.height, "width": r.width} for r in data.records
                ],
                "categories": [{"id": i} for i in data.category_ids],
                "annotations": annotations(data),
            }
            truth.createIndex()
            unwanted = "segmentation" if iou_type == "bbox" else "bbox"
            own = [{k: v for k, v in result.items() if k != unwanted} for result in results]
            evaluation = COCOeval(truth, truth.loadRes(own), iou_type)
            evaluation.evaluate()
            evaluation.accumulate()
        precision, recall = evaluation.eval["precision"][..., -1], evaluation.eval["recall"]
        prefix = PREFIXES[iou_type]
        for k, name in [(slice(None), ""), *((i, f"{n} ") for i, n in enumerate(data.class_names))]:
            values = {
                "ap": precision[:, :, k, 0],
                "ap50": precision[0, :, k, 0],
                "ap75": precision[5, :, k, 0],
                "aps": precision[:, :, k, 1],
                "apm": precision[:, :, k, 2],
                "apl": precision[:, :, k, 3],
                "ar_1": recall[:, k, 0, 0],
                "ar_10": recall[:, k, 0, 1],
                "ar": recall[:, k, 0, 2],
                "ars": recall[:, k, 1, 2],
                "arm": recall[:, k, 2, 2],
                "arl": recall[:, k, 3, 2],
            }
            for key, value in values.items():
                known = value[value > -1]
                numbers[f"{name}{prefix}_{key}"] = known.mean() if known.size else math.nan
    return numbers


def annotations(data: DetectionData) -> list[dict[str, Any]]:
    """Ground truth as it stands in a COCO file."""
    found = []
    for record in data.records:
        for instance in record.instances:
            x1, y1, x2, y2 = instance.box
            found.append(
                {
                    "id": len(found) + 1,
                    "image_id": record.image_id,
                    "category_id": data.category_ids[instance.category],
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": instance.area,
                    "iscrowd": 0,
                    "segmentation": instance.outline.to_coco(HEIGHT, WIDTH),
                }
            )
    return found


def measure(function: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """Seconds that a call takes, and what it returns."""
    start = time.perf_counter()
    value = function(*arguments)
    return time.perf_counter() - start, value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--objects", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    data, outputs = compose(args.pictures, args.objects)
    print(describe_machine())
    seconds: dict[str, list[float]] = {"ours": [], "pycocotools": [], "results": []}
    difference = 0.0
    for _ in range(args.rounds):
        took, results = measure(to_results, data, outputs)
        seconds["results"].append(took)
        took, ours = measure(our_numbers, data, results)
        seconds["ours"].append(took)
        took, plain = measure(plain_numbers, data, results)
        seconds["pycocotools"].append(took)
        if set(ours) != set(plain):
            raise ValueError(f"Expected the same numbers. Received: {set(ours) ^ set(plain)}")
        for name, value in plain.items():
            if math.isnan(value) != math.isnan(ours[name]):
                raise ValueError(f"Expected {value}. Received: {name}={ours[name]}")
            if not math.isnan(value):
                difference = max(difference, abs(value - ours[name]))
    ratios = [b / a for a, b in zip(seconds["ours"], seconds["pycocotools"], strict=True)]
    print(
        f"{args.pictures} pictures x {args.objects} objects, {len(results)} results, boxes and "
        f"masks, median of {args.rounds}"
    )
    print(f"  coco_metrics         {statistics.median(seconds['ours']):7.2f} s")
    print(f"  pycocotools alone    {statistics.median(seconds['pycocotools']):7.2f} s")
    print(f"  ratio                {statistics.median(ratios):7.1f}  ({min(ratios):.1f} at least)")
    print(f"  largest difference   {difference:7.1e}  of {len(plain)} numbers")
    print(f"  box_ap, mask_ap      {ours['box_ap']:.4f}, {ours['mask_ap']:.4f}")
    print(f"  outputs to results   {statistics.median(seconds['results']):7.2f} s")


if __name__ == "__main__":
    main()
