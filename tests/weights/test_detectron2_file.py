"""detectron2's pickles: what is read, and what is refused."""

import os
import pickle
import tracemalloc

import numpy as np
import pytest

from keras_maskrcnn.weights import limits
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


# Of a pickle by hand: the dtype that `code` names, in a state.
PLAIN_STATE = b"(I3\nS'<'\nNNNI-1\nI-1\nI0\nt"


def _dtype(code=b"f4", state=PLAIN_STATE):
    return b"cnumpy\ndtype\n(S'" + code + b"'\nI0\nI1\ntR" + state + b"b"


def _write_array(path, dtype, shape=b"(I2\nt", data=b"S'12345678'\n", order=b"I00\n"):
    """{'model': {'t': an array of two float32}}, or what is put in their place."""
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    state = b"(I1\n" + shape + dtype + order + data + b"tb"
    path.write_bytes(b"\x80\x02(S'model'\n(S't'\n" + made + state + b"dd.")
    return path


def test_array_by_hand(tmp_path):
    expected = np.frombuffer(b"12345678", "<f4")
    read = read_detectron2_file(_write_array(tmp_path / "w.pkl", _dtype()))["t"]
    np.testing.assert_array_equal(read, expected)
    big = _dtype(state=PLAIN_STATE.replace(b"<", b">"))
    read = read_detectron2_file(_write_array(tmp_path / "w.pkl", big))["t"]
    np.testing.assert_array_equal(read, np.frombuffer(b"12345678", ">f4"))
    assert read.dtype.isnative and read.flags.writeable and read.flags.owndata
    assert np.dtype("f4").isnative  # numpy's own


def test_bytes_are_never_pointers(tmp_path):
    # dtype('O') with its flags cleared: numpy would take the bytes for addresses of objects.
    objects = b"(I3\nS'|'\nNNNI-1\nI-1\nI0\nt"
    path = _write_array(tmp_path / "w.pkl", _dtype(b"O8", objects), shape=b"(I1\nt")
    with pytest.raises(ValueError, match=r"w\.pkl .*expected a dtype of b1, .* Received: 'O8'"):
        read_detectron2_file(path)


@pytest.mark.parametrize(
    "code", [b"O", b"S8", b"U2", b"V8", b"M8", b"m8", b"c8", b"f16", b"f4,f4", b"(2,)f4", b"x"]
)
def test_dtypes_that_are_no_plain_numbers(tmp_path, code):
    with pytest.raises(ValueError, match=r"w\.pkl .*expected a dtype of b1, i1, "):
        read_detectron2_file(_write_array(tmp_path / "w.pkl", _dtype(code)))


@pytest.mark.parametrize(
    "state",
    [
        PLAIN_STATE.replace(b"I0\n", b"I63\n"),  # flags
        PLAIN_STATE.replace(b"I-1\nI-1", b"I64\nI1"),  # item size and alignment
        PLAIN_STATE.replace(b"NNN", b"(cnumpy\ndtype\n(S'f4'\ntR(I9\nttNN"),  # a subarray
        PLAIN_STATE.replace(b"NNN", b"N(S'a'\nt(dt"),  # fields
        PLAIN_STATE.replace(b"S'<'", b"S'O'"),
        PLAIN_STATE.replace(b"I3", b"I99"),
        b"(I3\nt",
        b"N",
    ],
)
def test_states_of_dtypes(tmp_path, state):
    with pytest.raises(ValueError, match=r"w\.pkl .*(expected the state of a|not readable)"):
        read_detectron2_file(_write_array(tmp_path / "w.pkl", _dtype(state=state)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": b"(I3\nt"}, r"t \(3,\) of float32 needs 12 bytes. Received: 8"),
        ({"shape": b"(I1\nt"}, r"t \(1,\) of float32 needs 4 bytes. Received: 8"),
        ({"shape": b"(I-2\nt"}, r"sizes from 0 in the shape of t. Received: \(-2,\)"),
        ({"shape": b"(I-1\nI-2\nt"}, "sizes from 0"),
        ({"shape": b"(I01\nt"}, "sizes from 0"),  # True
        ({"shape": b"(F2.0\nt"}, "sizes from 0"),
        ({"shape": b"I2\n"}, "sizes from 0"),
        ({"shape": b"(" + b"I1\n" * 33 + b"I2\nt"}, "sizes from 0"),
        ({"shape": b"(L1208925819614629174706176L\nI0\nt"}, "sizes from 0"),
        ({"shape": b"(I3000000000\nt"}, "'t' brings its tensors to 12000000000 bytes"),
        ({"dtype": b"S'f4'\n"}, "expected the state of a plain array"),
        ({"data": b"(lS'a'\na"}, "expected the state of a plain array"),
        ({"data": b"V\\u12345678901\n"}, "not readable as a detectron2 checkpoint: UnicodeEnc"),
        ({"order": b""}, "expected the state of a plain array"),
    ],
)
def test_arrays_that_are_none(tmp_path, options, message):
    path = _write_array(tmp_path / "w.pkl", **{"dtype": _dtype(), **options})
    with pytest.raises(ValueError, match=rf"w\.pkl .*{message}"):
        read_detectron2_file(path)


def test_array_without_data(tmp_path):
    path = tmp_path / "w.pkl"
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    path.write_bytes(b"\x80\x02(S'model'\n(S't'\n" + made + b"dd.")
    with pytest.raises(ValueError, match=r"w\.pkl is damaged: 't' has no data"):
        read_detectron2_file(path)


def test_data_used_over_and_over(tmp_path, monkeypatch):
    """200 arrays of one MiB, which is encoded for each of them, in a file of 1 MiB."""
    monkeypatch.setattr(limits, "_FLOOR", 0)
    path = tmp_path / "w.pkl"
    head = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    content = b"\x80\x02(S'model'\n(V" + b"x" * 2**20 + b"\np7\n0"
    for number in range(200):
        encoded = b"c_codecs\nencode\n(g7\nS'latin1'\ntR"
        state = b"(I1\n(I262144\nt" + _dtype() + b"I00\n" + encoded + b"tb"
        content += b"S'%d'\n" % number + head + state
    path.write_bytes(content + b"dd.")
    tracemalloc.start()
    with pytest.raises(UnsafeFileError, match="'16' brings its tensors to 17825792 bytes"):
        read_detectron2_file(path)
    # The arrays up to the limit, and what is read and encoded at the time.
    assert tracemalloc.get_traced_memory()[1] < (17 + 8) * 2**20
    tracemalloc.stop()


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
    with pytest.raises(ValueError, match=r"w\.pkl is incomplete: its pickle expects"):
        read_detectron2_file(path)
