"""The server's addresses, against direct calls of the exported model."""

import base64
import http.client
import io
import json
import re
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from google.protobuf import json_format
from pycocotools import mask as coco_mask
from tensorflow.core.protobuf import meta_graph_pb2

from keras_maskrcnn.results import Detections
from keras_maskrcnn.serving import Client
from keras_maskrcnn.serving.model import ServedModel
from keras_maskrcnn.serving.requests import RequestError

from .conftest import (
    NAME,
    TAKES_RGB,
    ask,
    assert_outputs_equal,
    detect,
    encode,
    encode_turned,
    predict,
    running,
)

PREDICT = f"/v1/models/{NAME}:predict"


def in_base64(content):
    return {"b64": base64.b64encode(content).decode()}


def blocks(picture):
    """Blocks of 8 x 8 pixels, of a size that JPEG has no need to fill up."""
    return np.repeat(np.repeat(picture[::8, ::8], 8, 0), 8, 1)


def png_header(width, height):
    """A PNG file of a few bytes that announces a picture of any size."""
    content = bytearray(encode(np.zeros((1, 1, 3), np.uint8), "PNG"))
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


@pytest.fixture(scope="module")
def files(exported):
    return [file.read_bytes() for file in exported.files]


@pytest.mark.parametrize("path", [PREDICT, f"/v1/models/{NAME}/versions/1:predict"])
def test_files_by_rows(port, direct, files, path):
    instances = [in_base64(file) for file in files]
    status, headers, answer = predict(
        port, {"signature_name": "encoded", "instances": instances}, path
    )
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert list(answer) == ["predictions"]
    outputs = direct("encoded", files)
    assert len(answer["predictions"]) == len(files) == 4
    for row, found in enumerate(answer["predictions"]):
        assert_outputs_equal(found, outputs, row)


def test_files_by_columns(port, direct, files):
    content = {"signature_name": "encoded", "inputs": {"image_bytes": [in_base64(files[1])]}}
    status, _, answer = predict(port, content)
    assert (status, list(answer)) == (200, ["outputs"])
    columns = answer["outputs"]
    found = {name: value[0] for name, value in columns.items()}
    assert_outputs_equal(found, direct("encoded", files[1:2]), 0)
    assert all(len(value) == 1 for value in columns.values())


def test_pixels(port, direct, exported):
    picture = exported.pictures[2]
    status, _, answer = predict(port, {"instances": [picture.tolist(), picture[::-1].tolist()]})
    assert status == 200
    outputs = direct("serving_default", np.stack([picture, picture[::-1]]))
    for row, found in enumerate(answer["predictions"]):
        assert_outputs_equal(found, outputs, row)


def test_what_curl_sends_by_default(port, files):
    body = json.dumps({"signature_name": "encoded", "instances": [in_base64(files[0])]})
    for headers in ({"Content-Type": "application/x-www-form-urlencoded"}, {}):
        assert ask(port, "POST", PREDICT, body, headers)[0] == 200


def test_status(port):
    version = {"version": "1", "state": "AVAILABLE"}
    version["status"] = {"error_code": "OK", "error_message": ""}
    for path in (f"/v1/models/{NAME}", f"/v1/models/{NAME}/versions/1"):
        status, _, answer = ask(port, "GET", path)
        assert (status, answer) == (200, {"model_version_status": [version]})


def test_metadata(port, direct):
    status, _, answer = ask(port, "GET", f"/v1/models/{NAME}/metadata")
    assert status == 200
    assert answer["model_spec"] == {"name": NAME, "signature_name": "", "version": "1"}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    for name, function in direct.model.signatures.items():
        signature = json_format.ParseDict(signatures[name], meta_graph_pb2.SignatureDef())
        assert signature.method_name == "tensorflow/serving/predict"
        (received,) = signature.inputs
        assert received == {"serving_default": "images", "encoded": "image_bytes"}[name]
        for output, info in signature.outputs.items():
            spec = function.structured_outputs[output]
            assert info.dtype == spec.dtype.as_datatype_enum
            sides = [-1 if side is None else side for side in spec.shape]
            assert [dim.size for dim in info.tensor_shape.dim] == sides


