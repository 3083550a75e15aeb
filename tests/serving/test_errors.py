"""The client learns from data which picture a server refuses, not from its words."""

import json

import pytest

from keras_maskrcnn.export.refusals import refusal_parts
from keras_maskrcnn.serving import Client, ServerError

from .test_client import ROW, answering

REFUSAL = "".join(map(str, refusal_parts(1, "Cannot decode the picture.")))
# TensorFlow's words around those of the graph.
OF_THE_GRAPH = "assertion failed: [" + REFUSAL.replace('"', '\\"') + "]\n\t [[{{node Assert}}]]"


def refused(content, status=400):
    return status, json.dumps(content).encode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"error": "zu viele Pixel", "picture": 1}, "zu viele Pixel"),
        ({"error": OF_THE_GRAPH}, "Cannot decode the picture."),
    ],
)
def test_the_picture_that_is_refused_is_named(content, reason):
    good = (200, json.dumps({"predictions": [ROW]}).encode())
    # Both pictures, then one by one.
    answers = answering(refused(content), good, refused(content))
    blamed = pytest.raises(ValueError, match="the server cannot take picture 1: ")
    with answers as url, blamed as error:
        Client(url, "photos").predict([b"a", b"b"], batch_size=2)
    assert str(error.value) == f"the server cannot take picture 1: {reason}"
    assert isinstance(error.value.__cause__, ServerError)
    assert (error.value.__cause__.picture, error.value.__cause__.reason) == (1, reason)


@pytest.mark.parametrize(
    "content",
    [
        {"error": "instances[0]: a model of somebody else is out of memory"},
        {"error": "Cannot decode the picture at position] [1] [of the batch"},
        {"error": "what?", "picture": None},
        {"error": "what?", "picture": "the first"},
    ],
)
def test_words_alone_blame_no_picture(content):
    with answering(refused(content)) as url, pytest.raises(ServerError) as error:
        Client(url, "photos").predict([b"a", b"b"], batch_size=2)
    assert error.value.picture is None
    assert error.value.reason == content["error"]
    assert "picture 0, picture 1" in str(error.value)
