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
# # Your photos
#
# From a folder of annotated photos to a model that finds what is on new ones, in one page: read,
# check, train, look, export.
#
# | variable | |
# |---|---|
# | `DATA` | a folder of annotated pictures in any format; without it, composed scenes |
# | `WEIGHTS` | a published model, `.keras` file or run folder to begin with; else a small new one |
# | `SMALL` | tiny numbers, to see whether all runs: the model then knows nothing |
#
# The balloons of Matterport's tutorial, beginning from a model that was trained on COCO:
#
# ```
# wget https://github.com/matterport/Mask_RCNN/releases/download/v2.1/balloon_dataset.zip
# unzip balloon_dataset.zip
# DATA=balloon WEIGHTS=mask_rcnn_R_50_FPN jupyter lab    # downloads 180 MB of weights
# ```
#
# Without a network, this package composes scenes of coins, cups, horses, rings and stars, on which
# a small model learns something from nothing within minutes.

# %%
import os
from pathlib import Path

import absl.logging
import keras
import matplotlib.pyplot as plt
import tensorflow as tf

from keras_maskrcnn import MaskRCNN, evaluate_coco, load_model, validate
from keras_maskrcnn.data import load_splits
from keras_maskrcnn.data.reading import read_image
from keras_maskrcnn.demo.model import compact_settings
from keras_maskrcnn.demo.scenes import build_scenes
from keras_maskrcnn.evaluation import CocoEvaluation
from keras_maskrcnn.plots import plot_history
from keras_maskrcnn.prediction_page import prediction_page
from keras_maskrcnn.schedules import WarmupSchedule
from keras_maskrcnn.training import SafeCheckpoint

absl.logging.set_verbosity("error")  # What exports say of themselves.
tf.get_logger().setLevel("ERROR")
SMALL = "SMALL" in os.environ
DATA = os.environ.get("DATA")
WEIGHTS = os.environ.get("WEIGHTS")
SCENES, SIZE, UPDATES = (16, 96, 2) if SMALL else (320, 160, 240)

# %% [markdown]
# ## Read
#
# COCO, YOLO, LabelMe, VIA, CVAT, Pascal VOC and others; the format is found by what lies there.
# Where no split is for validation, a fifth of the pictures is set aside.

# %%
if DATA is None:
    DATA = build_scenes("scenes", train=SCENES, val=max(8, SCENES // 8), size=SIZE)
train, val = load_splits(DATA)

# %% [markdown]
# ## Check
#
# Every picture and annotation is read before any training. `report.save("report")` writes a page on
# which each finding is drawn; the second notebook looks closer.

# %%
report = validate((train, val), verbose=False)
print(report.summary())
assert report.makes_sense

# %% [markdown]
# ## A model
#
# A trained model keeps all its weights but those of the layers that depend on the classes, which
# start anew. That needs some tens of pictures; from random weights it takes thousands, or, as here,
# an easy world and a small model.

# %%
names = train.class_names
keras.utils.set_random_seed(0)
if WEIGHTS:
    begin = MaskRCNN.from_model if Path(WEIGHTS).exists() else MaskRCNN.from_preset
    model = begin(WEIGHTS, num_classes=len(names), class_names=names)
    highest, batch_size = 1e-4, 2
else:
    model = MaskRCNN(len(names), class_names=names, **compact_settings(SIZE))
    highest, batch_size = 1e-3, 8
print(f"{model.count_params() / 1e6:.1f} million weights")

# %% [markdown]
# ## Training
#
# One Keras model, one `fit`. Few pictures want many epochs, since it is updates that count. Now and
# then the validation pictures are scored as COCO does, and the best model is kept.

# %%
file = Path(f"{Path(DATA).name}.keras")
batches = train.batches(batch_size, model=model, shuffle=True, augment="flip", seed=0)
epochs = max(1, round(UPDATES / len(batches)))
steps = epochs * len(batches)
rate = WarmupSchedule(highest, total_steps=steps, warmup_steps=steps // 10, decay="cosine")
model.compile(keras.optimizers.Adam(rate, global_clipnorm=10.0))
history = model.fit(
    batches,
    validation_data=val.batches(batch_size, model=model),
    epochs=epochs,
    callbacks=[
        CocoEvaluation(val, batch_size=batch_size, every=max(1, epochs // 6)),
        SafeCheckpoint(file, monitor="val_mask_ap"),
    ],
    verbose=0,
).history


def show(image, width=12):
    """A picture in the notebook."""
    _, axis = plt.subplots(
        figsize=(width, width * image.shape[0] / image.shape[1]), layout="constrained"
    )
    axis.imshow(image)
    axis.set_axis_off()


plot_history(history, "learning_curves.png", title=Path(DATA).name)
show(plt.imread("learning_curves.png"))

# %% [markdown]
# Losses of training are solid, of validation dashed. The command `maskrcnn train --data FOLDER`
# does the same in a folder of its own, from which an interrupted run goes on.
#
# ## Look
#
# Left, what a person annotated; right, what the best model finds on pictures that it was not
# trained on.

# %%
model = load_model(file)
records = val.records[:3]
found = model.predict([record.path for record in records], verbose=0)
rows = [
    (val.pixels.displayed(read_image(record.path, val.pixels)), record, one)
    for record, one in zip(records, found, strict=True)
]
show(prediction_page(rows, names, threshold=0.5, tile=320), width=8)

# %%
metrics = evaluate_coco(model, val, batch_size=batch_size, progress=False)
print(metrics.table())
assert set(metrics.per_class) == set(names)

# %% [markdown]
# Results are arrays, and are indexed like them: boxes, names, scores, masks of the size of the
# picture.

# %%
sure = found[0].above({names[0]: 0.7}, default=0.5)
print(found[0], sure.counts(), sep="\n")
assert sure.masks.shape == (len(sure), records[0].height, records[0].width)

# %% [markdown]
# ## Use
#
# The file loads whole: `keras_maskrcnn.load_model`, or `maskrcnn predict MODEL holiday/`. For a
# server there is an export without Python; notebook 08 goes on from here.

# %%
model.export("served/photos")
