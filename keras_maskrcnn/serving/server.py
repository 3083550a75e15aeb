"""Runs the server until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from keras_maskrcnn.serving.admission import Admission
from keras_maskrcnn.serving.app import create_app
from keras_maskrcnn.serving.connections import Connection, Connections, fit_descriptors
from keras_maskrcnn.serving.hosts import AllowedHosts
from keras_maskrcnn.serving.model import ServedModel
from keras_maskrcnn.serving.requests import Limits

# Connections that are made and not yet taken, which wait in the kernel.
_BACKLOG = 128


def find_version(path: Path) -> Path | None:
    """The folder of an export's highest version that is complete; `None` where there is none.

    Args:
        path: folder of all versions, or of one.
    """
    if (path / "saved_model.pb").is_file():
        return path
    versions = [p for p in path.glob("*") if p.name.isdecimal() and find_version(p) == p]
    return max(versions, key=lambda p: int(p.name), default=None)


def open_socket(host: str, port: int) -> socket.socket:
    """Takes the port, so that a port in use is told before a model is loaded.

    Raises:
        OSError: with host and port.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
    except (OSError, OverflowError) as error:
        taken.close()
        raise OSError(f"cannot listen on {host} port {port}: {error}") from error
    return taken


class Server(uvicorn.Server):
    """A model behind a socket.

    Args:
        model: to answer with.
        limits: what to take on. There may be fewer connections, and requests, where the process has
            few file descriptors.
        listener: of `open_socket`.
        hosts: whom to answer.
        ready: is called when requests are answered.
    """

    def __init__(
        self,
        model: ServedModel,
        limits: Limits,
        listener: socket.socket,
        hosts: AllowedHosts,
        ready: Callable[[], None] = lambda: None,
    ) -> None:
        config = uvicorn.Config(
            Admission(create_app(model, limits), hosts),
            http="h11",
            ws="none",
            lifespan="on",
            # What clients do wrong, which is a warning, would fill the log.
            log_level="error",
            access_log=False,
            server_header=False,
        )
        super().__init__(config)
        self._limits = limits
        self._listener = listener
        self._ready = ready
        self._accepting: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts the application; connections are taken by us and not by uvicorn."""
        await super().startup(sockets=[])
        self._listener.setblocking(False)
        self._listener.listen(_BACKLOG)
        connections = Connections(self._limits.max_connections)

        def make() -> Connection:
            state = self.lifespan.state
            return Connection(self.config, self.server_state, state, connections, self._limits)

        self._accepting = asyncio.create_task(connections.accept(self._listener, make))
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Takes no more connections, and finishes what is in work."""
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.wait([self._accepting])
        self._listener.close()
        await super().shutdown(sockets=[])


def serve(
    model: ServedModel,
    limits: Limits,
    listener: socket.socket,
    hosts: AllowedHosts,
    say: Callable[[str], None],
) -> None:
    """Answers requests until SIGTERM or SIGINT; those in work are finished before it returns.

    Args:
        model: to answer with.
        limits: what to take on.
        listener: of `open_socket`.
        hosts: whom to answer.
        say: is told when the server is ready, and what it cannot do.

    Raises:
        ValueError: where the process has too few file descriptors.
    """
    model.warm_up()
    possible = fit_descriptors(limits)
    if possible != limits:
        say(
            f"file descriptors (ulimit -n) are enough for {possible.max_connections} connections "
            f"and {possible.max_requests} requests at a time, not {limits.max_connections} and "
            f"{limits.max_requests}"
        )
    host, port = listener.getsockname()[:2]
    address = f"[{host}]" if ":" in host else host

    def ready() -> None:
        say(f"{model.name} version {model.version}: http://{address}:{port}/ (Ctrl+C stops)")

    # uvicorn shuts down on these signals and then raises them again for whoever handled them
    # before. To stop when asked to is no error.
    before: dict[int, Any] = {
        number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        Server(model, possible, listener, hosts, ready).run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        listener.close()
