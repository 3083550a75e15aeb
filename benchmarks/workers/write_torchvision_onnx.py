"""Writes torchvision's network as an ONNX file for pictures of one size."""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
from onnx_pictures import TORCHVISION_OUTPUTS, torchvision_names
from torchvision_worker import build_for, tensors

if __name__ == "__main__":
    case: dict[str, Any] = json.loads(sys.argv[1])
    batch = range(case["batch"])
    # By tracing: the exporter by `torch.export` (PyTorch 2.13) does not get through `batched_nms`,
    # which chooses its way by the number of boxes.
    torch.onnx.export(
        build_for(case).eval(),
        (tensors(case),),
        case["target"],
        dynamo=False,
        opset_version=17,
        input_names=torchvision_names("image", case["batch"]),
        output_names=[f"{name}_{i}" for i in batch for name in TORCHVISION_OUTPUTS],
    )
