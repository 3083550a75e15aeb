"""Batches: pixels, geometry, order, errors."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from pycocotools import mask as coco_mask

from keras_maskrcnn.data import DetectionData, Instance, load_coco
from keras_maskrcnn.data.reading import read_image

SIZES = [(40, 60), (60, 40), (48, 64), (50, 50), (64, 30)]


@pytest.fixture
def data(tmp_path):
    return make_data(tmp_path)


def make_data(folder, sizes=SIZES):
    """Noise pictures; on picture n are n objects (left halves) and, on odd ones, a crowd."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number, (height, width) in enumerate(sizes):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        images.append({"id": 100 + number, "file_name": f"{number}.png"})
        images[-1] |= {"height": height, "width": width}
        for k in range(number + number % 2):
            x, y, w, h = 2.0 + k, 4.0, 20.0, 10.0
            half = [x, y, x + w / 2, y, x + w / 2, y + h, x, y + h]
            points = [x - 0.5, y - 0.5, 2, x + w - 0.5, y + h - 0.5, 1, 0, 0, 0]
            annotations.append(
                {"id": len(annotations), "image_id": 100 + number, "category_id": 5 + k % 2}
                | {"bbox": [x, y, w, h], "segmentation": [half], "keypoints": points}
                | {"iscrowd": int(k == number)}
            )
    names = ["left_ear", "right_ear", "tail"]
    categories = [{"id": i, "name": str(i), "keypoints": names} for i in (5, 6)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "data.json").write_text(json.dumps(content))
    return load_coco(folder / "data.json", folder, on_error="raise")


def test_boxes_and_keypoints_golden(golden, tmp_path):
    arrays = golden("transform")
    images, annotations = [], []
    for i in range(2):
        pixels = arrays[f"image{i}_u8"]
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        images.append({"id": i, "file_name": f"{i}.png"})
        images[-1] |= {"height": pixels.shape[0], "width": pixels.shape[1]}
        for box, points in zip(arrays[f"in{i}_boxes"], arrays[f"in{i}_keypoints"], strict=True):
            x1, y1, x2, y2 = box.tolist()
            points = points - [0.5, 0.5, 0]
            annotations.append(
                {"id": len(annotations), "image_id": i, "category_id": 1}
                | {"bbox": [x1, y1, x2 - x1, y2 - y1], "keypoints": points.ravel().tolist()}
                | {"segmentation": [[x1, y1, x2, y1, x2, y2]]}
            )
    categories = [{"id": 1, "name": "a", "keypoints": ["b", "c"]}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "data.json").write_text(json.dumps(content))
    data = load_coco(tmp_path / "data.json", tmp_path, on_error="raise")
    batch, targets = next(iter(data.batches(2, min_size=128, max_size=160)))
    assert batch.shape == (2, 160, 160, 3)
    for i, count in enumerate((2, 1)):
        np.testing.assert_allclose(targets["boxes"][i][:count], arrays[f"out{i}_boxes"], rtol=1e-5)
        np.testing.assert_allclose(
            targets["keypoints"][i][:count], arrays[f"out{i}_keypoints"], rtol=1e-5
        )


def test_batches_in_order(data):
    dataset = data.batches(2, min_size=80, max_size=200)
    assert dataset.cardinality() == 3
    batches = list(dataset)
    assert [tuple(images.shape) for images, _ in batches] == [
        (2, 128, 128, 3),
        (2, 96, 128, 3),
        (1, 192, 96, 3),
    ]
    images, targets = batches[0]
    assert images.dtype == tf.float32
    kinds = {name: value.dtype.name for name, value in targets.items()}
    assert kinds == {
        "image_sizes": "int32",
        "boxes": "float32",
        "classes": "int32",
        "masks": "uint8",
        "crowd_boxes": "float32",
        "keypoints": "float32",
        "image_ids": "int64",
        "original_sizes": "int32",
    }
    np.testing.assert_array_equal(targets["image_ids"], [100, 101])
    np.testing.assert_array_equal(targets["original_sizes"], SIZES[:2])
    np.testing.assert_array_equal(targets["image_sizes"], [(80, 120), (120, 80)])
    assert not images[0, 80:].numpy().any() and not images[0, :, 120:].numpy().any()
    assert images[0, :80, :120].numpy().any(-1).all()
    # Picture 0 has no object, picture 1 one object and one crowd; both are scaled by 2.
    np.testing.assert_array_equal(targets["classes"], [[-1] * 4, [0, -1, -1, -1]])
    assert targets["boxes"].shape == (2, 4, 4)
    assert not targets["boxes"][0].numpy().any() and not targets["boxes"][1, 1:].numpy().any()
    np.testing.assert_allclose(targets["boxes"][1, 0], [4, 8, 44, 28])
    np.testing.assert_allclose(targets["crowd_boxes"], [[[0] * 4], [[6, 8, 46, 28]]])
    mask = targets["masks"][1, 0].numpy()
    assert mask.shape == (112, 112)
    assert (mask[:, :56] == 255).all() and not mask[:, 56:].any()
    assert not targets["masks"][1, 1:].numpy().any()
    np.testing.assert_allclose(
        targets["keypoints"][1, 0], [[4, 8, 2], [44, 28, 1], [0, 0, 0]], atol=1e-5
    )


