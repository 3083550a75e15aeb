"""Four channels, and 16-bit grey: trained, saved, predicted, evaluated, exported, drawn."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import tifffile
from helpers import tiny_model
from PIL import Image

from keras_maskrcnn import CocoEvaluation, MaskRCNN, evaluate_coco, load_model, measure_pixels
from keras_maskrcnn.augmentation_page import augmentation_page
from keras_maskrcnn.data import DetectionData, ImageRecord, Instance, split_data
from keras_maskrcnn.data.reading import read_image
from keras_maskrcnn.doctor import clean, validate
from keras_maskrcnn.export import export_model
from keras_maskrcnn.export.saved_model import _input_dtype
from keras_maskrcnn.images.pixels import PixelFormat
from keras_maskrcnn.inference.inputs import as_picture
from keras_maskrcnn.outlines import Polygons
from keras_maskrcnn.visualize import draw_detections

SIZE = 64, 80


def depth_data(folder, kind, count=4):
    """Squares near the camera, or bright; and bars."""
    rng = np.random.default_rng(3)
    channels, deepest = {"rgbd": (4, 4095), "grey16": (1, 65535)}[kind]
    records = []
    for number in range(count):
        values = rng.uniform(0.4, 0.5, (*SIZE, channels))
        instances = []
        for category, (w, h, bright) in enumerate([(24, 24, 0.95), (30, 12, 0.05)]):
            x, y = int(rng.integers(0, SIZE[1] - w)), int(rng.integers(0, SIZE[0] - h))
            values[y : y + h, x : x + w] = bright
            outline = Polygons([[x, y, x + w, y, x + w, y + h, x, y + h]])
            box = (float(x), float(y), float(x + w), float(y + h))
            instances.append(Instance(category, box, outline, False, w * h, 2 * number + category))
        picture = (values * deepest).astype("uint16")
        path = folder / f"{number}.{'png' if channels == 1 else ('tif', 'npy')[number % 2]}"
        if channels == 1:
            Image.fromarray(picture[..., 0]).save(path)
        elif number % 2:
            np.save(path, picture)
        else:
            tifffile.imwrite(path, picture, photometric="minisblack", planarconfig="contig")
        records.append(ImageRecord(number + 1, str(path), *SIZE, tuple(instances)))
    pixels = PixelFormat(1) if channels == 1 else PixelFormat(4, (0, 4095), (3, 0, 1))
    return DetectionData(records, ["square", "bar"], [1, 2], name=kind, pixels=pixels)


@pytest.fixture(
    scope="module",
    params=["rgbd", pytest.param("grey16", marks=pytest.mark.slow)],  # One more run.
)
def trained(request, tmp_path_factory):
    """Data, and a model after two steps on it."""
    folder = tmp_path_factory.mktemp(request.param)
    data = depth_data(folder, request.param)
    # All that is found counts, so that there is something to compare.
    model = tiny_model(
        **measure_pixels(data), class_names=data.class_names, **{"box.score_threshold": 0.0}
    )
    model.compile()
    history = model.fit(data, batch_size=2, verbose=0, callbacks=[CocoEvaluation(data)])
    assert np.isfinite(history.history["loss"]).all() and "val_box_ap" in history.history
    return data, model, folder


def assert_equal(found, expected, tolerance=1e-3):
    assert len(found) == len(expected) > 0
    np.testing.assert_array_equal(found.classes, expected.classes)
    np.testing.assert_allclose(found.scores, expected.scores, atol=tolerance)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=100 * tolerance)


def values_of(record):
    """As the file has them."""
    if record.path.endswith(".npy"):
        return np.load(record.path)
    if record.path.endswith(".tif"):
        return tifffile.imread(record.path)
    return np.asarray(Image.open(record.path)).astype(np.uint16)[..., None]


def test_paths_arrays_and_data_agree(trained):
    data, model, _ = trained
    by_data = model.predict(data, verbose=0)
    by_path = model.predict([record.path for record in data.records], verbose=0)
    by_array = model.predict([values_of(record) for record in data.records], verbose=0)
    for one, two, three in zip(by_data, by_path, by_array, strict=True):
        assert_equal(one, two, 1e-6)
        assert_equal(three, two, 1e-6)
    record = data.records[0]
    boxes = [instance.box for instance in record.instances]
    described = model.describe(record.path, boxes)
    np.testing.assert_allclose(model.describe(values_of(record), boxes).scores, described.scores)
    dataset = data.batches(2, model=model)
    for one, two in zip(model.predict(dataset, verbose=0), by_path, strict=True):
        assert_equal(one, two, 1e-4)


def test_saved_and_loaded(trained, tmp_path):
    data, model, _ = trained
    model.save(tmp_path / "a.keras")
    loaded = load_model(tmp_path / "a.keras")
    assert loaded.pixels == model.pixels == dataclasses.replace(data.pixels, display=None)
    for name in ("channels", "value_range", "pixel_mean", "pixel_std"):
        value = loaded.get_config()[name]
        assert value == model.get_config()[name] and (value is None) == (
            name == "value_range" and data.pixels.value_range is None
        )
    path = data.records[0].path
    assert_equal(loaded.predict(path, verbose=0)[0], model.predict(path, verbose=0)[0], 1e-6)


def test_what_the_network_sees_has_mean_0_and_deviation_1(trained):
    data, model, _ = trained
    images = np.stack([read_image(record.path, data.pixels) for record in data.records])
    seen = np.asarray(model.network.normalization(images))
    np.testing.assert_allclose(seen.mean((0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(seen.std((0, 1, 2)), 1, atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_exported(trained, tmp_path):
    data, model, _ = trained
    export_model(model, tmp_path / "served")
    loaded = tf.saved_model.load(str(tmp_path / "served/1"))
    serve = loaded.signatures["serving_default"]
    spec = serve.structured_input_signature[1]["images"]
    dtype = "uint8" if data.pixels.value_range is None else "uint16"
    assert spec.dtype.name == dtype and spec.shape[-1] == data.pixels.channels
    # One grey channel by its type: bytes by default, and 16 bits where asked for.
    assert "encoded" not in loaded.signatures
    settings = json.loads((tmp_path / "served/1/assets/config.json").read_text())
    assert settings["export"]["input_dtype"] == dtype
    assert settings["model"]["channels"] == data.pixels.channels
    assert settings["model"]["value_range"] == (
        None if data.pixels.value_range is None else list(data.pixels.value_range)
    )
    if dtype == "uint8":
        export_model(model, tmp_path / "served", input_dtype="uint16")
        loaded = tf.saved_model.load(str(tmp_path / "served/2"))
        serve = loaded.signatures["serving_default"]
    for record in data.records[:2]:
        expected = model.predict(record.path, verbose=0)[0]
        outputs = serve(tf.constant(values_of(record)[None]))
        count = int(outputs["counts"][0])
        assert count == len(expected) > 0
        np.testing.assert_array_equal(outputs["classes"][0, :count], expected.classes)
        np.testing.assert_allclose(outputs["scores"][0, :count], expected.scores, atol=1e-3)
        np.testing.assert_allclose(outputs["boxes"][0, :count], expected.boxes, atol=0.1)
        assert outputs["image_sizes"].numpy().tolist() == [list(SIZE)]
    with pytest.raises(ValueError, match="input_dtype must be one of.*'int8'"):
        export_model(model, tmp_path / "served", input_dtype="int8")
    assert sorted(p.name for p in (tmp_path / "served").iterdir()) == (
        ["1", "2"] if dtype == "uint8" else ["1"]
    )


def test_evaluated(trained):
    data, model, _ = trained
    metrics = evaluate_coco(model, data, progress=False)
    assert np.isfinite(metrics["box_ap"])
    other = dataclasses.replace(data, pixels=PixelFormat(data.pixels.channels, (0, 77)))
    for use in (
        lambda: model.fit(other, verbose=0),
        lambda: model.fit(data, validation_data=other, verbose=0),
        lambda: other.batches(1, model=model),
        lambda: model.evaluate(other, verbose=0),
        lambda: model.predict(other, verbose=0),
        lambda: evaluate_coco(model, other, progress=False),
    ):
        with pytest.raises(ValueError, match=r"value_range=\(0, 77\)"):
            use()


def test_wrong_pictures(trained):
    data, model, folder = trained
    count = data.pixels.channels
    with pytest.raises(ValueError, match=rf"\[height, width, {count}\].*shape \(8, 8, 3\)"):
        model.predict(np.zeros((8, 8, 3), "uint8"), verbose=0)
    images = np.zeros((1, 64, 64, count + 1), "float32")
    batch = next(iter(data.batches(1, model=model)))
    with pytest.raises(ValueError, match=rf"\[B, H, W, {count}\].*\(1, 64, 64, {count + 1}\)"):
        model.fit(images, {k: v.numpy() for k, v in batch[1].items()}, verbose=0)
    Image.fromarray(np.zeros((8, 8, 3), "uint8")).save(folder / "rgb.png")
    if count == 4:
        with pytest.raises(ValueError, match=r"rgb.png .*4 channels.*\(8, 8, 3\)"):
            model.predict(folder / "rgb.png", verbose=0)
    if data.pixels.value_range is not None:
        with pytest.raises(ValueError, match="NaN or infinite"):
            model.predict(np.full((8, 8, count), np.nan, "float32"), verbose=0)


def test_drawn_and_examined(trained, tmp_path):
    data, model, _ = trained
    record = data.records[0]
    image = read_image(record.path, data.pixels)
    found = model.predict(record.path, verbose=0)[0]
    drawn = draw_detections(data.pixels.displayed(image), found, threshold=0.0)
    assert drawn.shape == (*SIZE, 3) and drawn.dtype == np.uint8
    assert draw_detections(image, found, threshold=0.0).shape == (*SIZE, 3)
    assert augmentation_page(data, "standard", pictures=2, draws=1, tile=80).shape[2] == 3
    report = validate(data, model=model, verbose=False)
    np.testing.assert_allclose(report.pixels["mean"], model.get_config()["pixel_mean"], rtol=1e-5)
    np.testing.assert_allclose(report.pixels["std"], model.get_config()["pixel_std"], rtol=1e-4)
    report.save(tmp_path / "report")
    page = (tmp_path / "report/report.html").read_text()
    names = ", ".join(map(str, range(data.pixels.channels)))
    assert f"Values of channels {names}: mean" in page and "Values of red" not in page
    assert all(part.pixels == data.pixels for part in clean(report).values())
    assert all(part.pixels == data.pixels for part in split_data(data, 0.5))


def test_what_other_channels_need():
    with pytest.raises(ValueError, match=r"channels=4 needs pixel_mean .*measure_pixels"):
        tiny_model(channels=4)
    statistics = {"pixel_mean": (1.0,) * 3, "pixel_std": (1.0,) * 3}
    with pytest.raises(ValueError, match="each of the 4 channels"):
        tiny_model(channels=4, **statistics)
    with pytest.raises(ValueError, match="low below high"):
        tiny_model(value_range=(5, 1))
    with pytest.raises(ValueError, match="pixel_std=None"):
        tiny_model(pixel_mean=(1.0,) * 3)
    images = keras.Input((None, None, 3))
    maps, x = [], images
    for level in range(5):
        x = keras.layers.Conv2D(4, 3, strides=2, padding="same", name=f"d{level}")(x)
        maps.append(x)
    network = keras.Model(images, maps[1:], name="own")
    four = {"channels": 4, "pixel_mean": (1.0,) * 4, "pixel_std": (1.0,) * 4}
    with pytest.raises(ValueError, match="pictures of 4 channels.*'own' for 3 channels"):
        MaskRCNN(2, backbone=network, **four)


def test_arrays_count_by_the_range():
    picture = np.random.default_rng(0).uniform(0, 255, (8, 9, 3))
    ranged = PixelFormat(3, (0, 1000))
    np.testing.assert_allclose(as_picture(picture * 1000 / 255, 0, ranged), picture, rtol=1e-6)
    deep = (picture * 257).astype("uint16")
    np.testing.assert_allclose(as_picture(deep, 0), deep / 257, rtol=1e-6)
    assert as_picture(picture, 0) is picture
    # Pillow's pictures are like files.
    grey = Image.fromarray(deep[..., 0])
    np.testing.assert_allclose(
        as_picture(grey, 0, PixelFormat(1, (0, 1000)))[..., 0], deep[..., 0] * 0.255, rtol=1e-6
    )
    four = Image.fromarray(np.repeat(picture[..., :1], 4, -1).astype("uint8"), "RGBA")
    assert as_picture(four, 0, PixelFormat(4)).shape == (8, 9, 4)
    assert as_picture(four, 0).shape == (8, 9, 3)
    with pytest.raises(ValueError, match=r"picture 7, of Pillow's mode L: .*4 channels"):
        as_picture(Image.new("L", (9, 8)), 7, PixelFormat(4))


@pytest.mark.parametrize(
    ("value_range", "dtype"),
    [
        (None, "uint8"),
        ((0, 255), "uint16"),
        ((0, 65535), "uint16"),
        ((100.0, 4095.0), "uint16"),
        ((0, 70000), "float32"),
        ((-1, 400), "float32"),
        ((0, 1), "float32"),
        ((0.5, 999), "float32"),
    ],
)
def test_type_that_exports_take(value_range, dtype):
    assert _input_dtype(PixelFormat(4, value_range)) == dtype
