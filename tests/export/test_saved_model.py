"""A SavedModel in a process that does not know this package, against `predict`."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from pycocotools import mask as coco_mask

from keras_maskrcnn.export import export_model, saved_model
from keras_maskrcnn.export.refusals import Refusal, read_refusal
from keras_maskrcnn.ops.paste import paste_crop
from keras_maskrcnn.results import Detections

from .conftest import (
    DETECTIONS,
    EXPORTED_DETECTIONS,
    assert_results_equal,
    encode_turned,
    same_arithmetic,
)

_STRANGER = """
import sys
sys.modules["keras_maskrcnn"] = None  # importing it fails
sys.modules["keras"] = None
import numpy as np
import tensorflow as tf
folder, pixels, *files = sys.argv[1:]
model = tf.saved_model.load(folder + "/1")
results = {}
pictures = np.load(pixels)
calls = {name: (model.signatures["serving_default"], pictures[name][None]) for name in pictures}
contents = [open(file, "rb").read() for file in files]
calls["files"] = (model.signatures["encoded"], contents)
for call, (signature, value) in calls.items():
    for name, output in signature(tf.constant(value)).items():
        results[f"{call}:{name}"] = output.numpy()
results["class_names"] = open(model.assets["class_names"].asset_path.numpy(), "rb").read()
results["config"] = open(model.assets["config"].asset_path.numpy(), "rb").read()
np.savez(folder + "/results.npz", **{k: v.astype("S") if v.dtype == object else v
                                     for k, v in results.items() if not isinstance(v, bytes)},
         **{k: np.frombuffer(v, np.uint8) for k, v in results.items() if isinstance(v, bytes)})
