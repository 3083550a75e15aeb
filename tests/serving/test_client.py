"""The client against servers that speak TensorFlow Serving's two APIs, and against broken ones."""

import json
import socket
import subprocess
import sys
from http.server import BaseHTTPRequestHandler

import numpy as np
import pytest
from PIL import Image
from tensorflow_serving_stub import Served, grpc_server, http_server, rest_server

from keras_maskrcnn.cli import main
from keras_maskrcnn.ops.paste import paste_crop
from keras_maskrcnn.serving import Client, ServerError, client
from keras_maskrcnn.serving.results import to_detections

from .conftest import encode_turned

APIS = ("rest", "grpc")


@pytest.fixture(scope="module")
def served(exported):
    return Served(exported.path)


@pytest.fixture(scope="module")
def urls(served):
    pytest.importorskip("tensorflow_serving", reason="needs tensorflow-serving-api")
    with rest_server(served) as rest, grpc_server(served) as grpc:
        yield {"rest": rest, "grpc": grpc}


@pytest.fixture(params=APIS)
def url(request, urls):
    return urls[request.param]


def assert_same(received, expected):
    assert (len(received), received.image_size) == (len(expected), expected.image_size)
    assert received.class_names == expected.class_names == ("cup", "naïve ring")
    np.testing.assert_array_equal(received.classes, expected.classes)
    for name in ("boxes", "scores", "mask_probabilities", "keypoints"):
        values = (getattr(received, name), getattr(expected, name))
        np.testing.assert_allclose(*values, atol=1e-4, err_msg=name)
    # Pixels may differ where a probability is one half within rounding.
    for i, row, column in np.argwhere(received.masks != expected.masks):
        left, top, values = paste_crop(
            expected.mask_probabilities[i], expected.boxes[i], expected.image_size
        )
        assert abs(values[row - top, column - left] - 0.5) < 1e-4
    assert (received.masks != expected.masks).sum() <= 2 * len(expected)


def test_files_equal_predict(url, exported, served):
    with Client(url, "photos") as client:
        served.requests.clear()
        found = client.predict(exported.files, batch_size=4)
        assert served.requests == [4]
    assert len(found) == len(exported.files)
    for received, expected in zip(found, exported.by_files, strict=True):
        assert_same(received, expected)


def test_pixels_and_bytes_equal_predict(url, exported, served):
    with Client(url, "photos", version=1) as client:
        served.requests.clear()
        found = client.predict(exported.pictures)
        assert served.requests == [1, 1, 1]
        for received, expected in zip(found, exported.by_pixels, strict=True):
            assert_same(received, expected)
        (png,) = client.predict(exported.files[1].read_bytes())
        assert_same(png, exported.by_pixels[1])
        assert_same(client.predict(str(exported.files[1]))[0], exported.by_pixels[1])
        assert client.predict([]) == []


def test_formats_that_exports_do_not_decode_are_sent_as_png(url, exported, tmp_path):
    Image.fromarray(exported.pictures[0]).save(tmp_path / "a.webp", lossless=True)
    Image.fromarray(exported.pictures[0]).save(tmp_path / "a.tif")
    with Client(url, "photos") as client:
        for found in client.predict([tmp_path / "a.webp", (tmp_path / "a.tif").read_bytes()]):
            assert_same(found, exported.by_pixels[0])
        (tmp_path / "a.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:2000])
        with pytest.raises(ValueError, match="a.tif"):
            client.predict(tmp_path / "a.tif")


def test_files_are_turned_upright_and_pixels_are_not(url, exported, tmp_path):
    """EXIF's orientation is the file's; all eight show the same picture."""
    picture, expected = exported.pictures[0], exported.by_pixels[0]
    files = [encode_turned(picture, "PNG", orientation) for orientation in range(1, 9)]
    on_disk = tmp_path / "turned.png"
    on_disk.write_bytes(files[5])
    stored = np.asarray(Image.open(on_disk))
    assert stored.shape == (210, 150, 3)
    with Client(url, "photos") as client:
        for found in client.predict([*files, on_disk], batch_size=4):
            assert_same(found, expected)
        (found,) = client.predict(stored)
        assert found.image_size == (210, 150)


def test_broken_file_among_good_ones_is_named(url, exported, served, tmp_path):
    good, broken = str(exported.files[0]), tmp_path / "broken.jpg"
    broken.write_bytes(exported.files[0].read_bytes()[:300])
    with Client(url, "photos") as client:
        served.requests.clear()
        with pytest.raises(ValueError, match=r"cannot take \S*broken\.jpg: .*Cannot decode"):
            client.predict([good, broken, good], batch_size=3)
        # Not sent again as they were: one by one up to the broken one.
        assert served.requests == [3, 1, 1]
        with pytest.raises(ValueError, match=r"cannot take picture 1: .*Cannot decode"):
            client.predict([good, b"<html>"])


def test_what_is_no_picture_is_refused_before_it_is_sent(url, exported, served, tmp_path):
    with Client(url, "photos") as client:
        served.requests.clear()
        with pytest.raises(ValueError, match=r"Cannot read the picture .*nowhere\.jpg"):
            client.predict([tmp_path / "nowhere.jpg"])
        for picture in (np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), None):
            with pytest.raises(ValueError, match=r"uint8 \[height, width, 3\].*picture 1"):
                client.predict([exported.pictures[0], picture], batch_size=2)
        with pytest.raises(ValueError, match="Received: batch_size=0"):
            client.predict(exported.files, batch_size=0)
        assert served.requests == []


