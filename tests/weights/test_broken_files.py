"""Weights files of every kind that are cut off, altered, or written to do harm."""

import pickle
import struct
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest
from matterport_writer import write_matterport_file
from torch_writer import write_torch_file

from keras_maskrcnn.weights.files import read_weights_file
from keras_maskrcnn.weights.limits import Budget, UnsafeFileError

MIB = 2**20


def _numbers(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def _write_npz(path, tensors):
    np.savez(path, **tensors)
    return path


def _write_packed_npz(path, tensors):
    np.savez_compressed(path, **tensors)
    return path


def _write_pkl(path, tensors):
    path.write_bytes(pickle.dumps({"model": tensors, "__author__": "test"}, protocol=2))
    return path


# Names by which a file is recognised, and a second tensor.
TORCHVISION = {"layer4.0.conv1.weight": _numbers(2, 3, 1, 1), "bn1.bias": _numbers(5)}
DETECTRON2 = {"res5.0.conv1.weight": _numbers(2, 3, 1, 1), "stem.conv1.norm.bias": _numbers(5)}
KERAS = {"conv5_block1_1_conv/bias": _numbers(2, 3), "conv1_conv/bias": _numbers(5)}
MATTERPORT = {"res5a_branch2a/kernel": _numbers(2, 3), "bn_conv1/beta": _numbers(5)}
KINDS = {
    "pth": (write_torch_file, TORCHVISION),
    "legacy.pth": (lambda path, tensors: write_torch_file(path, tensors, legacy=True), TORCHVISION),
    "pkl": (_write_pkl, DETECTRON2),
    "npz": (_write_npz, KERAS),
    "packed.npz": (_write_packed_npz, KERAS),
    "h5": (write_matterport_file, MATTERPORT),
}
# Every member of a zip has a checksum. Elsewhere a flipped bit in a number is another number.
CHECKED = ("pth", "npz", "packed.npz")


@pytest.fixture(params=KINDS)
def case(request, tmp_path):
    """Path of a good file, and its tensors."""
    write, tensors = KINDS[request.param]
    return write(tmp_path / f"w.{request.param}", tensors), tensors


def _read(path):
    """Tensors, or `None` when the file is refused as it should be."""
    try:
        return read_weights_file(path).tensors
    except ValueError as error:
        message = str(error)
        assert message.startswith(str(path)) and len(message) < 1500, message
        return None


def _assert_equal(read, tensors):
    assert read is not None and set(read) == set(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(read[name], tensor)


def test_cut_off_anywhere(case):
    path, tensors = case
    data = path.read_bytes()
    _assert_equal(_read(path), tensors)
    for length in np.linspace(0, len(data) - 1, 60, dtype=int):
        path.write_bytes(data[:length])
        assert _read(path) is None, length


def test_altered_anywhere(case):
    path, tensors = case
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        altered = bytearray(data)
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            altered[place] = rng.integers(0, 256)
        path.write_bytes(altered)
        read = _read(path)
        if read is None:
            refused += 1
        elif path.name.split(".", 1)[1] in CHECKED:
            _assert_equal(read, tensors)
        else:
            assert all(tensor.dtype.kind in "fiub" for tensor in read.values())
            assert sum(tensor.nbytes for tensor in read.values()) < 4 * len(data)
    assert refused > 10


def _peak_mib(path):
    """How much memory is taken while a file is refused, and the words."""
    tracemalloc.start()
    try:
        with pytest.raises(UnsafeFileError) as error:
            read_weights_file(path)
        return tracemalloc.get_traced_memory()[1] / MIB, str(error.value)
    finally:
        tracemalloc.stop()


def test_limit_is_16_times_the_file_or_256_mib(tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(b"x" * 20 * MIB)
    budget = Budget(path)
    budget.take(320 * MIB, "all of it")
    with pytest.raises(UnsafeFileError, match=r"w\.pth is refused: 'more' brings its tensors to"):
        budget.take(1, "more")
    path.write_bytes(b"x")
    Budget(path).take(256 * MIB, "small networks may be of constants")
    with pytest.raises(UnsafeFileError, match=r"Expected at most 268435456.* 256 MiB"):
        Budget(path).take(256 * MIB + 1, "more")


@pytest.mark.parametrize("kind", ["pth", "legacy.pth"])
def test_ten_terabytes_of_torch(tmp_path, kind, monkeypatch):
    import torch_writer

    class Huge(torch_writer._Tensor):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.view = (0, (10**6, 25 * 10**5), (25 * 10**5, 1), False, None)

    monkeypatch.setattr(torch_writer, "_Tensor", Huge)
    write, tensors = KINDS[kind]
    peak, message = _peak_mib(write(tmp_path / "w.pth", tensors))
    assert peak < 8 and "'layer4.0.conv1.weight' brings its tensors to 100000000" in message


def test_ten_terabytes_of_numpy(tmp_path):
    path = tmp_path / "w.npz"
    header = {"descr": "<f4", "fortran_order": False, "shape": (10**6, 25 * 10**5)}
    with zipfile.ZipFile(path, "w") as archive, archive.open("a.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, header)
    peak, message = _peak_mib(path)
    assert peak < 8 and "needs 10000000000000 bytes. Received: 0" in message


def test_ten_terabytes_of_hdf5(tmp_path):
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("conv/kernel:0", (10**6, 25 * 10**5), "float32")
    peak, message = _peak_mib(path)
    assert peak < 8 and "10000000000000" in message


def test_ten_terabytes_of_detectron2(tmp_path):
    path = _write_pkl(tmp_path / "w.pkl", {"a": _numbers(4)})
    # The shape (4,), as one of ten terabytes.
    data = path.read_bytes().replace(
        b"K\x04\x85", b"\x8a\x08" + struct.pack("<q", 10**13) + b"\x85"
    )
    path.write_bytes(data)
    peak, message = _peak_mib(path)
    assert peak < 8 and "'a' brings its tensors to 40000000000000" in message


def _write_zeros(path, size, method=zipfile.ZIP_DEFLATED):
    """A member of zeros, packed."""
    with (
        zipfile.ZipFile(path, "w", method, compresslevel=1) as archive,
        archive.open("a.npy", "w") as file,
    ):
        for _ in range(size // MIB):
            file.write(bytes(MIB))
    return path


def test_packed_zeros_are_not_unpacked(tmp_path):
    path = _write_zeros(tmp_path / "w.npz", 300 * MIB)
    assert path.stat().st_size < 2 * MIB
    peak, message = _peak_mib(path)
    assert peak < 8 and "'a.npy' brings its tensors to" in message


def test_member_that_unpacks_to_more_than_it_says(tmp_path):
    path = _write_zeros(tmp_path / "w.npz", 64 * MIB)
    data = path.read_bytes().replace(struct.pack("<I", 64 * MIB), struct.pack("<I", 1000))
    path.write_bytes(data)
    tracemalloc.start()
    assert _read(path) is None
    assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    tracemalloc.stop()


def test_packed_otherwise(tmp_path):
    path = _write_zeros(tmp_path / "w.npz", MIB, zipfile.ZIP_LZMA)
    with pytest.raises(UnsafeFileError, match=r"w\.npz is refused: 'a\.npy' is encrypted, or pack"):
        read_weights_file(path)


def test_encrypted(tmp_path):
    path = _write_npz(tmp_path / "w.npz", KERAS)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # flag of the first member
    path.write_bytes(data)
    with pytest.raises(UnsafeFileError, match=r"w\.npz is refused: .* is encrypted"):
        read_weights_file(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name(tmp_path):
    path = tmp_path / "w.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for value in (b"1", b"2"):
            archive.writestr("a.npy", value)
    with pytest.raises(ValueError, match=r"w\.npz is damaged: two of its members have one name"):
        read_weights_file(path)


@pytest.mark.parametrize(
    "array",
    [np.array([{}], object), np.array(["text"]), np.zeros(2, "f4,i4"), np.zeros(2, "complex64")],
)
def test_numpy_arrays_of_no_plain_numbers(tmp_path, array):
    np.savez(tmp_path / "w.npz", a=array)
    with pytest.raises(UnsafeFileError, match=r"expected plain numbers in 'a\.npy'"):
        read_weights_file(tmp_path / "w.npz")


def test_numpy_in_other_orders(tmp_path):
    tensors = {
        **KERAS,
        "fortran": np.asfortranarray(_numbers(2, 3)),
        "big": np.arange(3, dtype=">i4"),
        "scalar": np.array(2.0),
        "empty": np.zeros((0, 3)),
    }
    read = read_weights_file(_write_npz(tmp_path / "w.npz", tensors)).tensors
    _assert_equal(read, tensors)
    assert all(tensor.dtype.isnative for tensor in read.values())


@pytest.mark.parametrize("name", ["a\nb", "n" * 300, 7])
def test_names(tmp_path, name):
    path = _write_pkl(tmp_path / "w.pkl", {name: _numbers(1)})
    with pytest.raises(ValueError, match=r"w\.pkl is damaged: expected printable names"):
        read_weights_file(path)


def test_old_and_new_names_of_one_tensor(tmp_path):
    tensors = {
        "backbone.body.layer4.0.conv1.weight": _numbers(1),
        "rpn.head.conv.weight": _numbers(1),
        "rpn.head.conv.0.0.weight": _numbers(1),
    }
    path = write_torch_file(tmp_path / "w.pth", tensors)
    with pytest.raises(ValueError, match=r"old names and under the new: \['rpn\.head\.conv\.w"):
        read_weights_file(path)
