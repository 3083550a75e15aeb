"""Clients that keep the server waiting, and more of them than it has room for."""

import asyncio
import errno
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from keras_maskrcnn.serving import connections
from keras_maskrcnn.serving.connections import Connections, fit_descriptors
from keras_maskrcnn.serving.requests import Limits

from .conftest import ask, detect, read_all, running
from .test_limits import PICTURE, slow_model

HEAD = b"GET /model HTTP/1.1\r\nHost: localhost\r\n"
# A server that does not close is found out after so long.
PATIENCE = 30


def connect(port, content=b""):
    client = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    client.sendall(content)
    return client


def is_open(client):
    """Nothing came of a connection, not even its end."""
    return not select.select([client], [], [], 0)[0]


def send_until_closed(client, content):
    """One byte after the other, for as long as the server takes them."""
    end = time.monotonic() + PATIENCE
    try:
        for i in range(len(content)):
            assert time.monotonic() < end, "the server does not close the connection"
            client.sendall(content[i : i + 1])
            time.sleep(0.02)
    except ConnectionError:
        return
    raise AssertionError("the server took everything")


def test_unfinished_heads_are_closed():
    with running(slow_model(0), head_timeout=0.3) as port:
        clients = [connect(port, content) for content in (b"", b"G", HEAD, HEAD + b"X: 1\r\n")]
        answers = [read_all(client) for client in clients]
        assert answers[0] == b""
        for answer in answers[1:]:
            assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
            assert answer.endswith(
                b'{"error":"the head of the request did not arrive within 0.3 seconds"}'
            )
        with connect(port) as client:
            send_until_closed(client, HEAD + b"X: " + b"x" * 20_000)


def test_the_next_head_has_as_long():
    with running(slow_model(0), head_timeout=0.3) as port:
        whole = read_all(connect(port, HEAD + b"\r\n"))
        assert whole.startswith(b"HTTP/1.1 200 OK\r\n")
        assert whole.endswith(b"}") and whole.count(b"HTTP/1.1") == 1  # Idle: closed in silence.
        answer = read_all(connect(port, HEAD + b"\r\n" + HEAD))
        assert answer.count(b"HTTP/1.1 200 OK") == answer.count(b"HTTP/1.1 408") == 1


def test_bodies_that_nobody_reads_are_closed():
    with running(slow_model(0), head_timeout=0.5) as port:
        for head in (HEAD, HEAD.replace(b"GET /model", b"POST /nothing")):
            with connect(port, head + b"Content-Length: 20000\r\n\r\n") as client:
                send_until_closed(client, b"x" * 20_000)
        # The answer does not wait for the body.
        refused = b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
        assert read_all(connect(port, refused)).startswith(b"HTTP/1.1 404")


def test_slow_bodies_are_closed():
    with running(slow_model(0), body_timeout=0.5) as port:
        head = b"POST /detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        with connect(port, head + b"Content-Length: 20000\r\n\r\n") as client:
            send_until_closed(client, b"x" * 20_000)


def test_answers_that_are_not_taken_are_given_up():
    with running(slow_model(0), body_timeout=0.5) as port, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", port))
        # 30 MB of answers, more than the system holds for a connection.
        request = b"GET /drawing.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with pytest.raises(ConnectionError):
            client.sendall(request * 4000)
            send_until_closed(client, request * 100)
            raise ConnectionError
        assert ask(port, "GET", "/model")[0] == 200


def test_the_longest_waiting_gives_way():
    limits = {"max_connections": 4, "max_requests": 2, "head_timeout": 60}
    with running(slow_model(1), **limits) as port:
        head = b"POST /detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        busy = connect(port, head + b"Content-Length: %d\r\n\r\n" % len(PICTURE) + PICTURE)
        waiting = []
        for _ in range(3):
            waiting.append(connect(port, HEAD))
            time.sleep(0.1)
        assert all(map(is_open, waiting))
        assert ask(port, "GET", "/model")[0] == 200
        # The oldest, though the one in work is older.
        assert not is_open(waiting[0])
        assert all(map(is_open, waiting[1:]))
        assert detect(port, PICTURE)[0] == 200
        with busy:
            assert busy.recv(1000).startswith(b"HTTP/1.1 200 OK")
        for client in waiting:
            client.close()


