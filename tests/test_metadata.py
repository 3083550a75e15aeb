"""What setup.cfg tells of the project is true."""

import ast
import configparser
import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")
# Module to distribution, where the names differ.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "pillow_heif": "pillow-heif",
    "faster_coco_eval": "faster-coco-eval",
    "google": "tensorflow",  # protobuf, which TensorFlow's own interface hands out.
    "grpc": "tensorflow-serving-api",
    "skimage": "scikit-image",
    "yaml": "pyyaml",
    "tensorflow_serving": "tensorflow-serving-api",
    "anyio": "starlette",
    "h11": "uvicorn",
    # Named in the message of `needed_for`; nobody who does not have it wants it.
    "supervision": None,
    "sahi": None,
    # As TensorBoard, which is installed where its folders are looked at.
    "tensorboard": None,
    # Imported only where a notebook has imported it.
    "IPython": None,
}


def names(text):
    return {
        Requirement(line).name for line in text.split("\n") if line and not line.startswith("#")
    }


def imported():
    """Top-level modules that the package imports."""
    found = set()
    for file in (ROOT / "keras_maskrcnn").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"keras_maskrcnn"}


def test_dependencies_are_those_that_are_imported():
    required = names(SETUP["options"]["install_requires"])
    extras = {key: names(text) for key, text in SETUP["options.extras_require"].items()}
    optional = set().union(*(names for key, names in extras.items() if key != "dev"))
    used = {DISTRIBUTIONS.get(module, module) for module in imported()} - {None}
    assert required <= used, "declared, but not imported"
    assert used <= required | optional, "imported, but not declared"
    assert not required & optional


def test_licence_author_and_types():
    metadata = SETUP["metadata"]
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"license: {metadata['license_expression']}\n" in citation
    assert metadata["author"] in citation
    for name in metadata["license_files"].split():
        assert (ROOT / name).read_text()
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert (ROOT / "keras_maskrcnn" / SETUP["options.package_data"]["keras_maskrcnn"]).exists()


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/install.md"])
def test_bounds_are_those_that_pages_tell(page):
    bounds = {
        r.name: str(r.specifier)
        for r in map(Requirement, filter(None, SETUP["options"]["install_requires"].split("\n")))
        if r.name in ("tensorflow", "keras")
    }
    text = " ".join((ROOT / page).read_text().split())
    told = re.search(r"TensorFlow 2\.(\d+) to 2\.(\d+)(?:,| and) Keras 3\.(\d+) to 3\.(\d+)", text)
    low, high, keras_low, keras_high = map(int, told.groups())
    assert bounds == {
        "tensorflow": f"<2.{high + 1},>=2.{low}",
        "keras": f"<3.{keras_high + 1},>=3.{keras_low}",
    }
