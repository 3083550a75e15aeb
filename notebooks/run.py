"""Executes the notebooks, and writes what they show as HTML into `notebooks/runs/`.

    python notebooks/run.py                 # all of them
    python notebooks/run.py 03 06 --small   # these, with tiny numbers: whether all runs
    python notebooks/run.py --pair          # writes the .ipynb files anew from the .py files

The .py files are the source; each .ipynb beside them is the same without outputs. All notebooks run
in one folder, in which a later one finds the model that an earlier one trained.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter

FOLDER = Path(__file__).resolve().parent
RUNS = FOLDER / "runs"
# What is written by others than Python, as TensorFlow's log is, does not enter the outputs.
_OWN_WORDS = "--IPKernelApp.capture_fd_output=False"
# Added at the end, and taken away again: the most memory that the kernel held, in kilobytes.
_PEAK = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"


def sources(wanted: Sequence[str] = ()) -> list[Path]:
    """The notebooks whose names begin with one of these, or all."""
    return [
        path
        for path in sorted(FOLDER.glob("[0-9]*.py"))
        if path.name.startswith(tuple(wanted) or "")
    ]


def read(source: Path) -> nbformat.NotebookNode:
    """A notebook from its source; cells are numbered, so that the same source gives the same."""
    notebook = jupytext.read(source)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
    return notebook


def pair_text(source: Path) -> str:
    """What the .ipynb beside a source holds."""
    return jupytext.writes(read(source), fmt="ipynb") + "\n"


def settled(text: str) -> str:
    """What a terminal shows of a text in the end, where progress bars go back and write anew.

    A page shows each step back as a box.
    """
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    text = "\n".join(lines)
    while "\b" in text:
        text = re.sub("[^\b\n]?\b", "", text, count=1)
    return text


def settle(notebook: nbformat.NotebookNode) -> None:
    """Settles what the cells printed, in place."""
    for cell in notebook.cells:
        outputs: list[nbformat.NotebookNode] = []
        for output in cell.get("outputs", ()):
            if outputs and _stream(output) and _stream(output) == _stream(outputs[-1]):
                outputs[-1].text += output.text  # A bar comes in many parts.
            else:
                outputs.append(output)
        for output in filter(_stream, outputs):
            output.text = settled(output.text)
        if outputs:
            cell.outputs = outputs


def _stream(output: nbformat.NotebookNode) -> str:
    """Where a cell printed; empty for what it showed otherwise."""
    return output.name if output.output_type == "stream" else ""


def execute(notebook: nbformat.NotebookNode, folder: Path, *, small: bool) -> int:
    """Runs a notebook in place.

    Args:
        notebook: receives the outputs.
        folder: where it runs, and leaves files; `kernel.log` is what its process says itself.
        small: whether with tiny numbers.

    Returns:
        The most memory that its process held, in MB.

    Raises:
        CellExecutionError: when a cell does; the outputs up to there are kept.
    """
    environment = {**os.environ, **({"SMALL": "1"} if small else {})}
    notebook.cells.append(nbformat.v4.new_code_cell(_PEAK))
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        extra_arguments=[_OWN_WORDS],
        resources={"metadata": {"path": str(folder)}},
    )
    try:
        with (folder / "kernel.log").open("w") as log:
            client.execute(env=environment, stdout=log, stderr=log)
        return int(notebook.cells[-1].outputs[0].text) // 1000
    finally:
        notebook.cells.pop()
        settle(notebook)


def main() -> int:
    """Prints a line per notebook; 1 when any failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wanted", nargs="*", metavar="NN", help="how names begin; all by default")
    parser.add_argument("--small", action="store_true", help="tiny numbers")
    parser.add_argument("--pair", action="store_true", help="write the .ipynb files, run nothing")
    options = parser.parse_args()
    chosen = sources(options.wanted)
    if not chosen:
        parser.error(f"Expected the beginning of a name in {FOLDER}. Received: {options.wanted}")
    if options.pair:
        for source in chosen:
            source.with_suffix(".ipynb").write_text(pair_text(source), encoding="utf-8")
        return 0
    folder = RUNS / ("small" if options.small else "full")
    folder.mkdir(parents=True, exist_ok=True)
    failed = False
    for source in chosen:
        notebook = read(source)
        start = time.monotonic()
        try:
            told = f"{execute(notebook, folder, small=options.small):5} MB"
        except CellExecutionError as error:
            failed = True
            told = f"FAILED\n{error}"
        page, _ = HTMLExporter().from_notebook_node(notebook)
        (folder / f"{source.stem}.html").write_text(page, encoding="utf-8")
        print(f"{source.stem:24} {time.monotonic() - start:5.0f} s  {told}", flush=True)
    print(f"pages: {folder}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