def test_what_is_no_http_leaves_no_trace(capfd):
    with running(slow_model(0), head_timeout=0.5) as port:
        capfd.readouterr()
        for content in (
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc",
            b"GET /\r\n\r\n",
            HEAD + b"X\r\n\r\n",
        ):
            answer = read_all(connect(port, content))
            assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
            assert answer.endswith(b'{"error":"Invalid HTTP request received."}')
        # After the answer, while it is read, and before.
        chunked = b"Transfer-Encoding: chunked\r\n\r\nwhat?\r\n"
        assert read_all(connect(port, HEAD + chunked)).count(b"HTTP/1.1") == 1
        head = b"POST /detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        assert read_all(connect(port, head + chunked)).count(b"HTTP/1.1") == 1
        upgrade = b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        assert b"HTTP/1.1 200" in read_all(connect(port, HEAD + upgrade))
        assert ask(port, "GET", "/model")[0] == 200
        assert capfd.readouterr().err == ""


_COMMAND = """
import resource, sys
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
from keras_maskrcnn.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow  # A server in a process of its own.
def test_few_file_descriptors(exported):
    words = [sys.executable, "-c", _COMMAND, "serve", str(exported.path), "--name", "tiny"]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [*words, "--port", "0"], stdout=subprocess.PIPE, stderr=errors, text=True
        )
        try:
            line = process.stdout.readline()
            assert re.match(r"file descriptors \(ulimit -n\) are enough for \d\d connec", line)
            line = process.stdout.readline()
            port = int(re.search(r"127\.0\.0\.1:(\d+)/", line)[1])
            errors.seek(0, 2)
            said = errors.tell()
            held = [connect(port, HEAD) for _ in range(200)]
            for _ in range(3):
                status, _, answer = ask(port, "GET", "/model")
                assert (status, answer["name"]) == (200, "tiny")
            content = exported.files[1].read_bytes()
            assert detect(port, content)[0] == 200
            errors.seek(0, 2)
            assert errors.tell() == said
            for client in held:
                client.close()
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def test_limits_follow_the_file_descriptors(monkeypatch):
    def fitted(descriptors):
        monkeypatch.setattr(resource, "getrlimit", lambda _: (descriptors, descriptors))
        return fit_descriptors(Limits())

    assert fitted(resource.RLIM_INFINITY) == fitted(100_000) == Limits()
    few = fitted(200)
    assert 2 < few.max_connections < 200 - 16
    assert few.max_requests == min(32, few.max_connections // 2)
    with pytest.raises(ValueError, match=r"at least \d+ file descriptors more.*ulimit -n 9"):
        fitted(9)


class _Exhausted(socket.socket):
    """Has no file descriptor for a connection, the first times."""

    failures = 3

    def accept(self):
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


def test_a_system_without_resources_is_told_once(monkeypatch):
    words = []
    monkeypatch.setattr(connections._logger, "error", lambda *args: words.append(args))
    monkeypatch.setattr(connections, "_RETRY", 0.01)

    class Greeting(asyncio.Protocol):
        def connection_made(self, transport):
            transport.write(b"hello")
            transport.close()

    async def serve(listener, stopped):
        task = asyncio.create_task(Connections(2).accept(listener, Greeting))
        await asyncio.to_thread(stopped.wait, PATIENCE)
        task.cancel()
        await asyncio.wait([task])

    with _Exhausted() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.setblocking(False)
        listener.listen()
        stopped = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(serve(listener, stopped)))
        thread.start()
        assert read_all(connect(listener.getsockname()[1])) == b"hello"
        stopped.set()
        thread.join(PATIENCE)
    assert listener.failures == 0
    ((text, error),) = words
    assert text.startswith("cannot take a connection now") and error.errno == errno.EMFILE
