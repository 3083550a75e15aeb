"""What objects show of themselves in a notebook."""

import io
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from doctor_data import data_of, examined, pixels, record, save, thing
from PIL import Image, ImageShow

from keras_maskrcnn import notebook
from keras_maskrcnn.evaluation.metrics import CocoMetrics
from keras_maskrcnn.models.presets import PRESETS, PresetTable
from keras_maskrcnn.weights.report import LoadReport

HOSTILE = "<script>alert('1')</script>"


def test_a_table_is_escaped_and_has_no_colour_of_its_own():
    html = notebook.table(["", HOSTILE], [[HOSTILE, 1], ["b", 2]])
    assert html.count("<tr>") == 3 and html.count("<td ") == 4 and html.count("<th ") == 2
    assert "<script" not in html and html.count("&lt;script&gt;") == 2
    assert "color:" not in html.replace("border-color:", "") and "background" not in html


@pytest.mark.parametrize(
    ("size", "scale"), [((4000, 6000), 0.2), ((100, 80), 4.0), ((500, 700), 1.0)]
)
def test_fitting_scale(size, scale):
    assert notebook.fitting_scale(size) == pytest.approx(scale)


def test_pictures_stay_small():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (640, 640, 3), np.uint8)
    smooth = np.tile(np.arange(200, dtype=np.uint8)[:, None, None], (4, 1000, 3))
    assert len(notebook.jpeg(noise)) <= 300_000
    content = notebook.jpeg(smooth)
    assert len(content) < 100_000
    shown = np.asarray(Image.open(io.BytesIO(content)), int)
    assert abs(shown - smooth).max() <= 6
    html = notebook.picture(smooth, f'"{HOSTILE}')
    assert html.startswith('<img src="data:image/jpeg;base64,/9j/') and "<script" not in html


def kernel(monkeypatch, shell):
    """IPython, in which that shell runs; gives what is displayed."""
    shown = []
    display = SimpleNamespace(
        display=shown.append, Image=lambda data, format: (format, len(data), data[:2])
    )
    module = SimpleNamespace(get_ipython=lambda: shell, display=display)
    monkeypatch.setitem(sys.modules, "IPython", module)
    return shown


def test_in_a_notebook_a_picture_is_displayed(monkeypatch):
    image = np.zeros((20, 30, 3), np.uint8)
    shown = kernel(monkeypatch, SimpleNamespace(kernel=object()))
    assert notebook.in_notebook()
    notebook.show(image)
    assert shown == [("jpeg", len(notebook.jpeg(image)), b"\xff\xd8")]


@pytest.mark.parametrize("shell", [None, SimpleNamespace()])
def test_elsewhere_a_window_opens(monkeypatch, shell):
    """Also in a terminal's IPython, which shows no pictures."""
    shown = kernel(monkeypatch, shell)
    opened = []
    monkeypatch.setattr(ImageShow, "show", lambda image: opened.append(image.size) or True)
    notebook.show(np.zeros((20, 30, 3), np.uint8))
    assert (opened, shown) == ([(30, 20)], [])
    monkeypatch.setattr(ImageShow, "show", lambda image: False)
    with pytest.raises(RuntimeError, match=r"plot\(\).save"):
        notebook.show(np.zeros((20, 30, 3), np.uint8))


def test_metrics():
    numbers = {"box_ap": 0.5, "box_ap50": float("nan"), "box_ar": 0.25}
    html = CocoMetrics(numbers, {HOSTILE: numbers})._repr_html_()
    cells = re.findall("([^>]*)</td>", html)
    assert cells.count("50.0") == 3 and cells.count("-") == 3 and cells.count("25.0") == 1
    assert "<script" not in html and "<details>" not in html
    many = CocoMetrics(numbers, {f"class {k}": numbers for k in range(31)})._repr_html_()
    assert "<summary>31 classes</summary>" in many


def test_presets():
    table = PresetTable(PRESETS.values())
    html = table._repr_html_()
    assert html.count("<tr>") == len(PRESETS) + 1
    assert all(
        source.split("] ")[1] in html for source in str(table).splitlines() if "] " in source
    )


def test_load_report():
    report = LoadReport(HOSTILE, {"a": ("b",)}, fresh=("head/kernel",), note="backbone only")
    html = report._repr_html_()
    assert "<script" not in html
    assert html.index("1 variables loaded") < html.index("backbone only") < html.index("FRESH")
    assert str(report) == (
        f"{HOSTILE}: 1 variables loaded\n  backbone only\n  FRESH, TO BE TRAINED: 1 (head/kernel)"
    )


def test_the_report_on_data(tmp_path):
    path = save(tmp_path / "a.png", pixels(0))
    things = [thing(1, (0, 0, 32, 32)), thing(2, (5, 5, 5.5, 5.5)), thing(3, (0, 0, 32, 32))]
    data = data_of([record(1, path, things), record(2, str(tmp_path / "gone.png"))], [HOSTILE])
    report = examined(data)
    html = report._repr_html_()
    assert ("Training makes sense." in html) == report.makes_sense
    assert "<script" not in html and 1 <= html.count("<img src=") <= 6
    assert html.count("<tr>") == 2 + 1 + len(report.counts)
    assert repr(report) == report.summary()
