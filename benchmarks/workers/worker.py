"""What all sides of the end-to-end benchmark share: the conversation with it, and the inputs.

A worker reads one JSON object per line and answers with one. The first names the case; each later
one asks for a repetition or the peak of the memory: of the process, or on a GPU of what it
allocated there.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from describe import versions

CLASSES = 90
OBJECTS = 8
# On a GPU, libraries choose kernels by trying them, also for shapes that first come up later.
_WARM_UP = {"cpu": 2, "cuda": 10}


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 `[height, width, 3]`: smooth blobs, so that features differ from place to place."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(0, 255, (-(-height // 16) + 1, -(-width // 16) + 1, 3))
    rows, columns = np.arange(height) / 16, np.arange(width) / 16
    top, left = rows.astype(int), columns.astype(int)
    v, u = (rows - top)[:, None, None], (columns - left)[None, :, None]
    upper = coarse[top][:, left] * (1 - u) + coarse[top][:, left + 1] * u
    lower = coarse[top + 1][:, left] * (1 - u) + coarse[top + 1][:, left + 1] * u
    return (upper * (1 - v) + lower * v).astype("uint8")


def objects(height: int, width: int, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """`[count, 4]` boxes of 1/16 to 1/3 of the picture's sides, and classes `0..CLASSES - 1`."""
    random = np.random.default_rng(seed)
    sides = random.uniform(1 / 16, 1 / 3, (count, 2)) * (width, height)
    corners = random.uniform(0, 1, (count, 2)) * ((width, height) - sides)
    boxes = np.concatenate([corners, corners + sides], axis=1).astype("float32")
    return boxes, random.integers(0, CLASSES, count)


def detections(scores: Iterable[Any]) -> dict[str, list[Any]]:
    """How many objects each picture has, and the best score, by which sides are compared.

    Args:
        scores: `[N]` of each picture, of what was found.
    """
    pictures = [np.asarray(one, "float32") for one in scores]
    return {
        "found": [len(one) for one in pictures],
        "best": [round(float(one.max(initial=0.0)), 4) for one in pictures],
    }


def converse(
    prepare: Callable[[dict[str, Any]], Callable[[], Any]],
    packages: tuple[str, ...],
    gpu_peak: Callable[[], int] | None = None,
) -> None:
    """Serves one case.

    Args:
        prepare: makes of a case a function that does one repetition and returns when all of it is
            done; what it returns (counts, say) goes along with the seconds.
        packages: whose versions the first answer tells.
        gpu_peak: bytes that were allocated on the GPU at most, of a side that can run there.
    """
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    run: Callable[[], Any] | None = None
    device = "cpu"
    for line in sys.stdin:
        order = json.loads(line)
        if run is None:
            run, device = prepare(order), order["device"]
            for _ in range(_WARM_UP[device]):  # tracing, and kernels chosen at first use
                run()
            answer: dict[str, Any] = {"software": versions(*packages)}
        elif order == "peak":
            resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            answer = {"peak": gpu_peak() if gpu_peak and device == "cuda" else resident}
        else:
            start = time.perf_counter()
            result = run()
            answer = {"seconds": time.perf_counter() - start, "result": result}
        print(json.dumps(answer), file=answers, flush=True)