"""


@pytest.fixture(scope="module")
def stranger(exported):
    """Outputs by call, of a process that cannot import the package."""
    pixels = exported.path / "pixels.npz"
    np.savez(pixels, **{str(i): picture for i, picture in enumerate(exported.pictures)})
    words = [sys.executable, "-c", _STRANGER, exported.path, pixels, *exported.files]
    subprocess.run([str(word) for word in words], check=True, cwd=exported.path)
    calls: dict = {}
    with np.load(exported.path / "results.npz") as file:
        for key, value in file.items():
            call, _, name = key.partition(":")
            calls.setdefault(call, {})[name] = value
    return calls


def test_pixels_of_three_sizes_equal_predict(exported, stranger):
    for i, expected in enumerate(exported.by_pixels):
        assert stranger[str(i)]["boxes"].shape == (1, EXPORTED_DETECTIONS, 4)
        assert_results_equal(stranger[str(i)], 0, expected)


def test_files_of_unlike_sizes_in_one_batch_equal_predict(exported, stranger):
    for row, expected in enumerate(exported.by_files):
        assert_results_equal(stranger["files"], row, expected)


def test_full_size_masks_equal_the_evaluation_path(exported, stranger):
    calls = [(stranger[str(i)], 0, d) for i, d in enumerate(exported.by_pixels)]
    calls += [(stranger["files"], row, d) for row, d in enumerate(exported.by_files)]
    for outputs, row, expected in calls:
        count = outputs["counts"][row]
        size = tuple(outputs["image_sizes"][row].tolist())
        strings = [text.decode("ascii") for text in outputs["mask_rles"][row].tolist()]
        assert strings[count:] == [""] * (EXPORTED_DETECTIONS - count)
        # What evaluation makes of the same boxes and probabilities: the same text.
        names = ("boxes", "classes", "scores", "masks")
        received = Detections(*(outputs[name][row][:count] for name in names), size)
        assert strings[:count] == [rle["counts"] for rle in received.rles()]
        # And of predict's own: the same pixels, but for values that lie on the threshold.
        for text, mask, box, rle in zip(
            strings, expected.mask_probabilities, expected.boxes, expected.rles(), strict=False
        ):
            drawn = coco_mask.decode({"size": size, "counts": text})
            left, top, values = paste_crop(mask, box, size)
            rows, columns = np.nonzero(drawn != coco_mask.decode(rle))
            assert np.all(np.abs(values[rows - top, columns - left] - 0.5) < 1e-4)
            assert len(rows) <= 2


def test_assets(exported, stranger):
    assert stranger["class_names"][""].tobytes().decode() == "cup\nnaïve ring\n"
    config = json.loads(stranger["config"][""].tobytes())
    assert config["model"]["class_names"] == ["cup", "naïve ring"]
    assert config["export"] == {
        "score_threshold": 0.0,
        "max_detections": EXPORTED_DETECTIONS,
        "nms_iou": 0.5,
        "rle_masks": True,
        "max_pixels": 100_000_000,
        "input_dtype": "uint8",
    }


def test_class_names_come_with_each_picture(stranger):
    names = [[b"cup", "naïve ring".encode()]]
    assert stranger["0"]["class_names"].tolist() == names
    assert stranger["files"]["class_names"].tolist() == names * 4


@pytest.fixture(scope="module")
def loaded(exported):
    return tf.saved_model.load(str(exported.path / "1"))


@pytest.mark.parametrize("damage", ["truncated JPEG", "truncated PNG", "empty", "no picture"])
def test_broken_picture_is_named_by_position(exported, loaded, damage):
    good = exported.files[0].read_bytes()
    broken = {
        "truncated JPEG": good[: len(good) // 2],
        "truncated PNG": exported.files[1].read_bytes()[:300],
        "empty": b"",
        "no picture": b"<html>not found</html>",
    }[damage]
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        loaded.signatures["encoded"](tf.constant([good, broken, good]))
    refusal = read_refusal(error.value.message)
    assert refusal == Refusal(
        1,
        "Cannot decode the picture: expected a whole JPEG, PNG, BMP or GIF file. "
        f"Received: {len(broken)} bytes",
    )


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_a_photograph_is_the_same_however_it_is_stored(exported, loaded, format):
    """Turned as EXIF says, all eight files show the same pixels."""
    picture = np.repeat(np.repeat(exported.pictures[0][::8, ::8], 8, 0), 8, 1)
    first = None
    for orientation in range(1, 9):
        content = encode_turned(picture, format, orientation)
        outputs = loaded.signatures["encoded"](tf.constant([content]))
        outputs = {name: value.numpy() for name, value in outputs.items()}
        first = first or outputs
        for name, value in outputs.items():
            np.testing.assert_array_equal(value, first[name], err_msg=f"{name}, {orientation}")
    assert first["image_sizes"].tolist() == [[152, 216]]
    if format == "PNG":
        with same_arithmetic():
            (expected,) = exported.model.predict(picture, verbose=0)
        assert_results_equal(first, 0, expected[:EXPORTED_DETECTIONS])


def test_picture_without_pixels_is_refused(loaded):
    with pytest.raises(tf.errors.InvalidArgumentError, match="at least one pixel"):
        loaded.signatures["serving_default"](tf.zeros([1, 0, 5, 3], tf.uint8))


def test_model_is_as_before(exported):
    assert exported.backends_after == [None, None, None]
    assert EXPORTED_DETECTIONS < exported.found_after <= DETECTIONS


class _CallsPython(tf.Module):
    def __init__(self, *_):
        super().__init__()

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
        def double(x):
            return {"y": tf.map_fn(lambda v: tf.numpy_function(lambda w: 2 * w, [v], v.dtype), x)}

        self.serving_default = self.encoded = double.get_concrete_function()


def test_versions_and_refusals(exported, tmp_path, monkeypatch):
    model = exported.model
    monkeypatch.setattr(saved_model, "_Served", _CallsPython)
    with pytest.raises(ValueError, match=r"stock TensorFlow ops.*PyFunc \(node .*while_body"):
        export_model(model, tmp_path / "served")
    assert list((tmp_path / "served").iterdir()) == []

    monkeypatch.setattr(saved_model, "check_stock_ops", lambda folder: None)
    assert export_model(model, tmp_path / "served") == tmp_path / "served" / "1"
    assert export_model(model, tmp_path / "served", version=9).name == "9"
    assert export_model(model, tmp_path / "served").name == "10"
    with pytest.raises(ValueError, match="exists already. Received: version=9"):
        export_model(model, tmp_path / "served", version=9)
    assert sorted(p.name for p in (tmp_path / "served").iterdir()) == ["1", "10", "9"]
    with pytest.raises(ValueError, match="version must be at least 1"):
        export_model(model, tmp_path / "served", version=0)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="must be a folder"):
        export_model(model, tmp_path / "file")
    with pytest.raises(ValueError, match="Received: nms_iou=1.5"):
        export_model(model, tmp_path / "served", nms_iou=1.5)
    with pytest.raises(ValueError, match="Received: max_pixels=0"):
        export_model(model, tmp_path / "served", max_pixels=0)
    with pytest.raises(ValueError, match="Received: max_detections=0"):
        export_model(model, tmp_path / "served", max_detections=0)
    with pytest.raises(ValueError, match=r"no further options. Received: \['opset_version'\]"):
        export_model(model, tmp_path / "served", opset_version=18)
    with pytest.raises(ValueError, match="format must be one of"):
        export_model(model, tmp_path / "served", "keras")
