"""Fixtures shared by all tests, and what a process of tests holds in memory."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_once import made_once
from process_memory import keep_memory, return_memory, status_bytes

SHARED = Path(__file__).resolve().parents[2] / "shared"
# Set where the development data must be there: without it these tests fail rather than skip.
REQUIRE_SHARED = "REQUIRE_SHARED"

TESTS = Path(__file__).resolve().parent
# Where each part is tested on its own, TensorFlow's graph optimizer does not run: it takes a
# quarter of the time until a first step. It does where whole models are: in parity, prediction,
# export, serving, the command line.
UNOPTIMIZED = {
    *("backbones", "extending", "heads", "layers", "models", "necks", "poolers", "training"),
}

# Bytes that a test may leave behind before they are collected, which takes a tenth of a second.
GROWTH = 100_000_000

os.environ["TF_ONEDNN_USE_SYSTEM_ALLOCATOR"] = "1"  # see `keep_memory`
keep_memory()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of development data beside the project; tests that need it skip without it."""
    if not SHARED.is_dir():
        needed = "needs the development data in ../shared, which is not here"
        if os.environ.get(REQUIRE_SHARED):
            pytest.fail(f"{needed}, and {REQUIRE_SHARED} is set")
        pytest.skip(needed)
    return SHARED


@pytest.fixture(scope="module", autouse=True)
def _each_file_starts_anew(request: pytest.FixtureRequest) -> Iterator[None]:
    """Models of a file of tests end with it: what they held is free for the next."""
    if "tensorflow" in sys.modules:
        folder = request.path.relative_to(TESTS).parts[0]
        sys.modules["tensorflow"].config.optimizer.set_experimental_options(
            {"disable_meta_optimizer": folder in UNOPTIMIZED}
        )
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()
    return_memory()


@pytest.fixture(autouse=True)
def _memory_goes_back() -> Iterator[None]:
    """Models lie in circles of references, which wait for a collection that comes too late."""
    before = status_bytes("VmRSS")
    yield
    if status_bytes("VmRSS") - before > GROWTH:
        return_memory()


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
def exported(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One export that many tests read; see `export_tiny`."""
    # TensorFlow is not needed to collect tests.
    from exported_model import export_tiny

    return made_once("export", export_tiny, tmp_path_factory)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The most memory that this process held."""
    terminalreporter.write_line(f"peak memory: {status_bytes('VmHWM') / 1e6:.0f} MB")
