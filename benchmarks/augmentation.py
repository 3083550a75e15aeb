"""How many pictures per second each transform gives, on one core.

    OMP_NUM_THREADS=1 python benchmarks/augmentation.py [--size 1024 --objects 20 --kind polygons]

A picture is moved with its objects; reading it and drawing masks are left out. The time is that of
this process alone, so that others on the machine matter less.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from PIL import Image
from workers.describe import describe_machine

from keras_maskrcnn.data.records import Instance
from keras_maskrcnn.data.transforms import Sample, Transform, make_transforms, transform_sample
from keras_maskrcnn.outlines import Polygons

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


def make_sample(size: int, objects: int, kind: str) -> Sample:
    """A picture of soft colours with stars of 20 corners, as polygons or as run lengths."""
    rng = np.random.default_rng(0)
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


if __name__ == "__main__":
    main()