def test_mirrored_pictures(data):
    plain = {int(t["image_ids"][0]): (i, t) for i, t in data.batches(1, min_size=80)}
    mirrored = 0
    for images, targets in data.batches(1, min_size=80, augment=True, seed=1):
        before_images, before = plain[int(targets["image_ids"][0])]
        height, width = targets["image_sizes"][0].numpy()
        if np.array_equal(images, before_images):
            for name, value in targets.items():
                np.testing.assert_array_equal(value, before[name])
            continue
        mirrored += 1
        np.testing.assert_allclose(
            images[0, :height, :width][:, ::-1], before_images[0, :height, :width], atol=1e-3
        )
        real = before["classes"][0].numpy() >= 0
        x1, y1, x2, y2 = before["boxes"].numpy()[0, real].T
        np.testing.assert_allclose(
            targets["boxes"].numpy()[0, real].T, [width - x2, y1, width - x1, y2], atol=1e-4
        )
        np.testing.assert_array_equal(
            targets["masks"].numpy()[0, real], before["masks"].numpy()[0, real][:, :, ::-1]
        )
        points = before["keypoints"].numpy()[0, real][:, [1, 0, 2]]
        points[:, :2, 0] = width - points[:, :2, 0]
        np.testing.assert_allclose(targets["keypoints"].numpy()[0, real], points, atol=1e-4)
    assert 1 <= mirrored <= 4


def test_passes_differ_and_runs_repeat(data):
    def ids_and_sizes(dataset):
        return [
            [(tuple(t["image_ids"].numpy()), tuple(t["image_sizes"].numpy().ravel())) for _, t in p]
            for p in (dataset, dataset)
        ]

    options = {"min_size": (64, 80, 96), "shuffle": True, "augment": True}
    first, second = ids_and_sizes(data.batches(2, seed=3, **options))
    assert ids_and_sizes(data.batches(2, seed=3, **options)) == [first, second]
    assert first != second
    assert ids_and_sizes(data.batches(2, seed=4, **options)) != [first, second]
    for one_pass in (first, second):
        assert sorted(key for ids, _ in one_pass for key in ids) == [100, 101, 102, 103, 104]


def test_a_later_pass_comes_first(data):
    def passes(count, **options):
        options |= {"min_size": (64, 80, 96), "shuffle": True, "augment": True, "seed": 3}
        dataset = data.batches(2, **options)
        return [
            [
                (images.numpy().tobytes(), targets["boxes"].numpy().tobytes())
                for images, targets in p
            ]
            for p in [dataset] * count
        ]

    four = passes(4)
    assert len({str(one_pass) for one_pass in four}) == 4
    assert passes(2, first_pass=2) == four[2:]
    with pytest.raises(ValueError, match="first_pass=-1"):
        data.batches(2, first_pass=-1)


