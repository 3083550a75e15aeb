"""The notebooks are what their sources say, and run."""

import importlib.util
import re
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
    "07_large_many_moving": 6,
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
        "# %%\nimport os\nimport matplotlib.pyplot as plt\n"
        "print('0/1', end='\\b\\b\\b\\r', flush=True)\nprint(os.environ.get('SMALL'))\n"
        "block = bytearray(50_000_000)\n# %%\n_ = plt.plot([1, 2])\n"
    )
    return tmp_path


def keras_bar(
    steps, message="\033[1m{0}/3\033[0m \033[32m━━\033[0m \033[1m{0}s\033[0m - loss: {1}"
):
    """What Keras' bar writes, part by part: it goes back before it writes anew."""
    width = 0
    for step, loss in steps:
        text = message.format(step, loss)
        yield "\b" * width + "\r" + text
        width = len(re.sub("\033\\[\\d+m", "", text))
    yield "\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("".join(keras_bar([(1, 0.9), (2, 0.25)], "{0}/3 - loss: {1}")), "2/3 - loss: 0.25\n"),
        ("a\nb 10%\rb 100%\r\nc\n", "a\nb 100%\nc\n"),
        ("wait |\b/\b-\b done", "wait  done"),
        ("a\n\b\bb", "a\nb"),
        ("plain\n\ttext\n", "plain\n\ttext\n"),
    ],
)
def test_a_text_is_settled_as_in_a_terminal(run, text, shown):
    assert run.settled(text) == shown


def test_pages_have_no_control_characters(run):
    """A bar in parts, with a line of another stream and a figure after it."""
    parts = ["Epoch 1\n", *keras_bar([(1, 0.9), (2, 0.5), (3, 0.25)]), "Epoch 2\n"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("fit()")])
    new = nbformat.v4.new_output
    notebook.cells[0].outputs = [
        *(new("stream", name="stdout", text=part) for part in parts),
        new("stream", name="stderr", text="careful\n"),
        new("stream", name="stdout", text="end\n"),
        new("display_data", data={"text/plain": "a figure"}),
    ]
    run.settle(notebook)
    page, _ = run.HTMLExporter().from_notebook_node(notebook)
    page = page[page.index("<main") :]
    assert not re.findall("[\x00-\x08\x0b-\x1f\x7f]", page)
    shown = [re.sub("<.*?>", "", text) for text in re.findall("<pre>(.*?)</pre>", page, re.S)]
    bar = "3/3 ━━ 3s - loss: 0.25"
    assert shown[-4:] == [f"Epoch 1\n{bar}\nEpoch 2\n", "careful\n", "end\n", "a figure"]


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
