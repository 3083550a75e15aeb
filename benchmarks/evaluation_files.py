"""Times scoring of large files, and its memory, beside plain pycocotools.

    python benchmarks/evaluation_files.py [--pictures 5000] [--objects 10] [--jobs 1 2] [--rounds 3]

Annotations and results (boxes and masks, an object each, somewhat wrong, one in ten under another
of 20 classes) are composed from a seed and written as files: one results file for pycocotools with
boxes, one with masks, which ours takes both at once. Each measurement is a process of its own, and
sides alternate. CPU seconds are those of all its processes: on a machine that others use they say
more than the clock. Memory is the most that the process had, and of several the largest worker's
for each of them; without what importing takes, which is printed.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from workers.describe import describe_machine, status_megabytes

HEIGHT, WIDTH, CLASSES = 480, 640, 20
# Pictures that differ; all others repeat them, with scores of their own.
DIFFERENT = 500
IOU_TYPES = ("bbox", "segm")


def compose(folder: Path, pictures: int, objects: int) -> None:
    """Writes `gt.json`, `bbox.json` and `segm.json`."""
    random = np.random.default_rng(0)
    scenes = [_scene(random, objects) for _ in range(min(pictures, DIFFERENT))]
    annotations: list[dict[str, Any]] = []
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in IOU_TYPES}
    for image_id in range(1, pictures + 1):
        for truth, box, mask, category in scenes[image_id % len(scenes)]:
            annotations.append({**truth, "id": len(annotations) + 1, "image_id": image_id})
            common = {
                "image_id": image_id,
                "category_id": category,
                "score": round(float(random.random()), 5),
            }
            results["bbox"].append({**common, "bbox": box})
            results["segm"].append({**common, "segmentation": mask})
    sizes = {"height": HEIGHT, "width": WIDTH}
    images = [{"id": i, "file_name": f"{i}.jpg", **sizes} for i in range(1, pictures + 1)]
    categories = [{"id": i, "name": f"class {i}"} for i in range(1, CLASSES + 1)]
    content = {"images": images, "categories": categories, "annotations": annotations}
    (folder / "gt.json").write_text(json.dumps(content))
    for name, rows in results.items():
        (folder / f"{name}.json").write_text(json.dumps(rows))


def _scene(random: np.random.Generator, objects: int) -> list[tuple[Any, ...]]:
    """Of each object its annotation, and box, mask and category of its result."""
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    scene = []
    for _ in range(objects):
        side = random.uniform(12, 200, 2)
        corner = random.uniform(0, 1, 2) * ((WIDTH, HEIGHT) - side)
        outline = corner + side / 2 + side / 2 * random.uniform(0.7, 1.0, (12, 1)) * circle
        category = int(random.integers(1, CLASSES + 1))
        moved = outline + random.normal(0, 0.04, 2) * side
        masks = [
            coco_mask.merge(coco_mask.frPyObjects([points.ravel().tolist()], HEIGHT, WIDTH))
            for points in (outline, moved)
        ]
        truth = {
            "category_id": category,
            "bbox": coco_mask.toBbox(masks[0]).tolist(),
            "area": float(coco_mask.area(masks[0])),
            "iscrowd": 0,
            "segmentation": [np.round(outline, 2).ravel().tolist()],
        }
        found = {"size": [HEIGHT, WIDTH], "counts": masks[1]["counts"].decode()}
        other = int(random.integers(1, CLASSES + 1)) if random.random() < 0.1 else category
        scene.append((truth, coco_mask.toBbox(masks[1]).tolist(), found, other))
    return scene


def ours(folder: Path, jobs: int) -> dict[str, float]:
    """All numbers by `evaluate_coco_files`."""
    from keras_maskrcnn.evaluation import evaluate_coco_files

    files = [folder / f"{name}.json" for name in IOU_TYPES]
    return dict(evaluate_coco_files(folder / "gt.json", files, jobs=jobs))


def plain(folder: Path) -> dict[str, float]:
    """The same by pycocotools, in its order."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    numbers = []
    truth = COCO(str(folder / "gt.json"))
    for name in IOU_TYPES:
        evaluation = COCOeval(truth, truth.loadRes(str(folder / f"{name}.json")), name)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        numbers += evaluation.stats.tolist()
    return dict(zip(map(str, range(len(numbers))), numbers, strict=True))


def worker(folder: Path, jobs: int) -> None:
    """One measurement, printed as JSON; 0 jobs: pycocotools."""
    # Neither side's imports count.
    import pycocotools.cocoeval  # noqa: F401

    import keras_maskrcnn.evaluation.in_groups  # noqa: F401

    before = status_megabytes("VmRSS")
    start, cpu = time.perf_counter(), _cpu_seconds()
    numbers = ours(folder, jobs) if jobs else plain(folder)
    took = {"seconds": time.perf_counter() - start, "cpu": _cpu_seconds() - cpu}
    memory = status_megabytes("VmHWM") - before
    if jobs > 1:
        largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        memory += jobs * max(0.0, largest - before)
    values = list(numbers.values())
    print(json.dumps({**took, "memory": memory, "before": before, "numbers": values}))


def _cpu_seconds() -> float:
    of = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in of)


def measure(folder: Path, jobs: int) -> dict[str, Any]:
    """A process of its own."""
    command = [sys.executable, __file__, "--worker", str(folder), "--jobs", str(jobs)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--objects", type=int, default=10)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker is not None:
        worker(args.worker, *args.jobs)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        compose(folder, args.pictures, args.objects)
        size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
        found: dict[int, list[dict[str, Any]]] = {jobs: [] for jobs in (0, *args.jobs)}
        for _ in range(args.rounds):
            for jobs, rows in found.items():
                rows.append(measure(folder, jobs))
    print(describe_machine())
    print(
        f"{args.pictures} pictures x {args.objects} objects, files of {size:.0f} MB, boxes and "
        f"masks, median of {args.rounds}; importing takes {found[0][0]['before']:.0f} MB\n"
    )
    print("| | seconds | CPU seconds | of pycocotools' CPU | memory, MB | largest difference |")
    print("|---|---|---|---|---|---|")
    for jobs, rows in found.items():
        seconds, cpu, memory = (
            statistics.median(row[key] for row in rows) for key in ("seconds", "cpu", "memory")
        )
        ratios = [row["cpu"] / one["cpu"] for row, one in zip(rows, found[0], strict=True)]
        # pycocotools says -1 where there is no such number.
        own, other = (np.nan_to_num(side[0]["numbers"], nan=-1) for side in (rows, found[0]))
        print(
            f"| {f'ours, jobs={jobs}' if jobs else 'pycocotools'} | {seconds:.1f} | "
            f"{cpu:.1f} | {statistics.median(ratios):.2f} ({min(ratios):.2f} to "
            f"{max(ratios):.2f}) | {memory:.0f} | {np.abs(own - other).max():.1e} |"
        )


if __name__ == "__main__":
    main()
