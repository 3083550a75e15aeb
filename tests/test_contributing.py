"""What CONTRIBUTING.md states must be what is there."""

import re
from pathlib import Path

import keras_maskrcnn
from keras_maskrcnn import backbones, heads, necks, poolers

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def drawn():
    """Paths of the tree."""
    (tree,) = re.findall(r"```\n(keras_maskrcnn/\n.*?)```", TEXT, re.DOTALL)
    for line in tree.splitlines():
        name = line.split()[0]
        yield ROOT / "keras_maskrcnn" / name if line.startswith("  ") else ROOT / name


def test_the_tree_is_the_package():
    paths = list(drawn())
    assert [path for path in paths if not path.exists()] == []
    package = Path(keras_maskrcnn.__file__).parent
    there = {
        path
        for path in package.iterdir()
        if path.suffix == ".py" or (path.is_dir() and (path / "__init__.py").exists())
    }
    assert there - set(paths) == set()


def test_commands_and_files_that_are_named_exist():
    files = set(re.findall(r"(?:tests|benchmarks|release|custom_ops)/[\w/]+\.(?:py|sh)", TEXT))
    assert len(files) > 6
    assert [name for name in files if not (ROOT / name).is_file()] == []
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"make ([a-z]+(?:-[a-z]+)?)", TEXT)) - {"changes"}:
        assert f"\n{target}:" in makefile, target
    assert (ROOT / "README.md").read_text().count("CONTRIBUTING.md") >= 1


def test_kinds_of_parts():
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in TEXT.splitlines()
        if re.match(r"\| \w+ \| `\w+\.\w+`, `\w+` \|", line)
    ]
    folders = {"backbone": backbones, "neck": necks, "pooler": poolers, "head": heads}
    assert [row[0] for row in rows] == list(folders)
    for kind, bases, owed, example in rows:
        base, registry = re.findall(r"`([\w.]+)`", bases)
        assert base.partition(".")[0] == folders[kind].__name__.rpartition(".")[2]
        cls = getattr(folders[kind], base.partition(".")[2])
        assert getattr(folders[kind], registry).names
        for name in re.findall(r"`(\w+)`", owed):
            assert name == "C2" or hasattr(cls, name) or name in cls.__annotations__, name
        assert (ROOT / "tests" / "extending" / example.strip("`")).is_file()
