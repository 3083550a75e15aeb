"""An ONNX file in ONNX Runtime: a side of the end-to-end benchmark."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import onnxruntime
from onnx_pictures import network_inputs, what_was_found
from worker import converse


def prepare(case: dict[str, Any]) -> Callable[[], Any]:
    """One repetition of a case as a function."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    # Its idle threads would otherwise spin while the next side is timed.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(
        case["file"], options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    inputs = network_inputs(case)
    return lambda: what_was_found(case, dict(zip(names, session.run(None, inputs), strict=True)))


if __name__ == "__main__":
    converse(prepare, ("onnxruntime",))
