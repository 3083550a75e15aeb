"""Learning curves as a PNG, from a Keras history or a `CSVLogger` file."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_maskrcnn.optional import needed_for

_COLORS = (
    "#1f2937",
    "#2f7ed8",
    "#e4572e",
    "#2a9d5c",
    "#9b5de5",
    "#e0a100",
    "#00a3a3",
    "#d6478f",
)
_INK = "#4b5563"


def plot_history(
    history: Mapping[str, Sequence[float]] | str | Path, path: str | Path, *, title: str = ""
) -> None:
    """Draw losses on one axis and average precision on another.

    Each quantity has one colour: solid on the training data, dashed on the validation data. Size
    and class breakdowns are left to `CocoMetrics.table`.

    Args:
        history: `model.fit(...).history`, or the path of a file that `CSVLogger` wrote.
        path: of the PNG to write.
        title: put above the curves.

    Raises:
        ValueError: when there is no loss or average precision in `history`.
        ImportError: without matplotlib.
    """
    curves = _read_csv(history) if isinstance(history, str | Path) else dict(history)
    panels = {
        "loss": [name for name in curves if name.endswith("loss")],
        "average precision": [name for name in curves if name.endswith(("_ap", "_ap50", "_ap75"))],
    }
    panels = {label: names for label, names in panels.items() if names}
    if not panels:
        raise ValueError(
            "history must hold losses or average precisions by epoch. "
            f"Received: history with {sorted(curves)}"
        )
    figure = _figure("plot_history", 6.4 * len(panels))
    epochs = np.array(curves.get("epoch", np.arange(len(curves[next(iter(panels.values()))[0]]))))
    for axis, (label, names) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        _draw_panel(axis, label, {name: curves[name] for name in names}, epochs + 1)
    if title:
        figure.suptitle(title, fontsize=12, color=_INK)
    figure.savefig(path, format="png")


def plot_rates(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    path: str | Path,
    *,
    chosen: float | None = None,
) -> None:
    """Draw the losses of a search for a learning rate over the rates.

    Args:
        rates, losses, smoothed: of each step.
        path: of the PNG to write.
        chosen: a rate to mark.

    Raises:
        ImportError: without matplotlib.
    """
    figure = _figure("plot_rates", 6.4)
    axis = figure.subplots()
    axis.plot(rates, losses, color=_COLORS[1], linewidth=0.8, alpha=0.5, label="loss")
    axis.plot(rates, smoothed, color=_COLORS[0], linewidth=2.4, label="smoothed")
    if chosen is not None:
        axis.axvline(chosen, color=_COLORS[2], linestyle="--", label=f"suggested: {chosen:.2g}")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("learning rate", color=_INK)
    axis.set_ylabel("loss without weight penalty", color=_INK)
    _dress(axis, columns=1)
    figure.savefig(path, format="png")


def _figure(use: str, width: float) -> Any:
    with needed_for(use, "maskrcnn-keras[plots]"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    figure = Figure(figsize=(width, 4.4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)  # Its own canvas: the caller's pyplot is left as it is.
    return figure


def _read_csv(path: str | Path) -> dict[str, list[float]]:
    with Path(path).open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError(f"The log has no epochs yet. Received: history={str(path)!r}")
    curves: dict[str, list[float]] = {}
    for name in rows[0]:
        try:
            curves[name] = [float(row[name] or "nan") for row in rows]
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"Every column of a log must hold numbers. Received: history={str(path)!r} "
                f"with column {name!r}"
            ) from error
    return curves


def _draw_panel(
    axis: Any, label: str, curves: Mapping[str, Sequence[float]], epochs: np.ndarray
) -> None:
    quantities = list(dict.fromkeys(name.removeprefix("val_") for name in curves))
    for name, values in curves.items():
        quantity = name.removeprefix("val_")
        axis.plot(
            epochs[: len(values)],
            values,
            color=_COLORS[quantities.index(quantity) % len(_COLORS)],
            linestyle="--" if name != quantity and label == "loss" else "-",
            linewidth=2.4 if quantity == "loss" or quantity.endswith("_ap") else 1.5,
            marker="o" if len(values) < 3 else None,
            label=(name if label == "loss" else quantity).replace("_", " "),
        )
    axis.set_xlabel("epoch", color=_INK)
    axis.set_ylabel(label, color=_INK)
    axis.locator_params(axis="x", integer=True)
    if label == "loss":
        # Weight decay's part is often a hundred times the others'.
        axis.set_yscale("log")
    else:
        axis.set_ylim(bottom=0, top=1)
    _dress(axis, columns=2 if len(curves) > 6 else 1)


def _dress(axis: Any, columns: int) -> None:
    axis.grid(True, color="#e5e7eb", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(colors=_INK)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    axis.legend(frameon=False, fontsize=8, ncols=columns, labelcolor=_INK)
