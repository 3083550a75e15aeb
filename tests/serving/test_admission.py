"""What is refused by the head of a request, and how an exchange ends."""

import http.client
import json
import re
import socket

import pytest

from .conftest import read_all, running
from .test_limits import PICTURE, slow_model


@pytest.fixture(scope="module")
def port():
    with running(slow_model(0), max_body=100_000) as port:
        yield port


def exchange(port, content):
    """All that comes until the server closes."""
    client = socket.create_connection(("127.0.0.1", port), timeout=30)
    client.sendall(content)
    return read_all(client)


def statuses(answer):
    return re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)


HEAD = b"POST /detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
SMUGGLED = b"GET /model HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        HEAD + b"transfer-encoding: Chunked\r\ncontent-length: 0\r\n\r\n",
        HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Transfer-Encoding: chunked\r\n\r\n",
        SMUGGLED[:-2] + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    ],
)
def test_two_ends_of_one_body(port, head):
    answer = exchange(port, head + b"0\r\n\r\n" + SMUGGLED)
    assert b"\r\nconnection: close\r\n" in answer.lower()
    assert b"expected Content-Length, or Transfer-Encoding" in answer
    assert statuses(answer) == [b"400"]  # What follows is no request.


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: -5",
        b"Content-Length: 0x5",
        b"Content-Length: 5, 6",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding : chunked",
    ],
)
def test_other_ambiguous_lengths(port, lines):
    answer = exchange(port, HEAD + lines + b"\r\n\r\n0\r\n\r\n" + SMUGGLED)
    assert statuses(answer) == [b"400"]


def test_a_refused_body_is_not_asked_for(port):
    head = HEAD.replace(b"/detect", b"/nothing") + b"Content-Length: 9\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(head + b"Expect: 100-continue\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 404 ")
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        size = b"Content-Length: %d\r\n" % len(PICTURE)
        client.sendall(HEAD + size + b"Expect: 100-continue\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 100 ")
        client.sendall(PICTURE)
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("path", ["/nothing", "/detect"])
@pytest.mark.parametrize("keep", [True, False])
def test_a_client_that_sends_too_much_reads_its_answer(port, path, keep):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Content-Type": "image/png"} | ({} if keep else {"Connection": "close"})
    connection.request("POST", path, b"x" * 5_000_000, headers)
    response = connection.getresponse()
    assert response.status == (404 if path == "/nothing" else 413)
    assert json.load(response)["error"]
    connected = connection.sock
    # The connection is in order: the next answer is the next request's.
    connection.request("GET", "/model")
    assert json.load(connection.getresponse())["name"] == "slow"
    assert (connection.sock is connected) == keep
    connection.close()


def test_requests_in_one_go_are_answered_in_turn(port):
    refused = HEAD.replace(b"/detect", b"/nothing") + b"Content-Length: 4\r\n\r\nbody"
    last = SMUGGLED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    good = HEAD + b"Content-Length: %d\r\n\r\n" % len(PICTURE) + PICTURE
    answer = exchange(port, refused + SMUGGLED + good + refused + last)
    statuses = [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"404", b"200", b"200", b"404", b"200"]
