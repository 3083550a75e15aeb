"""Processes of this machine as the workers of a strategy."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_SUPPORT = Path(__file__).resolve().parent


class WorkerProcesses:
    """The same program as each of some workers, told of each other by `TF_CONFIG`.

    Each has a folder of its own as its working directory, as on machines of their own.

    Args:
        words: of the command, after Python's own.
        folder: where these folders are made, and where what they write is kept.
        count: of workers; one alone has no `TF_CONFIG`.
    """

    def __init__(self, words: Sequence[Any], folder: Path, count: int = 2) -> None:
        self.folders = [folder / f"worker{index}" for index in range(count)]
        self.logs = [folder / f"worker{index}.txt" for index in range(count)]
        addresses = [f"127.0.0.1:{port}" for port in _free_ports(count)]
        paths = [_SUPPORT.parents[1], _SUPPORT.parent, _SUPPORT, os.environ.get("PYTHONPATH", "")]
        common = {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
        common["PYTHONPATH"] = os.pathsep.join(map(str, paths))
        environment = {k: v for k, v in os.environ.items() if k != "TF_CONFIG"} | common
        self.processes = []
        for index in range(count):
            self.folders[index].mkdir(parents=True, exist_ok=True)
            task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            told = {"TF_CONFIG": json.dumps(task)} if count > 1 else {}
            with self.logs[index].open("w") as log:
                process = subprocess.Popen(
                    [sys.executable, *map(str, words)],
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self.folders[index],
                    env={**environment, **told},
                )
            self.processes.append(process)

    def end(self, seconds: float) -> list[int]:
        """Waits until all have ended, as long each; kills those that have not. Their codes."""
        try:
            return [process.wait(seconds) for process in self.processes]
        finally:
            for process in self.processes:
                process.kill()
                process.wait()

    def texts(self) -> list[str]:
        """What each wrote."""
        return [log.read_text(errors="replace") for log in self.logs]

    def succeed(self, seconds: float) -> list[str]:
        """What they wrote when all have ended well."""
        codes = self.end(seconds)
        texts = self.texts()
        assert not any(codes), "\n".join([str(codes), *(text[-3000:] for text in texts)])
        return texts


def _free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for item in sockets:
        item.bind(("127.0.0.1", 0))
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports
