"""How long a model's multiplications alone would take: its FLOPs over the rate of a large GEMM."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from typing import Any

_BLOCKS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
_PROPOSALS, _DETECTIONS, _SAMPLES, _CLASSES = 1000, 100, 512, 90


def stage_flops(case: Any) -> dict[str, float]:
    """FLOPs of one inference, by stage: two for each multiplication.

    Args:
        case: has `size`, `batch` and `backbone`. In training the box head sees the sampled RoIs and
            the mask head is left out: how many RoIs have objects depends on the proposals.
    """
    height, width = case.size

    def conv(stride: int, side: int, inputs: int, outputs: int) -> float:
        pixels = -(-height // stride) * -(-width // stride)
        return 2.0 * pixels * side * side * inputs * outputs

    stages = {"stem": conv(2, 7, 3, 64)}
    inputs = 64
    for stage, blocks in enumerate(_BLOCKS[case.backbone], 2):
        inner, outputs, stride = 2 ** (stage + 4), 2 ** (stage + 6), 2**stage
        total = conv(stride, 1, inputs, outputs)  # the shortcut
        for block in range(blocks):
            before = stride if block or stage == 2 else stride // 2
            total += conv(before, 1, inputs, inner) + conv(stride, 3, inner, inner)
            total += conv(stride, 1, inner, outputs)
            inputs = outputs
        stages[f"res{stage}"] = total
    stages["pyramid"] = sum(
        conv(2**level, 1, 2 ** (level + 6), 256) + conv(2**level, 3, 256, 256)
        for level in range(2, 6)
    )
    stages["rpn"] = sum(
        conv(2**level, 3, 256, 256) + conv(2**level, 1, 256, 15) for level in range(2, 7)
    )
    training = case.kind == "training"
    rois, masks = (_SAMPLES, 0) if training else (_PROPOSALS, _DETECTIONS)
    units = 7 * 7 * 256 * 1024 + 1024 * 1024 + 1024 * (5 * _CLASSES + 1)
    stages["box head"] = 2.0 * rois * units
    cell = 4 * 9 * 256 * 256 + 4 * 256 * 256 + 4 * 256 * _CLASSES
    stages["mask head"] = 2.0 * masks * 14 * 14 * cell
    return {name: case.batch * flops for name, flops in stages.items()}


def multiplications(case: Any) -> float:
    """FLOPs of one repetition at least; a stage that trains costs three forward passes."""
    frozen = ("stem", "res2")
    return sum(
        flops * (3 if case.kind == "training" and stage not in frozen else 1)
        for stage, flops in stage_flops(case).items()
    )


def matmul_rate(dtype: str, device: str) -> float:
    """FLOP/s of a 4096 x 4096 x 4096 product in TensorFlow, by a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, dtype, device],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=os.environ | environment(device),
    )
    return float(done.stdout)


def environment(device: str) -> dict[str, str]:
    """What a process must find set so that it uses this device, and two fit on one GPU."""
    hidden = {"CUDA_VISIBLE_DEVICES": "-1"}
    return hidden if device == "cpu" else {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}


def _measure(dtype: str, device: str) -> float:
    import tensorflow as tf

    side = 4096
    # A GPU's takes less than it takes to launch one and fetch the result.
    products = 1 if device == "cpu" else 50
    a = tf.cast(tf.random.normal((side, side)), dtype)
    product = tf.function(lambda x: tf.linalg.matmul(x, x))
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        for _ in range(products):
            result = product(a)
        result[0, 0].numpy()
        seconds.append(time.perf_counter() - start)
    return products * 2.0 * side**3 / statistics.median(seconds[1:])


if __name__ == "__main__":
    print(_measure(*sys.argv[1:]))
