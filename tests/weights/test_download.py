"""Published files are checked."""

import hashlib

import keras
import pytest
from helpers import run_python

from keras_maskrcnn.weights import keras_applications
from keras_maskrcnn.weights.download import fetch


@pytest.fixture
def server(tmp_path, monkeypatch):
    calls = []

    def get_file(name, origin, cache_subdir):
        calls.append((name, origin, cache_subdir))
        path = tmp_path / name
        path.write_bytes(b"weights")
        return str(path)

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    return calls


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_right_file(server, algorithm):
    digits = hashlib.new(algorithm, b"weights").hexdigest()[:8]
    path = fetch("https://host/139653917/model_final_2d9806.pkl", digits, algorithm)
    assert path.read_bytes() == b"weights"
    assert server == [
        (
            "139653917_model_final_2d9806.pkl",
            "https://host/139653917/model_final_2d9806.pkl",
            "models",
        )
    ]


def test_wrong_file_is_removed(server, tmp_path):
    with pytest.raises(ValueError, match=r"its md5 should start with abc123. Received: "):
        fetch("https://host/1/w.pkl", "abc123", "md5")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "failure",
    [
        Exception("URL fetch failure on https://host: None -- [Errno -2] Name not\nknown"),
        ConnectionResetError("[Errno -2] Name not known"),
        ValueError("[Errno -2] Name not known"),
    ],
)
def test_without_a_network(tmp_path, monkeypatch, failure):
    def get_file(name, origin, **options):
        raise failure

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def told(call, *arguments):
        with pytest.raises(OSError) as error:
            call(*arguments)
        assert "\n" not in str(error.value)
        return str(error.value)

    assert told(fetch, "https://host/1386/model.pkl", "abc", "md5") == (
        "cannot download https://host/1386/model.pkl ([Errno -2] Name not known): where there is a "
        f"network, download it and put it at {tmp_path / 'models' / '1386_model.pkl'}, or give its "
        "path by weights_file=PATH (--weights-file PATH)"
    )
    name = "resnet101_weights_tf_dim_ordering_tf_kernels_notop.h5"
    text = told(keras_applications.download, "resnet101")
    assert f"/resnet/{name} ([Errno -2]" in text and str(tmp_path / "models" / name) in text
    assert "weights=PATH (--weights PATH)" in text


PLACE = """
import pathlib
from keras_maskrcnn.weights.download import download_file
arguments = ("http://127.0.0.1:9/w.pkl", "w.pkl")
try:
    download_file(*arguments, by_hand="x")
except OSError as error:
    place = pathlib.Path(str(error).split("put it at ")[1].split(",")[0])
place.parent.mkdir(parents=True, exist_ok=True)
place.write_bytes(b"weights")
print(place, download_file(*arguments, by_hand="x"), sep="\\n")
"""


def test_a_file_put_where_it_is_told_needs_no_network(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))  # Which Keras reads when it is imported.
    told, found = run_python(PLACE).splitlines()[-2:]
    assert told == found == str(tmp_path / "models" / "w.pkl")
