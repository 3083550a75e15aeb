"""Whether the emulated test of the CUDA kernels finds faults: some ten minutes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PLANTED = Path(__file__).resolve().parents[2] / "custom_ops" / "test" / "planted.py"


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("make"), reason="needs make and a C++ compiler")
def test_every_planted_fault_is_found():
    done = subprocess.run([sys.executable, PLANTED], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
