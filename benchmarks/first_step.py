"""How long a user waits: from nothing to the first training step, in processes of their own.

python benchmarks/first_step.py
python benchmarks/first_step.py --backbone resnet50 --side 512 --runs 5
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from workers.random_batch import PICTURES, random_batch

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
STAGES = ("import", "build", "first step", "second step")


def measure(backbone: str, side: int) -> dict[str, float]:
    """Seconds of each stage in this process, which has imported nothing yet."""
    times = [time.perf_counter()]
    import keras
    import tensorflow as tf

    from keras_maskrcnn import MaskRCNN

    times.append(time.perf_counter())
    model = MaskRCNN(num_classes=3, backbone=backbone, min_size=side, max_size=side)
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.9))
    times.append(time.perf_counter())
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: times.append(time.perf_counter())
    )
    batches = tf.data.Dataset.from_tensors(random_batch(side, 3)).repeat(2)
    model.fit(batches, verbose=0, callbacks=[watch])
    return {name: b - a for name, a, b in zip(STAGES, times, times[1:], strict=False)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--side", type=int, default=320, help="pixels of both sides of a picture")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measure(options.backbone, options.side)))
        return
    command = [sys.executable, __file__, *sys.argv[1:], "--worker"]
    runs = []
    for _ in range(options.runs):
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        runs.append(json.loads(output.splitlines()[-1]))
    print(f"{options.backbone}, {PICTURES} pictures of {options.side} x {options.side}, seconds")
    for stage in STAGES:
        values = [run[stage] for run in runs]
        print(
            f"{stage:12} median {statistics.median(values):5.1f}  from {min(values):.1f} to "
            f"{max(values):.1f}"
        )


if __name__ == "__main__":
    main()
