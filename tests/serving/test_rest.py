"""TensorFlow Serving's JSON."""

import base64
import json

import numpy as np
import pytest

from keras_maskrcnn.serving.requests import RequestError
from keras_maskrcnn.serving.rest import parse_predict, predict_answer, shortest

FILE = {"b64": base64.b64encode(b"\xff\x00file").decode()}
PIXELS = [[[1, 2, 3], [4, 5, 6]]]  # [1, 2, 3]


def parse(content):
    return parse_predict(json.dumps(content).encode())


@pytest.mark.parametrize(
    ("content", "by_rows"),
    [
        ({"instances": [FILE, FILE]}, True),
        ({"instances": [{"image_bytes": FILE}, {"image_bytes": FILE}]}, True),
        ({"inputs": [FILE, FILE]}, False),
        ({"inputs": {"image_bytes": [FILE, FILE]}}, False),
    ],
)
def test_files(content, by_rows):
    request = parse({"signature_name": "encoded", **content})
    assert request.rows == [b"\xff\x00file"] * 2
    assert (request.signature, request.by_rows) == ("encoded", by_rows)
    assert request.place(1) == ("instances[1]" if by_rows else "inputs[1]")


@pytest.mark.parametrize(
    "content",
    [
        {"instances": [PIXELS, PIXELS]},
        {"instances": [{"images": PIXELS}, {"images": PIXELS}], "signature_name": ""},
        {"inputs": [PIXELS, PIXELS], "signature_name": "serving_default"},
        {"inputs": {"images": [PIXELS, PIXELS]}},
    ],
)
def test_pixels(content):
    request = parse(content)
    assert request.signature == "serving_default"
    assert {row.dtype for row in request.rows} == {np.dtype("uint8")}
    np.testing.assert_array_equal(request.rows, [PIXELS, PIXELS])


def encoded(**content):
    return {"signature_name": "encoded", **content}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "expected a JSON object. Received: a list of no elements"),
        ({}, 'expected one of "instances"'),
        ({"instances": [], "inputs": []}, 'expected one of "instances"'),
        (
            {"instances": []},
            'expected "instances" to be a list of pictures. Received: a list of no',
        ),
        ({"instances": 5}, "Received: a number"),
        ({"instances": None}, "Received: null"),
        ({"inputs": FILE}, 'expected "inputs" to be a list of pictures. Received: an object'),
        ({"signature_name": 3, "instances": [FILE]}, "Received: 3"),
        ({"signature_name": "x" * 99, "instances": [FILE]}, r'Received: "x+\.\.\.'),
        (encoded(instances=["text"]), r"expected instances\[0\] to be .*Received: a string"),
        (encoded(instances=[FILE, {"b64": 7}]), r'expected instances\[0\] .* names "image_bytes"'),
        (encoded(instances=[{"images": FILE}]), r'alone.*Received: \["images"\]'),
        (encoded(inputs={"images": [FILE]}), r'"inputs" to name "image_bytes" alone'),
        (encoded(inputs=[FILE, {"b64": "?"}]), r"inputs\[1\] is not base64"),
        (encoded(inputs=[{"b64": "YQ"}]), r"inputs\[0\] is not base64"),
        (encoded(inputs=[{"b64": "ä"}]), r"inputs\[0\] is not base64"),
        ({"instances": [FILE]}, 'picture files go to signature_name "encoded"'),
        ({"instances": [[1, 2], [3]]}, "lists of unlike lengths"),
        ({"instances": [[[1, 2, 3]]]}, r"Received: shape \[1, 1, 3\]"),
        ({"instances": [[[[1, 2]]]]}, r"Received: shape \[1, 1, 1, 2\]"),
        ({"instances": [[[]]]}, "not whole numbers"),
        ({"instances": [[[[1, 2, 256]]]]}, "0 to 255. Received: 1 to 256"),
        ({"instances": [[[[-1, 2, 3]]]]}, "Received: -1 to 3"),
        ({"instances": [[[[0.5, 2, 3]]]]}, "not whole numbers"),
        ({"instances": [[[[True, False, True]]]]}, "not whole numbers"),
        ({"instances": [[[["1", "2", "3"]]]]}, "not whole numbers"),
        ({"instances": [[[[10**30, 2, 3]]]]}, "not whole numbers"),
    ],
)
def test_refusals_tell_why(content, words):
    with pytest.raises(RequestError, match=words) as error:
        parse(content)
    assert error.value.status == 400


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"nix", b"[" * 100_000, b"{'a': 1}"])
def test_not_json(body):
    with pytest.raises(RequestError, match="the body is not JSON") as error:
        parse_predict(body)
    assert error.value.status == 400


OUTPUTS = {
    "counts": np.array([2, 0], np.int32),
    "mask_rles": np.array([[b"a\\b", b""], [b"", b""]], object),
    "scores": np.array([[0.1, np.nan], [1 / 3, 2.0]], np.float32),
    "x_bytes": np.array([b"\xff", b""], object),
}


def test_answer_by_rows():
    assert json.loads(predict_answer({k: OUTPUTS[k] for k in ("counts", "x_bytes")}, True)) == {
        "predictions": [
            {"counts": 2, "x_bytes": {"b64": "/w=="}},
            {"counts": 0, "x_bytes": {"b64": ""}},
        ]
    }


def test_answer_by_columns():
    text = predict_answer(OUTPUTS, False).decode()
    assert '"scores":[[0.1,NaN],[0.33333334,2.0]]' in text
    content = json.loads(text)["outputs"]
    assert content["mask_rles"] == [["a\\b", ""], ["", ""]]
    assert content["counts"] == [2, 0]


def test_no_digit_too_many_and_none_lost():
    rng = np.random.default_rng(0)
    values = np.concatenate(
        [
            rng.uniform(0, 1, 5000).astype("float32"),
            rng.uniform(-1e4, 1e4, 5000).astype("float32"),
            np.float32([0, -0.0, 1e-45, 3.4028235e38, 1e-7, 16777216, np.inf, -np.inf]),
        ]
    )
    written = json.loads(json.dumps(shortest(values)))
    np.testing.assert_array_equal(np.float32(written), values)
    assert all(len(repr(value)) <= 15 for value in written)
    assert json.dumps(shortest(np.float32([0.1, 0.2]))) == "[0.1, 0.2]"
