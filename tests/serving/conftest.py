"""A server on the tiny export, on a free port of this process."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from exported_model import encode, encode_turned

from keras_maskrcnn.images.pixels import PixelFormat
from keras_maskrcnn.serving.hosts import AllowedHosts
from keras_maskrcnn.serving.model import ServedModel
from keras_maskrcnn.serving.requests import Limits
from keras_maskrcnn.serving.server import Server, open_socket

__all__ = ["encode", "encode_turned"]

NAME = "tiny"
# What stands for a model owes beside its own: that it takes RGB of bytes, and files.
TAKES_RGB = {
    "pixels": PixelFormat(),
    "input_dtype": np.dtype(np.uint8),
    "takes_files": True,
}


@contextlib.contextmanager
def running(model, hosts=(), **limits):
    """Serves a model; gives the port."""
    ready = threading.Event()
    with open_socket("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        allowed = AllowedHosts.of(hosts, "127.0.0.1")
        server = Server(model, Limits(**limits), listener, allowed, ready.set)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            assert ready.wait(60)
            yield port
        finally:
            server.should_exit = True
            thread.join(60)
        assert not thread.is_alive()


def ask(port, method, path, body=None, headers=None):
    """Status, headers and the JSON that came back."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    is_json = response.headers.get_content_type() == "application/json"
    return response.status, response.headers, json.loads(content) if is_json else content


def read_all(client):
    """What comes over a socket until the server closes it; a server that does not is an error."""
    content = b""
    with client:
        try:
            while part := client.recv(65536):
                content += part
        except ConnectionResetError:  # It closed before it had read all.
            pass
    return content


def predict(port, content, path=f"/v1/models/{NAME}:predict"):
    """Asks TensorFlow Serving's API; content that is no bytes is sent as JSON."""
    body = content if isinstance(content, bytes) else json.dumps(content)
    return ask(port, "POST", path, body, {"Content-Type": "application/json"})


def detect(port, content, media_type="image/png"):
    return ask(port, "POST", "/detect", content, {"Content-Type": media_type})


def assert_outputs_equal(answer, outputs, row):
    """JSON of one picture against a row of a signature's outputs."""
    assert set(answer) == set(outputs)
    for name, expected in outputs.items():
        expected = expected[row]
        if expected.dtype == object:
            assert answer[name] == np.vectorize(bytes.decode, otypes="O")(expected).tolist(), name
        else:
            np.testing.assert_allclose(answer[name], expected, atol=1e-4, err_msg=name)


@pytest.fixture(scope="session")
def model(exported):
    return ServedModel(Path(exported.path) / "1", NAME)


@pytest.fixture(scope="session")
def direct(exported):
    """Calls a signature without the server."""
    loaded = tf.saved_model.load(str(Path(exported.path) / "1"))

    def call(signature, value):
        outputs = loaded.signatures[signature](tf.constant(value))
        return {name: output.numpy() for name, output in outputs.items()}

    call.model = loaded
    return call


@pytest.fixture(scope="session")
def port(model):
    with running(model, max_body=400_000, max_pixels=1_000_000) as port:
        yield port
