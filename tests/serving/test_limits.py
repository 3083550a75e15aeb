"""What a server refuses when there is too much of it, or it takes too long."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np

from .conftest import TAKES_RGB, detect, encode, running

PICTURE = encode(np.zeros((13, 29, 3), np.uint8), "PNG")


def slow_model(seconds):
    """Takes its time to find nothing."""

    def run(signature, rows):
        time.sleep(seconds)
        nothing = np.zeros([len(rows)], np.int32)
        sizes = np.full([len(rows), 2], 9)
        boxes = np.zeros([len(rows), 0, 4])
        return {
            "counts": nothing,
            "image_sizes": sizes,
            "boxes": boxes,
            "classes": boxes[..., 0],
            "scores": boxes[..., 0],
        }

    return SimpleNamespace(
        name="slow",
        version=1,
        class_names=[],
        max_pixels=None,
        canvas=lambda sizes: 0,
        run=run,
        **TAKES_RGB,
    )


def test_refuses_more_than_it_can_take():
    with (
        running(slow_model(0.5), max_requests=2, max_batch=1) as port,
        ThreadPoolExecutor(6) as clients,
    ):
        answers = list(clients.map(lambda _: detect(port, PICTURE), range(6)))
        assert sorted(status for status, _, _ in answers) == [200] * 2 + [503] * 4
        for status, headers, answer in answers:
            if status == 503:
                assert int(headers["Retry-After"]) >= 1
                assert "2 requests are in work" in answer["error"]
        # And takes on new ones when it is done.
        assert detect(port, PICTURE)[0] == 200


def test_timeout_of_the_model():
    with running(slow_model(0.6), timeout=0.2) as port:
        status, _, answer = detect(port, PICTURE)
        assert (status, answer["error"]) == (504, "the model did not answer within 0.2 seconds")
        time.sleep(0.6)
    with running(slow_model(0.1), timeout=5) as port:
        status, _, answer = detect(port, PICTURE)
        assert (status, answer["detections"]) == (200, [])


def test_timeout_of_the_body():
    with running(slow_model(0), body_timeout=0.3) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            head = "POST /detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
            client.sendall(f"{head}Content-Length: 100\r\n\r\nonly this".encode())
            answer = ""
            while part := client.recv(10_000).decode():  # Until the server ends the connection.
                answer += part
        assert answer.startswith("HTTP/1.1 408")
        assert "did not arrive within 0.3 seconds" in answer


def test_a_client_that_leaves_harms_nobody():
    with running(slow_model(0.1), max_requests=1) as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            head = "POST /detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
            client.sendall(f"{head}Content-Length: 100\r\n\r\nonly this".encode())
            time.sleep(0.2)
        time.sleep(0.2)
        assert detect(port, PICTURE)[0] == 200


def test_an_error_of_the_model_is_no_fault_of_the_request(capfd):
    model = slow_model(0)
    model.run = lambda signature, rows: 1 / 0
    with running(model) as port:
        status, _, answer = detect(port, PICTURE)
    assert (status, answer) == (500, {"error": "the server failed; its log tells why"})
    assert "ZeroDivisionError" in capfd.readouterr().err
