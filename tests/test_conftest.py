"""What the suite promises of itself."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
GOLDEN_TEST = """
def test_with_shared_data(golden):
    assert golden("here")["x"] == 1


def test_with_a_file_that_is_missing(golden):
    golden("absent")


def test_without():
    bytearray(300_000_000)
"""


@pytest.fixture
def suite(tmp_path):
    """Runs a suite of three tests in a copy of the project; gives what pytest printed."""
    tests = tmp_path / "project" / "tests"
    tests.mkdir(parents=True)
    for name in ("conftest.py", "support/made_once.py", "support/process_memory.py"):
        shutil.copy(TESTS / name, tests / Path(name).name)
    (tests.parent / "pytest.ini").write_text("[pytest]\npythonpath = tests\n")
    (tests / "test_some.py").write_text(GOLDEN_TEST)

    def run(*options, required=""):
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-rA", *options, tests],
            capture_output=True,
            text=True,
            cwd=tests.parent,
            env={"PATH": "", "REQUIRE_SHARED": required},
        ).stdout

    run.shared = tmp_path / "shared"
    return run


def test_tests_without_their_data_skip_and_fail_where_it_is_required(suite):
    assert "1 passed, 2 skipped" in suite()
    output = suite(required="1")
    assert "1 passed, 2 errors" in output
    assert "needs the development data in ../shared, which is not here" in output


def test_a_single_missing_file_fails(suite):
    import numpy as np

    (suite.shared / "golden").mkdir(parents=True)
    np.savez(suite.shared / "golden" / "here.npz", x=1)
    output = suite()
    assert "2 passed" in output and "1 failed" in output
    assert re.search(r"FileNotFoundError.*absent\.npz", output)


def test_the_peak_memory_is_printed(suite):
    peak = re.search(r"^peak memory: (\d+) MB", suite(), re.MULTILINE)
    assert 300 < int(peak[1]) < 1000


def test_ci_requires_the_data():
    assert "export REQUIRE_SHARED=1" in (TESTS.parent / ".ci" / "run").read_text()
