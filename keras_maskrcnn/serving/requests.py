"""What a request may be, and how its body is read: bounded in size and time."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Collection

from starlette.requests import Request


class RequestError(Exception):
    """A request that is answered with an error.

    Args:
        status: of HTTP.
        message: what was wrong, for people.
        headers: further headers of the answer.
        picture: position in the request of the picture that is to blame, for programs.
    """

    def __init__(
        self,
        status: int,
        message: str,
        headers: dict[str, str] | None = None,
        *,
        picture: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}
        self.picture = picture


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a server takes on: every limit of bytes, pixels, numbers and time.

    A request goes through them in this order:

    1. There are at most `max_connections`. The next one takes the place of the connection that has
       waited longest for its client; where all have requests in work, it waits its turn.
    2. The head (request line and headers, 64 KB at most) must be whole `head_timeout` after the
       connection was made, or after the answer before (or else 408), and begin 5 seconds after it.
    3. More than `max_requests` pictures' requests at a time are refused (503).
    4. The body may have `max_body` bytes (413), which arrive within `body_timeout` (408).
    5. A picture file may announce `max_pixels` (413), a request may hold `max_batch` (400).
    6. It waits at most `max_wait` for others to share a call of the model with, and at most
       `timeout` for the answer (504).
    7. The client must have taken the answer after `body_timeout`; or else it is cut off.

    Args:
        max_body: bytes of a request's body.
        max_pixels: of one picture, told by its header before anything is decoded.
        max_batch: pictures of one request, and of one call of the model.
        max_wait: seconds that a request waits for others to share a call with.
        max_requests: requests for the model in work at a time, waiting ones included.
        max_connections: at a time; more than `max_requests`, so that some are left for questions
            that need no model.
        head_timeout: seconds for the head of a request to arrive, and for what is left of the body
            of one that was refused.
        body_timeout: seconds for a body to arrive, and for an answer to be taken.
        timeout: seconds from the whole body to the model's answer.

    Raises:
        ValueError: for a limit that would let nothing through.
    """

    max_body: int = 20 << 20
    max_pixels: int = 50_000_000
    max_batch: int = 4
    max_wait: float = 0.01
    max_requests: int = 32
    max_connections: int = 256
    head_timeout: float = 10.0
    body_timeout: float = 30.0
    timeout: float = 60.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not value > 0 and not (field.name == "max_wait" and value == 0):
                raise ValueError(f"{field.name} must be above 0. Received: {field.name}={value}")
        if self.max_connections <= self.max_requests:
            raise ValueError(
                f"max_connections must be above max_requests={self.max_requests}. "
                f"Received: max_connections={self.max_connections}"
            )


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
            408,
            f"the body did not arrive within {limits.body_timeout:g} seconds",
            {"Connection": "close"},
        ) from None
    if not body:
        raise RequestError(400, "the body is empty")
    return bytes(body)


def _too_long(received: str, limits: Limits) -> RequestError:
    return RequestError(
        413, f"expected a body of at most {limits.max_body} bytes. Received: {received}"
    )
