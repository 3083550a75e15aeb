"""Where the time of one inference goes, stage by stage, against the rate of a large matrix product.

    python benchmarks/stages.py [--size 800 1088] [--dtype float32]

R50-FPN with random weights. Each stage is a graph of its own, timed alone on what the stage before
it gave, in turns; the share is its FLOPs over its time, over the FLOP/s of a 4096 x 4096 x 4096
product of the same dtype measured in the same run. The table goes to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from end_to_end import Case
from workers.describe import describe_machine
from workers.floor import matmul_rate, stage_flops
from workers.worker import picture

from keras_maskrcnn import MaskRCNN

RESULTS = Path(__file__).parent / "results"


def stages(model: MaskRCNN, images: Any, sizes: Any) -> dict[str, tuple[Any, tuple]]:
    """Each stage's function and its inputs, in order."""
    network, box = model.network, model.network.box
    (mask,) = network.heads
    found: dict[str, tuple[Any, tuple]] = {}

    def add(name: str, function: Any, *inputs: Any) -> Any:
        graph = tf.function(function, autograph=False)
        found[name] = graph, inputs
        return graph(*inputs)

    backbone = add(
        "backbone", lambda x, s: network.backbone(network.normalization(x, s)), images, sizes
    )
    maps = add("pyramid", network.neck.pyramid, backbone)
    features = list(maps.values())
    logits, deltas = add("rpn", lambda f: network.rpn.head(f), features)

    def propose(x: Any, f: Any, s: Any, logits: Any, deltas: Any) -> Any:
        limits, _ = network.coordinates.limits(x, s)
        rpn = network.rpn
        return rpn.proposals(logits, deltas, rpn.anchors(x, f), limits, training=False)

    rois, _, valid = add("proposals", propose, images, features, sizes, logits, deltas)
    listed = network.lists.select(rois, valid)

    def pool(part: Any) -> Any:
        return lambda f, b, o: network.pool(f, part.pooler, b, o)

    pooled = add("box RoIAlign", pool(box), features, listed.boxes, listed.owners)
    class_logits, box_deltas = (
        listed.restore(x) for x in add("box head", lambda p: box.head(p), pooled)
    )
    detected = add("detections", box.detections, rois, valid, class_logits, box_deltas, sizes)
    listed = network.lists.select(detected["boxes"], detected["classes"] >= 0)
    classes = listed.take(detected["classes"])
    pooled = add("mask RoIAlign", pool(mask), features, listed.boxes, listed.owners)
    add("mask head", lambda p, c: mask.head(p, c), pooled, classes)
    print(f"{len(listed.boxes)} detections")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, nargs=2, default=(800, 1088), metavar=("H", "W"))
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    case = Case("inference", tuple(options.size), dtype=options.dtype)
    flops = stage_flops(case)
    flops["backbone"] = sum(flops.pop(n) for n in ("stem", "res2", "res3", "res4", "res5"))
    keras.utils.set_random_seed(0)
    policy = {"float32": "float32", "bfloat16": "mixed_bfloat16"}[options.dtype]
    model = MaskRCNN(90, box={"score_threshold": 0.0}, dtype=policy)
    images = tf.constant(picture(*options.size)[None].astype("float32"))
    parts = stages(model, images, tf.constant([options.size], tf.int32))
    seconds: dict[str, list[float]] = {name: [] for name in parts}
    rates = []
    for _ in range(options.rounds):
        rates.append(matmul_rate(options.dtype, "cpu"))
        for name, (function, inputs) in parts.items():
            start = time.perf_counter()
            np.asarray(tf.nest.flatten(function(*inputs))[-1].shape)
            seconds[name].append(time.perf_counter() - start)
    rate = statistics.median(rates)
    machine = describe_machine()
    lines = ["| stage | ms | GFLOP | share of the GEMM rate |", "| :-- | --: | --: | --: |"]
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in medians.items():
        work = flops.get(name)
        cells = ["", ""]
        if work is not None:
            cells = [f"{work / 1e9:.1f}", f"{100 * work / value / rate:.0f} %"]
        lines.append(f"| {name} | {1000 * value:.0f} | {cells[0]} | {cells[1]} |")
    total, work = sum(medians.values()), sum(flops.values())
    share = f"{100 * work / total / rate:.0f} %"
    lines.append(f"| all | {1000 * total:.0f} | {work / 1e9:.1f} | {share} |")
    head = f"{machine}\n\n{options.size[0]}x{options.size[1]}, {options.dtype}; "
    text = head + f"GEMM {rate / 1e9:.0f} GFLOP/s\n\n" + "\n".join(lines) + "\n"
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"stages_{options.dtype}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
