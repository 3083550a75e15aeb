"""The notebooks are what their sources say, and run."""

import importlib.util
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
SOURCES = sorted(FOLDER.glob("[0-9]*.py"))
# How many figures each shows, in its small form too.
FIGURES = {
    "01_your_photos": 2,
    "02_look_at_your_data": 7,
    "03_inside_the_model": 12,
    "04_is_it_good": 5,
    "05_the_paper": 2,
    "06_own_parts": 3,
    "08_into_production": 2,
}


@pytest.fixture(scope="module")
def run():
    """The module `notebooks/run.py`."""
    spec = importlib.util.spec_from_file_location("run_notebooks", FOLDER / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where all of them run: a later one finds the model of an earlier one."""
    return tmp_path_factory.mktemp("notebooks")


def figures(notebook):
    return sum(
        "image/png" in output.get("data", {})
        for cell in notebook.cells
        for output in cell.get("outputs", ())
    )


def test_all_are_listed():
    assert [source.stem for source in SOURCES] == sorted(FIGURES)
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == sorted(FIGURES)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_pair_agrees_and_holds_no_outputs(run, source):
    text = source.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert text == run.pair_text(source), "python notebooks/run.py --pair"
    cells = nbformat.reads(text, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert len(code) > 3 and len(cells) > len(code)
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


@pytest.fixture
def tiny(run, tmp_path, monkeypatch):
    """A notebook of two cells in place of the real ones."""
    monkeypatch.setattr(run, "FOLDER", tmp_path)
    monkeypatch.setattr(run, "RUNS", tmp_path / "runs")
    (tmp_path / "01_tiny.py").write_text(
        "# %%\nimport os\nimport matplotlib.pyplot as plt\nprint(os.environ.get('SMALL'))\n"
        "block = bytearray(50_000_000)\n# %%\n_ = plt.plot([1, 2])\n"
    )
    return tmp_path


def test_a_run_is_told_and_written(run, tiny, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run.py", "--small"])
    assert run.main() == 0
    line = capsys.readouterr().out.splitlines()[0].split()
    assert line[0] == "01_tiny" and line[2] == "s" and line[4] == "MB"
    assert 50 < int(line[3]) < 1000
    page = (tiny / "runs" / "small" / "01_tiny.html").read_text()
    page = page[page.index("<main") :]  # Not the style sheets.
    assert page.count("data:image/png") == 1 and "<pre>1\n</pre>" in page
    assert "ru_maxrss" not in page

    notebook = run.read(tiny / "01_tiny.py")
    run.execute(notebook, tiny, small=False)
    assert notebook.cells[0].outputs[0].text == "None\n" and figures(notebook) == 1


def test_a_failure_is_told_and_fails(run, tiny, capsys, monkeypatch):
    with (tiny / "01_tiny.py").open("a") as file:
        file.write("# %%\nassert 1 > 2, 'no'\n")
    with pytest.raises(CellExecutionError):
        run.execute(run.read(tiny / "01_tiny.py"), tiny, small=True)
    monkeypatch.setattr(sys, "argv", ["run.py", "01"])
    assert run.main() == 1
    assert "FAILED" in (told := capsys.readouterr().out) and "1 > 2" in told
    # What was shown up to there is kept.
    assert "data:image/png" in (tiny / "runs" / "full" / "01_tiny.html").read_text()


def test_pairs_are_written(run, tiny, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["run.py", "--pair"])
    assert run.main() == 0
    first = (tiny / "01_tiny.ipynb").read_bytes()
    assert len(nbformat.reads(first.decode(), as_version=4).cells) == 2
    run.main()
    assert (tiny / "01_tiny.ipynb").read_bytes() == first
    monkeypatch.setattr(sys, "argv", ["run.py", "07"])
    with pytest.raises(SystemExit):
        run.main()
    assert "Received: ['07']" in capsys.readouterr().err


@pytest.mark.slow  # Each starts TensorFlow, most train.
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_it_runs_in_its_small_form(run, folder, source, monkeypatch):
    for name in ("DATA", "WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    notebook = run.read(source)
    run.execute(notebook, folder, small=True)
    assert figures(notebook) == FIGURES[source.stem]
