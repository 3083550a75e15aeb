"""Parts that a stranger wrote, a file each: they train, predict, save, load and export."""

import dataclasses
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from extending import coarse_neck, context_pooler, plain_backbone, ripeness_head
from helpers import MASK, TINY, make_data, tiny_model

from keras_maskrcnn import MaskRCNN
from keras_maskrcnn.heads import HeadContext

SIZE = (64, 96)
SMALL = {key: value for key, value in TINY.items() if key != "num_classes"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Squares are ripe, bars are not: something that can be learned."""
    plain = make_data(tmp_path_factory.mktemp("fruit"), [SIZE] * 4)
    records = [
        dataclasses.replace(
            record,
            instances=tuple(
                dataclasses.replace(o, attributes={"ripe": float(o.category == 0)})
                for o in record.instances
            ),
        )
        for record in plain.records
    ]
    return dataclasses.replace(plain, records=records)


def test_the_files_are_small_and_touch_nothing_private():
    for module in (coarse_neck, context_pooler, plain_backbone, ripeness_head):
        text = Path(module.__file__).read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 60
        assert not re.search(r"(\.|import )_[a-z]", text)


def walk(model, data, folder):
    """A step of training, a prediction, and the same after saving and loading."""
    model.compile(keras.optimizers.SGD(1e-3))
    history = model.fit(data, batch_size=2, verbose=0).history
    assert all(np.isfinite(values[0]) for values in history.values())
    before = model.predict_on_batch(_picture(data))
    model.save(folder / "m.keras")
    loaded = keras.saving.load_model(folder / "m.keras")
    # Keras notes of a whole network more than its constructor takes.
    configs = [{**m.get_config(), "backbone": None} for m in (model, loaded)]
    assert configs[0] == configs[1]
    after = loaded.predict_on_batch(_picture(data))
    for name, values in before.items():
        np.testing.assert_allclose(after[name], values, atol=1e-4, err_msg=name)
    return history, loaded


def _picture(data):
    (images, targets) = next(iter(data.batches(1, min_size=64, max_size=96)))
    return {"images": images, "image_sizes": targets["image_sizes"]}


def test_a_head_learns_an_attribute(data, tmp_path):
    model = tiny_model(heads=(MASK, "ripeness"), **{"box.score_threshold": 0.0})
    model.compile(keras.optimizers.Adam(2e-3))
    train = data.batches(4, model=model).repeat(40)
    losses = [model.fit(train, verbose=0).history["ripeness_loss"][0] for _ in range(2)]
    assert losses[1] < 0.2 < np.log(2) < losses[0] + 0.7
    # Told of the true boxes, so that nothing depends on what the small model finds.
    for record in data.records[:2]:
        objects = record.objects
        found = model.describe(record.path, [o.box for o in objects])
        ripe = [o.attributes["ripe"] for o in objects]
        np.testing.assert_allclose(found.extras["ripeness"], ripe, atol=0.35)
        assert found[[0]].extras["ripeness"].shape == (1,)
    _, loaded = walk(model, data, tmp_path)

    picture = tf.io.read_file(data.records[0].path)
    loaded.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "served" / "1"))
    answer = served.signatures["encoded"](picture[None])
    expected = loaded.predict(data.records[0].path, verbose=0)[0]
    count = int(answer["counts"][0])
    assert count == len(expected) > 0
    np.testing.assert_allclose(
        answer["ripeness"][0, :count], expected.extras["ripeness"], atol=1e-3
    )


def test_a_head_of_no_object_costs_nothing():
    head = ripeness_head.Ripeness()
    head.build(HeadContext(num_classes=2, roi_strides=(4, 8, 16, 32)))
    logits = tf.zeros((0,))
    losses = head.losses(logits, tf.zeros((0,)), lambda count: count)
    assert float(losses["ripeness_loss"]) == 0.0
    # Worked by hand: an unknown one does not count, ln 2 each for what knows nothing.
    losses = head.losses(tf.zeros((3,)), tf.constant([1.0, 0.0, -1.0]), lambda count: count)
    assert float(losses["ripeness_loss"]) == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    "backbone",
    [plain_backbone.plain_network(), {"name": "plain", "width": 4}, "MobileNetV3Small"],
    ids=["a model", "by name", "keras.applications"],
)
def test_a_backbone(backbone, data, tmp_path):
    model = MaskRCNN(2, **{**SMALL, "backbone": backbone})
    assert model.network.neck.rpn_strides == (4, 8, 16, 32, 64)
    walk(model, data, tmp_path)


def test_a_neck(data, tmp_path):
    model = MaskRCNN(2, **{**SMALL, "neck": {"name": "laterals", "channels": 8}, "rpn": None})
    assert model.network.neck.roi_strides == (4, 8, 16, 32)
    assert model.network.rpn.anchors.sizes == ((32,), (64,), (128,), (256,))
    walk(model, data, tmp_path)


def test_a_pooler(data, tmp_path):
    pooler = {"name": "context", "margin": 0.5}
    model = MaskRCNN(2, **{**SMALL, "pooler": pooler})
    assert {part.pooler.margin for part in (model.network.box, *model.network.heads)} == {0.5}
    _, loaded = walk(model, data, tmp_path)
    assert loaded.network.box.pooler.margin == 0.5
    # Worked by hand: a box 8 wide grows by 4 on each side.
    boxes = np.array([[[8, 8, 16, 24]]], "float32")
    regions, _ = model.network.box.pooler.regions(None, tf.constant(boxes))
    np.testing.assert_allclose(regions[0, 0], [4, 0, 20, 32])
