"""Docstrings are Markdown in Google's form; napoleon reads the form, and this what is Markdown.

Fenced and indented blocks, lists without an empty line before them, and code that goes on as a
word become what reStructuredText calls so.
"""

from __future__ import annotations

import re
from typing import Any

_ITEM = re.compile(r"\s*- ")
_FENCE = re.compile(r"(\s*)```(\w*)$")
_SPAN = re.compile(r"`[^`]+`")


def to_rst(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Changes the lines of a docstring in place, before napoleon sees them."""
    result: list[str] = []
    position = 0
    while position < len(lines):
        line = lines[position]
        fence = _FENCE.match(line)
        if fence:
            indent, language = fence.groups()
            end = next(
                number
                for number in range(position + 1, len(lines))
                if lines[number].strip() == "```"
            )
            result += ["", *_code(indent, language or "text", lines[position + 1 : end])]
            position = end + 1
            continue
        if _ITEM.match(line) and result and result[-1].strip() and not _is_in_item(result):
            result.append("")
        result.append(_SPAN.sub(_apart, line) if line.count("`") % 2 == 0 else line)
        position += 1
        block = _block(lines, position) if _announces(line, lines[position:]) else []
        if block:
            example = "    " if line == "Example:" else ""
            result += ["", *_code(example, "python", [text[4 - len(example) :] for text in block])]
            position += len(block)
    lines[:] = result


def _apart(span: re.Match[str]) -> str:
    """Code within a word, as in `Layer`s and 0..`high`, which only an escaped space ends."""
    before, after = span.string[: span.start()][-1:], span.string[span.end() :][:1]
    left = "\\ " if before.isalnum() or before == "." else ""
    right = "\\ " if after.isalnum() else ""
    return f"{left}{span[0]}{right}"


def _announces(line: str, rest: list[str]) -> bool:
    """Whether indented code follows, which is no doctest and no fence."""
    if line == "Example:":
        first = next((text.strip() for text in rest if text.strip()), "")
        return not first.startswith((">>>", "```"))
    return line.endswith(":") and not line.startswith(" ") and rest[:1] == [""]


def _code(indent: str, language: str, block: list[str]) -> list[str]:
    shift = len(indent)
    inner = [f"{indent}    {text[shift:]}" if text.strip() else "" for text in block]
    return [f"{indent}.. code-block:: {language}", "", *inner, ""]


def _block(lines: list[str], start: int) -> list[str]:
    """The lines from `start` on that are indented, or empty."""
    end = start
    while end < len(lines) and (not lines[end].strip() or lines[end].startswith("    ")):
        end += 1
    return lines[start:end]


def _is_in_item(lines: list[str]) -> bool:
    """Whether the paragraph that ends here is an item of a list."""
    for line in reversed(lines):
        if not line.strip():
            return False
        if _ITEM.match(line):
            return True
    return False


def setup(app: Any) -> dict[str, bool]:
    # Before napoleon, which is connected at 500.
    app.connect("autodoc-process-docstring", to_rst, priority=400)
    return {"parallel_read_safe": True}
