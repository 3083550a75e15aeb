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
# # Is it good?
#
# One number says which of two models is better, not what is wrong with either. From the number down
# to single pictures: precision and recall, kinds of errors, which class is taken for which, the
# score from which a result should count, and the worst pictures.
#
# | variable | |
# |---|---|
# | `DATA` | a folder of annotated pictures in any format; without it, composed scenes |
# | `WEIGHTS` | a published model to begin with; without it, a small one from random weights |
# | `SMALL` | tiny numbers, to see whether all runs: the model then knows nothing |

# %%
import os
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np

from keras_maskrcnn import MaskRCNN, load_model
from keras_maskrcnn.data import load_splits
from keras_maskrcnn.data.reading import read_image
from keras_maskrcnn.demo.model import compact_settings
from keras_maskrcnn.demo.scenes import build_scenes
from keras_maskrcnn.evaluation import analyse, coco_results
from keras_maskrcnn.prediction_page import prediction_page

SMALL = "SMALL" in os.environ
DATA = os.environ.get("DATA")
WEIGHTS = os.environ.get("WEIGHTS")
SCENES, SIZE, EPOCHS = (16, 96, 1) if SMALL else (320, 160, 6)

# %% [markdown]
# A trained model, as in the other notebooks: one that lies here, or else some minutes of training.

