"""Builds sdist and wheel into dist/, checks both, and tries each in a fresh environment.

    python release/make_dist.py                  # all; needs TensorFlow, g++ and a package index
    python release/make_dist.py --build-only     # without the two environments

The wheel is built from the unpacked sdist, so that what the sdist lacks fails here. It holds the
compiled op for the TensorFlow of this environment, CPU kernels alone, and is tagged for this
platform. An environment with TensorFlow takes 1.5 GB; they are made one after the other.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from packaging.metadata import Metadata
from packaging.utils import parse_wheel_filename

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"

# What must be in each; `{}` is the folder that an sdist has above all.
SDIST_FILES = (
    *("LICENSE", "NOTICE", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "README.md"),
    *("keras_maskrcnn/py.typed", "keras_maskrcnn/serving/page/index.html", "custom_ops/build.py"),
    *("custom_ops/roi_align/ops.cc", "tests/conftest.py", "release/try_installed.py"),
    *("docs/conf.py", "docs/index.md"),
    "notebooks/run.py",
)
WHEEL_FILES = (
    *("keras_maskrcnn/py.typed", "keras_maskrcnn/serving/page/index.html"),
    *("keras_maskrcnn/custom_ops/build.py", "keras_maskrcnn/custom_ops/roi_align/ops.cc"),
)


def build_sdist() -> Path:
    """The sdist of this checkout."""
    return DIST / _backend("build_sdist", ROOT)


def build_wheel(sdist: Path) -> Path:
    """The wheel that an sdist gives here, with the compiled op."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        (source,) = Path(folder).iterdir()
        return DIST / _backend("build_wheel", source)


def _backend(hook: str, source: Path) -> str:
    """Calls setuptools as any installer does; gives the name of the file in dist/."""
    environment = {**os.environ, "KERAS_MASKRCNN_REQUIRE_OP": "1", "KERAS_MASKRCNN_CUDA": "0"}
    script = f"from setuptools import build_meta; print(build_meta.{hook}({str(DIST)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=source, env=environment, text=True, capture_output=True
    )
    if done.returncode:
        sys.exit(f"{hook} failed:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout.split()[-1]


def check_sdist(path: Path) -> None:
    """Its metadata, and that it holds what a packager needs and nothing that was built."""
    with tarfile.open(path) as archive:
        top, names = archive.getnames()[0].split("/")[0], archive.getnames()
        metadata = archive.extractfile(f"{top}/PKG-INFO").read()  # type: ignore[union-attr]
    _check_names(path, {name.removeprefix(f"{top}/") for name in names}, SDIST_FILES)
    _refuse(path, [n for n in names if n.endswith((".so", ".pyc"))])
    _check_metadata(path, metadata)


def check_wheel(path: Path) -> None:
    """Its metadata, its tag, and that the library is in it, once, and no tests."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        (metadata,) = [n for n in names if n.endswith(".dist-info/METADATA")]
        _check_metadata(path, archive.read(metadata))
    _check_names(path, set(names), WHEEL_FILES)
    _refuse(path, [n for n in names if n.split("/")[0] in ("tests", "benchmarks", "custom_ops")])
    libraries = [n for n in names if n.endswith(".so")]
    if len(libraries) != 1 or "-cpu-" not in libraries[0]:
        sys.exit(f"{path.name}: expected one library with CPU kernels. Received: {libraries}")
    (tag,) = parse_wheel_filename(path.name)[3]
    if (tag.interpreter, tag.abi) != ("py3", "none") or tag.platform == "any":
        sys.exit(f"{path.name}: expected a tag for any Python 3 on this platform. Received: {tag}")


def _check_names(path: Path, names: set[str], needed: tuple[str, ...]) -> None:
    missing = [name for name in needed if name not in names]
    if missing:
        sys.exit(f"{path.name} lacks {', '.join(missing)}")


def _refuse(path: Path, names: list[str]) -> None:
    if names:
        sys.exit(f"{path.name} must not hold {', '.join(names[:5])}")


def _check_metadata(path: Path, content: bytes) -> None:
    """By the rules of the package index."""
    metadata = Metadata.from_email(content, validate=True)
    if metadata.license_expression is None or not metadata.description:
        sys.exit(f"{path.name}: expected a licence expression and a description")


def try_in_fresh_environment(file: Path, python: str) -> None:
    """Installs one file with all that it needs, and uses it."""
    print(f"--- {file.name} in a fresh environment", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", f"{folder}/venv"], check=True)
        inside = f"{folder}/venv/bin/python"
        subprocess.run([inside, "-m", "pip", "install", "--quiet", str(file)], check=True)
        # Out of the checkout, with a cache of its own, and as on a machine without CUDA.
        shutil.copy(ROOT / "release" / "try_installed.py", folder)
        environment = {
            **{k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
            "KERAS_MASKRCNN_CUDA": "0",
            "XDG_CACHE_HOME": f"{folder}/cache",
        }
        kind = "wheel" if file.suffix == ".whl" else "sdist"
        subprocess.run([inside, "try_installed.py", kind], cwd=folder, env=environment, check=True)


def main() -> None:
    """Builds, checks, tries."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--build-only", action="store_true", help="install nothing")
    parser.add_argument("--python", default=sys.executable, help="makes the fresh environments")
    options = parser.parse_args()
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    sdist = build_sdist()
    check_sdist(sdist)
    wheel = build_wheel(sdist)
    check_wheel(wheel)
    for file in (sdist, wheel):
        print(f"{file.relative_to(ROOT)}  {file.stat().st_size / 1e6:.1f} MB")
    if not options.build_only:
        for file in (wheel, sdist):
            try_in_fresh_environment(file, options.python)


if __name__ == "__main__":
    main()
