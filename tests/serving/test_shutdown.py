"""The command as a process of its own: it finishes what it has begun when told to stop."""

import json
import re
import select
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

_COMMAND = "import sys; from keras_maskrcnn.cli import main; sys.exit(main(sys.argv[1:]))"


def test_sigterm_finishes_requests_in_work(exported):
    words = ["serve", str(exported.path), "--name", "tiny", "--port", "0"]
    # Requests wait two seconds for company: long enough to be told to stop meanwhile.
    words += ["--max-batch", "8", "--max-wait-ms", "2000"]
    process = subprocess.Popen(
        [sys.executable, "-c", _COMMAND, *words], stdout=subprocess.PIPE, text=True
    )
    try:
        line = process.stdout.readline()
        found = re.fullmatch(r"tiny version 1: http://127.0.0.1:(\d+)/ \(Ctrl\+C stops\)\n", line)
        assert found, line
        address = ("127.0.0.1", int(found[1]))
        content = exported.files[1].read_bytes()
        head = "POST /detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        clients = []
        for _ in range(3):
            clients.append(socket.create_connection(address, timeout=60))
            clients[-1].sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        idle = socket.create_connection(address, timeout=60)
        time.sleep(0.5)
        assert select.select(clients, [], [], 0)[0] == []  # None has its answer.
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        answers = []
        for client in clients:
            with client, client.makefile("rb") as stream:
                assert stream.readline() == b"HTTP/1.1 200 OK\r\n"
                while stream.readline() != b"\r\n":
                    pass
                answers.append(json.loads(stream.read()))
        assert all(answer["detections"] for answer in answers)
        # Who shares a call with whom is the scheduler's choice, and changes the last digit.
        for answer in answers[1:]:
            for one, other in zip(answer["detections"], answers[0]["detections"], strict=True):
                assert one["name"] == other["name"]
                np.testing.assert_allclose(one["box"], other["box"], atol=1e-3)
                assert one["score"] == pytest.approx(other["score"], abs=1e-5)
        assert idle.recv(1) == b""
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
