"""Imports go down only, as `.importlinter` draws the floors."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_imports_go_down_only():
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    result = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-2000:]
    assert "0 broken" in result.stdout


def test_help_needs_neither_tensorflow_nor_keras():
    script = """
import sys
from keras_maskrcnn.cli import main
try:
    main(["train", "--help"])
except SystemExit:
    pass
print(sorted({"tensorflow", "keras", "numpy"} & set(sys.modules)))
"""
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True
    )
    assert result.stdout.splitlines()[-1] == "[]", result.stdout[-500:] + result.stderr
