"""An ONNX file that is run as a `MaskRCNN` is."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from keras_maskrcnn.optional import needed_for


class OnnxRunner:
    """A file of `export_model` in ONNX Runtime, on the CPU, as `evaluate_coco` takes a model.

    Args:
        file: for one picture a call, or any number.
        model: the `MaskRCNN` that it was made of, which knows how pictures become its input.
    """

    def __init__(self, file: str | os.PathLike[str], model: Any) -> None:
        with needed_for("running an ONNX file", "maskrcnn-keras[int8]"):
            import onnxruntime

        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(os.fspath(file), providers=providers)
        self._names = [output.name for output in self._session.get_outputs()]
        self.pixels, self.input_size = model.pixels, model.input_size
        self.num_classes, self.given_class_names = model.num_classes, model.given_class_names
        self.keypoint_shift = model.keypoint_shift

    def predict_on_batch(self, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
        """As `MaskRCNN.predict_on_batch`."""
        arrays = {name: np.asarray(values) for name, values in inputs.items()}
        return dict(zip(self._names, self._session.run(None, arrays), strict=True))
