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
# # Into production
#
# A trained model as a SavedModel, behind a server, asked over REST and from Python; in one file for
# ONNX Runtime and LiteRT; and back into the annotation tool, so that the next round of labels is
# corrected instead of drawn.
#
# | variable | |
# |---|---|
# | `DATA` | a folder of annotated pictures in any format; without it, composed scenes |
# | `WEIGHTS` | a published model to begin with; without it, a small one from random weights |
# | `GRPC` | a TensorFlow Serving that serves the export below, such as `grpc://localhost:8500` |
# | `SMALL` | tiny numbers, to see whether all runs: the model then knows nothing |

# %%
import base64
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from pathlib import Path

import absl.logging
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

from keras_maskrcnn import MaskRCNN, load_model
from keras_maskrcnn.data import load_dataset, load_splits, save_dataset
from keras_maskrcnn.data.reading import read_image
from keras_maskrcnn.demo.model import compact_settings
from keras_maskrcnn.demo.scenes import build_scenes
from keras_maskrcnn.preannotations import detections_to_data, uncertainty
from keras_maskrcnn.serving import Client
from keras_maskrcnn.visualize import draw_detections

absl.logging.set_verbosity("error")  # What exports say of themselves.
tf.get_logger().setLevel("ERROR")
SMALL = "SMALL" in os.environ
DATA = os.environ.get("DATA")
WEIGHTS = os.environ.get("WEIGHTS")
GRPC = os.environ.get("GRPC")
SCENES, SIZE, EPOCHS, THRESHOLD = (16, 96, 1, 0.15) if SMALL else (320, 160, 6, 0.5)

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
pictures = [record.path for record in val.records[:8]]
expected = model.predict(pictures, verbose=0)


def same(found, other, atol=0.1):
    """Whether two results are equal up to rounding."""
    assert len(found) == len(other)
    np.testing.assert_allclose(found.boxes, other.boxes, atol=atol)
    np.testing.assert_allclose(found.scores, other.scores, atol=1e-3)


# %% [markdown]
# ## Export
#
# A folder with a numbered version, as TensorFlow Serving wants it: stock TensorFlow operations, no
# Python, not this package. Pictures come as files or as pixels, and results are in their own
# pixels. The command is `maskrcnn export MODEL --output served/photos`.

# %%
# A new folder: an export into one that holds version 1 already would become version 2.
export = Path(tempfile.mkdtemp()) / "photos"
model.export(export)
served = tf.saved_model.load(str(export / "1"))
for name, signature in served.signatures.items():
    inputs = signature.structured_input_signature[1]
    outputs = {
        key: f"{value.dtype.name} {value.shape}"
        for key, value in signature.structured_outputs.items()
    }
    print(name, inputs, *outputs.items(), sep="\n  ")

# %%
answer = served.signatures["encoded"](tf.io.read_file(pictures[0])[None])
count = int(answer["counts"][0])
assert count == len(expected[0])
np.testing.assert_allclose(answer["boxes"][0, :count], expected[0].boxes, atol=0.1)
print(f"{count} objects, the best: {answer['scores'][0, :3].numpy().round(3)}")

# %% [markdown]
# ## A server
#
# `maskrcnn serve served/photos` speaks TensorFlow Serving's REST API, and has a page to drop
# pictures on. Here it is started beside the notebook, on a free port.

# %%
command = "import sys; from keras_maskrcnn.cli import main; sys.exit(main(sys.argv[1:]))"
server = subprocess.Popen(
    [sys.executable, "-c", command, "serve", str(export), "--port", "0"],
    stdout=subprocess.PIPE,
    stderr=subprocess.DEVNULL,
    text=True,
)
line = server.stdout.readline()
url = re.search(r"http://[^/]+", line)[0]
print(line)

# %% [markdown]
# ### REST
#
# What any language can send: the file in base64. A JSON object per picture comes back, with as many
# slots as the export has; `counts` says how many are real.


# %%
def post(path, body, content_type="application/json"):
    """The answer to a request, from JSON."""
    request = urllib.request.Request(url + path, body, {"Content-Type": content_type})
    with urllib.request.urlopen(request) as response:
        return json.load(response)


content = Path(pictures[0]).read_bytes()
body = {"signature_name": "encoded", "instances": [{"b64": base64.b64encode(content).decode()}]}
(answer,) = post("/v1/models/photos:predict", json.dumps(body).encode())["predictions"]
print({key: np.shape(value) for key, value in answer.items()})
assert answer["counts"] == len(expected[0])

# %% [markdown]
# Shorter, and of this server alone: `/detect` takes the file as it is, and answers with names and
# masks as COCO's run lengths.

# %%
kind = "image/jpeg" if pictures[0].endswith("jpg") else "image/png"
answer = post("/detect", content, kind)
print(json.dumps(answer["detections"][:1], indent=1)[:600])

