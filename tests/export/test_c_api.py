"""A SavedModel through TensorFlow's C API, without Python: as a server runs it."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_maskrcnn.export.refusals import read_refusal

from .conftest import EXPORTED_DETECTIONS, assert_results_equal

pytestmark = pytest.mark.slow  # A compiler, and a process that loads the model anew.

_SHAPES = {
    "boxes": (4,),
    "scores": (),
    "classes": (),
    "masks": (28, 28),
    "keypoints": (2, 3),
}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = Path(tf.sysconfig.get_lib())
    libraries = ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"]
    if not all((folder / library).exists() for library in libraries):
        pytest.skip("this TensorFlow has no libtensorflow_cc.so.2")
    binary = tmp_path_factory.mktemp("c") / "serve"
    words = [compiler, "-O1", "-Wall", "-Werror", Path(__file__).with_name("serve.c"), "-o", binary]
    words += ["-isystem", tf.sysconfig.get_include(), "-L", folder, f"-Wl,-rpath,{folder}"]
    words += [f"-l:{library}" for library in libraries]
    subprocess.run([str(word) for word in words], check=True)
    return binary


@pytest.fixture(scope="module")
def outputs(program, exported, tmp_path_factory):
    """What each call gave, all of one process: three sizes, a batch of files, a broken file."""
    folder = tmp_path_factory.mktemp("calls")
    content = saved_model_pb2.SavedModel()
    content.ParseFromString((exported.path / "1" / "saved_model.pb").read_bytes())
    signatures = content.meta_graphs[0].signature_def
    words: list = [program, exported.path / "1"]

    def call(name, signature, *arguments):
        """In the C API the outputs go by names that the file tells."""
        (folder / name).mkdir()
        (given,) = signatures[signature].inputs.values()
        words.extend(["--"] * (len(words) > 2) + [given.name.partition(":")[0], *arguments])
        for output, tensor in signatures[signature].outputs.items():
            operation, _, index = tensor.name.partition(":")
            words.extend([operation, index, folder / name / output])

    for i, picture in enumerate(exported.pictures):
        picture.tofile(folder / f"{i}.pixels")
        words_of = ("pixels", *picture.shape[:2], folder / f"{i}.pixels")
        call(str(i), "serving_default", *words_of)
    broken = folder / "broken.jpg"
    broken.write_bytes(exported.files[0].read_bytes()[:400])
    call("broken", "encoded", "files", 2, exported.files[2], broken)
    call("files", "encoded", "files", len(exported.files), *exported.files)
    done = subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True)
    results = {name: read(folder / name) for name in ("0", "1", "2", "files")}
    return {**results, "errors": done.stderr, "broken": list((folder / "broken").iterdir())}


def read(folder):
    batch = (folder / "counts").stat().st_size // 4
    results = {
        "counts": np.fromfile(folder / "counts", "int32"),
        "image_sizes": np.fromfile(folder / "image_sizes", "int32").reshape(batch, 2),
        "mask_rles": (folder / "mask_rles").read_text().split("\n")[:-1],
    }
    for name, shape in _SHAPES.items():
        values = np.fromfile(folder / name, "int32" if name == "classes" else "float32")
        results[name] = values.reshape(batch, EXPORTED_DETECTIONS, *shape)
    return results


def test_pixels_equal_predict(outputs, exported):
    for i, expected in enumerate(exported.by_pixels):
        assert_results_equal(outputs[str(i)], 0, expected)


def test_files_equal_predict(outputs, exported):
    for row, expected in enumerate(exported.by_files):
        assert_results_equal(outputs["files"], row, expected)
    assert len(outputs["files"]["mask_rles"]) == len(exported.files) * EXPORTED_DETECTIONS


def test_broken_file_is_named_by_position(outputs):
    refusal = read_refusal(outputs["errors"])
    assert refusal.picture == 1
    assert refusal.error.startswith("Cannot decode the picture: ")
    assert outputs["broken"] == []
