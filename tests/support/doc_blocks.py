"""Blocks of code in README and docs, each with its language and what is said above it."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(
    r"^(?:<!-- (?P<marker>[a-z ]+): (?P<reason>[^\n]+) -->\n)?"
    r"```(?P<language>[^\n]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_COMMENT = re.compile(r"\s+#\s.*$")


@dataclasses.dataclass(frozen=True)
class Block:
    """One block.

    Args:
        page: below the project's folder.
        line: of its fence, from 1.
        language: `python`, `console`, `json` and so on; empty where none is said.
        text: its lines.
        marker: what is to be done with it, where that is said above it.
    """

    page: str
    line: int
    language: str
    text: str
    marker: str | None

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def padded(self) -> str:
        """The text after so many empty lines that errors name the page's line."""
        return "\n" * self.line + self.text

    def commands(self) -> Iterator[list[str]]:
        """The words of each command of a console block; of a pipe the first."""
        joined = self.text.replace("\\\n", " ")
        for line in joined.splitlines():
            line = _COMMENT.sub("", line).strip()
            if line and not line.startswith("#"):
                yield shlex.split(line)


def pages() -> list[Path]:
    """README and all pages."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """All blocks of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        if match["language"].startswith("{"):
            continue  # What Sphinx makes something of, such as a table of contents.
        fence = match.start("language")
        line = text.count("\n", 0, fence) + 1
        found.append(
            Block(
                page.relative_to(ROOT).as_posix(),
                line,
                match["language"],
                match["text"],
                match["marker"],
            )
        )
    return found