# %% [markdown]
# ### From Python
#
# `Client` gives what `model.predict` gives, with the model elsewhere.

# %%
start = time.perf_counter()
with Client(url, model="photos") as client:
    found = client.predict(pictures)
print(f"{1000 * (time.perf_counter() - start) / len(pictures):.0f} ms per picture")
for one, other in zip(found, expected, strict=True):
    same(one, other)

_, axes = plt.subplots(1, 4, figsize=(13, 3.6), layout="constrained")
for axis, path, one in zip(axes, pictures, found, strict=False):
    image = read_image(path, val.pixels)
    scale = 340 / max(image.shape[:2])
    axis.imshow(draw_detections(image, one, threshold=THRESHOLD, scale=scale))
    axis.set_axis_off()

# %% [markdown]
# ### TensorFlow Serving, REST and gRPC
#
# The same folder, the same client. gRPC carries masks as they are rather than as decimal numbers.
#
# ```
# docker run -p 8500:8500 -p 8501:8501 -v $PWD/served/photos:/models/photos \
#     -e MODEL_NAME=photos tensorflow/serving
# ```

# %%
if GRPC:
    with Client(GRPC, model="photos") as client:
        print(client.predict(pictures[0])[0])
else:
    print(
        "GRPC is not set: no TensorFlow Serving to ask. Client('grpc://localhost:8500', 'photos')"
    )

# %%
server.terminate()
assert server.wait(60) == 0  # Requests in work are finished first.
server.stdout.close()

# %% [markdown]
# ## One file: LiteRT and ONNX
#
# These hold the network alone: float32 pictures 0..255, padded to a multiple of 32, and their
# sizes. LiteRT, for phones and small boards, needs no TensorFlow operation beside its own.

# %%
images, targets = next(iter(val.batches(1, model=model)))
inputs = {"images": images.numpy(), "image_sizes": targets["image_sizes"].numpy()}
wanted = model.predict_on_batch(inputs)
model.export("photos.tflite", format="litert")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # That another package will hold the interpreter.
    interpreter = tf.lite.Interpreter("photos.tflite")
answer = interpreter.get_signature_runner()(**inputs)
for name, values in wanted.items():
    np.testing.assert_allclose(answer[name], values, atol=1e-2, err_msg=name)
print(f"photos.tflite: {os.path.getsize('photos.tflite') / 1e6:.1f} MB, answers as the model does")

# %%
missing = [name for name in ("tf2onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
if missing:
    print(f"Not run: {' and '.join(missing)} not installed.")
    print('pip install "maskrcnn-keras[onnx]" onnxruntime')
else:
    import onnxruntime

    model.export("photos.onnx", format="onnx")
    session = onnxruntime.InferenceSession("photos.onnx", providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    answer = dict(zip(names, session.run(None, inputs), strict=True))
    np.testing.assert_allclose(answer["boxes"], wanted["boxes"], atol=1e-2)
    print(f"photos.onnx: {os.path.getsize('photos.onnx') / 1e6:.1f} MB, answers as the model does")

# %% [markdown]
# OpenVINO reads the same ONNX file, and TensorRT knows its operations; `--int8` makes it a quarter
# as large, and tells what that costs.
#
# ## Back to the annotation tool
#
# New pictures need labels, and correcting is faster than drawing. What the model finds becomes
# annotations for CVAT or Label Studio, the pictures with the most expected mistakes first: the sum
# of min(score, 1 - score) over their objects, however low.

# %%
doubts = [uncertainty(one.scores) for one in expected]
order = np.argsort(doubts)[::-1]
figure, axis = plt.subplots(figsize=(6, 2.4), layout="constrained")
axis.barh([Path(pictures[i]).name for i in order[::-1]], [doubts[i] for i in order[::-1]])
axis.set_xlabel("mistakes that are to be expected")
axis.spines[["top", "right"]].set_visible(False)

work = Path(tempfile.mkdtemp())
proposed = detections_to_data(pictures, expected, threshold=THRESHOLD, order="uncertainty")
assert proposed.records[0].path == pictures[order[0]]
for format in ("cvat", "label_studio"):
    save_dataset(proposed, work / format, format)

# %% [markdown]
# With files at hand the commands are
#
# ```
# maskrcnn predict photos.keras new/ --output found
# maskrcnn convert --predictions found/predictions.json --images new --to cvat to_correct \
#     --order uncertainty
# ```
#
# What comes back from the tool is one more data set, which joins the first:

# %%
corrected = load_dataset(work / "cvat", class_names=list(model.class_names), verbose=False)
sent = sum(len(record.objects) for record in proposed.records)
back = sum(len(record.objects) for record in corrected.records)
print(f"{sent} objects went out, {back} came back")
assert back == sent