def test_wrong_names(url, exported, served):
    for options in ({"model": "fotos"}, {"model": "photos", "version": 7}):
        with Client(url, **options) as client, pytest.raises(ServerError) as error:
            client.predict(exported.files[0])
        assert "Servable not found for request" in error.value.reason
        assert error.value.reason in str(error.value)
        assert options["model"] in str(error.value)
        assert str(exported.files[0]) in str(error.value)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_server_that_is_down(scheme, exported, monkeypatch, urls):
    waits = []
    monkeypatch.setattr(client.time, "sleep", waits.append)
    url = f"{scheme}://127.0.0.1:{free_port()}"
    refused = pytest.raises(ConnectionError, match=f"cannot reach .*{url}")
    with Client(url, "photos", timeout=5) as down, refused:
        down.predict(exported.files[0])
    assert waits == [0.5, 1.0]


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_server_that_says_nothing(scheme, exported, monkeypatch, urls):
    waits = []
    monkeypatch.setattr(client.time, "sleep", waits.append)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        with Client(url, "photos", timeout=0.5) as silent, pytest.raises(TimeoutError) as error:
            silent.predict(exported.files[0])
        assert "did not answer within 0.5 seconds" in str(error.value)
        assert waits == []  # Asked once.


def answering(*answers):
    """A server that gives these answers, `(status, body)`, one to a request; then it breaks off."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            if not left:
                return
            status, body = left.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return http_server(Handler)


ROW = {
    "boxes": [[1, 2, 3, 4], [0, 0, 0, 0]],
    "classes": [1, -1],
    "scores": [0.5, 0],
    "counts": 1,
    "image_sizes": [30, 40],
}


def test_busy_server_is_asked_again(monkeypatch):
    waits = []
    monkeypatch.setattr(client.time, "sleep", waits.append)
    busy = (503, b'{"error": "still loading"}')
    answer = (200, json.dumps({"predictions": [ROW]}).encode())
    with answering(busy, busy, answer) as url:
        (found,) = Client(url, "photos").predict(b"a picture")
    assert waits == [0.5, 1.0]
    assert (len(found), found.image_size, found.mask_probabilities) == (1, (30, 40), None)
    assert found.names.tolist() == ["class_1"]
    with answering(busy, busy) as url, pytest.raises(ServerError, match="503: still loading"):
        Client(url, "photos", retries=1).predict(b"a picture")


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (500, b'{"error": "out of memory"}', "HTTP status 500: out of memory"),
        (403, b"<html>\n<b>go away</b>", "HTTP status 403: <html> <b>go away</b>"),
        (502, b"", "HTTP status 502: Bad Gateway"),
        (200, b"hello", "did not answer as TensorFlow Serving does. Received: hello"),
        (200, b'{"predictions": []}', "expected 1 rows of outputs .* Received: 0 rows"),
        (200, b'{"predictions": [0.25]}', "expected 1 rows of outputs"),
    ],
)
def test_errors_are_told_and_not_repeated(status, body, message, monkeypatch):
    monkeypatch.setattr(client.time, "sleep", None)
    with answering((status, body)) as url, pytest.raises(ServerError, match=message):
        Client(url, "photos").predict(b"a picture")


def test_each_result_knows_its_own_picture(tmp_path):
    file, array = tmp_path / "a.png", np.full((30, 40, 3), 50, np.uint8)
    Image.fromarray(array).save(file)
    file.with_name("b.png").write_bytes(file.read_bytes())
    row = {**ROW, "boxes": [[10, 5, 30, 25]], "classes": [0], "scores": [0.9]}
    two = (200, json.dumps({"predictions": [row, row]}).encode())
    one = (200, json.dumps({"predictions": [row]}).encode())
    items = [array, file, str(file.with_name("b.png")), file.read_bytes(), array + 40]
    with answering(two, two, one) as url:
        found = Client(url, "photos").predict(items, batch_size=2)
    assert found[0].picture.source is array and found[4].picture.source is items[4]
    assert [one.picture.source for one in found[1:3]] == [file, items[2]]
    Image.new("RGB", (40, 30), (7, 7, 7)).save(file)  # No copy is kept: it is read when drawn.
    for one, color in zip((found[0], found[1], found[2], found[4]), (50, 7, 50, 90), strict=True):
        drawn = one.plot(labels=False)
        assert drawn.size == (40, 30) and drawn.getpixel((1, 1)) == (color,) * 3
        assert drawn.getpixel((10, 15)) != (color,) * 3  # The box.
    with pytest.raises(ValueError, match="batches or bytes were predicted: give it"):
        found[3].plot()


def test_broken_connection_and_other_models(monkeypatch):
    monkeypatch.setattr(client.time, "sleep", None)
    with answering() as url, pytest.raises(ServerError, match="closed the connection without"):
        Client(url, "photos").predict(b"a picture")
    other = pytest.raises(ValueError, match=r"exported MaskRCNN.*Received: outputs \['logits'\]")
    with answering((200, b'{"predictions": [{"logits": [1]}]}')) as url, other:
        Client(url, "photos").predict(b"a picture")


def test_urls():
    for url in ("localhost:8501", "ftp://localhost", ""):
        with pytest.raises(ValueError, match="url must start with http://"):
            Client(url, "photos")
    transport = Client("https://host/serving/", "my model", version=3)._transport
    assert transport.target == "https://host/serving/v1/models/my%20model/versions/3"


def test_grpc_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.raises(ImportError, match=r'pip install "maskrcnn-keras\[serving\]"'):
        Client("grpc://localhost:8500", "photos")


def test_row_of_a_server_by_hand():
    row = {**ROW, "class_names": ["cup", "naïve ring".encode()], "masks": np.ones((2, 3, 3))}
    found = to_detections({**row, "keypoints": np.ones((2, 4, 3))})
    np.testing.assert_array_equal(found.boxes, [[1, 2, 3, 4]])
    assert found.names.tolist() == ["naïve ring"]
    assert (found.masks.shape, found.keypoints.shape) == ((1, 30, 40), (1, 4, 3))
    assert len(to_detections({**row, "counts": 0})) == 0


def test_importing_the_client_loads_no_server_and_no_grpc():
    script = (
        "import sys, keras_maskrcnn\nbefore = set(sys.modules)\nimport keras_maskrcnn.serving\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(new & {'grpc', 'starlette', 'uvicorn', 'tensorflow_serving'})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


@pytest.mark.slow
def test_command_gives_the_same_with_a_server(urls, exported, tmp_path, capsys):
    model = tmp_path / "model.keras"
    # The export gives fewer objects than the model.
    exported.model.save(model)
    files = [str(file) for file in exported.files]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    options = ["--threshold", "0.2", "--output"]
    words = ["predict", str(model), *files, *options, str(tmp_path / "local")]
    assert main(words) == 0
    expected = json.loads((tmp_path / "local" / "predictions.json").read_text())
    for api in APIS:
        words = ["predict", "photos", "--server", urls[api], *files, str(broken), *options]
        assert main([*words, str(tmp_path / api)]) == 1
        assert str(broken) in capsys.readouterr().err
        results = json.loads((tmp_path / api / "predictions.json").read_text())
        by_file = {
            file: [r for r in expected if r["file_name"] == file][: len(exported.by_files[0])]
            for file in files
        }
        wanted = [result for file in files for result in by_file[file]]
        assert len(results) == len(wanted) > 0
        for received, other in zip(results, wanted, strict=True):
            assert received.keys() == other.keys()
            for name in ("image_id", "category_id", "category_name", "file_name"):
                assert received[name] == other[name]
            for name in ("bbox", "score", "keypoints"):
                np.testing.assert_allclose(received[name], other[name], atol=1e-3)
        for file in exported.files:
            with Image.open(tmp_path / api / f"{file.stem}.png") as picture:
                assert picture.size == Image.open(file).size


def test_command_tells_server_errors_in_one_line(urls, exported, tmp_path, capsys):
    words = ["predict", "fotos", "--server", urls["rest"], str(exported.files[0])]
    assert main([*words, "--output", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "HTTP status 404: Servable not found" in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_own_server_answers_alike(port, exported, tmp_path):
    with Client(f"http://127.0.0.1:{port}", "tiny") as own:
        found = own.predict(exported.files, batch_size=2)
        for received, expected in zip(found, own.predict(exported.files), strict=True):
            assert received.class_names == expected.class_names == ("cup", "naïve ring")
            assert len(received) > 0
        for received, expected in zip(
            own.predict(exported.pictures), exported.by_pixels, strict=True
        ):
            assert_same(received, expected)
        broken = tmp_path / "broken.jpg"
        broken.write_bytes(exported.files[0].read_bytes()[:300])
        with pytest.raises(ValueError, match=r"cannot take \S*broken\.jpg: "):
            own.predict([exported.files[0], broken], batch_size=2)


def test_command_tells_a_missing_package_in_one_line(exported, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    words = ["predict", "photos", "--server", "grpc://localhost:1", str(exported.files[0])]
    assert main([*words, "--output", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert 'pip install "maskrcnn-keras[serving]"' in error
    assert error.count("\n") == 1
