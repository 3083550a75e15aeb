"""What a request may be, and how its body is read: bounded in size and time."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Collection

from starlette.requests import ClientDisconnect, Request

# A client that is still sending reads no answer: so much of what is refused is read and dropped.
_DRAIN_BYTES = 256 << 20
_DRAIN_SECONDS = 10.0


class RequestError(Exception):
    """A request that is answered with an error.

    Args:
        status: of HTTP.
        message: what was wrong, for the client.
        headers: further headers of the answer.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a server takes on.

    Args:
        max_body: bytes of a request's body.
        max_pixels: of one picture, told by its header before anything is decoded.
        max_batch: pictures of one request, and of one call of the model.
        max_wait: seconds that a request waits for others to share a call with.
        max_requests: requests in work at a time, waiting ones included.
        body_timeout: seconds for the body to arrive.
        timeout: seconds from there to the model's answer.

    Raises:
        ValueError: for a limit that would let nothing through.
    """

    max_body: int = 20 << 20
    max_pixels: int = 50_000_000
    max_batch: int = 4
    max_wait: float = 0.01
    max_requests: int = 32
    body_timeout: float = 30.0
    timeout: float = 60.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not value > 0 and not (field.name == "max_wait" and value == 0):
                raise ValueError(f"{field.name} must be above 0. Received: {field.name}={value}")


def check_content_type(request: Request, accepted: Collection[str]) -> str:
    """The request's media type without its parameters, in lower case; empty where it has none.

    Raises:
        RequestError: 415, when it is none of the accepted.
    """
    received = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if received not in accepted:
        expected = ", ".join(name for name in accepted if name)
        raise RequestError(
            415, f"expected Content-Type {expected}. Received: {received or 'no Content-Type'}"
        )
    return received


async def read_body(request: Request, limits: Limits) -> bytes:
    """The whole body.

    Raises:
        RequestError: 413 when it is too long, 408 when it takes too long, 400 when it is empty.
    """
    body = bytearray()
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limits.max_body:
        raise _too_long(f"{length} bytes", limits)
    try:
        async with asyncio.timeout(limits.body_timeout):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.max_body:
                    raise _too_long("more", limits)
    except TimeoutError:
        raise RequestError(
            408, f"the body did not arrive within {limits.body_timeout:g} seconds"
        ) from None
    if not body:
        raise RequestError(400, "the body is empty")
    return bytes(body)


async def drain(request: Request) -> None:
    """Reads what is left of the body of a request that was refused, within limits."""
    read = 0
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for chunk in request.stream():
                read += len(chunk)
                if read > _DRAIN_BYTES:
                    return
    # RuntimeError: the stream was read before.
    except (TimeoutError, RuntimeError, ClientDisconnect):
        return


def _too_long(received: str, limits: Limits) -> RequestError:
    return RequestError(
        413, f"expected a body of at most {limits.max_body} bytes. Received: {received}"
    )
