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
# # Inside the model
#
# What happens between a picture and its masks, stage by stage: anchors, objectness, proposals
# before and after suppression, sampled RoIs with their targets, RoIAlign, refined boxes, masks of
# each class. Every number comes from the model's own parts, called one by one.
#
# | variable | |
# |---|---|
# | `DATA` | a folder of annotated pictures in any format; without it, composed scenes |
# | `WEIGHTS` | a published model to begin with; without it, a small one from random weights |
# | `SMALL` | tiny numbers, to see whether all runs: the model then knows nothing |
#
# The balloons of Matterport's tutorial:
#
# ```
# wget https://github.com/matterport/Mask_RCNN/releases/download/v2.1/balloon_dataset.zip
# unzip balloon_dataset.zip
# DATA=balloon WEIGHTS=mask_rcnn_R_50_FPN jupyter lab    # downloads 180 MB of weights
# ```

# %%
import dataclasses
import os
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import ops
from scipy import ndimage

from keras_maskrcnn import Detections, MaskRCNN, load_model
from keras_maskrcnn.data import load_splits
from keras_maskrcnn.data.reading import read_image
from keras_maskrcnn.demo.model import compact_settings
from keras_maskrcnn.demo.scenes import build_scenes
from keras_maskrcnn.heads.base import MatchedRoIs
from keras_maskrcnn.ops.boxes import clip_boxes, decode_boxes, pairwise_iou
from keras_maskrcnn.ops.nms import batched_nms
from keras_maskrcnn.visualize import draw_detections

SMALL = "SMALL" in os.environ
DATA = os.environ.get("DATA")
WEIGHTS = os.environ.get("WEIGHTS")
SCENES, SIZE, EPOCHS = (16, 96, 1) if SMALL else (320, 160, 6)

# %%
if DATA is None:
    DATA = build_scenes("scenes", train=SCENES, val=max(8, SCENES // 8), size=SIZE)
train, val = load_splits(DATA)

# %% [markdown]
# A trained model shows more than a random one. The first notebook, or an earlier run, may have left
# one here; else a few minutes of training make one.

# %%
file = Path(f"{Path(DATA).name}.keras")
if not file.exists():
    names = train.class_names
    if WEIGHTS:
        model = MaskRCNN.from_preset(WEIGHTS, num_classes=len(names), class_names=names)
    else:
        model = MaskRCNN(len(names), class_names=names, **compact_settings(SIZE))
    rate = 1e-4 if WEIGHTS else 1e-3
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=10.0))
    batch_size = 2 if WEIGHTS else 8
    batches = train.batches(batch_size, model=model, shuffle=True, augment="flip", seed=0)
    model.fit(batches, epochs=EPOCHS, verbose=2)
    model.save(file)
model = load_model(file)
network = model.network
print(f"{file}: {model.count_params() / 1e6:.1f} million weights, classes {model.class_names}")

# %% [markdown]
# ## A picture as the network takes it
#
# One picture of the validation set, resized to the model's size and padded to a multiple of 32.
# Boxes are `x1 y1 x2 y2` in continuous pixels: the picture reaches from 0 to its width.

# %%
record = max(val.records, key=lambda record: len(record.objects))
images, truth = next(iter(dataclasses.replace(val, records=[record]).batches(1, model=model)))
image_sizes = truth["image_sizes"]
height, width = (int(side) for side in image_sizes[0])
picture = np.asarray(images[0, :height, :width]).astype("uint8")
objects = np.asarray(truth["boxes"][0])[np.asarray(truth["classes"][0]) >= 0]
names = model.class_names


def panels(*titles, side=3.4):
    """Axes in a row, for pictures."""
    size = (side * len(titles), side * height / width + 0.4)
    _, axes = plt.subplots(1, len(titles), figsize=size, squeeze=False, layout="constrained")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=10)
        axis.set_axis_off()
    return axes[0]


