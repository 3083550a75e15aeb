"""Times RoIAlign: the compiled op, our stock-TensorFlow twin, crop_and_resize, torchvision.

    python benchmarks/roi_align.py
    python benchmarks/roi_align.py --torchvision /path/to/python    # one that has torchvision

Four levels of an 800 x 1088 picture, 256 channels, 2 samples; 1000 boxes (inference) and 512
(training), 7 x 7 and 14 x 14; forward, and forward with gradient. Each figure is the median of
repetitions that alternate between the implementations. The floor is the time to move the bytes
that must move, each once, at the measured bandwidth of a large copy.

Beside torchvision's op, which pools one level, its times include what a pyramid needs around it:
the split of the boxes by level and the scatter of the results.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import numpy as np

STRIDES = (4, 8, 16, 32)
HEIGHT, WIDTH, CHANNELS = 800, 1088, 256


def make_inputs(
    rois: int, bins: int
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """Features, boxes, level of each box, upstream gradient; the same for every implementation.

    Box sides are spread evenly over the logarithm from 16 to 500 pixels, as proposals' are.
    """
    random = np.random.default_rng(0)
    features = [
        random.standard_normal((1, HEIGHT // s, WIDTH // s, CHANNELS), np.float32) for s in STRIDES
    ]
    centre = random.uniform((0, 0), (WIDTH, HEIGHT), (rois, 2))
    side = np.exp(random.uniform(np.log(16), np.log(500), (rois, 2)))
    boxes = np.concatenate([centre - side / 2, centre + side / 2], 1)
    boxes = np.clip(boxes, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT]).astype(np.float32)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    levels = np.floor(4 + np.log2(np.sqrt(area) / 224 + 1e-6)).clip(2, 5).astype(np.int32) - 2
    upstream = random.standard_normal((rois, bins, bins, CHANNELS), np.float32)
    return features, boxes, levels, upstream


def tensorflow_cases(rois: int, bins: int, gradient: bool) -> dict[str, Callable[[], object]]:
    """A function to time per implementation."""
    import tensorflow as tf

    from keras_maskrcnn.ops.roi_align import roi_align, roi_align_backend

    features, boxes, levels, upstream = make_inputs(rois, bins)
    features = [tf.constant(feature) for feature in features]
    boxes, levels, upstream = tf.constant(boxes), tf.constant(levels), tf.constant(upstream)
    images = tf.zeros(rois, tf.int32)
    scales = [1 / stride for stride in STRIDES]

    def ours(backend: str, features: list) -> tf.Tensor:
        return roi_align(
            features, boxes, images, levels, output_size=bins, scales=scales, backend=backend
        )

    def crop_and_resize(border: int, features: list) -> tf.Tensor:
        pooled, order = [], []
        for level, feature in enumerate(features):
            rois = tf.where(levels == level)[:, 0]
            height, width = feature.shape[1:3]
            padding = [[0, 0], [border, border], [border, border], [0, 0]]
            x1, y1, x2, y2 = tf.unstack(
                tf.gather(boxes, rois) * scales[level] - 0.5 + border, axis=1
            )
            x, y = (x2 - x1) / (4 * bins), (y2 - y1) / (4 * bins)  # half a sample's distance
            last = np.array([height, width] * 2, np.float32) + 2 * border - 1
            samples = tf.image.crop_and_resize(
                tf.pad(feature, padding, "SYMMETRIC") if border else feature,
                tf.stack([y1 + y, x1 + x, y2 - y, x2 - x], 1) / last,
                tf.zeros_like(rois, tf.int32),
                (2 * bins, 2 * bins),
            )
            pooled.append(tf.nn.avg_pool2d(samples, 2, 2, "VALID"))
            order.append(rois)
        return tf.gather(tf.concat(pooled, 0), tf.argsort(tf.concat(order, 0)))

    forwards = {
        "compiled": lambda f: ours("compiled", f),
        "reference": lambda f: ours("reference", f),
        "crop_and_resize": lambda f: crop_and_resize(0, f),
        "crop_and_resize, padded": lambda f: crop_and_resize(1, f),
    }
    if roi_align_backend() != "compiled":
        del forwards["compiled"]

    def case(forward: Callable[[list], tf.Tensor]) -> Callable[[], object]:
        @tf.function
        def run(features: list) -> object:
            if not gradient:
                return forward(features)
            with tf.GradientTape() as tape:
                tape.watch(features)
                pooled = forward(features)
            return pooled, tape.gradient(pooled, features, upstream)

        def timed() -> None:
            out = run(features)
            np.asarray(tf.nest.flatten(out)[-1][0, 0, 0, 0])  # waits for the device

        return timed

    return {name: case(forward) for name, forward in forwards.items()}


def torchvision_times(repetitions: int) -> dict[str, list[float]]:
    """Seconds per repetition, by case; run in a Python that has torchvision."""
    import torch
    from torchvision.ops import roi_align

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    times: dict[str, list[float]] = {}
    for rois, bins, gradient in CASES:
        features, boxes, levels, upstream = make_inputs(rois, bins)
        maps = [torch.tensor(feature.transpose(0, 3, 1, 2).copy()) for feature in features]
        upstream_nchw = torch.tensor(upstream.transpose(0, 3, 1, 2).copy())
        rows = torch.tensor(np.concatenate([np.zeros((rois, 1), np.float32), boxes], 1))
        level_of = torch.tensor(levels)
        for feature in maps:
            feature.requires_grad_(gradient)

        def run(maps=maps, rows=rows, level_of=level_of, upstream=upstream_nchw, bins=bins,
                gradient=gradient):  # fmt: skip
            pooled = torch.zeros((len(rows), CHANNELS, bins, bins))
            for level, feature in enumerate(maps):
                index = torch.where(level_of == level)[0]
                scale = 1 / STRIDES[level]
                pooled[index] = roi_align(feature, rows[index], bins, scale, 2, aligned=True)
            if gradient:
                for feature in maps:
                    feature.grad = None
                pooled.backward(upstream)

        times[case_name(rois, bins, gradient)] = repeat({"": run}, repetitions)[""]
    return times


CASES = [
    (rois, bins, gradient) for rois in (1000, 512) for bins in (7, 14) for gradient in (False, True)
]


def case_name(rois: int, bins: int, gradient: bool) -> str:
    """Name of a row of the table."""
    return f"{rois} boxes, {bins}x{bins}, {'forward+gradient' if gradient else 'forward'}"


def repeat(cases: dict[str, Callable[[], object]], repetitions: int) -> dict[str, list[float]]:
    """Seconds per repetition of each, alternating, after one that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for repetition in range(repetitions + 1):
        for name, run in cases.items():
            start = time.perf_counter()
            run()
            if repetition:
                times[name].append(time.perf_counter() - start)
    return times