def test_fit_takes_one_pass_per_epoch(data):
    """Also with a validation between: the pass of an epoch is known beforehand."""
    seen = []

    class Count(keras.Model):
        def call(self, images):
            return keras.ops.mean(images, axis=(1, 2))

        def train_step(self, batch):
            seen.append(batch[1]["image_ids"].numpy().tolist())
            return {"loss": tf.zeros(())}

        def test_step(self, batch):
            return {"loss": tf.zeros(())}

    model = Count()
    model.compile("sgd", run_eagerly=True)
    options = {"min_size": 32, "shuffle": True, "seed": 0}
    model.fit(
        data.batches(2, **options), validation_data=data.batches(2, **options), epochs=3, verbose=0
    )
    expected = [
        targets["image_ids"].numpy().tolist()
        for number in range(3)
        for _, targets in data.batches(2, first_pass=number, **options)
    ]
    assert seen == expected


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("drop_remainder", [False, True])
def test_length_is_known(data, batch_size, drop_remainder):
    dataset = data.batches(
        batch_size, min_size=32, shuffle=True, seed=0, drop_remainder=drop_remainder
    )
    counts = [len(targets["image_ids"]) for _, targets in dataset]
    assert len(counts) == len(dataset)
    if drop_remainder:
        assert counts == [batch_size] * (5 // batch_size)
    else:
        assert sum(counts) == 5


def test_workers_read_their_shares_of_the_same_batches(data, tmp_path):
    options = {"min_size": (48, 64), "shuffle": True, "augment": True, "seed": 2}
    options |= {"drop_remainder": True, "sampling": {"name": "all"}, "first_pass": 1}
    whole = data.batches(4, **options)
    shares = [data.batches(4, share=(part, 2), **options) for part in range(2)]
    assert [len(batches) for batches in (whole, *shares)] == [1, 1, 1]
    for _ in range(3):  # Passes.
        for (images, targets), *parts in zip(whole, *shares, strict=True):
            for part, (own_images, own) in enumerate(parts):
                rows = slice(2 * part, 2 * part + 2)
                for name in set(targets) - {"image_sizes"}:
                    np.testing.assert_array_equal(own[name], targets[name][rows], name)
                height, width = own_images.shape[1:3]  # Padded to the largest of its own.
                np.testing.assert_array_equal(own_images, images[rows, :height, :width])
    # Nothing but the share is read.
    (_, targets) = next(iter(shares[1]))
    for number in {100, 101, 102, 103, 104} - set(targets["image_ids"].numpy()):
        (tmp_path / f"{number - 100}.png").unlink()
    again = data.batches(4, share=(1, 2), **{**options, "first_pass": 4})
    (_, found) = next(iter(again))
    assert found["image_ids"].numpy().tolist() == targets["image_ids"].numpy().tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"share": (2, 2)}, r"k of 0..n-1. Received: share=\(2, 2\)"),
        ({"share": (0, 3)}, r"3 equal shares. Received: batch_size=4, share=\(0, 3\)"),
        ({"seed": None}, "Received: seed=None, drop_remainder=True"),
        ({"drop_remainder": False}, "Received: seed=0, drop_remainder=False"),
    ],
)
def test_shares_that_cannot_be(data, changes, message):
    with pytest.raises(ValueError, match=message):
        data.batches(4, **{"share": (0, 2), "seed": 0, "drop_remainder": True, **changes})


