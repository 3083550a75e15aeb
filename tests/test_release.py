"""What `make dist` builds holds what it must, and what does not is refused."""

import importlib.util
import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TREE = ("keras_maskrcnn", "custom_ops", "tests", "benchmarks", "docs", "notebooks", "release")
METADATA = """Metadata-Version: 2.4
Name: maskrcnn-keras
Version: 0.1.0
License-Expression: Apache-2.0

A description.
"""
WHEEL = "maskrcnn_keras-0.1.0-py3-none-linux_x86_64.whl"
LIBRARY = "keras_maskrcnn/custom_ops/library/tf2.21.0-cpu-x86_64-0/libmaskrcnn_ops.so"


@pytest.fixture
def make_dist(tmp_path, monkeypatch):
    """The module, which builds a copy of this checkout into a folder of its own."""
    spec = importlib.util.spec_from_file_location("make_dist", ROOT / "release" / "make_dist.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path / "project")
    monkeypatch.setattr(module, "DIST", tmp_path / "dist")
    module.DIST.mkdir()
    return module


def copy_checkout(target):
    target.mkdir()
    for name in TREE:
        shutil.copytree(ROOT / name, target / name)
    for file in ROOT.iterdir():
        if file.is_file():
            shutil.copy(file, target)


def wheel(make_dist, name=WHEEL, *, more=(LIBRARY,), metadata=METADATA, without=()):
    """A wheel as it should be, but for these changes."""
    path = make_dist.DIST / name
    with zipfile.ZipFile(path, "w") as archive:
        for file in {*make_dist.WHEEL_FILES, *more} - set(without):
            archive.writestr(file, "")
        archive.writestr("maskrcnn_keras-0.1.0.dist-info/METADATA", metadata)
    return path


def test_sdist_is_whole(make_dist):
    copy_checkout(make_dist.ROOT)
    # What lies about in a checkout that has been used.
    for junk in ("custom_ops/library/x/libmaskrcnn_ops.so", "tests/__pycache__/a.pyc"):
        (make_dist.ROOT / junk).parent.mkdir(parents=True, exist_ok=True)
        (make_dist.ROOT / junk).write_text("")
    path = make_dist.build_sdist()
    make_dist.check_sdist(path)
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = {p.relative_to(ROOT) for p in (ROOT / "keras_maskrcnn").rglob("*.py")}
    assert {path.as_posix() for path in tracked} <= names
    assert "tests/extending/test_stranger.py" in names


def test_sdist_that_lacks_something(make_dist):
    path = make_dist.DIST / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("a", "a/PKG-INFO", "a/LICENSE"):
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if name == "a" else tarfile.REGTYPE
            archive.addfile(info, io.BytesIO())
    with pytest.raises(SystemExit, match=r"a\.tar\.gz lacks NOTICE, CHANGELOG.md"):
        make_dist.check_sdist(path)


def test_wheel_as_it_should_be(make_dist):
    make_dist.check_wheel(wheel(make_dist))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"more": ()}, "one library with CPU kernels. Received: \\[\\]"),
        ({"more": (LIBRARY.replace("cpu", "cuda13.0"),)}, "one library with CPU kernels"),
        ({"more": (LIBRARY, "tests/conftest.py")}, "must not hold tests/conftest.py"),
        ({"without": ("keras_maskrcnn/py.typed",)}, "lacks keras_maskrcnn/py.typed"),
        ({"name": "maskrcnn_keras-0.1.0-py3-none-any.whl"}, "a tag for any Python 3"),
        ({"name": "maskrcnn_keras-0.1.0-cp311-cp311-linux_x86_64.whl"}, "a tag for any Python 3"),
        (
            {"metadata": METADATA.replace("License-Expression: Apache-2.0\n", "")},
            "a licence expression and a description",
        ),
    ],
)
def test_wheel_that_is_refused(make_dist, changes, message):
    with pytest.raises(SystemExit, match=message):
        make_dist.check_wheel(wheel(make_dist, **changes))
