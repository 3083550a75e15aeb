"""Learning curves as a PNG, from a Keras history or a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_maskrcnn.optional import needed_for

_PENALTY = "regularization_loss"
_HEADLINE = "loss"
_COLORS = (
    "#2f7ed8",
    "#e4572e",
    "#2a9d5c",
    "#9b5de5",
    "#e0a100",
    "#00a3a3",
    "#d6478f",
    "#8d6e63",
)
_INK, _DARK = "#4b5563", "#1f2937"
# Of up to so many epochs each has its point: the few do not make a curve.
_POINTS = 12
# A sum of losses that falls from more than so many times its lowest value needs a log axis.
_WIDE = 30
_METRICS = {"ap": ("-", 2.6), "ap50": ("--", 1.4), "ap75": (":", 1.4)}


class Curve(NamedTuple):
    """A line of a panel.

    Args:
        label: in the legend; empty for a line that another's colour explains.
        values: by epoch.
        color, style, width: of the line, as matplotlib takes them.
    """

    label: str
    values: Sequence[float]
    color: str
    style: str
    width: float


def plot_history(
    history: Mapping[str, Sequence[float]] | str | Path, path: str | Path, *, title: str = ""
) -> None:
    """Draw losses in one panel and average precision in another, each on its own scale.

    The thick loss is the sum of what the data cost. The weight penalty (`regularization_loss`),
    which is often many times as much and hardly changes, is told in a line above the panel. Losses
    are solid on the training data, and dashed on the validation data. Size and class breakdowns
    are left to `CocoMetrics.table`. Epochs count from 1.

    Args:
        history: `model.fit(...).history`, or the path of a run's `history.csv` or of a file that
            `CSVLogger` wrote (which counts from 0).
        path: of the PNG to write.
        title: put above the curves.

    Raises:
        ValueError: when there is no loss or average precision in `history`.
        ImportError: without matplotlib.
    """
    curves = _read_csv(history) if isinstance(history, str | Path) else dict(history)
    panels = {"loss": loss_curves(curves), "average precision": metric_curves(curves)}
    panels = {label: drawn for label, drawn in panels.items() if drawn}
    if not panels:
        raise ValueError(
            "history must hold losses or average precisions by epoch. "
            f"Received: history with {sorted(curves)}"
        )
    figure = _figure("plot_history", 6.4 * len(panels))
    epochs = count_epochs(curves)
    for axis, (label, drawn) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        _draw_panel(axis, label, drawn, epochs)
        if label == "loss":
            _explain(axis, curves)
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
    axis.plot(rates, losses, color=_COLORS[0], linewidth=0.8, alpha=0.5, label="loss")
    axis.plot(rates, smoothed, color=_DARK, linewidth=2.4, label="smoothed")
    if chosen is not None:
        axis.axvline(chosen, color=_COLORS[1], linestyle="--", label=f"suggested: {chosen:.2g}")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("learning rate", color=_INK)
    axis.set_ylabel("loss without weight penalty", color=_INK)
    _dress(axis)
    figure.savefig(path, format="png")


def _figure(use: str, width: float) -> Any:
    with needed_for(use, "maskrcnn-keras[plots]"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    figure = Figure(figsize=(width, 5.2), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)  # Its own canvas: the caller's pyplot is left as it is.
    return figure


def loss_curves(curves: Mapping[str, Sequence[float]]) -> list[Curve]:
    """The sum of the losses of the data, thick, and each of them."""
    parts = [n for n in curves if n.endswith("_loss") and not n.startswith("val_")]
    parts = [name for name in parts if name != _PENALTY]
    drawn = []
    for prefix, style in (("", "-"), ("val_", "--")):
        total = _data_loss(curves, prefix, parts)
        if total is not None:
            label = "" if prefix else "sum of the losses of the data"
            drawn.append(Curve(label, total, _DARK, style, 2.6))
        for number, name in enumerate(parts):
            if prefix + name in curves:
                label = "" if prefix else name.removesuffix("_loss").replace("_", " ")
                color = _COLORS[number % len(_COLORS)]
                drawn.append(Curve(label, curves[prefix + name], color, style, 1.4))
    return drawn


def metric_curves(curves: Mapping[str, Sequence[float]]) -> list[Curve]:
    """Average precisions: a colour for each kind, and a style for each IoU."""
    drawn = []
    kinds: list[str] = []
    for name, values in curves.items():
        kind, _, metric = name.removeprefix("val_").rpartition("_")
        if metric in _METRICS and kind:
            kinds += [kind] if kind not in kinds else []
            style, width = _METRICS[metric]
            color = _COLORS[kinds.index(kind) % len(_COLORS)]
            drawn.append(Curve(f"{kind} {metric}", values, color, style, width))
    return drawn


def count_epochs(curves: Mapping[str, Sequence[float]]) -> np.ndarray:
    """The epochs' numbers, from 1: Keras' own files count from 0."""
    length = max(len(values) for values in curves.values())
    epochs = np.array(curves.get("epoch", np.arange(length)))
    return epochs + 1 if epochs[0] == 0 else epochs


def _data_loss(
    curves: Mapping[str, Sequence[float]], prefix: str, parts: Sequence[str]
) -> Sequence[float] | None:
    """All of the loss but the weight penalty; of a model without one, the loss."""
    names = [prefix + name for name in parts]
    if prefix + _PENALTY in curves and names and all(name in curves for name in names):
        return np.sum([curves[name] for name in names], axis=0).tolist()
    return curves.get(prefix + _HEADLINE)


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


def _draw_panel(axis: Any, label: str, drawn: Sequence[Curve], epochs: np.ndarray) -> None:
    for curve in drawn:
        axis.plot(
            epochs[: len(curve.values)],
            curve.values,
            color=curve.color,
            linestyle=curve.style,
            linewidth=curve.width,
            marker="o" if len(epochs) <= _POINTS else None,
            markersize=curve.width + 3,
            markerfacecolor=curve.color if curve.style == "-" else "white",
            label=curve.label or "_",  # Matplotlib's own sign for: not in the legend.
        )
    axis.set_xlabel("epoch", color=_INK)
    axis.set_ylabel(label, color=_INK)
    _scale(axis, label, drawn, epochs)
    _dress(axis)


def _dress(axis: Any) -> None:
    axis.grid(True, color="#e5e7eb", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(colors=_INK)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    # Below the panel, where no curve is.
    axis.legend(
        frameon=False,
        fontsize=8,
        ncols=3,
        labelcolor=_INK,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.14),
    )


def _scale(axis: Any, label: str, drawn: Sequence[Curve], epochs: np.ndarray) -> None:
    """Both axes as far as the numbers go, precisions from 0 on."""
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    values = np.concatenate([np.asarray(curve.values, float) for curve in drawn])
    values = values[np.isfinite(values)]
    highest = float(values.max()) if len(values) else 0.0
    if label != "loss":
        axis.set_ylim(0, min(1.0, 1.1 * highest) if highest > 0 else 1.0)
        return
    headline = np.asarray(drawn[0].values, float)
    headline = headline[np.isfinite(headline)]
    if len(values) and len(headline) and values.min() > 0:
        is_wide = headline.max() > _WIDE * headline.min()
        if is_wide:
            axis.set_yscale("log")
            return
    axis.set_ylim(bottom=min(0.0, float(values.min()) if len(values) else 0.0))


def _explain(axis: Any, curves: Mapping[str, Sequence[float]]) -> None:
    """Above the panel: what dashes mean, and the weight penalty, which is not drawn."""
    words = []
    if any(name.startswith("val_") and name.endswith("loss") for name in curves):
        words.append("solid: training; dashed, hollow: validation")
    if _PENALTY in curves:
        first, last = curves[_PENALTY][0], curves[_PENALTY][-1]
        change = f"{first:.3g}" if len(curves[_PENALTY]) == 1 else f"{first:.3g} to {last:.3g}"
        words.append(f"not drawn: weight penalty, {change}")
    axis.set_title("; ".join(words), fontsize=8, color=_INK)
