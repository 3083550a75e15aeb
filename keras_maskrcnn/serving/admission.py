"""Before the application: which requests are let in. After it: what they leave behind."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keras_maskrcnn.serving.answers import error_answer
from keras_maskrcnn.serving.connections import Connection
from keras_maskrcnn.serving.hosts import AllowedHosts, check_origin
from keras_maskrcnn.serving.requests import RequestError

_READING = ("GET", "HEAD", "OPTIONS")
_CLOSE = (b"connection", b"close")


class Admission:
    """ASGI middleware that refuses by the head of a request, and ends every exchange in order.

    A client that is still sending reads no answer. So whatever the application left unread is read
    and dropped, for as long as the connection waits for a head, before the answer is finished.

    Args:
        app: the application.
        hosts: whom to answer.
    """

    def __init__(self, app: ASGIApp, hosts: AllowedHosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        connection: Connection = scope["state"]["connection"]
        app: Any = self._app
        try:
            check_framing(scope)
            headers = Headers(scope=scope)
            self._hosts.check_host(headers)
            if scope["method"] not in _READING:
                check_origin(headers)
        except RequestError as error:
            app = error_answer(error)
        exchange = _Exchange(scope, receive, send)
        connection.begin_request()
        try:
            await app(scope, exchange.receive, exchange.send)
        finally:
            connection.end_request()
            await exchange.finish()


class _Exchange:
    """One request and its answer, whose end waits until the request is read."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        names = {name for name, _ in scope["headers"]}
        self._receive = receive
        self._send = send
        self._unread = bool(names & {b"content-length", b"transfer-encoding"})
        self._closes = False
        self._held: Message | None = None

    async def receive(self) -> Message:
        message = await self._receive()
        self._unread = bool(message.get("more_body"))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._closes = _CLOSE in message.get("headers", [])
        elif self._unread and not self._closes and not message.get("more_body"):
            self._held = {**message, "body": b""}
            message = {**message, "more_body": True}
        await self._send(message)

    async def finish(self) -> None:
        """Reads what was not read, then ends the answer."""
        if self._held is not None:
            while self._unread:
                await self.receive()
            await self._send(self._held)


def check_framing(scope: Scope) -> None:
    """Refuses a request whose end two servers may see in different places (RFC 9112, 6.1).

    What a proxy takes for the body of one request could be another one here.

    Raises:
        RequestError: 400, and the connection is to be closed.
    """
    names = {name for name, _ in scope["headers"]}
    if b"transfer-encoding" in names and (
        b"content-length" in names or scope["http_version"] == "1.0"
    ):
        raise RequestError(
            400,
            "expected Content-Length, or Transfer-Encoding under HTTP/1.1, not both. "
            f"Received: HTTP/{scope['http_version']} with {', '.join(_named(names))}",
            {"Connection": "close"},
        )


def _named(names: set[bytes]) -> list[str]:
    return [
        name.decode().title() for name in (b"content-length", b"transfer-encoding") if name in names
    ]
