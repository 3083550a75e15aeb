"""Learning curves."""

import csv

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from keras_maskrcnn.plots import count_epochs, loss_curves, metric_curves, plot_history

HISTORY = {
    "loss": [2.0, 1.5, 1.2],
    "val_loss": [2.2, 1.8, 1.6],
    "mask_loss": [0.7, 0.6, 0.5],
    "val_box_ap": [0.0, float("nan"), 0.3],
    "val_mask_ap50": [0.1, 0.3, 0.5],
}


def read(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_png_and_pyplot_untouched(tmp_path):
    before = plt.get_backend(), plt.get_fignums()
    plot_history(HISTORY, tmp_path / "curves.png", title="fruits")
    assert (plt.get_backend(), plt.get_fignums()) == before
    picture = read(tmp_path / "curves.png")
    assert picture.shape[1] > 2 * picture.shape[0]  # Two panels.
    assert (picture != 255).any(-1).mean() > 0.01


def test_csv_gives_the_same_picture(tmp_path):
    """Of a run, whose epochs count from 1, and of Keras' `CSVLogger`, where they count from 0."""
    plot_history(HISTORY, str(tmp_path / "a.png"))
    for first in (0, 1):
        with (tmp_path / "log.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["epoch", *HISTORY])
            rows = enumerate(zip(*HISTORY.values(), strict=True), first)
            writer.writerows([i, *row] for i, row in rows)
        plot_history(tmp_path / "log.csv", tmp_path / "b.png")
        np.testing.assert_array_equal(read(tmp_path / "a.png"), read(tmp_path / "b.png"))


def test_losses_alone_make_one_panel(tmp_path):
    plot_history({"loss": [1.0]}, tmp_path / "one.png")
    picture = read(tmp_path / "one.png")
    assert picture.shape[1] < 2 * picture.shape[0]


def test_refuses(tmp_path):
    with pytest.raises(ValueError, match="learning_rate"):
        plot_history({"learning_rate": [0.1]}, tmp_path / "no.png")
    (tmp_path / "empty.csv").write_text("epoch,loss\n")
    with pytest.raises(ValueError, match="no epochs"):
        plot_history(tmp_path / "empty.csv", tmp_path / "no.png")
    (tmp_path / "bad.csv").write_text("epoch,loss\n0,high\n")
    with pytest.raises(ValueError, match="column 'loss'"):
        plot_history(tmp_path / "bad.csv", tmp_path / "no.png")


def test_epochs_count_from_1():
    assert count_epochs({"loss": [3.0, 2.0]}).tolist() == [1, 2]
    assert count_epochs({"epoch": [0, 1], "loss": [3.0, 2.0]}).tolist() == [1, 2]
    assert count_epochs({"epoch": [1, 2], "loss": [3.0, 2.0]}).tolist() == [1, 2]
    assert count_epochs({"epoch": [4, 5], "loss": [3.0, 2.0]}).tolist() == [4, 5]


def test_the_thick_loss_is_what_the_data_cost():
    history = {
        "loss": [9.0, 8.0],
        "class_loss": [0.5, 0.25],
        "mask_loss": [0.75, 0.5],
        "regularization_loss": [7.75, 7.25],
        "val_class_loss": [1.0, 1.0],
        "val_mask_loss": [0.5, 0.25],
        "val_regularization_loss": [7.75, 7.25],
    }
    drawn = loss_curves(history)
    assert [(c.label, c.style, c.width) for c in drawn] == [
        ("sum of the losses of the data", "-", 2.6),
        ("class", "-", 1.4),
        ("mask", "-", 1.4),
        ("", "--", 2.6),
        ("", "--", 1.4),
        ("", "--", 1.4),
    ]
    assert [list(c.values) for c in drawn[::3]] == [[1.25, 0.75], [1.5, 1.25]]
    assert [c.color for c in drawn[:3]] == [c.color for c in drawn[3:]]
    # Of a model without a penalty it is the loss.
    assert loss_curves({"loss": [2.0]})[0].values == [2.0]


def test_precisions_have_a_colour_for_each_kind():
    names = ["val_box_ap", "val_box_ap50", "val_box_aps", "val_mask_ap", "val_mask_ap75", "loss"]
    drawn = metric_curves({name: [0.1] for name in names})
    assert [c.label for c in drawn] == ["box ap", "box ap50", "mask ap", "mask ap75"]
    assert drawn[0].color == drawn[1].color != drawn[2].color == drawn[3].color
    assert [c.style for c in drawn] == ["-", "--", "-", ":"]


@pytest.fixture
def axes(monkeypatch, tmp_path):
    """`axes(history)`: the panels as they are drawn."""
    figures = []
    save = matplotlib.figure.Figure.savefig
    monkeypatch.setattr(
        matplotlib.figure.Figure,
        "savefig",
        lambda self, *args, **options: (figures.append(self), save(self, *args, **options)),
    )

    def draw(history):
        plot_history(history, tmp_path / "a.png")
        return figures[-1].axes

    return draw


def test_each_panel_has_its_own_scale(axes):
    loss, precision = axes({"loss": [3.0, 2.0], "val_box_ap": [float("nan"), 0.05]})
    assert precision.get_ylim() == pytest.approx((0, 0.055))
    assert loss.get_ylim()[0] == 0 and 3 < loss.get_ylim()[1] < 3.5
    assert loss.get_yscale() == "linear" and loss.get_xlim() == (0.5, 2.5)
    assert axes({"loss": [1.0], "val_box_ap": [0.95]})[1].get_ylim() == (0, 1)
    assert axes({"loss": [1.0], "val_box_ap": [float("nan")]})[1].get_ylim() == (0, 1)
    # A log axis only where the numbers ask for one.
    assert axes({"loss": [31.0, 1.0]})[0].get_yscale() == "log"
    assert axes({"loss": [29.0, 1.0]})[0].get_yscale() == "linear"


@pytest.mark.parametrize("epochs", [1, 2, 100])
def test_any_number_of_epochs_can_be_read(axes, epochs):
    falling = np.linspace(3, 1, epochs).tolist()
    history = {"loss": falling, "regularization_loss": [8.0] * epochs, "mask_loss": falling}
    history |= {f"val_{name}": values for name, values in history.items()}
    history |= {f"val_{k}_ap{m}": [0.1] * epochs for k in ("box", "mask") for m in ("", 50, 75)}
    for axis in axes(history):
        ticks = [t for t in axis.get_xticks() if axis.get_xlim()[0] <= t <= axis.get_xlim()[1]]
        assert ticks and all(t == int(t) and 1 <= t <= epochs for t in ticks)
        markers = {line.get_marker() for line in axis.lines}
        assert markers == ({"o"} if epochs < 12 else {"None"})
        legend, panel = axis.get_legend().get_window_extent(), axis.get_window_extent()
        assert legend.y1 < panel.y0  # Below the panel, and so beside all curves,
        assert legend.y0 >= 0 and legend.x0 >= 0  # and on the picture.
    title = axes(history)[0].get_title()
    change = "8" if epochs == 1 else "8 to 8"
    assert (
        title == f"solid: training; dashed, hollow: validation; not drawn: weight penalty, {change}"
    )
