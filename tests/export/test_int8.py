"""Quantised ONNX files: what they hold, what they cost, and when they are refused."""

import json
import types
from pathlib import Path

import numpy as np
import pytest
from helpers import make_data, tiny_model
from onnx_operators import ALLOWED, QUANTIZED
from openvino_process import in_openvino

from keras_maskrcnn.evaluation.metrics import CocoMetrics
from keras_maskrcnn.export import Int8Report, export_int8, int8

from .conftest import distinct_model

BEFORE = CocoMetrics({"box_ap": 0.5, "mask_ap": 0.4, "box_ap50": 0.7}, {})
AFTER = CocoMetrics({"box_ap": 0.51, "mask_ap": 0.388, "box_ap50": 0.1}, {})


def test_report_by_hand():
    report = Int8Report(Path("a/photos.onnx"), BEFORE, AFTER, 30)
    assert report.loss == pytest.approx(1.2)
    assert report.summary() == "box_ap 50.00 -> 51.00, mask_ap 40.00 -> 38.80"
    assert json.loads(report.to_json()) == {
        "file": "photos.onnx",
        "calibration_pictures": 30,
        "float32": {"box_ap": 0.5, "mask_ap": 0.4},
        "int8": {"box_ap": 0.51, "mask_ap": 0.388},
    }


@pytest.fixture
def stubs(monkeypatch):
    """No model is run: what is written, and AP, are given."""
    pytest.importorskip("onnxruntime.quantization", reason="needs onnxruntime")
    seen = types.SimpleNamespace(metrics={"float32": BEFORE, "int8": AFTER}, calibrated=[])
    monkeypatch.setattr(int8, "export_model", lambda model, path, *_, **__: path.touch())
    monkeypatch.setattr(int8, "OnnxRunner", lambda file, model: file)
    monkeypatch.setattr(int8, "evaluate_coco", lambda file, *_, **__: seen.metrics[file.stem])

    def quantize(source, target, inputs):
        seen.calibrated = list(inputs)
        target.write_bytes(b"int8")

    monkeypatch.setattr(int8, "quantize", quantize)
    return seen


def test_loss_is_refused_unless_asked_for(stubs, tmp_path):
    model, data = tiny_model(), make_data(tmp_path, [(64, 96)] * 5)
    folder = tmp_path / "out"
    sets = {"calibration": data, "validation": data}
    expected = "more than 1 points of AP: box_ap 50.00 -> 51.00, mask_ap 40.00 -> 38.80"
    with pytest.raises(ValueError, match=expected):
        export_int8(model, folder / "m.onnx", **sets)
    with pytest.raises(ValueError, match="int8 file takes one picture a call"):
        export_int8(model, folder / "m.onnx", **sets, batch_size=2)
    assert list(folder.iterdir()) == []
    for max_loss in (1.3, None):
        report = export_int8(model, folder / "m.onnx", **sets, pictures=3, max_loss=max_loss)
        assert (folder / "m.onnx").read_bytes() == b"int8"
        assert (folder / "m.int8.json").read_text() == report.to_json()
    # Of five pictures the first, the middle one and the last.
    assert report.pictures == len(stubs.calibrated) == 3
    every = [image for images, _ in data.batches(1, model=model) for image in images]
    for inputs, place in zip(stubs.calibrated, (0, 2, 4), strict=True):
        np.testing.assert_array_equal(inputs["images"][0], every[place])
    stubs.metrics = dict.fromkeys(stubs.metrics, CocoMetrics({"box_ap": float("nan")}, {}))
    with pytest.raises(ValueError, match="validation must have objects"):
        export_int8(model, folder / "n.onnx", **sets)
    assert not (folder / "n.onnx").exists()


@pytest.mark.slow
def test_quantised_file(tmp_path):
    onnx = pytest.importorskip("onnx", reason="needs onnx")
    pytest.importorskip("tf2onnx", reason="needs tf2onnx")
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    model, data = distinct_model(), make_data(tmp_path, [(64, 96), (96, 64), (80, 96), (70, 70)])
    data.class_names = list(model.class_names)
    file = tmp_path / "model.onnx"
    sets = {"calibration": data, "validation": data, "max_loss": None, "progress": False}
    export_int8(model, file, **sets)
    graph = onnx.load(file).graph
    kinds = {node.op_type for node in graph.node}
    assert kinds - ALLOWED == QUANTIZED
    quantised = {
        name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output
    }
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm"):
            assert set(node.input[:2]) <= quantised, node.name
        if node.op_type in ("NonMaxSuppression", "TopK", "GatherND", "ConvTranspose"):
            assert not quantised.intersection(node.input), node.name
    # As TensorRT asks.
    values = {value.name: onnx.numpy_helper.to_array(value) for value in graph.initializer}
    zeros = [values[node.input[2]] for node in graph.node if node.op_type in QUANTIZED]
    assert len(zeros) > 50
    assert all(zero.dtype == np.int8 and not zero.any() for zero in zeros)

    images, targets = next(iter(data.batches(1, model=model)))
    inputs = {"images": np.asarray(images), "image_sizes": np.asarray(targets["image_sizes"])}
    received = in_openvino(file)(inputs)
    expected = int8.OnnxRunner(file, model).predict_on_batch(inputs)
    assert received["counts"].tolist() == expected["counts"].tolist() != [0]
