"""A server and its client for exports of other channels and other depths."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from helpers import tiny_model

from keras_maskrcnn.serving import Client
from keras_maskrcnn.serving.model import ServedModel

from .conftest import NAME, ask, detect, encode, predict, running

RNG = np.random.default_rng(0)
STATISTICS = {"pixel_mean": (120.0,) * 4, "pixel_std": (60.0,) * 4}
# Channels, range, and the type of what the export takes.
KINDS = {
    "four": (4, None, "uint8"),
    "deep": (4, (0, 4095), "uint16"),
    "floats": (4, (-1.5, 8.0), "float32"),
}


@pytest.fixture(scope="module", params=KINDS)
def served(request, tmp_path_factory):
    """Model, port of a server, and pixels as the export takes them."""
    channels, value_range, dtype = KINDS[request.param]
    model = tiny_model(
        channels=channels, value_range=value_range, **STATISTICS, **{"box.score_threshold": 0.0}
    )
    folder = tmp_path_factory.mktemp("served")
    model.export(folder, verbose=False)
    low, high = value_range or (0, 255)
    pixels = RNG.uniform(low, high, (40, 56, channels)).astype(dtype)
    with running(ServedModel(folder / "1", NAME)) as port:
        yield model, port, pixels


def test_client_and_rest(served):
    model, port, pixels = served
    expected = model.predict(pixels, verbose=0)[0]
    assert len(expected)
    with Client(f"http://127.0.0.1:{port}", NAME) as client:
        for given in (pixels, [pixels, pixels[:, :30]], [pixels, pixels]):
            found = client.predict(given, batch_size=2)[0]
            np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)
            np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.1)
        wrong = pixels[..., :3]
        with pytest.raises(
            ValueError, match=rf"{pixels.dtype} \[height, width, 4\].*\(40, 56, 3\)"
        ):
            client.predict(wrong)
        with pytest.raises(ValueError, match=r"picture 0 of shape .* dtype int64"):
            client.predict(pixels.astype("int64"))
    status, _, answer = predict(port, {"instances": [pixels[..., :3].tolist()]})
    assert (
        status == 400 and f"{pixels.dtype} pixels [pictures, height, width, 4]" in answer["error"]
    )
    status, _, answer = predict(port, {"signature_name": "encoded", "instances": [{"b64": ""}]})
    assert status == 400 and 'expected signature_name "serving_default". ' in answer["error"]
    if pixels.dtype != np.float32:
        status, _, answer = predict(port, {"instances": [(pixels.astype(int) + 70000).tolist()]})
        assert status == 400 and f"0 to {np.iinfo(pixels.dtype).max}" in answer["error"]


def test_detect_decodes_with_the_models_format(served):
    model, port, pixels = served
    expected = model.predict(pixels, verbose=0)[0]
    for content, kind in ((tiff(pixels), "image/tiff"), (npy(pixels), "application/x-npy")):
        status, _, answer = detect(port, content, kind)
        assert status == 200, answer
        scores = [found["score"] for found in answer["detections"]]
        np.testing.assert_allclose(scores, expected.scores, atol=1e-3)
        assert (answer["height"], answer["width"]) == (40, 56)
    status, _, answer = detect(port, tiff(pixels[..., :2]), "image/tiff")
    assert status == 400 and "4 channels" in answer["error"]
    if pixels.dtype == np.uint8:
        png = encode(pixels, "PNG")
        assert detect(port, png)[0] == 200
        deep = pixels.astype(np.uint16) * 200
        status, _, answer = detect(port, tiff(deep), "image/tiff")
        assert status == 400 and "expected 8 bits per channel" in answer["error"]
    assert ask(port, "GET", "/model")[0] == 200


def test_bombs(served):
    _, port, _ = served
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (4000, 4000, 99)}"
    content = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    status, _, answer = detect(port, content, "application/x-npy")
    assert status == 413 and "4000 x 4000 pixels of 99 channels of 64 bits" in answer["error"]


def test_grpc(served):
    pytest.importorskip("tensorflow_serving", reason="needs tensorflow-serving-api")
    from google.protobuf import json_format
    from tensorflow.core.protobuf import meta_graph_pb2
    from tensorflow_serving.apis import get_model_metadata_pb2

    from keras_maskrcnn.serving.client_grpc import GrpcTransport

    _, port, pixels = served
    _, _, answer = ask(port, "GET", f"/v1/models/{NAME}/metadata")
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    stored = get_model_metadata_pb2.SignatureDefMap()
    for name, content in signatures.items():
        definition = json_format.ParseDict(content, meta_graph_pb2.SignatureDef())
        stored.signature_def[name].CopyFrom(definition)
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.metadata["signature_def"].Pack(stored)
    transport = GrpcTransport("grpc://127.0.0.1:1", NAME, None, 1.0)
    asked = []

    def fail(request, timeout):
        asked.append(request)
        raise KeyError("far enough")

    def tell(request, timeout):
        return response

    transport._stub = SimpleNamespace(GetModelMetadata=tell, Predict=fail)
    found = transport.inputs()
    assert "serving_default" in found and "encoded" not in found
    own = found["serving_default"]
    assert own.channels == 4 and own.dtype == pixels.dtype
    with pytest.raises(KeyError, match="far enough"):
        transport.predict_pixels(pixels[None])
    import tensorflow as tf

    assert asked[0].model_spec.signature_name == "serving_default"
    np.testing.assert_array_equal(tf.make_ndarray(asked[0].inputs["images"]), pixels[None])
    transport.close()


def tiff(pixels):
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, photometric="minisblack", planarconfig="contig")
    return stream.getvalue()


def npy(pixels):
    stream = io.BytesIO()
    np.save(stream, pixels)
    return stream.getvalue()
