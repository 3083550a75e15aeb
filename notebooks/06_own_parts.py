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
# # Parts of your own
#
# A model is made of parts: backbone, neck, RPN, box part, heads, pooler. Each is a class with
# settings, registered under a name. Here are a backbone and a head in a page each: trained for some
# steps, saved, loaded and exported like the built-in ones.
#
# | variable | |
# |---|---|
# | `DATA` | a folder of annotated pictures in any format; without it, composed scenes |
# | `SMALL` | tiny numbers, to see whether all runs |

# %%
import dataclasses
import os

import absl.logging
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers, ops

from keras_maskrcnn import MaskRCNN, load_model
from keras_maskrcnn.backbones import BACKBONES, Backbone
from keras_maskrcnn.data import load_splits
from keras_maskrcnn.data.reading import read_image
from keras_maskrcnn.demo.model import compact_settings
from keras_maskrcnn.demo.scenes import build_scenes
from keras_maskrcnn.heads import HEADS, RoIHead
from keras_maskrcnn.visualize import draw_detections

absl.logging.set_verbosity("error")  # What exports say of themselves.
tf.get_logger().setLevel("ERROR")
SMALL = "SMALL" in os.environ
DATA = os.environ.get("DATA")
SCENES, SIZE, EPOCHS = (16, 96, 1) if SMALL else (320, 160, 5)

# %% [markdown]
# ## A backbone
#
# It owes one method: a Keras model from pictures to a dict of maps, `C2` of stride 4, `C3` of 8 and
# so on. Channels and strides are read from what it returns. This one cuts the picture into patches
# of 4 x 4 and then works with depthwise convolutions, as ConvNeXt does.


# %%
@BACKBONES.register("patches")
class Patches(Backbone):
    """Patches, then depthwise blocks in four stages.

    Args:
        width: channels of the first stage; each next one has twice as many.
        preprocessing: see `Backbone`.
    """

    def __init__(self, *, width=32, preprocessing="torch"):
        super().__init__(preprocessing=preprocessing)
        self.width = width

    def build_maps(self, outputs, dtype):
        options = {"dtype": dtype}
        images = keras.Input((None, None, self.input_channels))
        x, maps = images, {}
        for stage in range(4):
            channels, side = self.width * 2**stage, 2 if stage else 4
            x = layers.Conv2D(channels, side, strides=side, **options)(x)
            x = layers.GroupNormalization(1, **options)(x)
            y = layers.DepthwiseConv2D(7, padding="same", **options)(x)
            y = layers.GroupNormalization(1, **options)(y)
            y = layers.Conv2D(2 * channels, 1, activation="gelu", **options)(y)
            x = layers.Add(**options)([x, layers.Conv2D(channels, 1, **options)(y)])
            maps[f"C{stage + 2}"] = x
        return keras.Model(images, {name: maps[name] for name in outputs or maps}, name="patches")


# %% [markdown]
# ## A head
#
# A head describes the boxes that are found. It says which ground truth it reads, looks at what the
# pooler cut out of the maps, compares, and names its results. This one estimates how much of its
# box an object fills: a star little, a coin most. Nothing in it knows about training or inference:
# both call `forward`.


# %%
@HEADS.register("fullness")
class Fullness(RoIHead):
    """What share of its box an object covers; result `fullness` `[P]` in 0..1.

    Ground truth `fullness` `[B, N]`, -1 where it is not known.
    """

    loss_names = ("fullness_loss",)

    def __init__(self, *, name="fullness", units=64, pool_size=7, pooler=None):
        super().__init__(name=name, pool_size=pool_size, pooler=pooler)
        self.units = units

    def build(self, context):
        super().build(context)
        options = {"dtype": context.dtype}
        self.flatten = layers.Flatten(name=f"{self.name}_flatten", **options)
        self.hidden = layers.Dense(self.units, "relu", name=f"{self.name}_hidden", **options)
        self.logit = layers.Dense(1, name=f"{self.name}_logit", **options)

    def truth(self, layout):
        return {"fullness": ((None,), "float32")}

    def forward(self, features, classes):
        return ops.cast(self.logit(self.hidden(self.flatten(features)))[:, 0], "float32")

    def targets(self, rois, truth, layout):
        return rois.take(truth["fullness"])

    def losses(self, predictions, targets, total):
        known = ops.cast(targets >= 0, "float32")
        loss = ops.sum(ops.square(ops.sigmoid(predictions) - targets) * known)
        return {"fullness_loss": loss / ops.maximum(total(ops.sum(known)), 1.0)}

    def decode(self, predictions, boxes):
        return {"fullness": ops.sigmoid(predictions)}


