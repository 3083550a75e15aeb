"""Reads answers byte by byte, without a library that would forgive."""

from __future__ import annotations

import dataclasses
import re
import socket
import time
from collections.abc import Sequence

from fuzz.verdicts import SilentError

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) [ -~]*")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([ -~]*)")
# Seconds without a byte after which an unfinished request is given up by its client.
_PATIENCE = 0.5
_LIMIT = 45.0


@dataclasses.dataclass(frozen=True)
class Answer:
    """One answer.

    Args:
        status: of HTTP.
        headers: by name in lower case.
        body: whole.
    """

    status: int
    headers: dict[str, str]
    body: bytes


def exchange(port: int, request: bytes, complete: bool, count: int = 1) -> bytes | None:
    """Sends bytes and reads until the server ends the connection.

    Args:
        port: on this machine.
        request: to send.
        complete: whether the server owes an answer; without one, it is left alone soon.
        count: how many it owes.

    Returns:
        What came back; `None` when the server did not end it in time.
    """
    received, until = bytearray(), time.monotonic() + _LIMIT
    with socket.create_connection(("127.0.0.1", port), timeout=_LIMIT) as client:
        try:
            client.sendall(request)
            while True:
                owes = complete and received.count(b"HTTP/1.1 ") < count
                waits = _LIMIT if owes else _PATIENCE
                client.settimeout(waits)
                try:
                    part = client.recv(1 << 16)
                except TimeoutError:
                    # It is kept open for the next request, or waits for the rest of this one.
                    return None if owes else bytes(received)
                if not part:
                    return bytes(received)
                received += part
                if time.monotonic() > until:
                    return None
        except (ConnectionResetError, BrokenPipeError):
            # A server may end what it refuses before all of it was sent.
            return bytes(received)


def parse(received: bytes, methods: Sequence[str]) -> list[Answer]:
    """Splits what came back into answers.

    Args:
        received: all of it.
        methods: of the requests in their order, as far as they are known.

    Raises:
        SilentError: when anything of it is no well-formed answer.
    """
    answers: list[Answer] = []
    while received:
        head, found, rest = received.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        status = _STATUS.fullmatch(first)
        if not found or status is None:
            raise SilentError(f"no well-formed answer: {received[:120]!r}")
        headers: dict[str, str] = {}
        for line in lines:
            header = _HEADER.fullmatch(line)
            if header is None or header[1].decode().lower() in headers:
                raise SilentError(f"no well-formed header: {line!r}")
            headers[header[1].decode().lower()] = header[2].decode()
        code = int(status[1])
        if code < 200:  # such as 100 Continue: the answer comes after it
            received = rest
            continue
        method = methods[len(answers)] if len(answers) < len(methods) else ""
        if method == "HEAD" or code in (204, 304):
            body, received = b"", rest
        elif headers.get("transfer-encoding") == "chunked":
            body, received = _chunked(rest)
        elif "content-length" in headers:
            length = int(headers["content-length"])
            body, received = rest[:length], rest[length:]
            if len(body) < length:
                raise SilentError(f"{len(body)} bytes of an answer of {length}")
        else:  # until the connection ends
            body, received = rest, b""
        answers.append(Answer(code, headers, body))
    return answers


def _chunked(rest: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        size, found, rest = rest.partition(b"\r\n")
        if not found:
            raise SilentError("an answer in chunks is cut off")
        length = int(size, 16)
        chunk, end, rest = rest[:length], rest[length : length + 2], rest[length + 2 :]
        if len(chunk) < length or end != b"\r\n":
            raise SilentError("an answer in chunks is cut off")
        if not length:
            return body, rest
        body += chunk
