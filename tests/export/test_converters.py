"""ONNX and LiteRT files of the network: equal to `predict`, or refused with the reason."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_maskrcnn.export import export_model
from keras_maskrcnn.export.converters import check_onnx_ops

from .conftest import distinct_model, make_picture


@pytest.fixture(scope="module")
def model():
    return distinct_model()


def batches():
    """Network inputs of unlike sizes, padded as `predict` pads."""
    for canvas, sizes in [((96, 128), [(96, 128), (90, 100)]), ((128, 96), [(128, 70)])]:
        images = np.zeros((len(sizes), *canvas, 3), "float32")
        for seed, (height, width) in enumerate(sizes):
            images[seed, :height, :width] = make_picture(height, width, seed)
        yield {"images": images, "image_sizes": np.array(sizes, "int32")}


def assert_equals_predict(model, run, atol):
    for inputs in batches():
        expected, received = model.predict_on_batch(inputs), run(inputs)
        assert expected["counts"].min() > 1
        for name, values in expected.items():
            np.testing.assert_allclose(received[name], values, atol=atol, err_msg=name)


def test_onnx_equals_predict(model, tmp_path):
    pytest.importorskip("tf2onnx", reason="needs tf2onnx")
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    file = export_model(model, tmp_path / "model.onnx", "onnx")
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    assert_equals_predict(
        model, lambda x: dict(zip(names, session.run(None, x), strict=True)), 1e-3
    )


def test_litert_equals_predict(model, tmp_path):
    file = export_model(model, tmp_path / "model.tflite", "litert")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # another package will hold the interpreter
        interpreter = tf.lite.Interpreter(str(file))
    assert_equals_predict(model, lambda x: interpreter.get_signature_runner()(**x), 1e-3)


def test_onnx_op_that_the_converter_left_is_named(tmp_path):
    onnx = pytest.importorskip("onnx", reason="needs onnx")
    helper = onnx.helper
    value = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    yes = helper.make_tensor_value_info("c", onnx.TensorProto.BOOL, [])
    inner = helper.make_graph([helper.make_node("Bitcast", ["x"], ["y"])], "inner", [], [value])
    branch = helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner)
    graph = helper.make_graph([branch], "outer", [yes], [value])
    onnx.save(helper.make_model(graph), tmp_path / "model.onnx")
    with pytest.raises(ValueError, match="ONNX has no op for TensorFlow's Bitcast"):
        check_onnx_ops(tmp_path / "model.onnx")


def test_refusals_leave_nothing(model, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"must end with \.onnx for format='onnx'"):
        export_model(model, tmp_path / "model.tflite", "onnx")
    for options in ({"rle_masks": True}, {"version": 2}, {"max_pixels": 9}):
        with pytest.raises(ValueError, match="input_dtype belong to format='tf_saved_model'"):
            export_model(model, tmp_path / "model.onnx", "onnx", **options)
    message = (
        "Could not translate\nTF Select ops: StridedSlice, Unpack\nDetails:\n" + "%1 = op\n" * 999
    )
    monkeypatch.setattr(keras.Model, "export", raise_error(RuntimeError(message)))
    with pytest.raises(ValueError) as error:
        export_model(model, tmp_path / "model.tflite", "litert")
    assert str(error.value) == (
        "this model cannot be converted to format='litert': LiteRT has no op for TensorFlow's "
        "StridedSlice, Unpack"
    )
    monkeypatch.setattr(keras.Model, "export", raise_error(RuntimeError("out of\n memory")))
    with pytest.raises(ValueError, match="'onnx': RuntimeError: out of  memory$"):
        export_model(model, tmp_path / "model.onnx", "onnx")
    missing = ModuleNotFoundError("No module named 'tf2onnx'")
    monkeypatch.setattr(keras.Model, "export", raise_error(missing))
    with pytest.raises(ImportError, match=r"'tf2onnx'.*pip install \"maskrcnn-keras\[onnx\]\""):
        export_model(model, tmp_path / "model.onnx", "onnx")
    assert list(tmp_path.iterdir()) == []


def raise_error(error):
    def export(*_, **__):
        raise error

    return export


def test_adaptive_roi_align_is_refused(tmp_path):
    model = distinct_model(pooler={"name": "roi_align", "sampling_ratio": 0})
    for format, suffix in (("onnx", "onnx"), ("litert", "tflite")):
        with pytest.raises(ValueError, match="Received: a model with pooler sampling_ratio=0"):
            export_model(model, tmp_path / f"model.{suffix}", format)