def show(axis, image=picture, fade=0.0, **options):
    """The picture, in continuous pixels."""
    image = image * (1 - fade) + 255 * fade if fade else image
    image = image.astype("uint8") if image.ndim == 3 else image
    axis.imshow(image, extent=(0, width, height, 0), **options)


def draw(axis, boxes, color, **style):
    """Boxes `[n, 4]`."""
    style = {"linewidth": 1.5, **style}
    for x1, y1, x2, y2 in np.asarray(boxes):
        axis.add_patch(plt.Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color=color, **style))


(axis,) = panels(f"{Path(record.path).name}, {width} x {height}", side=4.5)
show(axis)
draw(axis, objects, "yellow")

# %% [markdown]
# ## Feature maps
#
# The backbone and the feature pyramid make one map per level, P2 to P6: of stride 4, each next one
# of half the size and twice the reach. Shown is the mean size of a cell's numbers.

# %%
maps = network.features(images, image_sizes)
strides = network.neck.rpn_strides
levels = [f"P{stride.bit_length() - 1}" for stride in strides]
titles = [f"{level}: {m.shape[1]} x {m.shape[2]}" for level, m in zip(levels, maps, strict=True)]
for axis, one in zip(panels(*titles, side=2.4), maps, strict=True):
    axis.imshow(np.abs(np.asarray(one[0])).mean(axis=-1), cmap="magma")

# %% [markdown]
# ## Anchors
#
# Each cell of each level has a few boxes of fixed size and shape, about which the region proposal
# network (RPN) says how likely they hold an object, and how to move them. Black points are the
# centres of the cells; of one cell in the middle, the anchors are drawn.

# %%
anchors = [np.asarray(level[0]) for level in network.rpn.anchors(images, maps)]
per_cell = network.rpn.anchors.anchors_per_cell
assert [len(a) for a in anchors] == [m.shape[1] * m.shape[2] * per_cell for m in maps]

titles = [f"{level}: {len(a):,} anchors" for level, a in zip(levels, anchors, strict=True)]
for axis, own in zip(panels(*titles, side=2.4), anchors, strict=True):
    show(axis, fade=0.4)
    cells = own.reshape(-1, per_cell, 4)
    centres = (cells[:, 0, :2] + cells[:, 0, 2:]) / 2
    axis.plot(*centres.T, ".", color="black", markersize=1)
    middle = np.linalg.norm(centres - [width / 2, height / 2], axis=1).argmin()
    draw(axis, cells[middle], "red")
    axis.set_xlim(-20, width + 20)
    axis.set_ylim(height + 20, -20)

# %% [markdown]
# ## What the RPN learns
#
# In training an anchor is positive where it overlaps an object by an IoU of .7, or better than any
# other does, and negative below .3; what lies between counts for nothing. 256 of them are sampled,
# at most half of them positive.

# %%
every = np.concatenate(anchors)
labels, _ = network.rpn.anchor_targets(
    every[None], truth["boxes"], truth["classes"], truth["crowd_boxes"]
)
labels = np.asarray(labels[0])
assert (labels >= 0).sum() <= network.rpn.samples