# %%
if DATA is None:
    DATA = build_scenes("scenes", train=SCENES, val=max(8, SCENES // 8), size=SIZE)
train, val = load_splits(DATA)
file = Path(f"{Path(DATA).name}.keras")
if not file.exists():
    names = train.class_names
    if WEIGHTS:
        model = MaskRCNN.from_preset(WEIGHTS, num_classes=len(names), class_names=names)
    else:
        model = MaskRCNN(len(names), class_names=names, **compact_settings(SIZE))
    model.compile(keras.optimizers.Adam(1e-4 if WEIGHTS else 1e-3, global_clipnorm=10.0))
    batch_size = 2 if WEIGHTS else 8
    batches = train.batches(batch_size, model=model, shuffle=True, augment="flip", seed=0)
    model.fit(batches, epochs=EPOCHS, verbose=2)
    model.save(file)
model = load_model(file)

# %% [markdown]
# ## The numbers
#
# The model runs once over the validation pictures; all that follows comes from these results. `ap`
# is COCO's average precision: the mean over ten overlaps (IoU .5 to .95) and all classes. `ap50`
# asks for an overlap of one half, `ap75` for three quarters; `aps`, `apm`, `apl` are small, medium
# and large objects.

# %%
results = coco_results(model, val, progress=False)
analysis = analyse(val, results)
print(analysis.metrics.table())
masks = analysis.comparisons["segm"]
names = masks.curves.class_names

# %% [markdown]
# ## Precision and recall
#
# The lower the score from which results count, the more objects are found (recall), and the more of
# what is found is wrong (precision falls). Average precision is the area under these curves. Left,
# the mean of all classes: where the curve of IoU .5 is high and that of .75 low, masks are in the
# right place and not exact. Right, each class by itself: a curve that ends early belongs to a class
# of which objects are missed.

# %%
curves = masks.curves
# The number above is the mean of the curves.
assert np.isclose(np.nanmean(curves.ap), analysis.metrics["mask_ap"])

_, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
for t in (0, 3, 5, 7, 9):
    label = f"IoU {curves.ious[t]:.2f}: AP {np.nanmean(curves.ap[t]):.2f}"
    left.plot(curves.recalls, curves.mean[t], label=label)
for k in np.argsort(-np.nan_to_num(curves.ap[0]))[:10]:
    right.plot(
        curves.recalls, curves.precision[0, :, k], label=f"{names[k]}: {curves.ap[0, k]:.2f}"
    )
left.set_title("all classes", fontsize=10)
right.set_title("each class at IoU .5", fontsize=10)
for axis in (left, right):
    axis.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axis.legend(fontsize=8, loc="upper right")
    axis.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# ## What is wrong
#
# Each error is of a kind (TIDE, Bolya et al. 2020): how much AP at IoU .5 would mending that kind
# alone give? `localisation` is the right class in a bad place, `duplicate` an object found twice,
# `background` something where nothing is, `missed` an object that no result comes near. Beside it,
# the objects by size and by how closely they stand.

# %%
_, (left, right) = plt.subplots(1, 2, figsize=(10, 3), layout="constrained")
gains = masks.errors.dap
left.barh(list(gains), list(gains.values()), color="tab:red")
left.invert_yaxis()
left.set_xlabel("AP at IoU .5 that mending it would give")
groups = [group for group in (*masks.sizes, *masks.crowding) if group.objects]
right.barh([f"{group.name} ({group.objects})" for group in groups], [g.ap50 for g in groups])
right.invert_yaxis()
right.set(xlim=(0, 1), xlabel="AP at IoU .5 of these objects")
for axis in (left, right):
    axis.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# ## Which is taken for which
#
# Rows are what is there, columns what was found. The last column are objects that were missed, the
# last row results where nothing is.

# %%
confusion = masks.confusion
shown = confusion.counts[-25:, -25:]
labels = confusion.names[-25:]
_, axis = plt.subplots(
    figsize=(1.8 + 0.55 * len(shown), 1.2 + 0.5 * len(shown)), layout="constrained"
)
axis.imshow(shown, cmap="Blues")
for i, row in enumerate(shown):
    for j, count in enumerate(row):
        if count:
            color = "white" if count > shown.max() / 2 else "black"
            axis.text(j, i, count, ha="center", va="center", fontsize=9, color=color)
axis.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
axis.set_yticks(range(len(labels)), labels)
axis.set(xlabel="found", ylabel="there")
for there, found, count in confusion.most_frequent(5):
    print(f"{count} times {there} was taken for {found}")
objects = sum(len(record.objects) for record in val.records)
assert confusion.counts[:-1].sum() == objects  # Each object stands in its row once.

# %% [markdown]
# ## From which score on
#
# AP looks at all scores; who uses the model must choose one. F1 is high where few results are wrong
# and few objects missed; each class has its own best score.

# %%
thresholds = masks.thresholds
_, axis = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
for k in np.argsort(-np.nan_to_num(thresholds.best_f1))[:10]:
    (line,) = axis.plot(thresholds.scores, thresholds.f1[:, k], label=names[k])
    axis.plot(thresholds.best[k], thresholds.best_f1[k], "o", color=line.get_color())
axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="lowest score that counts", ylabel="F1")
axis.legend(fontsize=8, frameon=False)
axis.spines[["top", "right"]].set_visible(False)
print(thresholds.by_name())
print(thresholds.command(str(file)))

# %% [markdown]
# ## The worst pictures
#
# Those with the lowest F1. Left, what is annotated; right, what is found with the scores above.
# Often it is the annotation that is wrong.

# %%
records = {record.image_id: record for record in val.records}
pictures = masks.pictures
rows = []
for place in pictures.worst(3):
    record = records[int(pictures.image_ids[place])]
    found = model.predict(record.path, verbose=0)[0].above(thresholds.by_name(), default=0.5)
    rows.append((val.pixels.displayed(read_image(record.path, val.pixels)), record, found))
    print(
        f"{Path(record.path).name}: {pictures.right[place]} right, {pictures.wrong[place]} wrong, "
        f"{pictures.missed[place]} missed"
    )
lowest = min([0.5, *thresholds.by_name().values()])
page = prediction_page(rows, names, threshold=lowest, tile=320)
_, axis = plt.subplots(figsize=(8, 8 * page.shape[0] / page.shape[1]), layout="constrained")
axis.imshow(page)
axis.set_axis_off()

# %% [markdown]
# ## All of it as a page
#
# `maskrcnn evaluate MODEL --data FOLDER --report report` writes the same: a page that needs no
# other file and no network.

# %%
analysis.save("report", model=str(file))
print(sorted(path.name for path in Path("report").iterdir()))
