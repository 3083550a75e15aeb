"""Two replicas must do what one does, on two logical devices of this machine's processor."""

import json

import pytest
from helpers import LOSSES, MASK, keypoint_head, run_python

# TensorFlow's devices can only be divided before it starts: hence processes of their own.
SETUP = """
import contextlib, dataclasses, json, os, sys
from pathlib import Path
os.environ["CUDA_VISIBLE_DEVICES"] = ""
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

def report(name, value):
    print("result", json.dumps([name, value]), flush=True)

def largest(a, b):
    return float(max(np.abs(x - y).max() for x, y in zip(a, b, strict=True)))

def values(model):
    return [v.numpy() for v in model.trainable_variables]
"""

MODEL = """
from helpers import make_data, tiny_model
from parity.golden_models import first_come_sampling

data = make_data(Path(sys.argv[1]), [(64, 96)] * 7)
data.keypoint_names = ["left", "right"]
for number, record in enumerate(data.records):  # Of some objects no point is visible.
    instances = []
    for instance, visible in zip(record.instances, (2, number % 2), strict=True):
        x, y = instance.box[:2]
        points = np.array([[x + 4, y + 4, visible], [x + 8, y + 6, visible]])
        instances.append(dataclasses.replace(instance, keypoints=points))
    data.records[number] = dataclasses.replace(record, instances=tuple(instances))
# Four pictures, then three: the replicas' shares are 2 and 2, then 2 and 1.
batches = data.batches(4, min_size=64, max_size=96)

models, logs, steps = [], [], []
with first_come_sampling():
    for scope in (contextlib.nullcontext(), strategy.scope()):
        with scope:
            # No batch statistics, which are each replica's own; a penalty that cannot be missed; a
            # frozen backbone, since its gradient takes long to trace.
            model = tiny_model(
                backbone={"norm": "frozen", "freeze_at": 5},
                weight_decay=0.01,
                **json.loads(sys.argv[2]),
            )
            model.compile(keras.optimizers.SGD(0.01, momentum=0.9, global_clipnorm=0.5))
        start = values(model)
        logs.append(model.fit(batches, epochs=2, verbose=0).history)
        models.append(model)
        steps.append(int(model.optimizer.iterations.numpy()))
    report("training", {key: [log[key] for log in logs] for key in logs[0]})
    report("weights", largest(*map(values, models)))
    report("moved", largest(values(model), start))
    report("steps", steps)
    # Equal to the last bit, so that no proposal changes places.
    models[1].set_weights(models[0].get_weights())
    logs = [m.evaluate(batches, verbose=0, return_dict=True) for m in models]
    report("evaluation", {key: [log[key] for log in logs] for key in logs[0]})
    def count_classes_from_1(images, targets):
        return images, {**targets, "classes": targets["classes"] + 1}

    try:
        models[1].evaluate(batches.map(count_classes_from_1), verbose=0)
    except ValueError as error:
        report("classes from 1", str(error))
    data.records[:] = data.records[:5]
    try:
        models[1].evaluate(data.batches(4, min_size=64, max_size=96), verbose=0)
    except tf.errors.InvalidArgumentError as error:
        report("one picture for two", str(error))
"""

# What `replicas.train_step` makes of Keras' optimizers, on a model that is traced in no time.
OPTIMIZERS = """
from keras_maskrcnn.models import replicas

rng = np.random.default_rng(0)
x = rng.normal(size=(16, 3)).astype("float32")
y = (np.abs(x).sum(1, keepdims=True) * rng.uniform(0, 9, (16, 1))).astype("float32")
batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(4)

class Toy(keras.Model):
    def __init__(self, policy):
        super().__init__()
        self.first = keras.layers.Dense(4, activation="tanh", dtype=policy)
        self.last = keras.layers.Dense(1, dtype=policy)
        self.build((None, 3))

    def build(self, shape):
        self.first.build(shape)
        self.last.build((None, 4))
        self.built = True

    def call(self, x):
        return self.last(self.first(x))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        count = replicas.total(tf.cast(tf.shape(y)[0], "float32"))
        loss = tf.reduce_sum(tf.square(tf.cast(y_pred, "float32") - y)) / count
        return replicas.with_value_of(loss, replicas.total(loss))

    def train_step(self, data):
        if replicas.replica_count() > 1:
            return replicas.train_step(self, *data)
        return super().train_step(data)

    def compile(self, *args, **kwargs):
        super().compile(*args, **kwargs)
        replicas.prepare(self)

SGD, AdamW = keras.optimizers.SGD, keras.optimizers.AdamW
CASES = {
    "plain": lambda: SGD(0.01),
    "momentum and a clipped norm": lambda: SGD(0.01, momentum=0.9, global_clipnorm=1.0),
    "clipped norms": lambda: SGD(0.01, clipnorm=0.5),
    "clipped values": lambda: SGD(0.01, clipvalue=0.5),
    "AdamW with averages": lambda: AdamW(0.01, use_ema=True, ema_momentum=0.5),
    "accumulation": lambda: SGD(0.01, momentum=0.9, gradient_accumulation_steps=2),
    "clipped accumulation": lambda: SGD(0.01, global_clipnorm=1.0, gradient_accumulation_steps=3),
}
runs = [(name, None, make) for name, make in CASES.items()]
runs += [(p, p, CASES["momentum and a clipped norm"]) for p in ("mixed_bfloat16", "mixed_float16")]
for name, policy, make in runs:
    models, logs = [], []
    for scope in (contextlib.nullcontext(), strategy.scope()):
        keras.utils.set_random_seed(0)
        with scope:
            model = Toy(policy)
            model.compile(make(), jit_compile=False)
        start = values(model)
        logs.append(model.fit(batches, epochs=2, verbose=0, shuffle=False).history["loss"])
        models.append(model)
    report(name, {
        "weights": largest(*map(values, models)),
        "moved": largest(values(model), start),
        "losses": logs,
        "steps": [int(m.optimizer._iterations.numpy()) for m in models],
    })
"""

