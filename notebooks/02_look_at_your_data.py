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
# # Look at your data
#
# What is read, what is wrong with it, and what training will see of it. No model is needed.
#
# | variable | |
# |---|---|
# | `DATA` | a folder of annotated pictures in any format; without it, composed scenes |
# | `SMALL` | few pictures |
#
# The balloons of Matterport's tutorial (VIA's format):
#
# ```
# wget https://github.com/matterport/Mask_RCNN/releases/download/v2.1/balloon_dataset.zip
# unzip balloon_dataset.zip
# DATA=balloon jupyter lab
# ```

# %%
import dataclasses
import json
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from keras_maskrcnn import validate
from keras_maskrcnn.augmentation_page import augmentation_page
from keras_maskrcnn.data import WRITERS, load_dataset, load_splits, save_dataset
from keras_maskrcnn.data.reading import read_image
from keras_maskrcnn.demo.scenes import build_scenes
from keras_maskrcnn.doctor.report import known_kinds
from keras_maskrcnn.visualize import draw_instances

SMALL = "SMALL" in os.environ
DATA = os.environ.get("DATA")
SCENES, SIZE, DRAWS = (12, 128, 2) if SMALL else (60, 192, 4)
scratch = Path(tempfile.mkdtemp())  # For what is written along the way.

# %% [markdown]
# ## Reading
#
# The format is found by what lies there, and so are the splits. What cannot be used is left out,
# counted and named.

# %%
if DATA is None:
    DATA = build_scenes("scenes_to_look_at", train=SCENES, val=8, size=SIZE)
train, val = load_splits(DATA)
names = train.class_names
for line in [*train.warnings, *train.notes][:10]:
    print(line)


def show(*pictures, titles=(), side=3.6):
    """Pictures in a row."""
    _, axes = plt.subplots(
        1, len(pictures), figsize=(side * len(pictures), side), squeeze=False, layout="constrained"
    )
    for number, (axis, picture) in enumerate(zip(axes[0], pictures, strict=True)):
        axis.imshow(picture)
        axis.set_axis_off()
        if titles:
            axis.set_title(titles[number], fontsize=10)


def drawn(record, data=train):
    """A picture with its annotations, 340 pixels long."""
    image = data.pixels.displayed(read_image(record.path, data.pixels))
    return draw_instances(image, record, data.class_names, scale=340 / max(image.shape[:2]))


some = sorted(train.records, key=lambda record: -len(record.objects))[:4]
show(*map(drawn, some), titles=[Path(record.path).name for record in some])

# %% [markdown]
# ## Numbers
#
# How many objects of each class, how large, how many on a picture. The finest map has a cell for
# each 4 x 4 pixels of the resized picture: what has less than some 16 pixels there is seen badly.

# %%
things = [thing for record in train.records for thing in record.objects]
counts = np.bincount([thing.category for thing in things], minlength=len(names))
sides = [np.sqrt(thing.area) for thing in things]
crowded = [len(record.objects) for record in train.records]

_, axes = plt.subplots(1, 3, figsize=(11, 2.8), layout="constrained")
axes[0].barh(names[:20], counts[:20])
axes[0].set_xlabel("objects")
axes[1].hist(sides, bins=30)
axes[1].set_xlabel("square root of the area, pixels")
axes[2].hist(crowded, bins=np.arange(max(crowded) + 2) - 0.5, rwidth=0.9)
axes[2].set_xlabel("objects on a picture")
for axis in axes:
    axis.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# ## Formats
#
# The same objects, written in each format that can be written, and read back. What a format cannot
# hold is told: YOLO has no holes, Pascal VOC's masks no objects that overlap.

# %%
few = dataclasses.replace(train, records=train.records[:6])
objects = sum(len(record.objects) for record in few.records)
for format in WRITERS:
    saved = save_dataset(few, scratch / format, format, verbose=False)
    back = load_dataset(scratch / format, verbose=False)
    count = sum(len(record.objects) for record in back.records)
    lost = "; ".join(f"{reason}: {number}" for reason, number in saved.reasons.items())
    print(f"{format:13} {count} of {objects} objects. {lost or 'Nothing is lost.'}")
    assert len(back) == len(few)
    assert count == objects or saved.losses

# %% [markdown]
# ## Photos that lie on their side
#
# Phones store the pixels as the sensor has them, and note in EXIF how to turn them. A picture is
# always what a viewer shows, in training, prediction and serving. Left, the pixels as they are
# stored; right, the same file as it is read, with its annotations.

# %%
save_dataset(few, scratch / "phone", "coco", verbose=False)
(annotations,) = (scratch / "phone").rglob("*.json")
content = json.loads(annotations.read_text())
first = content["images"][0]
(file,) = (scratch / "phone").rglob(Path(first["file_name"]).name)
with Image.open(file) as opened:
    upright = opened.convert("RGB")
