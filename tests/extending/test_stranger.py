"""Parts that a stranger wrote, a file each: they train, predict, save, load and export."""

import dataclasses
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from extending import coarse_neck, context_pooler, plain_backbone, quarter_turn, ripeness_head
from helpers import MASK, TINY, make_data, tiny_model
from PIL import Image

from keras_maskrcnn import DetectionData, ImageRecord, Instance, MaskRCNN
from keras_maskrcnn.data.transforms import Flip, make_transforms
from keras_maskrcnn.heads import HeadContext
from keras_maskrcnn.outlines import Polygons

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
    modules = (coarse_neck, context_pooler, plain_backbone, quarter_turn, ripeness_head)
    for module in modules:
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


@pytest.mark.slow  # It trains until it knows.
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
    [
        pytest.param(plain_backbone.plain_network(), marks=pytest.mark.slow),
        {"name": "plain", "width": 4},
        pytest.param("MobileNetV3Small", marks=pytest.mark.slow),
    ],
    ids=["a model", "by name", "keras.applications"],
)
def test_a_backbone(backbone, data, tmp_path):
    model = MaskRCNN(2, **{**SMALL, "backbone": backbone})
    assert model.network.neck.rpn_strides == (4, 8, 16, 32, 64)
    walk(model, data, tmp_path)


@pytest.mark.slow
def test_a_neck(data, tmp_path):
    model = MaskRCNN(2, **{**SMALL, "neck": {"name": "laterals", "channels": 8}, "rpn": None})
    assert model.network.neck.roi_strides == (4, 8, 16, 32)
    assert model.network.rpn.anchors.sizes == ((32,), (64,), (128,), (256,))
    walk(model, data, tmp_path)


@pytest.mark.slow
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


@pytest.mark.slow  # One more trace.
def test_a_transform_trains(data):
    model = tiny_model()
    model.compile(keras.optimizers.SGD(1e-3))
    train = data.batches(2, model=model, augment=["my_quarter_turn", Flip()], shuffle=True, seed=0)
    history = model.fit(train, verbose=0).history
    assert all(np.isfinite(values[0]) for values in history.values())
    (made,) = make_transforms("my_quarter_turn")
    assert made.get_config() == {
        "name": "my_quarter_turn",
        "quarters": [0, 1, 2, 3],
    }


@pytest.mark.parametrize("masks", ["crops", "whole"])
def test_a_transform_by_hand(masks, tmp_path):
    """A picture 40 high and 60 wide; on it an L in a box of x 10..30, y 4..14; one eye is known.

    A quarter turn clockwise brings (x, y) to (40 - y, x), half a turn to (60 - x, 40 - y), three
    quarters to (y, 60 - x).
    """
    image = np.zeros((40, 60, 3), np.uint8)
    image[0, :, 0] = 200  # The upper border is red.
    Image.fromarray(image).save(tmp_path / "a.png")
    shape = Polygons([[10, 4, 20, 4, 20, 9, 30, 9, 30, 14, 10, 14]])
    eyes = np.array([[12, 6, 2], [0, 0, 0]], "float32")
    thing = Instance(0, (10.0, 4.0, 30.0, 14.0), shape, False, 150.0, 1, eyes)
    crowd = Instance(0, (0.0, 0.0, 5.0, 2.0), None, True, 10.0, 2)
    record = ImageRecord(1, str(tmp_path / "a.png"), 40, 60, (thing, crowd))
    names = ["left", "right"]
    data = DetectionData([record], ["thing"], [1], names, [(0, 1)])
    expected = {
        1: ([26, 10, 36, 30], [38, 0, 40, 5], (34, 12), np.s_[:, -1]),
        2: ([30, 26, 50, 36], [55, 38, 60, 40], (48, 34), np.s_[-1]),
        3: ([4, 30, 14, 50], [0, 55, 2, 60], (6, 48), np.s_[:, 0]),
    }
    upright = np.full((112, 112), 255)
    upright[:56, 56:] = 0
    for quarters, (box, region, eye, red) in expected.items():
        turn = {"name": "my_quarter_turn", "quarters": [quarters]}
        size = (40, 60) if quarters == 2 else (60, 40)
        options = {"min_size": 40, "max_size": 60, "size_divisor": 1}
        batches = data.batches(1, augment=turn, whole_masks=masks == "whole", **options)
        ((images, targets),) = batches
        assert images.shape == (1, *size, 3)
        np.testing.assert_array_equal(targets["image_sizes"], [size])
        np.testing.assert_array_equal(targets["boxes"], [[box]])
        np.testing.assert_array_equal(targets["crowd_boxes"], [[region]])
        # A turn is no mirror: left stays left.
        np.testing.assert_array_equal(targets["keypoints"], [[[[*eye, 2], [0, 0, 0]]]])
        assert (images[0].numpy()[red][:, 0] == 200).all()
        assert images.numpy().sum() == 60 * 200
        drawn = targets["masks"].numpy()[0, 0]
        if masks == "whole":
            assert drawn.shape == size and (drawn > 0).sum() == 150
            x1, y1, x2, y2 = box
            drawn = np.asarray(Image.fromarray(drawn[y1:y2, x1:x2]).resize((112, 112), 0))
        np.testing.assert_array_equal(drawn, np.rot90(upright, -quarters))
