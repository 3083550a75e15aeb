"""Connections whose clients are waited for only so long, and of which there are only so many."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from keras_maskrcnn.serving.requests import Limits

_logger = logging.getLogger("uvicorn.error")

# Seconds until the next try, where the system had no resources for a connection; and between two
# words about it.
_RETRY = 0.1
_SILENCE = 60.0
# File descriptors that are left to the rest of the process: the event loop's, and files that are
# opened now and then.
_SPARE_DESCRIPTORS = 16
_STATUS_LINES = {400: "400 Bad Request", 408: "408 Request Timeout"}


def fit_descriptors(limits: Limits) -> Limits:
    """The limits with as many connections and requests as the process has file descriptors for.

    Raises:
        ValueError: where there are hardly any.
    """
    try:
        import resource
    except ImportError:  # Windows, which has no such limit.
        return limits
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    folder = Path("/dev/fd")
    if limit == resource.RLIM_INFINITY or not folder.is_dir():
        return limits
    free = limit - len(list(folder.iterdir())) - _SPARE_DESCRIPTORS
    if free < 2:
        raise ValueError(
            f"a server needs at least {2 - free} file descriptors more than the limit of this "
            f"process. Received: ulimit -n {limit}"
        )
    if free >= limits.max_connections:
        return limits
    requests = min(limits.max_requests, free // 2)
    return dataclasses.replace(limits, max_connections=free, max_requests=requests)


class Connection(H11Protocol):
    """An HTTP connection that ends when its client keeps the server waiting.

    The application finds it as `scope["state"]["connection"]`, and tells it when a request is in
    work and when it is answered.

    Args:
        config, server_state, app_state: uvicorn's.
        connections: those that it is one of.
        limits: how long to wait.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        connections: Connections,
        limits: Limits,
    ) -> None:
        super().__init__(config, server_state, {**app_state, "connection": self})
        self._all = connections
        self._limits = limits
        self._in_work = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._answer_timer: asyncio.TimerHandle | None = None
        # Of the event loop's clock.
        self.waiting_since = 0.0

    @property
    def is_waiting(self) -> bool:
        """Whether no request is in work, so that it could be closed."""
        return self._in_work == 0 and not self.transport.is_closing()

    def begin_request(self) -> None:
        """The head of a request is there."""
        self._in_work += 1
        _cancel(self._head_timer)

    def end_request(self) -> None:
        """A request is answered; what was refused may still be arriving."""
        self._in_work -= 1
        if self.is_waiting:
            self._wait_for_head()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for a request."""
        super().connection_made(transport)
        # To be told of every byte of an answer that the client leaves with the server.
        transport.set_write_buffer_limits(high=0)
        self._all.add(self)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Waits no longer."""
        _cancel(self._head_timer)
        _cancel(self._answer_timer)
        self._all.discard(self)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not take its answer as fast as it is written."""
        super().pause_writing()
        seconds = self._limits.body_timeout
        self._answer_timer = self.loop.call_later(seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It has taken all."""
        _cancel(self._answer_timer)
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answers what is not HTTP."""
        self._refuse(400, msg)

    def _wait_for_head(self) -> None:
        self.waiting_since = self.loop.time()
        self._all.changed()
        seconds = self._limits.head_timeout
        self._head_timer = self.loop.call_later(seconds, self._miss_head)

    def _miss_head(self) -> None:
        data, _ = self.conn.trailing_data
        if self.conn.their_state is h11.IDLE and data:
            seconds = f"{self._limits.head_timeout:g} seconds"
            self._refuse(408, f"the head of the request did not arrive within {seconds}")
        else:
            self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        """Answers in the application's place, where no answer has begun, and closes."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = f'{{"error":"{message}"}}'
            head = f"HTTP/1.1 {_STATUS_LINES[status]}\r\nContent-Type: application/json\r\n"
            head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            self.transport.write((head + body).encode("ascii"))
        self.transport.close()


class Connections:
    """The open connections of a server, and the door to it.

    Args:
        most: connections at a time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: set[Connection] = set()
        self._change = asyncio.Event()

    def add(self, connection: Connection) -> None:
        """Counts one more."""
        self._open.add(connection)

    def discard(self, connection: Connection) -> None:
        """Counts it no longer."""
        self._open.discard(connection)
        self.changed()

    def changed(self) -> None:
        """One has gone, or could be closed."""
        self._change.set()

    async def accept(self, listener: socket.socket, make: Callable[[], Connection]) -> None:
        """Takes connections until cancelled.

        asyncio's own server takes all that there are, until no file descriptor is left, and then
        says so some thousand times.

        Args:
            listener: that does not block.
            make: gives the `Connection` for a new one.
        """
        loop = asyncio.get_running_loop()
        next_word = loop.time()
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
                try:
                    await self._make_room()
                    await loop.connect_accepted_socket(make, client)
                except BaseException:
                    client.close()
                    raise
            except OSError as error:
                if error.errno in (errno.ECONNABORTED, errno.EPROTO):  # The client has gone.
                    continue
                if loop.time() >= next_word:
                    _logger.error("cannot take a connection now: %s", error)
                    next_word = loop.time() + _SILENCE
                self._close_longest_waiting()
                await asyncio.sleep(_RETRY)

    async def _make_room(self) -> None:
        while len(self._open) >= self._most:
            self._change.clear()
            self._close_longest_waiting()
            await self._change.wait()

    def _close_longest_waiting(self) -> None:
        """The one whose client has let the server wait longest."""
        waiting = [connection for connection in self._open if connection.is_waiting]
        if waiting:
            min(waiting, key=lambda connection: connection.waiting_since).transport.abort()


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
