"""The frame of the pages that commands write: one file of HTML, which needs no other.

Names of classes and files come from anywhere: every text is escaped, and a page forbids scripts.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

# Light or dark, as the reader's system is. Where a table is wider than the page, it scrolls alone.
_STYLE = """\
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2430; --pale: #4a5564; --line: #d5dae2;
  --fine: #e4e8ee; --bar: #5b8def; --good: #e3f4e6; --bad: #fbe0de; --error: #b3261e;
  --warning: #96620a; --note: #3a6ea5; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181f; --ink: #e3e7ee; --pale: #a3adbb; --line: #3a4350; --fine: #29303b;
    --bar: #5b8def; --good: #17351f; --bad: #47201d; --error: #ff8a80; --warning: #e8b45a;
    --note: #7fb2ea; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1060px; margin: 2em auto; padding: 0 1em; overflow-wrap: break-word; }
h1 { font-size: 1.6em; margin-bottom: .3em; }
h2 { font-size: 1.25em; margin: 2em 0 .4em; border-bottom: 1px solid var(--line); }
h3 { font-size: 1.05em; margin: 1.8em 0 .2em; }
a { color: var(--note); }
table { border-collapse: collapse; margin: .6em 0; }
.wide { overflow-x: auto; }
th, td { padding: .2em .8em; border-bottom: 1px solid var(--fine); text-align: right; }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; min-width: 7em; }
summary { cursor: pointer; }
.verdict { padding: .7em 1em; border-radius: 6px; background: var(--good); }
.verdict.error { background: var(--bad); }
.error, .warning, .note { font-weight: 600; }
b.error { color: var(--error); } b.warning { color: var(--warning); } b.note { color: var(--note); }
.advice { color: var(--pale); margin: .1em 0 .6em; }
.found { display: grid; gap: 14px;
  grid-template-columns: repeat(auto-fill, minmax(min(310px, 100%), 1fr)); }
.found.plain { display: block; }
.card { border: 1px solid var(--line); border-radius: 6px; padding: 8px; overflow-wrap: anywhere; }
.found.plain .card { border: 0; border-bottom: 1px solid var(--fine); padding: 3px 0; }
.card img { max-width: 100%; display: block; margin-bottom: 4px; }
.card small { color: var(--pale); display: block; }
.bars { display: flex; flex-wrap: wrap; gap: 24px; }
figure { margin: 0; max-width: 100%; } figcaption { max-width: 420px; }
svg { max-width: 100%; height: auto; }
@media (max-width: 600px) {
  th, td { padding: .2em .45em; }
  th:first-child, td:first-child { min-width: 5.5em; }
}
"""


def html_page(title: str, body: Iterable[str], style: str = "") -> str:
    """The whole page.

    Args:
        title: of the window.
        body: HTML in which every text from elsewhere is escaped.
        style: CSS that only this page needs.
    """
    return "".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta http-equiv="Content-Security-Policy"\n'
            " content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
            f"<title>{escape(title)}</title>\n<style>\n{_STYLE}{style}</style>\n</head>\n<body>\n",
            *body,
            "</body>\n</html>\n",
        ]
    )


def html_table(head: Sequence[Any], rows: Iterable[Sequence[Any]]) -> str:
    """A table of plain cells, which scrolls where it is wider than the page."""
    lines = [
        "<div class=wide><table><tr>",
        *(f"<th>{escape(str(cell))}</th>" for cell in head),
        "</tr>\n",
    ]
    for row in rows:
        lines += ["<tr>", *(f"<td>{escape(str(cell))}</td>" for cell in row), "</tr>\n"]
    return "".join([*lines, "</table></div>\n"])


def picture_address(picture: Image.Image) -> str:
    """A picture within the page: a JPEG as a `data:` address."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def save_report_files(folder: str | os.PathLike[str], page: str, content: str) -> None:
    """Writes `report.html` and `report.json`.

    Args:
        folder: it is created; files of these names in it are replaced.
        page: the whole HTML.
        content: the whole JSON.

    Raises:
        OSError: if they cannot be written.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    # What no text encoding holds, such as a file name that is no UTF-8, is written as `?`.
    for name, text in (("report.json", content + "\n"), ("report.html", page)):
        (place / name).write_bytes(text.encode("utf-8", "replace"))
