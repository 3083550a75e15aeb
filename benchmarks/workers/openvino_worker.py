"""An ONNX file in OpenVINO: a side of the end-to-end benchmark."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import openvino
from onnx_pictures import network_inputs, what_was_found
from worker import converse

# Of an int8 file: what is not quantised.
_PRECISION = {"float32": "f32", "bfloat16": "bf16"}


def prepare(case: dict[str, Any]) -> Callable[[], Any]:
    """One repetition of a case as a function."""
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": len(os.sched_getaffinity(0)),
        "INFERENCE_PRECISION_HINT": _PRECISION[case["dtype"]],
    }
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(case["file"]), "CPU", settings)
    used = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if used != settings["INFERENCE_PRECISION_HINT"] and not case["int8"]:
        # Not an error to OpenVINO, which takes another precision where the processor lacks one.
        raise RuntimeError(f"OpenVINO computes in {used} on this processor")
    inputs = network_inputs(case)

    def infer() -> dict[str, list[Any]]:
        found = compiled(inputs).to_dict()
        return what_was_found(
            case, {output.get_any_name(): values for output, values in found.items()}
        )

    return infer


if __name__ == "__main__":
    converse(prepare, ("openvino",))
