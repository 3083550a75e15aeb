"""A server on the tiny export, on a free port of this process."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import uvicorn

from keras_maskrcnn.serving.app import create_app
from keras_maskrcnn.serving.model import ServedModel
from keras_maskrcnn.serving.requests import Limits

NAME = "tiny"


@contextlib.contextmanager
def running(model, **limits):
    """Serves a model; gives the port."""
    app = create_app(model, Limits(**limits))
    config = uvicorn.Config(app, http="h11", lifespan="on", log_config=None)
    server = uvicorn.Server(config)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(30)
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
