"""How many pictures per second the data pipeline gives, against decoding alone and a training step.

    python benchmarks/pipeline.py ANNOTATIONS.json PICTURES/ [--min-size 800 --max-size 1333]

Measures, alternating: the pipeline as `fit` uses it (shuffled, mirrored, masks drawn); the same
from its cache; decoding the same files alone, on all cores. With `--step` also a training step of
R50-FPN on the pipeline's own batches, and by how much the pipeline outruns it.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from workers.describe import describe_machine

from keras_maskrcnn import MaskRCNN
from keras_maskrcnn.data import load_coco
from keras_maskrcnn.data.reading import read_image


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("annotations", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--min-size", type=int, default=800)
    parser.add_argument("--max-size", type=int, default=1333)
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--step", action="store_true", help="time a training step too")
    options = parser.parse_args()
    print(describe_machine())
    data = load_coco(options.annotations, options.pictures)
    count = len(data.records)
    print(f"{count} pictures, {sum(len(r.objects) for r in data.records)} objects")
    sizes = {"min_size": options.min_size, "max_size": options.max_size}

    def batches(cache: bool) -> Any:
        return data.batches(
            options.batch_size, shuffle=True, augment=True, seed=0, cache=cache, **sizes
        )

    plain, cached = batches(False), batches(True)

    def consume(dataset: Any) -> Callable[[], None]:
        def run() -> None:
            for _ in dataset:
                pass

        return run

    def decode() -> None:
        with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            for _ in pool.map(lambda record: read_image(record.path).shape, data.records):
                pass

    cases = {"pipeline": consume(plain), "cached": consume(cached), "decode only": decode}
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for round_number in range(options.rounds + 1):
        for name, run in cases.items():
            start = time.perf_counter()
            run()
            if round_number:  # the first fills caches
                seconds[name].append(time.perf_counter() - start)
    rates = {name: count / statistics.median(values) for name, values in seconds.items()}
    for name, rate in rates.items():
        print(f"{name}: {rate:.1f} pictures/s ({rate / rates['decode only']:.2f} of decode only)")
    if options.step:
        model = MaskRCNN(len(data.class_names), **sizes)
        model.compile()
        steps: Iterator = iter(cached.repeat())
        times = []
        warm_up = 4  # tracing, and kernels made for sizes seen first
        for _ in range(options.rounds + warm_up):
            images, targets = next(steps)
            start = time.perf_counter()
            model.train_on_batch(images, targets)
            times.append(time.perf_counter() - start)
        rate = options.batch_size / statistics.median(times[warm_up:])
        print(f"training step: {rate:.2f} pictures/s")
        for name in ("pipeline", "cached"):
            print(f"{name}: {rates[name] / rate:.1f} times what the training step takes")


if __name__ == "__main__":
    main()