# A quarter turn to the left is stored, and orientation 6 says: turn it back.
stored = upright.transpose(Image.Transpose.ROTATE_90)
exif = Image.Exif()
exif[0x0112] = 6
stored.save(file, format="JPEG" if file.suffix == ".jpg" else "PNG", exif=exif)

phone = load_dataset(scratch / "phone", verbose=False)
turned = next(record for record in phone.records if Path(record.path).name == file.name)
show(np.asarray(stored), drawn(turned, phone), titles=("as stored", "as read"))
difference = np.abs(read_image(turned.path).astype(int) - np.asarray(upright)).mean()
print(f"mean difference of the pixels: {difference:.1f} of 255")
assert difference < 12  # JPEG's own; a picture that is not turned differs by tens.

# %% [markdown]
# ## Crowds
#
# Where objects are too many to outline one by one, COCO marks a region (`iscrowd=1`). It is drawn
# grey. Nothing learns it as an object, and nothing learns it as background.

# %%
content = json.loads(annotations.read_text())
first = content["images"][1]
corner = [0, 0, first["width"] // 2, first["height"] // 2]
mask = np.zeros((first["height"], first["width"]), "uint8")
mask[: corner[3], : corner[2]] = 1
runs = np.flatnonzero(np.diff(np.concatenate([[0], mask.ravel(order="F"), [0]])))
counts_of_runs = np.diff(np.concatenate([[0], runs, [mask.size]])).tolist()
content["annotations"].append(
    {
        "id": 10**6,
        "image_id": first["id"],
        "category_id": content["categories"][0]["id"],
        "iscrowd": 1,
        "bbox": corner,
        "area": int(mask.sum()),
        "segmentation": {"size": list(mask.shape), "counts": counts_of_runs},
    }
)
annotations.write_text(json.dumps(content))
crowded = load_dataset(scratch / "phone")
(record,) = [record for record in crowded.records if record.crowds]
show(drawn(record, crowded), titles=["a crowd region, and objects"])
only = dataclasses.replace(crowded, records=[record])
_, targets = next(iter(only.batches(1, min_size=SIZE, max_size=SIZE)))
print("what batches hold of it:", np.asarray(targets["crowd_boxes"]).tolist())
assert len(record.objects) + 1 == len(record.instances)

# %% [markdown]
# ## Augmentation
#
# What training will see: pictures as they are, then what some passes make of them. Boxes and masks
# are those from which the model learns. `maskrcnn show` writes the same page.

# %%
for policy in ("standard", "lsj", "small_data"):
    page = augmentation_page(
        train, policy, pictures=2, draws=DRAWS, min_size=SIZE, max_size=2 * SIZE, tile=200
    )
    _, axis = plt.subplots(figsize=(11, 11 * page.shape[0] / page.shape[1]), layout="constrained")
    axis.imshow(page)
    axis.set_title(f"augment={policy!r}", fontsize=10)
    axis.set_axis_off()

# %% [markdown]
# ## The doctor
#
# `validate` (`maskrcnn validate --data FOLDER`) reads every picture and annotation before any
# training. First the data as they are:

# %%
report = validate((train, val), verbose=False)
print(report.summary())

# %% [markdown]
# Then with faults of the kinds that people find after a week of training: a picture for validation
# that is trained on, too, an outline that crosses itself, a class with a typing error, and a file
# that ends in the middle.

# %%
save_dataset({"train": few, "val": few}, scratch / "sick", "coco", verbose=False)
for file in (scratch / "sick").rglob("*.json"):
    content = json.loads(file.read_text())
    bow_tie = content["annotations"][0]
    x, y, w, h = bow_tie["bbox"]
    bow_tie["segmentation"] = [[x, y, x + w, y + h, x + w, y, x, y + h]]
    misspelt = max(category["id"] for category in content["categories"]) + 1
    content["categories"].append({"id": misspelt, "name": names[0].swapcase()})
    content["annotations"][1]["category_id"] = misspelt
    file.write_text(json.dumps(content))
broken = sorted(path for path in (scratch / "sick").rglob("*") if path.suffix in (".png", ".jpg"))[
    0
]
broken.write_bytes(broken.read_bytes()[:500])

sick = validate(load_splits(scratch / "sick", verbose=False), verbose=False)
print(sick.summary())
kinds = known_kinds()
for kind in sick.counts:
    finding = next(f for f in sick.findings if f.kind == kind)
    print(f"\n{kinds[kind].title}: {finding.words}\n  {kinds[kind].advice}")
planted = {"identical_in_splits", "self_crossing", "misspelt_class", "unreadable_picture"}
assert planted <= set(sick.counts)
sick.save("doctor")
print(
    "\ndoctor/report.html draws each finding; maskrcnn validate --fix cleaned.json repairs a copy"
)
