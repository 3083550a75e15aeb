"""detectron2's pickles: what is read, and what is refused."""

import os
import pickle

import numpy as np
import pytest

from keras_maskrcnn.weights.detectron2_file import read_detectron2_file
from keras_maskrcnn.weights.safe_pickle import UnsafeFileError


def _write(path, content, protocol=2):
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def _tensors():
    rng = np.random.default_rng(0)
    return {
        "stem.conv1.weight": rng.normal(size=(4, 3, 2, 2)).astype("float32"),
        "transposed": np.asfortranarray(rng.normal(size=(3, 5)).astype("float32")),
        "double": rng.normal(size=2),
    }


@pytest.mark.parametrize("protocol", [2, 4])
def test_reads_back(tmp_path, protocol):
    tensors = _tensors()
    content = {"model": tensors, "__author__": "Detectron2 Model Zoo", "n": np.float64(2.5)}
    read = read_detectron2_file(_write(tmp_path / "w.pkl", content, protocol))
    assert list(read) == list(tensors)
    for name, array in tensors.items():
        np.testing.assert_array_equal(read[name], array)


def test_reads_what_python_2_wrote(tmp_path):
    # The published files are of Python 2: byte strings, and numpy's names of then. Written out
    # by hand: {'model': {'b': array([1., 2.], float32)}}
    state = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
        b"(I1\n(I2\ntcnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
        b"I00\nS'\\x00\\x00\\x80?\\x00\\x00\\x00@'\ntb"
    )
    path = tmp_path / "w.pkl"
    path.write_bytes(b"\x80\x02(S'model'\n(S'b'\n" + state + b"dd.")
    np.testing.assert_array_equal(read_detectron2_file(path)["b"], np.float32([1, 2]))


def test_a_file_cannot_change_numpys_own_dtypes(tmp_path):
    # dtype('f4') with the state of a big-endian one
    path = tmp_path / "w.pkl"
    path.write_bytes(b"\x80\x02cnumpy\ndtype\n(S'f4'\ntR(I3\nS'>'\nNNNI-1\nI-1\nI0\ntb.")
    with pytest.raises(ValueError, match="no detectron2 checkpoint"):
        read_detectron2_file(path)
    assert np.dtype("f4").isnative


class _Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_malicious_file_is_refused_and_not_run(tmp_path):
    trace = tmp_path / "trace"
    path = _write(tmp_path / "w.pkl", {"model": {**_tensors(), "evil": _Malicious(trace)}})
    with pytest.raises(UnsafeFileError, match=r"w\.pkl is refused: it asks to run .*\.system'"):
        read_detectron2_file(path)
    assert not trace.exists()


def test_references_outside_the_pickle_are_refused(tmp_path):
    path = tmp_path / "w.pkl"
    path.write_bytes(b"\x80\x02X\x01\x00\x00\x00aQ.")
    with pytest.raises(UnsafeFileError, match="outside the pickle"):
        read_detectron2_file(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"blobs": {}}, "Detectron 1's format"),
        ([1, 2], "expected a dict with a 'model'"),
        ({"model": {"a": "text"}}, r"\['a'\] are not arrays"),
        ({"model": {}}, "no detectron2 checkpoint"),
    ],
)
def test_other_content(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_detectron2_file(_write(tmp_path / "w.pkl", content))


def test_damaged_file(tmp_path):
    path = _write(tmp_path / "w.pkl", {"model": _tensors()})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"w\.pkl is not readable as pickled weights"):
        read_detectron2_file(path)
