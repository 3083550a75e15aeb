"""Writes our network with the weights of a case as an ONNX file."""

from __future__ import annotations

import json
import sys

from keras_worker import build

from keras_maskrcnn.export import export_model

if __name__ == "__main__":
    case = json.loads(sys.argv[1])
    model = build({**case, "dtype": "float32"})
    export_model(model, case["target"], "onnx", batch_size=case["batch"])