def test_cache_gives_the_same_without_the_files(data, tmp_path):
    options = {"min_size": 64, "augment": True, "shuffle": True, "seed": 2}
    cached = data.batches(2, cache=True, **options)
    expected = list(data.batches(2, **options))
    for (a, s), (b, t) in zip(cached, expected, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(s["masks"], t["masks"])
    for number in range(5):
        (tmp_path / f"{number}.png").unlink()
    assert sum(len(t["image_ids"]) for _, t in cached) == 5


def test_unreadable_pictures(data, tmp_path):
    with pytest.raises(ValueError, match=r"Cannot read the picture .*none.jpg"):
        read_image(tmp_path / "none.jpg")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "cut.jpg")
    for name in ("cut.jpg", "3.png"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(ValueError, match=f"Cannot decode the picture .*{name}"):
            read_image(tmp_path / name)
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(ValueError, match=r"^[^{}]*\(\d+ bytes\): [^{}\[\]]*$"):  # Of TensorFlow's.
        read_image(tmp_path / "text.jpg")
    with pytest.raises(ValueError, match=r"Cannot decode the picture .*text.jpg"):
        read_image(tmp_path / "text.jpg")
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Image id 103: .*3\.png"):
        list(data.batches(1))


def test_picture_of_another_size(data, tmp_path):
    Image.new("RGB", (40, 41)).save(tmp_path / "2.png")
    message = r"Image id 102: .*2\.png.*\(48, 64\).*Received: \(41, 40, 3\)|\(41, 40\)"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        list(data.batches(1))


def test_arguments(data):
    with pytest.raises(ValueError, match="empty data set"):
        DetectionData([], ["a"], [1]).batches(2)
    for name in ("batch_size", "min_size", "max_size", "size_divisor"):
        with pytest.raises(ValueError, match=f"Received: {name}=0"):
            data.batches(**({"batch_size": 1} | {name: 0}))
    with pytest.raises(ValueError, match="seed=-1"):
        data.batches(1, seed=-1)
    with pytest.raises(ValueError, match="augment=False"):
        data.batches(1, min_size=(64, 80))
    with pytest.raises(ValueError, match=r"1 pictures have more, such as image ids 104 \(4 obj"):
        data.batches(1, max_objects=3)
    _, targets = next(iter(data.batches(1, max_objects=9)))
    assert targets["boxes"].shape == (1, 9, 4)


def test_real_crowds_and_keypoints(shared):
    folder = shared / "data" / "coco_ccby"
    file = folder / "annotations" / "person_keypoints_train2017.json"
    data = load_coco(file, folder / "train2017")
    boxes, crowds, labelled = 0, 0, []
    for images, targets in data.batches(2, min_size=128, max_size=213, shuffle=True, augment=True):
        assert images.shape[1] % 32 == images.shape[2] % 32 == 0
        real = targets["classes"].numpy() >= 0
        boxes += real.sum()
        crowds += (targets["crowd_boxes"].numpy()[..., 2] > 0).sum()
        points, outline = targets["keypoints"].numpy()[real], targets["boxes"].numpy()[real]
        seen = points[..., 2] > 0
        inside = (points[..., :2] > outline[:, None, :2] - 3).all(-1)
        inside &= (points[..., :2] < outline[:, None, 2:] + 3).all(-1)
        labelled.extend(inside[seen])
        assert (targets["masks"].numpy()[real].max((1, 2)) > 0).all()
    assert (boxes, crowds) == (34, 2)
    assert len(labelled) > 200
    assert np.mean(labelled) > 0.97


def test_fit_knows_the_length(data):
    class Mean(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, images):
            return self.dense(keras.ops.mean(images, axis=(1, 2)))

        def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
            steps.append(1)
            return keras.ops.mean(y_pred) + keras.ops.sum(y["boxes"]) * 0.0

    steps: list[int] = []
    model = Mean()
    model.compile(optimizer="sgd", run_eagerly=True)
    train = data.batches(2, min_size=32, shuffle=True, augment=True, seed=0)
    history = model.fit(train, validation_data=data.batches(2, min_size=32), epochs=3, verbose=0)
    assert len(history.history["val_loss"]) == 3
    assert len(steps) >= 3 * (3 + 3)


def test_whole_masks(data):
    """Objects are left halves; the second picture is enlarged twice, mirrored or not."""
    options = {"min_size": 80, "max_size": 160, "whole_masks": True, "size_divisor": 64}
    for seed in range(20):
        batches = data.batches(5, augment=True, seed=seed, **options)
        images, targets = next(iter(batches))
        x1, y1, x2, y2 = targets["boxes"][1, 0].numpy()
        if x1 > 20:  # Mirrored.
            break
    else:
        raise AssertionError("of 20 seeds none mirrors the second picture")
    plain = next(iter(data.batches(5, **options)))[1]
    assert batches.element_spec[1]["masks"].shape[2:] == (None, None)
    masks = targets["masks"].numpy()
    assert masks.shape == (5, data.max_objects, *images.shape[1:3]) and masks.dtype == np.uint8
    assert tuple(images.shape[1:3]) == (192, 128)
    # Object 0 of picture 1: x 2..12 of 40, y 4..14 of 60, times 2.
    assert plain["image_sizes"].numpy()[1].tolist() == [120, 80]
    expected = np.zeros((192, 128), np.uint8)
    expected[8:28, 4:24] = 255
    np.testing.assert_array_equal(plain["masks"][1, 0], expected)
    np.testing.assert_array_equal(masks[1, 0, :, :80], expected[:, :80][:, ::-1])
    assert (x1, y1, x2, y2) == (36, 8, 76, 28)
    assert not masks[0].any()  # No objects: padding.


def test_whole_masks_are_resized_as_torchvision_does(golden, tmp_path):
    arrays = golden("transform")
    images, annotations = [], []
    for i in range(2):
        pixels, masks = arrays[f"image{i}_u8"], arrays[f"in{i}_masks"]
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        images.append({"id": i, "file_name": f"{i}.png"})
        images[-1] |= {"height": pixels.shape[0], "width": pixels.shape[1]}
        for mask in masks:
            rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
            annotations.append(
                {"id": len(annotations), "image_id": i, "category_id": 1}
                | {"bbox": [0, 0, 9, 9]}
                | {"segmentation": {**rle, "counts": rle["counts"].decode()}}
            )
    content = {"images": images, "annotations": annotations}
    content["categories"] = [{"id": 1, "name": "a"}]
    (tmp_path / "data.json").write_text(json.dumps(content))
    data = load_coco(tmp_path / "data.json", tmp_path, on_error="raise")
    batches = data.batches(2, min_size=128, max_size=160, whole_masks=True)
    _, targets = next(iter(batches))
    for i in range(2):
        expected = arrays[f"out{i}_masks"]
        count, height, width = expected.shape
        got = targets["masks"][i, :count, :height, :width].numpy()
        np.testing.assert_array_equal(got, 255 * expected.astype(np.uint8))


def test_an_outline_is_a_type():
    with pytest.raises(TypeError, match=r"Polygons\(\[\[x, y.*Received: \[\[0, 0, 9, 0, 9, 9\]\]"):
        Instance(0, (0.0, 0.0, 9.0, 9.0), [[0, 0, 9, 0, 9, 9]], False, 40.5, 1)
