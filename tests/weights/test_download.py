"""Published files are checked."""

import hashlib

import keras
import pytest

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