def copy_bandwidth() -> float:
    """Bytes per second, read plus written, of copies of 256 MB on all processors."""
    threads = len(os.sched_getaffinity(0))
    size = 256 * 2**20 // threads
    pairs = [(np.ones(size, np.uint8), np.ones(size, np.uint8)) for _ in range(threads)]

    def copy() -> None:
        workers = [threading.Thread(target=np.copyto, args=(to, from_)) for from_, to in pairs]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    return 2 * size * threads / statistics.median(repeat({"": copy}, 7)[""])


def bytes_that_must_move(rois: int, bins: int, gradient: bool) -> int:
    """Cells read once, pooled values written; upstream read and every map's gradient written."""
    features, boxes, levels, _ = make_inputs(rois, bins)
    cells = 0
    for level, feature in enumerate(features):
        height, width = feature.shape[1:3]
        touched = np.zeros((height, width), bool)
        for x1, y1, x2, y2 in boxes[levels == level] / STRIDES[level] - 0.5:
            xs, ys = (
                low + (high - low) * (np.arange(2 * bins) + 0.5) / (2 * bins)
                for low, high in ((x1, x2), (y1, y2))
            )
            xs = np.unique(np.concatenate([np.floor(xs), np.ceil(xs)])).clip(0, width - 1)
            ys = np.unique(np.concatenate([np.floor(ys), np.ceil(ys)])).clip(0, height - 1)
            touched[np.ix_(ys.astype(int), xs.astype(int))] = True
        cells += int(touched.sum())
    pooled = rois * bins * bins
    moved = cells + pooled
    if gradient:
        moved += pooled + sum(feature[..., 0].size for feature in features)
    return 4 * CHANNELS * moved


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--torchvision", help="a Python with torchvision (default: this one)")
    parser.add_argument("--only-torchvision", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only_torchvision:
        print(json.dumps(torchvision_times(options.repetitions)))
        return

    command = [options.torchvision or sys.executable, __file__, "--only-torchvision"]
    command += ["--repetitions", str(min(options.repetitions, 3))]
    done = subprocess.run(command, capture_output=True, text=True)
    peers = json.loads(done.stdout) if done.returncode == 0 else {}
    bandwidth = copy_bandwidth()
    print(f"{len(os.sched_getaffinity(0))} processors, copy bandwidth {bandwidth / 1e9:.1f} GB/s")
    if not peers:
        print("torchvision: not installed")
    print("milliseconds (times the compiled op's)")
    for rois, bins, gradient in CASES:
        name = case_name(rois, bins, gradient)
        times = repeat(tensorflow_cases(rois, bins, gradient), options.repetitions)
        medians = {label: 1000 * statistics.median(seconds) for label, seconds in times.items()}
        if name in peers:
            medians["torchvision"] = 1000 * statistics.median(peers[name])
        medians["floor"] = 1000 * bytes_that_must_move(rois, bins, gradient) / bandwidth
        base = medians.get("compiled", medians["reference"])
        row = "; ".join(f"{label} {ms:.1f} ({ms / base:.2f})" for label, ms in medians.items())
        print(f"{name}: {row}", flush=True)


if __name__ == "__main__":
    main()
