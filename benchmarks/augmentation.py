"""How many pictures per second each transform gives, on one core.

    OMP_NUM_THREADS=1 python benchmarks/augmentation.py [--size 1024 --objects 20 --kind polygons]

First a picture is moved with its objects, without reading it and drawing masks. Then all that a
batch needs of a picture is made: JPEG files are read and decoded, transformed, resized to the
network's input, and their masks are drawn. The time is that of this process alone, so that others
on the machine matter less. The peak of memory is told after each case: it must stay where it is.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from workers.describe import describe_machine, status_megabytes

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.loading import PictureLoader
from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.data.resizing import resize_image
from keras_maskrcnn.data.transforms import (
    Sample,
    Transform,
    added_objects,
    make_transforms,
    transform_sample,
)
from keras_maskrcnn.outlines import Polygons

LSJ_PASTED = ["lsj", {"name": "copy_paste", "transforms": "lsj"}]
LOADED: dict[str, Any] = {
    "none": "none",
    "flip": "flip",
    "standard": "standard",
    "lsj": "lsj",
    "lsj, copy_paste": LSJ_PASTED,
    "small_data": "small_data",
    "microscopy": "microscopy",
    "aerial": "aerial",
}
CHAIN = ["flip", "rotate", "shear", "scale_jitter"]
CASES: dict[str, Any] = {
    "flip": {"name": "flip", "probability": 1},
    "vertical_flip": {"name": "vertical_flip", "probability": 1},
    "quarter_turn": {"name": "quarter_turn", "quarters": [1, 2, 3]},
    "rotate": "rotate",
    "shear": "shear",
    "perspective": "perspective",
    "scale_jitter .8..1.25": "scale_jitter",
    "scale_jitter .1..2": {"name": "scale_jitter", "scale": [0.1, 2.0]},
    "random_crop": "random_crop",
    "one after another": CHAIN,
    "fused": {"name": "fused", "transforms": CHAIN},
}


def make_sample(size: int, objects: int, kind: str, seed: int = 0) -> Sample:
    """A picture of soft colours with stars of 20 corners, as polygons or as run lengths."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    image = np.asarray(small.resize((size, size), Image.Resampling.BICUBIC))
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    instances = []
    for number in range(objects):
        radius = size * rng.uniform(0.03, 0.12) * rng.uniform(0.6, 1, 20)
        x, y = rng.uniform(0.15, 0.85, 2) * size
        points = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)
        outline: Any = Polygons([points])
        if kind == "rle":
            outline = outline.to_rle(size, size)
        instances.append(Instance(0, outline.bounds(), outline, False, None, number))
    return Sample(image, tuple(instances))


def rate(transforms: tuple[Transform, ...], sample: Sample, rounds: int) -> float:
    """Pictures per second of this process' time."""
    seconds = 0.0
    for number in range(rounds + 1):
        start = time.process_time()
        found, _, _ = transform_sample(sample, transforms, np.random.default_rng(number))
        # A view costs when it is first read.
        np.ascontiguousarray(found.image)
        seconds += (time.process_time() - start) * (number > 0)
    return rounds / seconds


def loading_rate(augment: Any, samples: list[Sample], folder: Path, rounds: int) -> float:
    """Pictures per second of this process' time, from their files to all that a batch needs."""
    records = []
    for number, sample in enumerate(samples):
        path = folder / f"{number}.jpg"
        if not path.exists():
            Image.fromarray(sample.image).save(path, quality=90)
        records.append(ImageRecord(number, str(path), *sample.size, sample.instances))
    data = DetectionData(records, ["star"], [1])
    side = max(samples[0].size)
    transforms = make_transforms(augment)
    slots = data.max_objects + added_objects(transforms, data.max_objects)
    loader = PictureLoader(data, transforms, 0, slots, side, False, True, False)
    numbers = [(n % len(records), n // len(records)) for n in range(rounds + 1)]
    for count, (index, epoch) in enumerate(numbers):
        if count == 1:
            start = time.process_time()
        fields = dict(zip(loader.shapes, loader(index, epoch, side), strict=True))
        resize_image(fields["images"], tuple(fields["image_sizes"]))
    return rounds / (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=1024, help="side of the square picture")
    parser.add_argument("--objects", type=int, default=20)
    parser.add_argument("--kind", choices=("polygons", "rle"), default="polygons")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    print(describe_machine())
    print(f"{options.size} pixels square, {options.objects} objects ({options.kind})")
    sample = make_sample(options.size, options.objects, options.kind)
    for name, choice in CASES.items():
        print(f"{name:22} {rate(make_transforms(choice), sample, options.rounds):7.1f} pictures/s")
    print("from files to fields of a batch:")
    samples = [make_sample(options.size, options.objects, options.kind, n) for n in range(8)]
    with tempfile.TemporaryDirectory() as folder:
        for name, choice in LOADED.items():
            found = loading_rate(choice, samples, Path(folder), options.rounds)
            peak = status_megabytes("VmHWM")
            print(f"{name:22} {found:7.1f} pictures/s, peak {peak:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
