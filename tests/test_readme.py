"""What the README states must be what the code holds."""

from pathlib import Path

from keras_maskrcnn.data import FORMATS
from keras_maskrcnn.models.presets import PRESETS

README = Path(__file__).resolve().parents[1] / "README.md"


def test_table_of_presets():
    rows = {}
    for line in README.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip(" `") for cell in line.strip("|").split("|")]
        if cells[0] in PRESETS:
            rows[cells[0]] = cells[1:]
    assert sorted(rows) == sorted(name for name, preset in PRESETS.items() if preset.published)
    for name, cells in rows.items():
        published = PRESETS[name].published
        stated = [published.get(kind) for kind in ("box", "mask", "keypoint")]
        assert [float(cell) if cell else None for cell in cells[:3]] == stated
        assert PRESETS[name].url.endswith(cells[3])


def test_table_of_formats():
    cells = {
        name.strip(" `")
        for line in README.read_text(encoding="utf-8").splitlines()
        if line.startswith("|") and line.count("|") == 4
        for name in line.split("|")[2].split(",")
    }
    assert set(FORMATS.names) - {"polygon_csv"} <= cells
