"""Learning curves."""

import csv

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from keras_maskrcnn.plots import plot_history

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
    with (tmp_path / "log.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *HISTORY])
        writer.writerows([i, *row] for i, row in enumerate(zip(*HISTORY.values(), strict=True)))
    plot_history(tmp_path / "log.csv", tmp_path / "a.png")
    plot_history(HISTORY, str(tmp_path / "b.png"))
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