# RoIs of two pictures, on one replica together and on two apart, which may have none.
STATISTICS = """
from keras_maskrcnn.layers.box_head import BoxHead
from keras_maskrcnn.layers.mask_head import MaskHead

MAKE = {
    "mask": lambda: MaskHead(2, 2, 4, "sync_batch"),
    "box": lambda: BoxHead(2, 2, 1, 4, "sync_batch"),
}

def run(head, kind, x):
    classes = [tf.zeros(tf.shape(x)[:1], "int32")] if kind == "mask" else []
    return keras.tree.flatten(head(x, *classes, training=True))[0]

rng = np.random.default_rng(0)
for kind, make in MAKE.items():
    for counts in ((5, 2), (3, 0), (0, 0)):
        x = tf.constant(rng.normal(2, 3, (sum(counts), 2, 2, 4)).astype("float32"))
        heads = []
        for scope in (contextlib.nullcontext(), strategy.scope()):
            with scope:
                heads.append(make())
                heads[-1].build(x.shape, *([x.shape[:1]] if kind == "mask" else []))
        start = heads[0].get_weights()
        heads[1].set_weights(start)
        whole = run(heads[0], kind, x)

        @tf.function
        def step():
            def replica():
                number = tf.distribute.get_replica_context().replica_id_in_sync_group
                end = tf.cumsum(counts)[number]
                return run(heads[1], kind, x[end - tf.constant(counts)[number] : end])
            return strategy.run(replica)

        apart = np.concatenate([v.numpy() for v in strategy.experimental_local_results(step())])
        weights = [head.get_weights() for head in heads]
        report(f"{kind} {counts}", {
            "outputs": float(np.abs(apart - whole).max(initial=0)),
            "weights": largest(*weights),
            "moved": largest(weights[0], start),
        })
"""


def results(*script_and_arguments):
    output = run_python(*script_and_arguments)
    lines = [line for line in output.splitlines() if line.startswith("result ")]
    return dict(json.loads(line.removeprefix("result ")) for line in lines)


STAGES = tuple(f"{kind}_loss_{stage}" for stage in (1, 2, 3) for kind in ("class", "box"))
PARTS = {
    "masks and keypoints": ({"heads": (MASK, keypoint_head(2))}, {*LOSSES, "keypoint_loss"}),
    "cascade, perceptron, softmax": (
        {
            "box": {"name": "cascade", "samples": 16, "dim": 64},
            "heads": ({"name": "mask_mlp", "dim": 32, "side": 14, "output": "softmax"},),
        },
        {*LOSSES, *STAGES} - {"class_loss", "box_loss"},
    ),
}


@pytest.mark.slow  # Three processes.
@pytest.mark.parametrize("parts", PARTS)
def test_two_replicas_train_as_one(parts, tmp_path):
    changes, names = PARTS[parts]
    found = results(SETUP + MODEL, tmp_path, json.dumps(changes))
    for logs in (found["training"], found["evaluation"]):
        assert set(logs) == {"loss", *names}
        for name, (one, two) in logs.items():
            assert two == pytest.approx(one, rel=1e-4, abs=1e-6), name
    for name in names - set(STAGES[2:]):  # Random boxes are good enough for the first stage alone.
        assert min(found["training"][name][0]) > 0, name
    assert found["weights"] < 1e-4
    assert found["moved"] > 1e-3
    assert found["steps"] == [4, 4]
    assert found["classes from 1"].startswith("classes must be 0..1, and -1 where padded; classes")
    assert "at least one picture for each of the 2 replicas" in found["one picture for two"]


@pytest.mark.slow  # Two processes.
def test_optimizers_see_the_whole_gradient():
    found = results(SETUP + OPTIMIZERS)
    assert len(found) == 9
    for name, run in found.items():
        tolerance = 1e-3 if name.startswith("mixed") else 1e-5
        assert run["weights"] < tolerance, name
        assert run["moved"] > 0.01, name
        assert run["losses"][1] == pytest.approx(run["losses"][0], rel=tolerance), name
        assert run["steps"] == [8, 8], name


@pytest.mark.slow  # Two replicas.
def test_synchronised_norms_count_the_real_rois_of_all_replicas():
    found = results(SETUP + STATISTICS)
    assert len(found) == 6
    for name, run in found.items():
        assert run["outputs"] < 1e-4, name
        assert run["weights"] < 1e-5, name
        assert (run["moved"] > 0.05) != name.endswith("(0, 0)"), name
