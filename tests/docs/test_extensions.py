"""What the site makes of docstrings and parsers, by hand."""

import argparse
import importlib.util
import re

import pytest
from doc_blocks import ROOT


@pytest.fixture(scope="module")
def extensions():
    """The modules `docstrings` and `generated`."""
    found = []
    for name in ("docstrings", "generated"):
        path = ROOT / "docs" / "extensions" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"docs_{name}", path)
        found.append(importlib.util.module_from_spec(spec))
        spec.loader.exec_module(found[-1])
    return found


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["a", "- b", "  c", "- d"], ["a", "", "- b", "  c", "- d"]),
        (["`A`s of 0..`high`."], ["`A`\\ s of 0..\\ `high`."]),
        (["begins `a b", "c`s"], ["begins `a b", "c`s"]),
        (["```python", "x", "```"], ["", ".. code-block:: python", "", "    x", ""]),
        (
            ["Example:", "    x = 1", ""],
            ["Example:", "", "    .. code-block:: python", "", "        x = 1", "", ""],
        ),
        (["Example:", "", ">>> x"], ["Example:", "", ">>> x"]),
        (
            ["So:", "", "    x", "", "Then"],
            ["So:", "", ".. code-block:: python", "", "", "    x", "", "", "Then"],
        ),
    ],
)
def test_docstrings(before, after, extensions):
    docstrings, _ = extensions
    docstrings.to_rst(None, "class", "A", None, None, before)
    assert before == after


def test_options_are_markdown(extensions):
    _, generated = extensions
    parser = argparse.ArgumentParser("x")
    parser.add_argument(
        "--to", metavar="A|B", default=3, help="*all* of `a_b` and c_d: %(default)s"
    )
    parser.add_argument("--secret", help=argparse.SUPPRESS)
    (options,) = generated._options(parser)
    assert options == "**Options**\n\n`--to A|B`\n: \\*all\\* of `a_b` and c\\_d: 3"


def test_tables_keep_their_columns(extensions):
    _, generated = extensions
    assert generated._table(["a"], [["x|y"]]) == "| a |\n| --- |\n| x\\|y |"


def test_places_are_filled(extensions):
    _, generated = extensions
    source = ["# A\n\n<!-- generated: findings -->\n"]
    generated.fill_in(None, "page", source)
    assert "| error |" in source[0] and "generated" not in source[0]
    with pytest.raises(KeyError):
        generated.fill_in(None, "page", ["<!-- generated: nothing -->"])


def test_all_places_are_known(extensions):
    _, generated = extensions
    used = set()
    for page in (ROOT / "docs").rglob("*.md"):
        used |= set(re.findall(r"<!-- generated: (\w+) -->", page.read_text(encoding="utf-8")))
    assert used == set(generated.PARTS)
