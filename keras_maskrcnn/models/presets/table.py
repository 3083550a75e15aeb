"""All presets, to choose from."""

from __future__ import annotations

from keras_maskrcnn import notebook
from keras_maskrcnn.models.presets.preset import Preset

_KINDS = ("box", "mask", "keypoint")
_HEADINGS = ("preset", *(f"{kind} AP" for kind in _KINDS), "parameters", "source")


class PresetTable(tuple[Preset, ...]):
    """Presets in a row, which print as a table.

    Below it stands who states the average precisions.

    Example:

    ```python
    print(MaskRCNN.presets())
    small = [preset.name for preset in MaskRCNN.presets() if preset.parameters < 40e6]
    ```
    """

    def _cells(self) -> tuple[list[tuple[str, ...]], list[str]]:
        """A row for each preset, and the sources that the rows name by number."""
        sources = list(dict.fromkeys(preset.source for preset in self))
        rows = [_row(preset, sources.index(preset.source) + 1) for preset in self]
        return rows, [f"[{number}] {source}" for number, source in enumerate(sources, 1)]

    def _repr_html_(self) -> str:
        rows, sources = self._cells()
        return notebook.table(_HEADINGS, rows) + notebook.listed(sources, len(sources))

    def __str__(self) -> str:
        body, sources = self._cells()
        rows = [_HEADINGS, *body]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for name, *numbers in rows:
            cells = [n.rjust(width) for n, width in zip(numbers, widths[1:], strict=True)]
            lines.append("  ".join([name.ljust(widths[0]), *cells]))
        return "\n".join([*lines, *sources])

    __repr__ = __str__


def _row(preset: Preset, source: int) -> tuple[str, ...]:
    published = [preset.published.get(kind) for kind in _KINDS]
    return (
        preset.name,
        *("" if value is None else f"{value:.1f}" for value in published),
        f"{preset.parameters / 1e6:.1f} M",
        f"[{source}]",
    )
