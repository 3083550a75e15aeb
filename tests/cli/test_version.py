"""`maskrcnn --version`, and that a version stands in one place."""

import configparser
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import keras_maskrcnn
from keras_maskrcnn.cli import main, version

ROOT = Path(__file__).resolve().parents[2]
STATED = "maskrcnn-keras {} (Python {}.{}.{}, TensorFlow {}, Keras {})"


def test_versions_of_what_is_installed(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.strip() == STATED.format(
        metadata.version("maskrcnn-keras"),
        *sys.version_info[:3],
        metadata.version("tensorflow"),
        metadata.version("keras"),
    )


def test_it_is_told_without_tensorflow_and_keras(monkeypatch):
    real = metadata.version

    def without(name):
        if name != "maskrcnn-keras":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", without)
    assert version.versions().endswith("TensorFlow not installed, Keras not installed)")


def test_it_imports_neither():
    script = """
import sys
from keras_maskrcnn.cli import main
try:
    main(["--version"])
except SystemExit:
    pass
print(sorted({"tensorflow", "keras", "numpy"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr


def test_one_source():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    stated = setup["metadata"]["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", stated)
    assert f"\nversion: {stated}\n" in (ROOT / "CITATION.cff").read_text()
    assert keras_maskrcnn.__version__ == metadata.version("maskrcnn-keras")
    files = [ROOT / "setup.py", *(ROOT / "keras_maskrcnn").rglob("*.py")]
    assert not [f for f in files if re.search(r"__version__ *=", f.read_text())]
