"""Runs the server until it is told to stop."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from keras_maskrcnn.serving.app import create_app
from keras_maskrcnn.serving.model import ServedModel
from keras_maskrcnn.serving.requests import Limits


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


def serve(
    model: ServedModel, limits: Limits, listener: socket.socket, say: Callable[[str], None]
) -> None:
    """Answers requests until SIGTERM or SIGINT; those in work are finished before it returns.

    Args:
        model: to answer with.
        limits: what to take on.
        listener: of `open_socket`.
        say: is told when the server is ready.
    """
    model.warm_up()
    host, port = listener.getsockname()[:2]
    address = f"[{host}]" if ":" in host else host

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            say(f"{model.name} version {model.version}: http://{address}:{port}/ (Ctrl+C stops)")

    config = uvicorn.Config(
        create_app(model, limits),
        http="h11",
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
    )
    # uvicorn shuts down on these signals and then raises them again for whoever handled them
    # before. To stop when asked to is no error.
    before: dict[int, Any] = {
        number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        Server(config).run(sockets=[listener])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        listener.close()
