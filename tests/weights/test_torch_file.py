"""PyTorch's files: what is read, and what is refused."""

import os
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest
from torch_writer import write_torch_file

from keras_maskrcnn.weights import limits
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
    with pytest.raises(ValueError, match="refused: it changes 'FloatStorage'"):
        read_torch_file(path)


def _write_view(path, monkeypatch, offset, shape, strides, legacy=False):
    """A storage of 6 float32 from 0, and a view of it."""
    import torch_writer

    class View(torch_writer._Tensor):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.view = (offset, shape, strides, False, None)

    monkeypatch.setattr(torch_writer, "_Tensor", View)
    return write_torch_file(path, {"t": np.arange(6, dtype="float32")}, legacy=legacy)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    ("offset", "shape", "strides", "expected"),
    [
        (1, (2, 2), (2, 1), [[1, 2], [3, 4]]),
        (0, (3, 2), (1, 3), [[0, 3], [1, 4], [2, 5]]),
        (5, (), (), 5),
        (4, (1, 2), (0, 1), [[4, 5]]),  # the stride of a single element does not matter
        (0, (2, 0), (0, 0), np.zeros((2, 0))),
    ],
)
def test_views(tmp_path, monkeypatch, offset, shape, strides, expected, legacy):
    path = _write_view(tmp_path / "w.pth", monkeypatch, offset, shape, strides, legacy)
    np.testing.assert_array_equal(read_torch_file(path)["t"], expected)


@pytest.mark.parametrize(
    ("offset", "shape", "strides", "message"),
    [
        (0, (100, 100), (100, 1), "lies outside its own data of 6 elements"),
        (1, (6,), (1,), "lies outside its own data of 6 elements"),
        (0, (2,), (6,), "lies outside its own data of 6 elements"),
        (0, (3, 3), (1, 1), "lies outside its own data of 6 elements"),  # 9 of 6
        (0, (2**62, 2**62), (1, 1), "brings its tensors to"),
        (0, (-2,), (1,), "expected sizes from 0 in the shape of t"),
        (0, (-2, -3), (1, 1), "expected sizes from 0 in the shape of t"),
        (0, (2.0,), (1,), "expected sizes from 0 in the shape of t"),
        (0, [2], (1,), "expected sizes from 0 in the shape of t"),
        (0, (3,), (0,), "t repeats its data"),
        (0, (2, 2), (0, 1), "t repeats its data"),
        (5, (3,), (-1,), "t is no view"),
        (-1, (3,), (1,), "t is no view"),
        (0.0, (3,), (1,), "t is no view"),
        (0, (3,), (1, 1), "t is no view"),
        (0, (3,), None, "t is no view"),
    ],
)
def test_views_that_are_none(tmp_path, monkeypatch, offset, shape, strides, message):
    path = _write_view(tmp_path / "w.pth", monkeypatch, offset, shape, strides)
    with pytest.raises(ValueError, match=rf"w\.pth is (refused|damaged): .*{message}"):
        read_torch_file(path)


def test_one_storage_seen_over_and_over(tmp_path, monkeypatch):
    """200 transposed views of one MiB, of each of which a copy is made, in a file of 1 MiB."""
    monkeypatch.setattr(limits, "_FLOOR", 0)
    storage = b"(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI262144\nt"
    view = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"QI0\n(I512\nI512\nt(I1\nI512\nttR"
    content = b"(" + b"".join(b"S'%d'\n" % number + view for number in range(200)) + b"d."
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", content)
        archive.writestr("a/data/0", bytes(2**20))
    tracemalloc.start()
    with pytest.raises(UnsafeFileError, match=r"w\.pth is refused: .* brings its tensors to"):
        read_torch_file(path)
    assert tracemalloc.get_traced_memory()[1] < (17 + 8) * 2**20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "reference",
    [
        b"S'storage'\n",
        b"(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nt",
        b"(S'storage'\nS'QInt8Storage'\nS'0'\nS'cpu'\nI4\nt",
        b"(S'storage'\n(I1\ntS'0'\nS'cpu'\nI4\nt",
        b"(S'storage'\nctorch\nFloatStorage\nI0\nS'cpu'\nI4\nt",
        b"(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI-4\nt",
        b"(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI4\n(I0\nI4\ntt",
    ],
)
def test_references_to_data_that_are_none(tmp_path, reference):
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"(S't'\n" + reference + b"Qd.")
    with pytest.raises(ValueError, match=r"w\.pth has an unknown reference to data: "):
        read_torch_file(path)


@pytest.mark.parametrize("storage", [b"N", b"S'x'\n", b"(t"])
def test_tensor_without_data(tmp_path, storage):
    path = tmp_path / "w.pth"
    view = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"I0\n(I2\nt(I1\nttR"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"(S't'\n" + view + b"d.")
    with pytest.raises(ValueError, match=r"w\.pth is damaged: 't' has no data"):
        read_torch_file(path)


def test_data_shorter_than_its_storage(tmp_path):
    path = write_torch_file(tmp_path / "w.pth", {"t": np.zeros(4, "float32")})
    short = tmp_path / "short.pth"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(short, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name)[:12] if name == "archive/data/0" else old.read(name))
    message = r"short\.pth is incomplete: expected 16 bytes of data '0'. Received: 12"
    with pytest.raises(ValueError, match=message):
        read_torch_file(short)


def test_legacy_data_of_another_size(tmp_path):
    path = write_torch_file(tmp_path / "w.pth", {"t": np.zeros(4, "float32")}, legacy=True)
    data = path.read_bytes()
    path.write_bytes(data[:-24] + (5).to_bytes(8, "little") + data[-16:])
    with pytest.raises(ValueError, match=r"expected 4 elements of data '0'. Received: 5"):
        read_torch_file(path)


def test_big_endian_machines(tmp_path):
    path = write_torch_file(tmp_path / "w.pth", {"t": np.zeros(4, "float32")}, legacy=True)
    true, false = (pickle.dumps({"little_endian": value}, 2) for value in (True, False))
    path.write_bytes(path.read_bytes().replace(true, false))
    with pytest.raises(ValueError, match=r"w\.pth was written on a big-endian machine"):
        read_torch_file(path)


def test_packed_files_are_read(tmp_path):
    tensors = _tensors()
    path = write_torch_file(tmp_path / "w.pth", tensors)
    packed = tmp_path / "packed.pth"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    for name, array in read_torch_file(packed).items():
        np.testing.assert_array_equal(array, tensors[name])


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
    with pytest.raises(ValueError, match=r"short\.pth is incomplete: 'archive/data/0' is missing"):
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
