"""ONNX and LiteRT files of the network: equal to `predict`, or refused with the reason.

ONNX files are read by ONNX Runtime and OpenVINO; that TensorRT would is told by its list of ops.
"""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import MASK, keypoint_head, tiny_model
from onnx_operators import ALLOWED
from openvino_process import in_openvino

from keras_maskrcnn import MaskRCNN
from keras_maskrcnn.demo.model import compact_settings
from keras_maskrcnn.export import export_model

from .conftest import distinct_model, make_picture


@pytest.fixture(scope="module")
def model():
    return distinct_model()


def batches(limit=None):
    """Network inputs of unlike sizes, padded as `predict` pads; of `limit` pictures or fewer."""
    for canvas, sizes in [
        ((96, 128), [(96, 128), (90, 100)][:limit]),
        ((128, 96), [(128, 70)]),
        ((96, 128), [(77, 128), (96, 80)][:limit]),
    ]:
        images = np.zeros((len(sizes), *canvas, 3), "float32")
        for seed, (height, width) in enumerate(sizes):
            images[seed, :height, :width] = make_picture(height, width, seed)
        yield {"images": images, "image_sizes": np.array(sizes, "int32")}


def assert_equals_predict(model, run, atol, calls=None):
    for inputs in calls or batches():
        expected, received = model.predict_on_batch(inputs), run(inputs)
        assert expected["counts"].min() > 1
        for name, values in expected.items():
            np.testing.assert_allclose(received[name], values, atol=atol, err_msg=name)


def in_onnxruntime(file):
    """What runs the file."""
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(None, inputs), strict=True))


def op_types(file):
    onnx = pytest.importorskip("onnx", reason="needs onnx")
    from keras_maskrcnn.export.onnx_files import onnx_nodes

    return {node.op_type for node in onnx_nodes(onnx.load(str(file)).graph)}


@pytest.fixture(scope="module")
def onnx_file(model, tmp_path_factory):
    """For one picture a call."""
    pytest.importorskip("tf2onnx", reason="needs tf2onnx")
    return export_model(model, tmp_path_factory.mktemp("one") / "model.onnx", "onnx")


def test_onnx_equals_predict(model, onnx_file):
    assert_equals_predict(model, in_onnxruntime(onnx_file), 1e-4, batches(1))


def test_onnx_consists_of_what_tensorrt_knows(onnx_file):
    assert op_types(onnx_file) - ALLOWED == set()


@pytest.mark.slow  # Two programs to be started.
def test_openvino_equals_predict(model, onnx_file):
    assert_equals_predict(model, in_openvino(onnx_file), 1e-3, batches(1))


@pytest.mark.slow
def test_onnx_of_two_pictures(model, tmp_path):
    pytest.importorskip("tf2onnx", reason="needs tf2onnx")
    file = export_model(model, tmp_path / "two.onnx", "onnx", batch_size=2)
    assert op_types(file) - ALLOWED == set()
    pairs = [inputs for inputs in batches() if len(inputs["images"]) == 2]
    assert_equals_predict(model, in_onnxruntime(file), 1e-4, pairs)
    assert_equals_predict(model, in_openvino(file), 1e-3, pairs)


@pytest.mark.slow
def test_onnx_of_any_number(model, tmp_path):
    pytest.importorskip("tf2onnx", reason="needs tf2onnx")
    file = export_model(model, tmp_path / "any.onnx", "onnx", batch_size="any")
    # Not for TensorRT, which the documentation says.
    assert op_types(file) - ALLOWED == {"Abs", "Loop", "Reciprocal"}
    assert_equals_predict(model, in_onnxruntime(file), 1e-4)


@pytest.mark.slow
def test_keypoints_in_onnx(tmp_path):
    """A loop over the objects, each of which is enlarged to its own size."""
    pytest.importorskip("tf2onnx", reason="needs tf2onnx")
    model = distinct_model(heads=(MASK, keypoint_head(3)))
    file = export_model(model, tmp_path / "model.onnx", "onnx")
    # Not for TensorRT, which the documentation says.
    assert op_types(file) - ALLOWED == {"Abs", "Loop", "Reciprocal"}
    assert_equals_predict(model, in_onnxruntime(file), 1e-4, batches(1))
    assert_equals_predict(model, in_openvino(file), 1e-3, batches(1))


@pytest.mark.slow
def test_onnx_of_a_picture_without_objects(tmp_path):
    pytest.importorskip("tf2onnx", reason="needs tf2onnx")
    model = tiny_model(box={"score_threshold": 1.0})
    file = export_model(model, tmp_path / "model.onnx", "onnx")
    inputs = next(batches(1))
    for run in (in_onnxruntime(file), in_openvino(file)):
        found = run(inputs)
        assert found["counts"].tolist() == [0]
        assert not found["masks"].any()
        np.testing.assert_array_equal(found["classes"], -1)


def in_litert(file):
    """What runs the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # another package will hold the interpreter
        interpreter = tf.lite.Interpreter(str(file))
    return lambda inputs: interpreter.get_signature_runner()(**inputs)


@pytest.mark.slow  # A minute; the smaller one below is converted each time.
def test_litert_equals_predict(model, tmp_path):
    file = export_model(model, tmp_path / "model.tflite", "litert")
    assert_equals_predict(model, in_litert(file), 1e-3)


@pytest.mark.slow  # Conversions.
@pytest.mark.parametrize("nms", ["soft_gaussian", "soft_linear"])
def test_soft_nms(nms, tmp_path):
    """A loop over the boxes that are taken."""
    model = distinct_model(**{"box.nms": nms})
    file = export_model(model, tmp_path / "model.tflite", "litert")
    assert_equals_predict(model, in_litert(file), 1e-3)
    pytest.importorskip("tf2onnx", reason="needs tf2onnx")
    file = export_model(model, tmp_path / "model.onnx", "onnx")
    assert "Loop" in op_types(file)  # Not for TensorRT, which the documentation says.
    assert_equals_predict(model, in_onnxruntime(file), 1e-4, batches(1))
    assert_equals_predict(model, in_openvino(file), 1e-3, batches(1))


def test_litert_of_a_backbone_that_pads(tmp_path):
    """LiteRT must know the channels of what a Keras model as backbone sees."""
    keras.utils.set_random_seed(0)
    settings = compact_settings(96)
    settings["box"]["score_threshold"] = 0.0
    model = MaskRCNN(3, **settings)
    file = export_model(model, tmp_path / "model.tflite", "litert")
    assert_equals_predict(model, in_litert(file), 1e-3)


def test_refusals_leave_nothing(model, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"must end with \.onnx for format='onnx'"):
        export_model(model, tmp_path / "model.tflite", "onnx")
    for options in ({"rle_masks": True}, {"version": 2}, {"max_pixels": 9}):
        with pytest.raises(ValueError, match="input_dtype belong to format='tf_saved_model'"):
            export_model(model, tmp_path / "model.onnx", "onnx", **options)
    for batch_size in (0, 1.5, "all"):
        with pytest.raises(ValueError, match=f"Received: batch_size={batch_size!r}"):
            export_model(model, tmp_path / "model.onnx", "onnx", batch_size=batch_size)
    with pytest.raises(ValueError, match="batch_size belongs to format='onnx'"):
        export_model(model, tmp_path / "model.tflite", "litert", batch_size=1)
    with pytest.raises(ValueError, match="batch_size belongs to format='onnx'"):
        export_model(model, tmp_path / "served", batch_size=1)
    with pytest.raises(ValueError, match="input_signature says how many pictures"):
        export_model(model, tmp_path / "model.onnx", "onnx", batch_size=1, input_signature=[])
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
