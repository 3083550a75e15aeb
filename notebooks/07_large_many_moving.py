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
# # Large, many, moving
#
# A picture of many megapixels, looked at in tiles, with every object once; training on crops of
# such pictures; an archive, the work on which may be killed and goes on; a video with what is in
# each frame, and which object is which in the next.
#
# | variable | |
# |---|---|
# | `DATA` | a folder of annotated colour pictures in any format; without it, composed scenes |
# | `WEIGHTS` | a published model to begin with; without it, a small one from random weights |
# | `SMALL` | tiny numbers, to see whether all runs: the model then knows nothing |

# %%
import dataclasses
import importlib.util
import json
import os
import tempfile
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
import tifffile
from scipy import ndimage

from keras_maskrcnn import MaskRCNN, Tiling, load_model
from keras_maskrcnn.augmentation_page import augmentation_page
from keras_maskrcnn.data import DetectionData, ImageRecord, Instance, load_splits, save_dataset
from keras_maskrcnn.data.reading import read_image
from keras_maskrcnn.demo.model import compact_settings
from keras_maskrcnn.demo.scenes import build_scenes
from keras_maskrcnn.demo.textures import photograph
from keras_maskrcnn.evaluation import analyse, evaluate_coco_files
from keras_maskrcnn.images.georeference import read_georeference
from keras_maskrcnn.inference.many import predict_many
from keras_maskrcnn.inference.video import VideoReader, VideoWriter, predict_stream, predict_video
from keras_maskrcnn.outlines import Bitmap
from keras_maskrcnn.schedules import WarmupSchedule

tf.get_logger().setLevel("ERROR")
SMALL = "SMALL" in os.environ
DATA = os.environ.get("DATA")
WEIGHTS = os.environ.get("WEIGHTS")
SCENES, SIZE, EPOCHS, THRESHOLD = (16, 96, 1, 0.15) if SMALL else (320, 160, 6, 0.5)
SIDE, ROUNDS, FRAMES = (400, 1, 12) if SMALL else (3000, 4, 60)

# %% [markdown]
# A trained model, as in the other notebooks: one that lies here, or else some minutes of training.
# Of results that lie on each other it is told to keep the best, whatever their classes.

