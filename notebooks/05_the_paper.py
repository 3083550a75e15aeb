# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The paper
#
# Mask R-CNN (He, Gkioxari, Dollár, Girshick 2017) says of each of its parts what it brings. The
# same comparisons in miniature: one part is changed and nothing else, on scenes that this package
# composes, with a model two hundred times smaller. Signs and orders are to be compared, not sizes.
#
# | variable | |
# |---|---|
# | `SMALL` | tiny numbers in the run at the end, to see whether all runs |
#
# This notebook needs the checkout of the source, for `benchmarks/`.

# %%
import os
import sys
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown, display

import keras_maskrcnn
from keras_maskrcnn import MaskRCNN, evaluate_coco
from keras_maskrcnn.data import load_splits
from keras_maskrcnn.demo.model import compact_settings
from keras_maskrcnn.demo.scenes import build_scenes
from keras_maskrcnn.models.settings import merge_arguments
from keras_maskrcnn.ops.roi_align import roi_align
from keras_maskrcnn.ops.roi_pool import roi_pool

BENCHMARKS = Path(keras_maskrcnn.__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
from ablations import COMPARISONS, runs_of, table  # noqa: E402
from experiments import read_runs  # noqa: E402

SMALL = "SMALL" in os.environ
SCENES, SIZE, EPOCHS = (8, 96, 1) if SMALL else (200, 160, 4)

# %% [markdown]
# ## The table
#
# Mean and range over the seeds, beside the paper's numbers. `benchmarks/ablations.py` makes it.

# %%
results = BENCHMARKS / "results" / "ablations.jsonl"
runs = read_runs(results)
if runs:
    display(Markdown(table(runs)))
else:
    print("The runs are not there yet. They take some hours:")
    print("python benchmarks/ablations.py --output benchmarks/results/ablations.jsonl")

# %% [markdown]
# ## The same as a figure
#
# Each part against the first of its comparison, which is the paper's choice. Below 0, the part is
# worse. (Cascade R-CNN came later: it is better.) Points are seeds.

# %%
figure, axes = plt.subplots(2, 4, figsize=(14, 5.6), layout="constrained")
for axis, (name, case) in zip(axes.flat, COMPARISONS.items(), strict=True):
    key, (first, *others) = case.shown[0], case.variants
    seeds = {
        variant: {run["seed"]: 100 * run[key] for run in found}
        for variant, found in runs_of(case, runs).items()
    }
    for row, variant in enumerate(others):
        if variant in case.paper:
            paper = case.paper[variant][0] - case.paper[first][0]
            axis.barh(row - 0.2, paper, height=0.35, color="lightgrey", label="paper")
        own = [
            value - seeds[first][seed]
            for seed, value in seeds[variant].items()
            if seed in seeds[first]
        ]
        if own:
            axis.barh(row + 0.2, np.mean(own), height=0.35, color="tab:blue", label="here")
            axis.plot(own, [row + 0.2] * len(own), "k.", markersize=4)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_yticks(range(len(others)), others)
    axis.set_ylim(1.5, -0.5)
    axis.set_title(f"{name}\nagainst {first}", fontsize=10)
    axis.set_xlabel(key.replace("_ap", " AP"), fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
drawn = dict(zip(*reversed(axes.flat[0].get_legend_handles_labels()), strict=True))
_ = figure.legend(drawn.values(), drawn.keys(), loc="outside lower center", ncols=2, frameon=False)

# %% [markdown]
# ## Why RoIAlign
#
# RoIPool rounds: a box to whole cells, and its bins again, of which it takes the largest numbers.
# On a map of stride 32 a box may move by 16 pixels without any change, and then jumps. Here the map
# says at each cell where the cell is, a box moves to the right pixel by pixel, and both are asked
# where its middle is.

# %%
stride = 32
ramp = np.broadcast_to(
    (np.arange(32, dtype="float32") + 0.5)[None, None, :, None] * stride, (1, 32, 32, 1)
)
lefts = np.arange(300, 300 + 2 * stride + 1, dtype="float32")
boxes = np.stack([lefts, lefts * 0 + 300, lefts + 112, lefts * 0 + 412], axis=1)
zeros = np.zeros(len(boxes), "int32")
options = {"output_size": 7, "scales": [1 / stride]}
aligned = np.asarray(roi_align([ramp], boxes, zeros, zeros, **options)).mean(axis=(1, 2, 3))
pooled = np.asarray(roi_pool([ramp], boxes, zeros, zeros, **options)).mean(axis=(1, 2, 3))

figure, axis = plt.subplots(figsize=(6, 3.4), layout="constrained")
axis.plot(lefts + 56, aligned, label="RoIAlign")
axis.plot(lefts + 56, pooled, label="RoIPool", drawstyle="steps-mid")
axis.set(xlabel="middle of the box, pixels", ylabel="as read from the map, pixels")
axis.legend(frameon=False)
axis.spines[["top", "right"]].set_visible(False)
# RoIAlign is exact on a ramp; RoIPool knows a few places only.
np.testing.assert_allclose(aligned, lefts + 56, atol=0.05)
assert len(np.unique(pooled)) < len(boxes) / 4

# %% [markdown]
# ## One pair, live
#
# Table 2d in small: features of stride 32, where rounding costs most. Two models of the same seed,
# the same scenes, the same steps. A short run has noise; the table above has three seeds of longer
# ones.

# %%
case = COMPARISONS["pooler, stride 32"]
train, val = load_splits(
    build_scenes("scenes_of_the_paper", train=SCENES, val=max(4, SCENES // 5), size=SIZE, seed=7)
)
found = {}
for variant in ("roi_align", "roi_pool"):
    keras.utils.set_random_seed(0)
    settings = compact_settings(SIZE)
    for changes in (case.base, case.variants[variant]):
        settings = merge_arguments(settings, changes)
    model = MaskRCNN(len(train.class_names), class_names=train.class_names, **settings)
    model.compile(keras.optimizers.Adam(1e-3, global_clipnorm=10.0))
    batches = train.batches(8, model=model, shuffle=True, augment="flip", seed=0)
    history = model.fit(batches, epochs=EPOCHS, verbose=2).history
    found[variant] = evaluate_coco(model, val, batch_size=4, progress=False)
    found[variant]["loss"] = history["loss"][-1]

for variant, metrics in found.items():
    numbers = "  ".join(
        f"{name} {100 * metrics[name]:.1f} (paper {paper})"
        for name, paper in zip(case.shown, case.paper[variant], strict=True)
    )
    print(f"{variant:10} {numbers}")
assert np.isfinite([metrics["loss"] for metrics in found.values()]).all()