def test_the_client_of_this_package(port, direct, exported):
    client = Client(f"http://127.0.0.1:{port}", NAME)
    (found,) = client.predict([str(exported.files[1])])
    outputs = direct("encoded", [exported.files[1].read_bytes()])
    count = outputs["counts"][0]
    np.testing.assert_allclose(found.boxes, outputs["boxes"][0][:count], atol=1e-3)
    assert found.class_names == ("cup", "naïve ring")


def test_detect(port, direct, files, model):
    status, _, answer = detect(port, files[0], "image/jpeg; charset=binary")
    assert status == 200
    assert answer["model"] == {"name": NAME, "version": 1}
    outputs = direct("encoded", files[:1])
    count = outputs["counts"][0]
    assert [answer["height"], answer["width"]] == outputs["image_sizes"][0].tolist() == [150, 210]
    assert len(answer["detections"]) == count > 0
    rows = (outputs[name][0][:count] for name in ("boxes", "classes", "scores", "masks"))
    expected = Detections(*rows, (150, 210), class_names=model.class_names)
    assert set(expected.names) <= {"cup", "naïve ring"}
    for i, found in enumerate(answer["detections"]):
        assert found["name"] == expected.names[i]
        assert found["class"] == expected.classes[i]
        assert found["score"] == pytest.approx(expected.scores[i], abs=1e-5)
        np.testing.assert_allclose(found["box"], expected.boxes[i], atol=1e-3)
        np.testing.assert_allclose(found["keypoints"], outputs["keypoints"][0][i], atol=1e-3)
        assert np.mean(coco_mask.decode(found["mask"]) != expected.masks[i]) < 1e-3