left, right = panels(
    f"{(labels == 1).sum()} positive anchors", f"40 of {(labels == 0).sum()} negative ones"
)
show(left)
draw(left, objects, "yellow")
draw(left, every[labels == 1], "lime", linewidth=1)
show(right)
draw(right, every[labels == 0][:: max(1, (labels == 0).sum() // 40)][:40], "red", linewidth=0.7)

# %% [markdown]
# ## Objectness
#
# The RPN's answer for each level: the best score of the anchors of a cell.

# %%
logits, deltas = network.rpn.head(maps)
scores = [np.asarray(ops.sigmoid(level[0])) for level in logits]
for axis, level, own, one in zip(panels(*levels, side=2.4), levels, scores, maps, strict=True):
    best = own.reshape(*one.shape[1:3], per_cell).max(axis=-1)
    show(axis, fade=0.5)
    right, bottom = (
        best.shape[1] * strides[levels.index(level)],
        best.shape[0] * strides[levels.index(level)],
    )
    axis.imshow(best, cmap="magma", vmin=0, vmax=1, alpha=0.7, extent=(0, right, bottom, 0))
    axis.set_xlim(0, width)
    axis.set_ylim(height, 0)
    axis.set_title(f"{level}: up to {own.max():.2f}", fontsize=10)

# %% [markdown]
# ## Proposals before and after suppression
#
# The best anchors of each level are moved as the deltas say and clipped to the picture. Many stand
# for one object: of two boxes of one level that overlap by more than .7, non-maximum suppression
# drops the worse.

# %%
rpn = network.rpn
boxes, values, groups = [], [], []
for level, (own, score, delta) in enumerate(zip(anchors, scores, deltas, strict=True)):
    best = np.argsort(-score, kind="stable")[: rpn.pre_nms_test]
    boxes.append(decode_boxes(np.asarray(delta[0])[best], own[best], rpn.weights))
    values.append(score[best])
    groups.append(np.full(len(best), level, "int32"))
boxes = np.asarray(clip_boxes(ops.concatenate(boxes)[None], image_sizes)[0])
values, groups = np.concatenate(values), np.concatenate(groups)

kept, count = batched_nms(boxes[None], values[None], groups[None], rpn.nms_iou, rpn.proposals_test)
kept = np.asarray(kept[0, : int(count[0])])
for level in range(len(levels)):
    own = boxes[kept[groups[kept] == level]]
    assert np.triu(pairwise_iou(own, own), 1).max(initial=0) <= rpn.nms_iou + 1e-5

# The same, as the model does it in one step:
proposed = network.propose(images, maps, image_sizes, training=False)
rois = np.asarray(proposed.boxes[0])[np.asarray(proposed.valid[0])]
np.testing.assert_allclose(np.sort(rois, axis=0), np.sort(boxes[kept], axis=0), atol=1e-2)

shown = np.argsort(-values)[:25]
left, right = panels(
    f"25 best of {len(boxes)} before", f"those that stay, of {len(kept)} after", side=4
)
show(left)
draw(left, boxes[shown], "cyan", linewidth=0.8)
show(right)
draw(right, boxes[np.intersect1d(shown, kept)], "cyan", linewidth=0.8)
draw(right, objects, "yellow")
for name, some in (("before", boxes), ("after", rois)):
    reached = pairwise_iou(objects, some)
    reached = np.asarray(reached).max(axis=1) >= 0.5
    print(f"{name}: {reached.sum()} of {len(objects)} objects have a proposal with an IoU of .5")

# %% [markdown]
# ## Sampled RoIs and their targets
#
# In training the heads do not see all proposals. Some are sampled, the annotated boxes join them,
# and a quarter at most may be positive (an IoU of .5 with an object). Each positive RoI has a
# class, deltas that lead from it to its object's box, and a mask: the object's outline as it looks
# from this RoI, 28 x 28.

# %%
box_part = network.box
training = network.propose(images, maps, image_sizes, training=True)
sampled, classes, target_deltas, matched = (
    np.asarray(value[0])
    for value in box_part.targets(
        training.boxes, training.valid, truth["boxes"], truth["classes"], truth["crowd_boxes"]
    )
)
positive = (classes >= 0) & (classes < model.num_classes)
background = classes == model.num_classes
# The deltas lead to the objects' boxes.
led = decode_boxes(target_deltas[positive], sampled[positive], box_part.weights)
np.testing.assert_allclose(led, objects[matched[positive]], atol=1e-2)

left, right = panels(
    f"{positive.sum()} positive RoIs", f"{background.sum()} of the background", side=4
)
show(left)
draw(left, objects, "yellow", linewidth=2.5)
for k in np.unique(classes[positive]):
    draw(left, sampled[classes == k], f"C{k}", linewidth=1)
    left.plot([], color=f"C{k}", label=names[k])
left.legend(fontsize=8, loc="upper right")
show(right)
draw(right, sampled[background], "red", linewidth=0.5)

# %%
mask_head = network.heads[0]
chosen = np.flatnonzero(positive)[:: max(1, positive.sum() // 8)][:8]
seen = MatchedRoIs(
    sampled[chosen], np.zeros(len(chosen), "int32"), matched[chosen], classes[chosen]
)
layout = mask_head.layout({"images": images, "masks": truth["masks"]})
target_masks = np.asarray(mask_head.targets(seen, truth, layout))
_, axes = plt.subplots(
    2, len(chosen), figsize=(1.5 * len(chosen), 3.2), squeeze=False, layout="constrained"
)
for column, (roi, mask, k) in zip(
    axes.T, zip(sampled[chosen], target_masks, classes[chosen], strict=True), strict=True
):
    show(column[0])
    column[0].set(xlim=roi[[0, 2]], ylim=roi[[3, 1]], aspect="auto", title=names[k])
    column[1].imshow(mask, cmap="gray", vmin=0, vmax=1)
    for axis in column:
        axis.set_xticks([])
        axis.set_yticks([])

# %% [markdown]
# ## RoIAlign
#
# A RoI of any size becomes a grid of 7 x 7 bins. Nothing is rounded: each bin is the mean of 2 x 2
# points, and at each the map is read between its cells. Left, one channel of the map with bins and
# points; right, what comes out. By hand it is the same.

# %%
pooler = box_part.pooler
roi = objects[np.prod(objects[:, 2:] - objects[:, :2], axis=1).argmax()]
_, level = pooler.regions(maps, roi[None])
level = int(level[0])
feature = np.asarray(maps[level][0])
pooled = np.asarray(pooler(maps[: len(pooler.strides)], roi[None], np.zeros(1, "int32"))[0])

# In cells, of which the centre of the first is at 0: hence half a cell less.
x1, y1, x2, y2 = roi * pooler.scales[level] - 0.5
bins, samples = pooler.output_size[0], pooler.sampling_ratio or 2
steps = (np.arange(bins * samples) + 0.5) / (bins * samples)
xs, ys = x1 + steps * (x2 - x1), y1 + steps * (y2 - y1)

channel = feature.std(axis=(0, 1)).argmax()
grid = np.meshgrid(ys, xs, indexing="ij")
read = ndimage.map_coordinates(feature[..., channel], grid, order=1, mode="nearest")
by_hand = read.reshape(bins, samples, bins, samples).mean(axis=(1, 3))
if pooler.sampling_ratio:  # Adaptive poolers take more points where a bin is large.
    np.testing.assert_allclose(pooled[..., channel], by_hand, atol=1e-3, rtol=1e-3)

_, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", width_ratios=(1.3, 1))
left.imshow(feature[..., channel], cmap="gray")
for edge in np.linspace(0, 1, bins + 1):
    left.plot([x1 + edge * (x2 - x1)] * 2, [y1, y2], color="yellow", linewidth=1)
    left.plot([x1, x2], [y1 + edge * (y2 - y1)] * 2, color="yellow", linewidth=1)
left.plot(grid[1].ravel(), grid[0].ravel(), ".", color="red", markersize=3)
side = f"{roi[2] - roi[0]:.0f} x {roi[3] - roi[1]:.0f} pixels"
left.set_title(f"{levels[level]}, channel {channel}, a RoI of {side}", fontsize=10)
right.imshow(pooled[..., channel], cmap="gray")
right.set_title(f"pooled to {bins} x {bins}", fontsize=10)
for axis in (left, right):
    axis.set_axis_off()

# %% [markdown]
# ## Refined boxes
#
# The box head says a class for each proposal, and for each class how to move the box. Dashed, the
# proposals it is most sure of; solid, where they lead.

# %%
owners = np.zeros(len(rois), "int32")
class_logits, box_deltas = box_part.head(network.pool(maps, pooler, rois, owners))
probabilities = np.asarray(ops.softmax(class_logits, axis=-1))[:, : model.num_classes]
best = probabilities.argmax(axis=1)
own_deltas = np.asarray(box_deltas)[np.arange(len(rois)), best * (not box_part.class_agnostic)]
refined = decode_boxes(own_deltas, rois, box_part.final_weights)
refined = np.asarray(clip_boxes(refined[None], image_sizes)[0])

surest = np.argsort(-probabilities.max(axis=1))[:12]
(axis,) = panels("proposals and where they lead", side=5)
show(axis)
draw(axis, rois[surest], "white", linestyle="--", linewidth=1)
for k in np.unique(best[surest]):
    draw(axis, refined[surest][best[surest] == k], f"C{k}")
    axis.plot([], color=f"C{k}", label=names[k])
axis.legend(fontsize=8, loc="upper right")

near = np.asarray(pairwise_iou(objects, rois))
near, owner = near.max(axis=0) >= 0.5, near.argmax(axis=0)
for name, some in (("proposals", rois), ("refined", refined)):
    overlap = np.asarray(pairwise_iou(objects, some))[owner, np.arange(len(some))][near]
    mean = overlap.mean() if near.any() else 0
    print(f"{name}: mean IoU of {near.sum()} boxes with their objects {mean:.2f}")

# %% [markdown]
# ## Masks of each class
#
# Refined boxes are suppressed class by class. RoIAlign then reads the *refined* boxes again,
# 14 x 14, and the mask head draws a mask for every class; classes do not compete. The box head's
# class chooses the one that counts, here in a red frame. (Boxes of any score are kept here.)

# %%
found = network.variant(score_threshold=0.0).inference(images, image_sizes)
top = int(min(4, found["counts"][0]))
top_boxes, top_classes = found["boxes"][0, :top], np.asarray(found["classes"][0, :top])
features = network.pool(maps, mask_head.pooler, top_boxes, np.zeros(top, "int32"))
masks = np.stack(
    [
        np.asarray(ops.sigmoid(mask_head.head(features, np.full(top, k, "int32"))))
        for k in range(model.num_classes)
    ],
    axis=1,
)  # [D, K, 28, 28]
own = masks[np.arange(top), top_classes]
np.testing.assert_allclose(own, found["masks"][0, :top], atol=1e-4)

columns = min(model.num_classes, 8)
_, axes = plt.subplots(
    top, columns + 1, figsize=(1.4 * (columns + 1), 1.5 * top), squeeze=False, layout="constrained"
)
for row, axis_row in enumerate(axes):
    x1, y1, x2, y2 = np.asarray(top_boxes[row])
    show(axis_row[0])
    score = float(found["scores"][0, row])
    axis_row[0].set(xlim=(x1, x2), ylim=(y2, y1), aspect="auto")
    axis_row[0].set_title(f"{names[top_classes[row]]} {score:.2f}", fontsize=9)
    for k, axis in enumerate(axis_row[1:]):
        axis.imshow(masks[row, k], cmap="gray", vmin=0, vmax=1)
        axis.set_title(names[k] if row == 0 else "", fontsize=9)
        for side in axis.spines.values():
            side.set(color="red" if k == top_classes[row] else "lightgrey", linewidth=3)
    for axis in axis_row:
        axis.set_xticks([])
        axis.set_yticks([])

# %% [markdown]
# ## Results
#
# A mask of 28 x 28 probabilities is enlarged to its box, in the pixels of the picture on disk, and
# cut at one half. `model.predict` does all of the above.

# %%
outputs = {name: np.asarray(value) for name, value in found.items()}
detections = Detections.from_padded(
    outputs,
    0,
    image_size=(height, width),
    original_size=(record.height, record.width),
    class_names=names,
)
threshold = min(0.5, float(detections.scores.max()))
(axis,) = panels(f"found with a score of {threshold:.2f} or more", side=5)
axis.imshow(
    draw_detections(read_image(record.path, val.pixels), detections, threshold=threshold, scale=3)
)

predicted = model.predict(record.path, verbose=0)[0]
above = detections[detections.scores > box_part.score_threshold]
np.testing.assert_allclose(above.boxes[: len(predicted)], predicted.boxes, atol=0.1)
print(predicted)