# %% [markdown]
# ## Ground truth
#
# Numbers of an object stand in its `attributes`; batches carry them under the same name. Here they
# follow from the annotations.

# %%
if DATA is None:
    DATA = build_scenes("scenes", train=SCENES, val=max(8, SCENES // 8), size=SIZE)


def with_fullness(data):
    """The data, each object with its share of its box."""

    def measured(thing):
        x1, y1, x2, y2 = thing.box
        share = thing.area / ((x2 - x1) * (y2 - y1))
        return dataclasses.replace(thing, attributes={"fullness": min(share, 1.0)})

    records = [
        dataclasses.replace(record, instances=tuple(map(measured, record.instances)))
        for record in data.records
    ]
    return dataclasses.replace(data, records=records)


train, val = map(with_fullness, load_splits(DATA))
names = train.class_names
by_class = {name: [] for name in names}
for record in train.records:
    for thing in record.objects:
        by_class[names[thing.category]].append(thing.attributes["fullness"])

figure, axis = plt.subplots(figsize=(6, 2.6), layout="constrained")
axis.hist(by_class.values(), bins=np.linspace(0, 1, 15), stacked=True, label=list(by_class))
axis.set_xlabel("share of its box that an object covers")
axis.set_ylabel("objects")
axis.legend(fontsize=8)
axis.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# ## Training
#
# The parts go by their names, with their settings beside them. The new loss has its name in the
# logs.

# %%
keras.utils.set_random_seed(0)
settings = compact_settings(SIZE)
model = MaskRCNN(
    len(names),
    class_names=names,
    **{
        **settings,
        "backbone": {"name": "patches", "width": 24},
        "heads": (*settings["heads"], "fullness"),
    },
)
model.compile(keras.optimizers.Adam(1e-3, global_clipnorm=10.0))
batches = train.batches(8, model=model, shuffle=True, augment="flip", seed=0)
history = model.fit(batches, epochs=EPOCHS, verbose=2).history
print({name: f"{values[0]:.3f} to {values[-1]:.3f}" for name, values in history.items()})
assert np.isfinite(history["fullness_loss"]).all()

# %% [markdown]
# What it says about the annotated boxes of pictures that it has not seen; `describe` finds none
# itself.

# %%
known, said, kinds = [], [], []
for record in val.records[:24]:
    things = record.objects
    described = model.describe(read_image(record.path), [thing.box for thing in things])
    known += [thing.attributes["fullness"] for thing in things]
    kinds += [thing.category for thing in things]
    said += described.extras["fullness"].tolist()
known, said, kinds = map(np.array, (known, said, kinds))

figure, axis = plt.subplots(figsize=(4, 4), layout="constrained")
for k in np.unique(kinds):
    axis.plot(known[kinds == k], said[kinds == k], "o", markersize=4, alpha=0.7, label=names[k])
axis.plot([0, 1], [0, 1], color="grey", linewidth=1)
axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="annotated", ylabel="said", title="fullness")
axis.legend(fontsize=8)
constant = np.abs(known - known.mean()).mean()
print(f"mean error {np.abs(known - said).mean():.3f}; of a constant {constant:.3f}")

# %% [markdown]
# ## Saved, loaded, exported
#
# A saved model knows its parts by their names: import the file that registers them, then load. An
# export needs neither that file nor this package; the result of the head is one more output.

# %%
model.save("own_parts.keras")
loaded = load_model("own_parts.keras")
path = val.records[0].path
before, after = (m.predict(path, verbose=0)[0] for m in (model, loaded))
np.testing.assert_allclose(after.extras["fullness"], before.extras["fullness"], atol=1e-3)

loaded.export("served/own_parts", score_threshold=0.0, verbose=False)
newest = max(os.listdir("served/own_parts"), key=int)
served = tf.saved_model.load(f"served/own_parts/{newest}")
answer = served.signatures["encoded"](tf.io.read_file(path)[None])
print({name: tuple(value.shape) for name, value in answer.items()})
assert answer["fullness"].shape == answer["scores"].shape

# %%
shown = loaded.predict(path, verbose=0)[0]
figure, axis = plt.subplots(figsize=(4.5, 4.5), layout="constrained")
axis.imshow(draw_detections(read_image(path), shown, scale=3))
axis.set_axis_off()
for found in shown[shown.scores >= 0.5]:
    print(f"{found.names[0]}: fills {found.extras['fullness'][0]:.0%} of its box")
