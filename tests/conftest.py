"""Fixtures shared by all tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of development data beside the project; tests that need it skip without it."""
    if not SHARED.is_dir():
        pytest.skip("needs the development data in ../shared, which is not here")
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
