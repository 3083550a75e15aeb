"""What README and docs state in tables must be what the code holds."""

import re
from pathlib import Path

from keras_maskrcnn.data import FORMATS
from keras_maskrcnn.data.transforms import POLICIES
from keras_maskrcnn.models.presets import PRESETS

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"


def rows(path):
    """Cells of all tables of a page."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]


def test_the_readme_is_one_page():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def test_short_table_of_presets():
    found = {cells[0].strip("`"): cells[1:4] for cells in rows(README) if len(cells) == 5}
    del found["preset"], found["---"]
    assert len(found) >= 5
    for name, cells in found.items():
        stated = [PRESETS[name].published.get(kind) for kind in ("box", "mask", "keypoint")]
        assert [float(cell) if cell else None for cell in cells] == stated, name


def test_numbers_of_speed():
    """From the table of which they are a summary."""
    text = " ".join(README.read_text(encoding="utf-8").split())
    results = {cells[0]: cells for cells in rows(ROOT / "benchmarks/results/end_to_end.md")}
    single, half = (
        results[f"inference, 1 x 800x1088, {dtype}"] for dtype in ("float32", "bfloat16")
    )
    (stated,) = re.findall(
        r"takes ([\d.]+) s \(([\d.]+) in bfloat16\), ([\d.]+) and ([\d.]+)", text
    )
    seconds = [float(row[1]) / 1000 for row in (single, half)]
    ratios = [float(row[3]) for row in (single, half)]
    assert [float(value) for value in stated] == [round(v, 1) for v in (*seconds, *ratios)]


def test_table_of_formats():
    cells = {
        name.strip(" `")
        for row in rows(ROOT / "docs/how-to/formats.md")
        if len(row) == 3
        for name in row[1].split(",")
    }
    assert set(FORMATS.names) - {"polygon_csv"} <= cells


def test_table_of_policies():
    names = {
        name
        for row in rows(ROOT / "docs/how-to/augment.md")
        if len(row) == 2
        for name in re.findall(r"`(\w+)`", row[0])
    }
    assert set(POLICIES) == names
