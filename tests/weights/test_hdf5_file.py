"""Keras 2's files: what is read, and what is refused."""

import h5py
import numpy as np
import pytest

from keras_maskrcnn.weights.hdf5_file import read_hdf5_file
from keras_maskrcnn.weights.limits import UnsafeFileError

KERNEL = np.arange(6, dtype="float32").reshape(2, 3)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "w.h5"


def _refused(path, message):
    with pytest.raises(UnsafeFileError, match=rf"w\.h5 is refused: .*{message}"):
        read_hdf5_file(path)


def test_names_and_values(path):
    with h5py.File(path, "w") as file:
        file["conv/conv/kernel:0"] = KERNEL
        file["model/bn/bn/beta:0"] = np.array([1, 2], ">f4")
        file["compact"] = np.int64(7)
        file.create_group("input")
    read = read_hdf5_file(path)
    assert set(read) == {"conv/kernel", "bn/beta", "compact"}
    np.testing.assert_array_equal(read["conv/kernel"], KERNEL)
    np.testing.assert_array_equal(read["bn/beta"], [1, 2])
    assert read["bn/beta"].dtype.isnative and read["compact"] == 7


@pytest.mark.parametrize("version", ["earliest", "latest"])
def test_versions_of_the_format(path, version):
    with h5py.File(path, "w", libver=version) as file:
        file["conv/conv/kernel:0"] = KERNEL
    np.testing.assert_array_equal(read_hdf5_file(path)["conv/kernel"], KERNEL)


def test_whole_models_beside_their_optimizer(path):
    with h5py.File(path, "w") as file:
        file["model_weights/conv/conv/kernel:0"] = KERNEL
        file["optimizer_weights/conv/kernel/momentum:0"] = KERNEL
    assert set(read_hdf5_file(path)) == {"conv/kernel"}


@pytest.fixture
def secret(tmp_path):
    """A file that is no business of the weights."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"password")
    return secret


def test_external_data(path, secret):
    with h5py.File(path, "w") as file:
        external = [(str(secret), 0, 8)]
        file.create_dataset("conv/conv/kernel:0", (8,), "uint8", external=external)
    with h5py.File(path) as file:  # what HDF5 would give
        assert file["conv/conv/kernel:0"][()].tobytes() == b"password"
    _refused(path, "the data of 'conv/kernel' is in another file")


def test_virtual_datasets(path, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = KERNEL
        layout = h5py.VirtualLayout((2, 3), "float32")
        layout[:] = h5py.VirtualSource(other["x"])
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("conv/conv/kernel:0", layout)
    _refused(path, "'conv/kernel' is stored in chunks or in other files")


@pytest.mark.parametrize(
    "link", [h5py.ExternalLink("other.h5", "/x"), h5py.SoftLink("/conv"), h5py.SoftLink("/absent")]
)
def test_links(path, tmp_path, link):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = KERNEL
    with h5py.File(path, "w") as file:
        file["conv/kernel:0"] = KERNEL
        file["layer/kernel:0"] = link
    _refused(path, "'layer/kernel:0' is a link")


def test_link_in_place_of_the_weights(path):
    with h5py.File(path, "w") as file:
        file["model_weights"] = h5py.ExternalLink("other.h5", "/")
    _refused(path, "'model_weights' is a link")


def test_circles(path):
    with h5py.File(path, "w") as file:
        file["a/b/kernel:0"] = KERNEL
        file["a/b/a"] = file["a"]
    _refused(path, "'a/b/a' goes round in circles")


def test_groups_that_double(path):
    # 2 ** 40 ways through 40 groups.
    with h5py.File(path, "w") as file:
        group = file
        for _ in range(40):
            inner = group.create_group("a")
            group["b"] = inner
            group = inner
    _refused(path, "'b' goes round in circles")


def test_depth(path):
    with h5py.File(path, "w") as file:
        file["/".join("abcdefghijklmnopqrst")] = KERNEL
    _refused(path, "goes round in circles")


@pytest.mark.parametrize(
    "options", [{"chunks": (1, 3)}, {"compression": "gzip"}, {"maxshape": (None, 3)}]
)
def test_chunks(path, options):
    with h5py.File(path, "w") as file:
        file.create_dataset("conv/conv/kernel:0", data=KERNEL, **options)
    _refused(path, "'conv/kernel' is stored in chunks.*h5repack -l CONTI")


@pytest.mark.parametrize(
    "dtype",
    [
        h5py.string_dtype(),
        h5py.vlen_dtype("float32"),
        h5py.ref_dtype,
        np.dtype("S4"),
        np.dtype("complex64"),
        np.dtype("f4,i4"),
        np.dtype("longdouble"),
    ],
)
def test_what_are_no_plain_numbers(path, dtype):
    with h5py.File(path, "w") as file:
        file.create_dataset("conv/conv/kernel:0", (2,), dtype)
    _refused(path, "expected plain numbers in 'conv/kernel'")


def test_types_by_name(path):
    with h5py.File(path, "w") as file:
        file["layer/type"] = np.dtype("float32")
    _refused(path, "'layer/type' is no tensor")


def test_no_shape(path):
    with h5py.File(path, "w") as file:
        file["conv/kernel:0"] = h5py.Empty("float32")
    with pytest.raises(ValueError, match=r"w\.h5 is damaged: expected sizes from 0 in the shape"):
        read_hdf5_file(path)


def test_data_that_was_never_written(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("conv/conv/kernel:0", (2, 3), "float32", fillvalue=0.1)
    message = r"w\.h5 is incomplete: conv/kernel \(2, 3\) needs 24 bytes. Received: 0"
    with pytest.raises(ValueError, match=message):
        read_hdf5_file(path)


def test_one_name_twice(path):
    with h5py.File(path, "w") as file:
        file["a/conv/kernel:0"] = KERNEL
        file["b/conv/kernel:0"] = KERNEL
    with pytest.raises(ValueError, match=r"w\.h5 is damaged: it holds 'conv/kernel' twice"):
        read_hdf5_file(path)


def test_weights_of_keras_3(tmp_path):
    import keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.Dense(3)])
    model.save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ValueError, match=r"m\.weights\.h5 is of Keras 3.*load_weights"):
        read_hdf5_file(tmp_path / "m.weights.h5")


def test_damaged(path):
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(ValueError, match=r"w\.h5 is not readable as HDF5: OSError"):
        read_hdf5_file(path)