# %%
if DATA is None:
    DATA = build_scenes("scenes", train=SCENES, val=max(8, SCENES // 8), size=SIZE)
train, val = load_splits(DATA)
names = train.class_names
file = Path(f"{Path(DATA).name}.keras")
batch_size = 2 if WEIGHTS else 8
if not file.exists():
    if WEIGHTS:
        model = MaskRCNN.from_preset(WEIGHTS, num_classes=len(names), class_names=names)
    else:
        model = MaskRCNN(len(names), class_names=names, **compact_settings(SIZE))
    model.compile(keras.optimizers.Adam(1e-4 if WEIGHTS else 1e-3, global_clipnorm=10.0))
    batches = train.batches(batch_size, model=model, shuffle=True, augment="flip", seed=0)
    model.fit(batches, epochs=EPOCHS, verbose=2)
    model.save(file)
model = MaskRCNN.from_model(file, **{"box.nms": "cross_class"})

# %% [markdown]
# ## A large picture
#
# So that it is known what is where, the picture is made here: things are cut out of annotated
# pictures, along their masks, and laid on gravel. Those of validation pictures, which the
# model was not trained on, make the picture that it is to look at.


# %%
@dataclasses.dataclass
class Thing:
    """What is laid down: its class, its pixels, and which of these are its own."""

    category: int
    pixels: np.ndarray
    bits: np.ndarray

    def lay(self, picture, left, top):
        """Draws it into a picture, in place."""
        height, width = self.bits.shape
        picture[top : top + height, left : left + width][self.bits] = self.pixels[self.bits]


def cut_out(data):
    """Objects that lie whole in their picture and apart from others; each has a mirror image."""
    things = []
    for record in data.records:
        image = data.pixels.displayed(read_image(record.path, data.pixels))
        boxes = np.array([instance.box for instance in record.instances])
        for one in record.objects:
            x1, y1, x2, y2 = one.box
            inside = min(x1, y1, record.width - x2, record.height - y2) > 0
            shared = np.minimum(boxes[:, 2:], (x2, y2)) - np.maximum(boxes[:, :2], (x1, y1))
            shared = np.clip(shared, 0, None).prod(axis=1) / ((x2 - x1) * (y2 - y1))
            if not inside or one.outline is None or (shared > 0.1).sum() > 1:
                continue
            mask = Bitmap(one.outline.draw_whole(record.height, record.width) > 0).bitmap()
            pixels = image[mask.top :, mask.left :][: len(mask.bits), : mask.bits.shape[1]]
            if ndimage.label(mask.bits)[1] == 1:
                things.append(Thing(one.category, pixels, mask.bits))
                things.append(Thing(one.category, pixels[:, ::-1], mask.bits[:, ::-1]))
    return things


def ground(height, width):
    """Gravel, made brown: a photograph and its mirror images."""
    gravel = (photograph("gravel") * np.array((0.7, 0.6, 0.42))).astype("uint8")
    return np.pad(gravel, ((0, height), (0, width), (0, 0)), "symmetric")[:height, :width]


def lay_out(path, things, rows, rng, image_id=1):
    """Writes a picture of things in rows, some places left free; tells where they are."""
    picture = ground(rows * CELL, rows * CELL).copy()
    instances = []
    for place in np.argwhere(rng.random((rows, rows)) < 0.7):
        thing = things[rng.integers(len(things))]
        top, left = place * CELL + rng.integers(0, CELL - np.array(thing.bits.shape) + 1)
        thing.lay(picture, left, top)
        outline = Bitmap(thing.bits, int(left), int(top))
        instances.append(
            Instance(thing.category, outline.bounds(), outline, False, None, len(instances) + 1)
        )
    tifffile.imwrite(path, picture, photometric="rgb", tile=(256, 256), compression="zlib")
    return ImageRecord(image_id, path, *picture.shape[:2], tuple(instances))


seen, unseen = cut_out(train), cut_out(val)
# Of tiles, neighbours overlap by as much as the largest thing measures.
OVERLAP = max(max(thing.bits.shape) for thing in seen + unseen)
CELL = OVERLAP + OVERLAP // 5
TILE = -(-4 * OVERLAP // 32) * 32
rng = np.random.default_rng(0)
record = lay_out("large.tif", unseen, max(3, SIDE // CELL), rng)
large = DetectionData([record], names, train.category_ids, name="large")
print(f"{record.width} x {record.height} pixels, {len(record.objects)} things")
print(f"tiles of {TILE} pixels that overlap by {OVERLAP}")

# %% [markdown]
# ### In tiles
#
# With `tile`, a picture is looked at in its own size, and parts of what several tiles see are
# joined. Of a TIFF file, no more than a batch of tiles is in memory, and masks are run lengths.
# What is wrong with the results is counted by kind; `duplicate` are things found twice.


# %%
def look(picture, **options):
    """What is found well enough, and how long it took."""
    start = time.perf_counter()
    (found,) = model.predict(picture, verbose=0, **options)
    return found.above({}, THRESHOLD), time.perf_counter() - start


def judge(found):
    """Prints how good the results are, and their errors."""
    results = found.to_coco(record.image_id, large.category_ids)
    analysis = analyse(large, results, max_detections=len(results) + 1)
    errors = analysis.comparisons["segm"].errors.to_json()["counts"]
    print(f"{len(found)} found, mask AP50 {100 * analysis.metrics['mask_ap50']:.1f}")
    print(errors)


before, seconds = look("large.tif", tile=TILE, overlap=OVERLAP, batch_size=4)
print(f"{seconds:.1f} s")
if len(before):
    judge(before)

# %% [markdown]
# ## Training on crops
#
# A model does best on what it was trained on. Annotated large pictures become batches with the
# `tile` and `overlap` with which they are looked at later; here they are of things cut out of
# training pictures. The first column has crops where tiles lie; from pass to pass they shift, so
# that what a seam cuts in one is whole in another.

# %%
tiling = Tiling(TILE, OVERLAP)
rows = max(3, SIDE // CELL // 3)
sheets = [lay_out(f"sheet_{n}.tif", seen, rows, rng, n) for n in (1, 2, 3)]
sheets = DetectionData(sheets, names, train.category_ids, name="sheets")
page = augmentation_page(sheets, "flip", pictures=2, draws=3, tile=300, tiling=tiling)
_, axis = plt.subplots(figsize=(12, 12 * page.shape[0] / page.shape[1]), layout="constrained")
axis.imshow(page)
axis.set_axis_off()

# %%
options = {"tile": tiling, "augment": "flip", "seed": 0}
batches = sheets.batches(batch_size // 2, model=model, shuffle=True, **options)
steps = ROUNDS * len(batches)
rate = WarmupSchedule(
    1e-4 if WEIGHTS else 5e-4, total_steps=steps, warmup_steps=steps // 10, decay="cosine"
)
model.compile(keras.optimizers.Adam(rate, global_clipnorm=10.0))
print(f"{len(sheets)} pictures give {len(batches)} batches of crops a pass")
model.fit(batches, epochs=ROUNDS, verbose=2)
model.save("large.keras")

# %% [markdown]
# ## Whole, and in tiles
#
# The large picture again, of which nothing was trained on. Without `tile`, it is made as small as
# the network's input, and so are the things on it.

# %%
found, seconds = look("large.tif", tile=TILE, overlap=OVERLAP, batch_size=4)
print(f"in tiles, {seconds:.1f} s")
if len(found):
    judge(found)
shrunk, seconds = look("large.tif")
print(f"whole, {seconds:.1f} s")
there = Counter(names[one.category] for one in record.objects)
print(f"\n{'':12}{'there':>7}{'tiles':>7}{'whole':>7}")
for name in names:
    print(f"{name:12}{there[name]:7}{found.counts()[name]:7}{shrunk.counts()[name]:7}")

scale = 1000 / record.width
_, axes = plt.subplots(1, 2, figsize=(13, 7), layout="constrained")
for axis, one, title in zip(axes, (shrunk, found), ("whole", "in tiles"), strict=True):
    options = {"boxes": False, "labels": False, "scale": scale}
    axis.imshow(one.plot(threshold=THRESHOLD, **options))
    axis.set_title(f"{title}: {len(one)} found, {len(record.objects)} there")
    axis.set_axis_off()

# %% [markdown]
# Tiles cut things. A closer look at some seams, which are the dashed lines: where two tiles
# overlap, there are two of them.

# %%
shown = slice(TILE - OVERLAP - 2 * CELL, TILE + 2 * CELL)
_, axis = plt.subplots(figsize=(8, 8), layout="constrained")
axis.imshow(np.asarray(found.plot(threshold=THRESHOLD, labels=False))[shown, shown])
for start in tiling.starts(record.width):
    for seam in (start, start + TILE):
        if shown.start < seam < min(shown.stop, record.width):
            for line in (axis.axhline, axis.axvline):
                line(seam - shown.start, color="white", linestyle="--", linewidth=1)
axis.set_axis_off()

# %% [markdown]
# ## On the map
#
# GeoJSON has each thing in coordinates of the picture's reference system, or in pixels. This
# picture's is a world file, by which a pixel is a centimetre.

# %%
Path("large.tfw").write_text("0.01\n0\n0\n-0.01\n0\n0\n")
collection = found.to_geojson(read_georeference("large.tif"))
Path("large.geojson").write_text(json.dumps(collection))
for feature in collection["features"][:1]:
    rings = feature["geometry"]["coordinates"]
    print(feature["properties"], rings[0][:3], "...", sep="\n")
assert len(collection["features"]) == len(found)

# %% [markdown]
# ## Beside supervision
#
# `InferenceSlicer` of the package supervision slices pictures for any model. It holds all masks in
# the size of the picture, so it gets a part of it.

# %%
if importlib.util.find_spec("supervision") is None:
    print("Not run: supervision not installed.", "pip install supervision", sep="\n")
else:
    import supervision as sv

    corner = CELL * min(8, record.width // CELL)
    part = read_image("large.tif")[:corner, :corner]
    within = [one for one in record.objects if max(one.box) <= corner]
    # As large as a tile, so that a slice stays in its own size.
    slicer = sv.InferenceSlicer(
        callback=lambda seen: look(seen, tile=TILE)[0].to_supervision(),
        slice_wh=(TILE, TILE),
        overlap_wh=(OVERLAP, OVERLAP),
    )
    start = time.perf_counter()
    sliced = slicer(part)
    seconds = time.perf_counter() - start
    ours, our_seconds = look(part, tile=TILE, overlap=OVERLAP)
    print(f"{len(within)} things in {corner} x {corner} pixels")
    print(f"InferenceSlicer: {len(sliced)} found in {seconds:.1f} s")
    print(f"predict(tile=):  {len(ours)} found in {our_seconds:.1f} s")

# %% [markdown]
# ## An archive
#
# `predict_many` reads a folder ahead of the model and writes tables part by part. Here are the
# validation pictures, for the model as it was before the crops, and one of which only the beginning
# is there. After half of them the call is interrupted, as by Ctrl-C; a power cut would leave the
# same.

# %%
model = load_model(file)
work = Path(tempfile.mkdtemp())
save_dataset(val, work / "archive", verbose=False)
begun = Path(val.records[0].path).read_bytes()[:100]
(work / "archive" / "truncated.jpg").write_bytes(begun)
options = {"batch_size": 4, "part_size": max(4, len(val) // 4), "threshold": 0.05}


def cut_off(done, count):
    """Called after each batch."""
    if done > count // 2:
        raise KeyboardInterrupt


try:
    predict_many(model, work / "archive", work / "found", tell=cut_off, **options)
except KeyboardInterrupt:
    print("interrupted:", sorted(path.name for path in (work / "found").glob("objects*")))

# %% [markdown]
# The same call goes on after the last part that was done. Called once more, it finds nothing left
# to do.

# %%
for _ in range(2):
    summary = predict_many(model, work / "archive", work / "found", **options)
    print(f"{summary.there} were there, {summary.pictures} looked at, {summary.objects} objects")
    for path, error in summary.unread.items():
        print(f"  {Path(path).name}: {error}")
assert summary.pictures == 0 and summary.there == len(val) + 1

# %% [markdown]
# ### What is in the tables
#
# A line is an object, as JSON, in COCO's results format with the names of file and class. Plain
# Python reads them, and so does `pandas.read_json(file, lines=True)`.

# %%
rows = [
    json.loads(line)
    for part in sorted((work / "found").glob("objects-*.jsonl"))
    for line in part.read_text().splitlines()
]
print({key: str(value)[:40] for key, value in rows[0].items()} if rows else "no objects")
sure = Counter(row["category_name"] for row in rows if row["score"] >= THRESHOLD)
there = Counter(names[one.category] for picture in val.records for one in picture.objects)
_, axis = plt.subplots(figsize=(6, 0.8 + 0.4 * len(names)), layout="constrained")
for shift, counts, label in ((-0.2, there, "annotated"), (0.2, sure, f"found from {THRESHOLD}")):
    axis.barh(np.arange(len(names)) + shift, [counts[n] for n in names], 0.4, label=label)
axis.set_yticks(range(len(names)), names)
axis.invert_yaxis()
axis.set_xlabel("objects in the archive")
axis.legend(fontsize=8, frameon=False)
axis.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# ### What it is worth
#
# Tables and annotations meet by the pictures' paths and the classes' names. No model is needed any
# more.

# %%
(annotations,) = (work / "archive" / "annotations").glob("*.json")
print(evaluate_coco_files(annotations, work / "found").table())

# %% [markdown]
# ## A video
#
# Some seconds long: the largest thing of each class goes its own way, before or behind the others.

# %%
HEIGHT, WIDTH, RATE = 3 * CELL // 2 * 2, 2 * CELL * 2, 15
largest = {one.category: one for one in sorted(unseen, key=lambda one: one.bits.sum())}
movers = list(largest.values())[-6:]
rooms = [(WIDTH - one.bits.shape[1], HEIGHT - one.bits.shape[0]) for one in movers]
starts = rng.uniform(0, 2, (len(movers), 2)) * rooms
# A frame; as far as a thing is large in a second or two.
speeds = rng.uniform(0.3, 0.8, (len(movers), 2)) * rng.choice((-1, 1), (len(movers), 2))
speeds *= OVERLAP / RATE
gravel = ground(HEIGHT, WIDTH)
writer = VideoWriter("clip.mp4", time_base=Fraction(1, RATE), rate=Fraction(RATE))
for number in range(FRAMES):
    last = gravel.copy()
    # They turn around at the border.
    places = np.abs((starts + number * speeds) % (2 * np.array(rooms)) - rooms).astype(int)
    for mover, (left, top) in zip(movers, places, strict=True):
        mover.lay(last, left, top)
    writer.write(last, number / RATE)
writer.close()

# %% [markdown]
# The model takes frames as large as they are. A table and a video with what was found come out.

# %%
filming = MaskRCNN.from_model("large.keras", min_size=HEIGHT, max_size=WIDTH)
start = time.perf_counter()
summary = predict_video(
    filming, "clip.mp4", table="clip.jsonl", overlay="found.mp4", threshold=THRESHOLD
)
print(f"{summary.frames} frames, {summary.objects} objects, {summary.codec}")
print(f"{1000 * (time.perf_counter() - start) / summary.frames:.0f} ms a frame")
rows = [json.loads(line) for line in Path("clip.jsonl").read_text().splitlines()]
assert len(rows) == summary.objects

_, axes = plt.subplots(2, 3, figsize=(13, 6.6), layout="constrained")
for axis in axes.flat:
    axis.set_axis_off()
frames = VideoReader("found.mp4", every=-(-FRAMES // 6))
for axis, frame in zip(axes.flat, frames, strict=False):
    axis.imshow(frame.picture)
    axis.set_title(f"{frame.time:.1f} s: {sum(r['frame'] == frame.number for r in rows)} found")
frames.close()

# %% [markdown]
# ### Which is which
#
# The table knows no frame before. ByteTrack, of the package trackers, takes results as they come
# and numbers what it follows. Without it, here is where each class was.

# %%
missing = [name for name in ("supervision", "trackers") if importlib.util.find_spec(name) is None]
trails, called = {}, {}
if missing:
    print(f"Not run: {' and '.join(missing)} not installed.")
    print("pip install supervision trackers")
    for row in rows:
        x, y, width, height = row["bbox"]
        called[row["category_name"]] = Counter([row["category_name"]])
        trails.setdefault(row["category_name"], []).append((x + width / 2, y + height / 2))
else:
    from trackers import ByteTrackTracker

    tracker = ByteTrackTracker(frame_rate=RATE)
    for frame, one in predict_stream(filming, "clip.mp4", batch_size=4):
        tracked = tracker.update(one.to_supervision(), timestamp=frame.time)
        # It numbers what it has seen twice.
        tracked = tracked[tracked.tracker_id >= 0]
        for number, name, box in zip(
            tracked.tracker_id, tracked["class_name"], tracked.xyxy, strict=True
        ):
            called.setdefault(number, Counter())[str(name)] += 1
            trails.setdefault(number, []).append((box[:2] + box[2:]) / 2)
    print(f"{len(movers)} things move; ByteTrack has numbered {len(trails)}:")
    for number, counts in called.items():
        print(f"  {number}: {dict(counts)}")

_, axis = plt.subplots(figsize=(9, 5.4), layout="constrained")
axis.imshow(last)
for key, points in trails.items():
    ((name, _),) = called[key].most_common(1)
    label, style = (name, ".") if missing else (f"{key}: {name}", "-")
    axis.plot(*np.transpose(points), style, linewidth=3, label=label)
if trails:
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
axis.set_axis_off()
