"""PyTorch's files: what is read, and what is refused."""

import os
import pickle
import zipfile

import numpy as np
import pytest
from torch_writer import write_torch_file

from keras_maskrcnn.weights.safe_pickle import UnsafeFileError
from keras_maskrcnn.weights.torch_file import is_legacy_torch_file, read_torch_file


def _tensors():
    rng = np.random.default_rng(0)
    return {
        "conv.weight": rng.normal(size=(4, 3, 2, 2)).astype("float32"),
        "transposed": rng.normal(size=(3, 5)).astype("float32").T,
        "counter": np.array(7, "int64"),
        "empty": np.zeros((0, 3), "float32"),
        "double": rng.normal(size=2),
        "half": rng.normal(size=3).astype("float16"),
    }


@pytest.mark.parametrize("wrap", [None, "model", "state_dict"])
@pytest.mark.parametrize("legacy", [False, True])
def test_reads_back(tmp_path, legacy, wrap):
    tensors = _tensors()
    path = write_torch_file(tmp_path / "w.pth", tensors, legacy=legacy, wrap=wrap)
    assert is_legacy_torch_file(path) == legacy
    read = read_torch_file(path)
    assert list(read) == list(tensors)
    for name, array in tensors.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype and read[name].flags.c_contiguous


class _Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("legacy", [False, True])
def test_malicious_file_is_refused_and_not_run(tmp_path, legacy):
    trace = tmp_path / "trace"
    content = {**_tensors(), "evil": _Malicious(trace)}
    path = write_torch_file(tmp_path / "w.pth", content, legacy=legacy)
    with pytest.raises(UnsafeFileError, match=r"w\.pth is refused: it asks to run .*\.system'"):
        read_torch_file(path)
    assert not trace.exists()


def test_malicious_file_that_starts_with_the_call(tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(pickle.dumps(_Malicious(tmp_path / "trace"), protocol=2))
    with pytest.raises(UnsafeFileError, match="system"):
        read_torch_file(path)
    assert not is_legacy_torch_file(path)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("name", ["builtins.eval", "torch.hub.load", "collections.Counter"])
def test_other_names_are_refused(tmp_path, name):
    module, _, attribute = name.rpartition(".")
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", f"c{module}\n{attribute}\n.".encode())
    with pytest.raises(UnsafeFileError, match=f"asks to run '{name}'"):
        read_torch_file(path)


def test_a_file_cannot_change_the_reader(tmp_path):
    # Sets attributes of torch.FloatStorage, as a pickle may of any object that it names.
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"ctorch\nFloatStorage\n(S'name'\nS'LongStorage'\ndb.")
    with pytest.raises(ValueError, match="not readable as pickled weights"):
        read_torch_file(path)


def test_view_outside_its_storage_is_refused(tmp_path, monkeypatch):
    import torch_writer

    class Outside(torch_writer._Tensor):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.view = (0, (100, 100), (100, 1), False, None)

    monkeypatch.setattr(torch_writer, "_Tensor", Outside)
    path = write_torch_file(tmp_path / "w.pth", {"t": np.zeros(4, "float32")})
    with pytest.raises(UnsafeFileError, match="outside its own data"):
        read_torch_file(path)


def test_truncated_legacy_file(tmp_path):
    path = write_torch_file(tmp_path / "w.pth", _tensors(), legacy=True)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"w\.pth is (incomplete|damaged)"):
        read_torch_file(path)


def test_missing_data(tmp_path):
    path = write_torch_file(tmp_path / "w.pth", _tensors())
    short = tmp_path / "short.pth"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(short, "w") as new:
        for name in old.namelist():
            if name != "archive/data/0":
                new.writestr(name, old.read(name))
    with pytest.raises(ValueError, match=r"short\.pth is incomplete: data/0 is missing"):
        read_torch_file(short)


def test_not_a_state_dict(tmp_path):
    path = write_torch_file(tmp_path / "w.pth", {"a": np.zeros(1, "float32"), "lr": 0.1})
    with pytest.raises(ValueError, match=r"\['lr'\] are not tensors"):
        read_torch_file(path)
    path = write_torch_file(tmp_path / "e.pth", {})
    with pytest.raises(ValueError, match="no state dict"):
        read_torch_file(path)


def test_file_of_pytorch_itself(tmp_path):
    torch = pytest.importorskip("torch")
    tensors = {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.ones(2, dtype=torch.bfloat16)}
    for legacy in (False, True):
        path = tmp_path / f"{legacy}.pth"
        torch.save(tensors, path, _use_new_zipfile_serialization=not legacy)
        read = read_torch_file(path)
        np.testing.assert_array_equal(read["a"], [[0, 3], [1, 4], [2, 5]])
        np.testing.assert_array_equal(read["b"], np.ones(2, "float32"))
