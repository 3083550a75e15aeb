"""OpenVINO in a process of its own.

Beside TensorFlow and ONNX Runtime a second compilation never ended (OpenVINO 2026.4, two cores).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import run_python

_SCRIPT = """
import sys
import numpy as np
import openvino

file, inputs, outputs = sys.argv[1:]
core = openvino.Core()
found = core.compile_model(core.read_model(file), "CPU")(dict(np.load(inputs))).to_dict()
np.savez(outputs, **{output.get_any_name(): values for output, values in found.items()})
"""


def in_openvino(file: Path) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """What runs an ONNX file."""
    pytest.importorskip("openvino", reason="needs openvino")

    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        with tempfile.TemporaryDirectory() as folder:
            given, found = Path(folder) / "inputs.npz", Path(folder) / "outputs.npz"
            np.savez(given, **inputs)
            run_python(_SCRIPT, file, given, found)
            return dict(np.load(found))

    return run
