"""Fixtures shared by all tests."""

from __future__ import annotations

import ctypes
import gc
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from process_memory import status_bytes

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of development data beside the project; tests that need it skip without it."""
    if not SHARED.is_dir():
        missing = "needs the development data in ../shared, which is not here"
        # CI has the data: there, a test that skips would hide that it is gone.
        (pytest.fail if os.environ.get("REQUIRE_SHARED") else pytest.skip)(missing)
    return SHARED


@pytest.fixture(scope="session")
def golden(shared: Path) -> Callable[[str], dict[str, np.ndarray]]:
    """`golden(name)`: the arrays that a reference implementation recorded under that name."""

    def load(name: str) -> dict[str, np.ndarray]:
        with np.load(shared / "golden" / f"{name}.npz") as file:
            return dict(file)

    return load


@pytest.fixture(scope="session")
def golden_info(shared: Path) -> Callable[[str], dict]:
    """`golden_info(name)`: how the arrays of that name were recorded."""

    def load(name: str) -> dict:
        return json.loads((shared / "golden" / f"{name}.json").read_text())

    return load


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """One export that many tests read; see `export_tiny`."""
    # TensorFlow is not needed to collect tests.
    from exported_model import export_tiny

    return export_tiny(tmp_path_factory.mktemp("export"))


@pytest.fixture(autouse=True, scope="module")
def _give_memory_back() -> Iterator[None]:
    """Models and traced graphs hold each other in circles, which Python frees late or never."""
    yield
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


# The peak of every process, printed at the end: none is to pass 3 GB.
_PEAKS: dict[str, int] = {}


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["peak_memory"] = status_bytes("VmHWM")


def pytest_configure(config: pytest.Config) -> None:
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(_Workers())


class _Workers:
    """Hears of the processes that pytest-xdist ends."""

    def pytest_testnodedown(self, node: Any) -> None:
        peak = getattr(node, "workeroutput", {}).get("peak_memory")
        if peak is not None:
            _PEAKS[node.gateway.id] = peak


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for name, peak in sorted({**_PEAKS, "main": status_bytes("VmHWM")}.items()):
        terminalreporter.write_line(f"peak memory of process {name}: {peak / 1e9:.2f} GB")
