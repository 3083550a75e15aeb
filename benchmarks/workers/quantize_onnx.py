"""Quantises an ONNX file of either network to int8, as `keras_maskrcnn.export` does.

Calibrated on a few pictures of noise: good enough for timing, not for using it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from onnx_pictures import network_inputs

from keras_maskrcnn.export.int8 import quantize

BATCHES = 2

if __name__ == "__main__":
    case = json.loads(sys.argv[1])
    # Not those that are timed.
    batches = (network_inputs(case, 100 + i * case["batch"]) for i in range(BATCHES))
    quantize(Path(case["source"]), Path(case["target"]), batches)