@pytest.mark.parametrize("format", ["WEBP", "TIFF"])
def test_detect_of_formats_that_exports_do_not_decode(port, exported, format):
    picture = exported.pictures[0]
    _, _, expected = detect(port, encode(picture, "PNG"), "image/png")
    lossless = {"lossless": True} if format == "WEBP" else {}
    content = encode(picture, format, **lossless)
    status, _, answer = detect(port, content, f"image/{format.lower()}")
    assert (status, answer) == (200, expected)
    # As TensorFlow Serving, which has the model alone.
    status, _, answer = predict(port, encoded(in_base64(content)))
    assert status == 400
    assert "expected a JPEG, PNG, BMP or GIF file. Received: " in answer["error"]
    status, _, answer = detect(port, content[: len(content) // 2], f"image/{format.lower()}")
    assert status == 400


def test_detect_never_lowers_the_depth_in_silence(port):
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.zeros((30, 40, 3), np.uint16), photometric="rgb")
    status, _, answer = detect(port, stream.getvalue(), "image/tiff")
    assert status == 400
    assert "expected 8 bits per channel" in answer["error"] and "16 bits" in answer["error"]


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_detect_is_the_same_however_the_picture_is_stored(port, direct, exported, format):
    """Turned as EXIF says, all eight files show the same pixels."""
    picture = blocks(exported.pictures[0])
    status, _, expected = detect(port, encode_turned(picture, format, 1), f"image/{format.lower()}")
    assert (status, expected["height"], expected["width"]) == (200, 152, 216)
    for orientation in range(2, 9):
        content = encode_turned(picture, format, orientation)
        status, _, answer = detect(port, content, f"image/{format.lower()}")
        assert (status, answer) == (200, {**expected, "exif_orientation": orientation})
    if format == "PNG":
        outputs = direct("serving_default", picture[None])
        count = outputs["counts"][0]
        boxes = [found["box"] for found in expected["detections"]]
        np.testing.assert_allclose(boxes, outputs["boxes"][0][:count], atol=1e-3)
        assert count > 0


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_predict_is_the_same_however_the_picture_is_stored(port, direct, exported, format):
    picture = blocks(exported.pictures[0])
    outputs = direct("encoded", [encode_turned(picture, format, 1)])
    for orientations in ((1, 2, 3, 4), (5, 6, 7, 8)):
        files = [encode_turned(picture, format, orientation) for orientation in orientations]
        status, _, answer = predict(port, encoded(*map(in_base64, files)))
        assert (status, len(answer["predictions"])) == (200, 4)
        for found in answer["predictions"]:
            assert_outputs_equal(found, outputs, 0)


def test_pictures_share_a_call_by_their_upright_sizes():
    """Two files of one upright size, stored lying and standing."""
    sizes = []

    def canvas(asked):
        sizes.append(asked)
        raise RequestError(400, "that is all")

    model = SimpleNamespace(
        name=NAME, version=1, class_names=[], max_pixels=None, canvas=canvas, run=None, **TAKES_RGB
    )
    files = [encode_turned(np.zeros((9, 20, 3), np.uint8), "PNG", turn) for turn in (1, 6)]
    with running(model) as port:
        for file in files:
            assert detect(port, file)[2] == {"error": "that is all"}
        assert predict(port, encoded(*map(in_base64, files)))[2] == {"error": "that is all"}
    assert sizes == [[(9, 20)], [(9, 20)], [(9, 20), (9, 20)]]


def test_broken_turned_picture_is_told_as_it_is_stored(port, exported):
    content = encode_turned(exported.pictures[0], "JPEG", 6)
    status, _, answer = detect(port, content[: len(content) // 2], "image/jpeg")
    assert status == 400
    assert "whole JPEG file of 150 x 210 pixels, as its header says" in answer["error"]


def test_description_and_page(port):
    status, _, answer = ask(port, "GET", "/model")
    assert (status, answer["name"], answer["class_names"]) == (200, NAME, ["cup", "naïve ring"])
    assert (answer["max_body"], answer["max_pixels"]) == (400_000, 1_000_000)
    for path, kind in (("/", "html"), ("/page.js", "javascript"), ("/drawing.js", "javascript")):
        status, headers, content = ask(port, "GET", path)
        assert (status, headers.get_content_type()) == (200, f"text/{kind}")
        assert b"http" not in content.replace(b"http://www.w3.org", b"")  # All is local.
        assert "default-src 'self'" in headers["Content-Security-Policy"]


GOOD = in_base64(encode(np.zeros((9, 9, 3), np.uint8), "PNG"))
BOMB = png_header(30_000, 30_000)


def encoded(*rows):
    return {"signature_name": "encoded", "instances": list(rows)}


@pytest.mark.parametrize(
    ("method", "path", "body", "media_type", "status", "words"),
    [
        ("GET", "/nothing", None, None, 404, "no such address: GET /nothing"),
        ("GET", f"/v1/models/{NAME}:classify", None, None, 404, "no such address"),
        ("GET", "/v1/models", None, None, 404, "no such address"),
        ("GET", "/v1/models/other", None, None, 404, "no model other here. There is tiny"),
        ("GET", f"/v1/models/{NAME}/versions/2", None, None, 404, "no model tiny version 2"),
        ("POST", "/v1/models/other:predict", b"{}", None, 404, "no model other"),
        ("POST", f"/v1/models/{NAME}/versions/2:predict", b"{}", None, 404, "version 2"),
        ("GET", PREDICT, None, None, 405, "method not allowed: GET"),
        ("POST", f"/v1/models/{NAME}", b"{}", None, 405, "method not allowed: POST"),
        ("PUT", PREDICT, b"{}", None, 405, "method not allowed: PUT"),
        ("GET", "/detect", None, None, 405, "method not allowed: GET"),
        ("DELETE", "/", None, None, 405, "method not allowed: DELETE"),
        ("POST", PREDICT, b"{}", "text/html", 415, "application/json"),
        ("POST", "/detect", b"text", "text/plain", 415, "image/jpeg, image/png"),
        ("POST", "/detect", b"text", None, 415, "Received: no Content-Type"),
        ("POST", PREDICT, b"", None, 400, "the body is empty"),
        ("POST", "/detect", b"", "image/png", 400, "the body is empty"),
        ("POST", PREDICT, b'{"instances": [', None, 400, "the body is not JSON"),
        ("POST", PREDICT, encoded(GOOD, in_base64(BOMB)), None, 413, "instances[1]: expected at"),
        ("POST", "/detect", BOMB, "image/png", 413, "30000 x 30000 = 900000000"),
        ("POST", PREDICT, encoded(GOOD, in_base64(b"")), None, 400, "instances[1]: expected a"),
        ("POST", PREDICT, encoded(*[GOOD] * 5), None, 400, "at most 4 pictures"),
        ("POST", "/detect", b"\xff\xd8\xff\xe0 what?", "image/jpeg", 400, "whole JPEG file"),
        ("POST", "/detect", b"x" * 500_000, "image/png", 413, "400000 bytes. Received: 500000"),
        ("POST", "/detect", b"x" * 5_000_000, "image/png", 413, "at most 400000 bytes"),
        ("POST", PREDICT, b"x" * 500_000, None, 413, "at most 400000 bytes"),
    ],
)
def test_bad_requests(port, method, path, body, media_type, status, words):
    if isinstance(body, dict):
        body = json.dumps(body)
    headers = {"Content-Type": media_type} if media_type else {}
    received, headers, answer = ask(port, method, path, body, headers)
    assert received == status
    assert words in answer["error"]
    # For programs: which picture is to blame.
    place = re.match(r"instances\[(\d)\]: |the picture: ", answer["error"])
    assert answer.get("picture") == (int(place[1] or 0) if place else None)
    assert ("Allow" in headers) == (status == 405)


def test_damaged_files(port, files):
    for content, kind in ((files[0], "jpeg"), (files[1], "png")):
        status, _, answer = detect(port, content[: len(content) // 2], f"image/{kind}")
        assert status == 400
        assert f"whole {kind.upper()} file of" in answer["error"]
    cut = in_base64(files[0][:1500])
    status, _, answer = predict(port, encoded(GOOD, cut))
    assert status == 400
    assert answer["error"].startswith("instances[1]: cannot decode it. Expected a whole JPEG file")
    assert answer["picture"] == 1


def test_chunked_body_is_bounded_too(port):
    chunks = iter([b"x" * 100_000] * 30)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/detect", chunks, {"Content-Type": "image/png"})
    response = connection.getresponse()
    assert response.status == 413
    assert "at most 400000 bytes" in json.load(response)["error"]
    connection.close()


def test_each_request_gets_its_own_answer(model, direct, exported, files, monkeypatch):
    calls = []
    run = ServedModel.run

    def recorded(self, signature, rows):
        calls.append(len(rows))
        return run(self, signature, rows)

    monkeypatch.setattr(ServedModel, "run", recorded)
    rng = np.random.default_rng(1)
    # Turned upside down, moved and dimmed: unlike pictures of one size.
    first = exported.pictures[0]
    pictures = [first, first[::-1], first[:, ::-1], np.roll(first, 40, 1), first // 2, 255 - first]
    requests = [encode(np.ascontiguousarray(picture), "PNG") for picture in pictures]
    broken = [files[0][:2000], BOMB, b"", requests[0][:200]]
    requests += files + broken
    expected = [None if content in broken else direct("encoded", [content]) for content in requests]
    with running(model, max_wait=0.2) as port, ThreadPoolExecutor(8) as clients:
        order = rng.permutation(2 * len(requests)) % len(requests)
        answers = list(clients.map(lambda i: predict(port, encoded(in_base64(requests[i]))), order))
    for i, (status, _, answer) in zip(order, answers, strict=True):
        if expected[i] is None:
            assert status in (400, 413) and "instances[0]: " in answer["error"]
        else:
            assert status == 200
            assert_outputs_equal(answer["predictions"][0], expected[i], 0)
    assert max(calls) > 1  # Calls were shared.
    assert max(calls) <= 4
