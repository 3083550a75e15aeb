"""What blocks of the docs find when they are run: tiny data, small models, no network.

`small_world` fills a folder with what pages speak of, and puts stand-ins where a block would take
minutes or the network.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from helpers import TINY
from PIL import Image

from keras_maskrcnn.backbones import BACKBONES, Backbone
from keras_maskrcnn.export import export_model
from keras_maskrcnn.models import assembly, mask_rcnn, trainable
from keras_maskrcnn.models.presets import get_preset
from keras_maskrcnn.names import EXPORTS
from keras_maskrcnn.parts import restore

CLASSES = ("cat", "dog", "horse", "cup", "star")
SIDE = 64
_MODEL = mask_rcnn.MaskRCNN


@BACKBONES.register("tiny_of_docs")
class TinyBackbone(Backbone):
    """Five convolutions."""

    def __init__(self, *, preprocessing: str = "tf") -> None:
        super().__init__(preprocessing=preprocessing)

    def build_maps(self, outputs: Any, dtype: Any) -> keras.Model:
        images = keras.Input((None, None, self.input_channels))
        x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(images)
        maps = {}
        for level in ("C2", "C3", "C4", "C5"):
            x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
            maps[level] = x
        return keras.Model(images, {name: maps[name] for name in outputs or maps})


def write_data(folder: Path) -> None:
    """`photos` of three classes, `people` with keypoints, `boxes`, `fields` of four channels, and
    single pictures."""
    rng = np.random.default_rng(0)
    _write_coco(folder / "photos", rng)
    _write_coco(folder / "people", rng, keypoints=True)
    _write_coco(folder / "boxes", rng, boxes_only=True)
    _write_coco(folder / "fields", rng, channels=4)
    picture = folder / "photos" / "val" / "0.png"
    (folder / "holiday").mkdir()
    for name in ("holiday.jpg", "holiday/a.jpg", "a.jpg"):
        Image.open(picture).save(folder / name)
    shutil.copy(picture, folder / "b.png")
    shutil.copy(folder / "fields" / "val" / "0.tif", folder / "field.tif")
    _write_geotiff(folder / "survey.tif", rng)
    # Of pages that need it, where it can be made.
    with contextlib.suppress(ImportError):
        from clips import make_clip

        make_clip(folder / "clip.mp4", 4)
    (folder / "found").mkdir()
    result = {
        "image_id": 1,
        "category_id": 1,
        "bbox": [8, 8, 24, 24],
        "score": 0.9,
        "file_name": "holiday/a.jpg",
        "category_name": "cat",
    }
    (folder / "found" / "predictions.json").write_text(json.dumps([result]))


def _write_coco(
    folder: Path,
    rng: np.random.Generator,
    *,
    channels: int = 3,
    keypoints: bool = False,
    boxes_only: bool = False,
) -> None:
    for split, count in (("train", 4), ("val", 2)):
        pictures = folder / split
        pictures.mkdir(parents=True)
        content: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
        for number, name in enumerate(CLASSES[:3], 1):
            content["categories"].append({"id": number, "name": name})
            if keypoints:
                content["categories"][-1]["keypoints"] = ["nose", "left_eye", "right_eye"]
        for number in range(count):
            file = _write_picture(pictures / str(number), channels, rng)
            entry = {"id": number + 1, "file_name": file, "height": SIDE, "width": SIDE}
            content["images"].append(entry)
            for x in (4, 34):
                content["annotations"].append(
                    {
                        "id": len(content["annotations"]) + 1,
                        "image_id": number + 1,
                        "category_id": 1 + (number + x) % 3,
                        "bbox": [x, 8, 24, 30],
                        "area": 720,
                        "iscrowd": 0,
                        "segmentation": []
                        if boxes_only
                        else [[x, 8, x + 24, 8, x + 24, 38, x, 38]],
                        **({"keypoints": [x + 5, 12, 2] * 3} if keypoints else {}),
                    }
                )
        (folder / f"instances_{split}.json").write_text(json.dumps(content))


def _write_picture(stem: Path, channels: int, rng: np.random.Generator) -> str:
    if channels == 3:
        pixels = rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
        pixels[8:38, 4:28] = pixels[8:38, 34:58] = 230
        Image.fromarray(pixels).save(stem.with_suffix(".png"))
        return f"{stem.name}.png"
    import tifffile

    pixels = rng.integers(0, 4095, (SIDE, SIDE, channels), dtype=np.uint16)
    tifffile.imwrite(stem.with_suffix(".tif"), pixels, photometric="minisblack", planarconfig=1)
    return f"{stem.name}.tif"


def _write_geotiff(path: Path, rng: np.random.Generator) -> None:
    """Half a metre a pixel, in UTM's zone 33 north."""
    import tifffile

    keys = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633)
    tags = [
        (33550, "d", 3, (0.5, 0.5, 0), True),
        (33922, "d", 6, (0, 0, 0, 500000, 4600000, 0), True),
        (34735, "H", len(keys), keys, True),
    ]
    pixels = rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    tifffile.imwrite(path, pixels, photometric="rgb", extratags=tags)


def _small(**arguments: Any) -> dict[str, Any]:
    """Arguments of a model in small form, once all its parts were made as they are given."""
    inspect.signature(_MODEL.__init__).bind(None, **arguments)
    given = {n: arguments.get(n) for n in ("backbone", "neck", "rpn", "box")}
    heads = tuple(arguments.get("heads", ("mask",)))
    parts = assembly.make_parts(**given, heads=heads, weights=None)
    names = [head.name for head in parts["heads"]]
    small_heads = [
        {"name": name, "convs": 1, "dim": 16}
        | ({"num_keypoints": head.num_keypoints} if name == "keypoint" else {})
        for name, head in zip(names, parts["heads"], strict=True)
    ]
    kept = ("num_classes", "class_names", "channels", "value_range", "pixel_mean", "pixel_std")
    box = {**TINY["box"], "score_threshold": 0.0, "nms": parts["box"].nms}
    return {
        **TINY,
        "backbone": {"name": "tiny_of_docs"},
        "neck": {"channels": 16},
        "box": box,
        "heads": tuple(small_heads),
        "max_size": SIDE,
        **{name: arguments[name] for name in kept if name in arguments},
    }


@functools.cache
def _built(key: str) -> Any:
    return _MODEL(**json.loads(key))


def _shared(arguments: dict[str, Any]) -> Any:
    """One model for all blocks that ask for one like it: building takes seconds."""
    names = arguments.pop("class_names", ())
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in arguments.items()}
    model = _built(json.dumps(plain, default=float))
    model.given_class_names = tuple(names)
    model.load_report = "what became of each tensor"
    return model


class SmallMaskRCNN:
    """In place of `MaskRCNN`: checks what it is given, and gives a small model."""

    presets = _MODEL.presets

    def __new__(cls, num_classes: int, **arguments: Any) -> Any:
        arguments["num_classes"] = num_classes
        return _shared(_small(**arguments))

    @classmethod
    def from_preset(cls, preset: str, **arguments: Any) -> Any:
        own = set(inspect.signature(_MODEL.from_preset).parameters) - {"preset", "changes"}
        changes = {k: v for k, v in arguments.items() if k not in own}
        changes.setdefault("num_classes", 3)
        return _shared(_small(**get_preset(preset).model_arguments(changes)))

    @classmethod
    def from_model(cls, source: Any, **arguments: Any) -> Any:
        own = set(inspect.signature(_MODEL.from_model).parameters) - {"source", "changes"}
        assert not own & set(arguments)
        return _shared(_small(**{"num_classes": 3, **arguments}))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        arguments = {k: v for k, v in config.items() if k not in ("name", "dtype", "version")}
        parameters = inspect.signature(_MODEL.__init__).parameters
        assert set(arguments) <= set(parameters), sorted(set(arguments) - set(parameters))
        return _shared(_small(**{k: restore(v) for k, v in arguments.items()}))


def _load_model(path: Any) -> Any:
    """Whatever the file: pages load what another page, or a run, has saved."""
    assert str(path).endswith(".keras"), path
    return _shared(_small(num_classes=3, class_names=list(CLASSES[:3])))


def _export(self: Any, filepath: Any, format: str = "tf_saved_model", **options: Any) -> None:
    """Nothing is written: a trace takes half a minute."""
    inspect.signature(export_model).bind(self, filepath, format, **options)
    assert format in EXPORTS


_trained: list[Any] = []
_FIT = trainable.TrainableDetector.fit


def _fit(self: Any, x: Any = None, y: Any = None, **kwargs: Any) -> Any:
    """One step, for the first block; of others the first batch of the data is made."""
    inspect.signature(keras.Model.fit).bind(self, x, y, **kwargs)
    data = x if hasattr(x, "element_spec") else x.batches(2, model=self)
    images, targets = next(iter(data))
    if not _trained:
        _trained.append(self)
        return _FIT(self, data.take(1), epochs=1, verbose=0)
    assert images.shape[0] == targets["boxes"].shape[0]
    return None


def _train(model: Any, train: Any, val: Any, folder: Any, options: Any) -> list[Any]:
    """Makes the batches that a run would begin with."""
    next(iter(train.batches(2, model=model, augment=options.augment, sampling=options.sampling)))
    next(iter(val.batches(2, model=model)))
    return []


@contextlib.contextmanager
def small_world() -> Iterator[None]:
    """Stand-ins for what takes minutes or the network; graphs are not traced."""
    places = {
        "keras_maskrcnn.MaskRCNN": SmallMaskRCNN,
        "keras_maskrcnn.load_model": _load_model,
        "keras_maskrcnn.models.mask_rcnn.MaskRCNN.export": _export,
        "keras_maskrcnn.models.mask_rcnn.MaskRCNN.save": lambda self, path: None,
        "keras_maskrcnn.models.trainable.TrainableDetector.fit": _fit,
        "keras_maskrcnn.training.train_model": _train,
        "tensorflow.config.experimental.enable_op_determinism": lambda: None,
    }
    was_eager = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    patches = [mock.patch(place, stand_in) for place, stand_in in places.items()]
    try:
        for patch in patches:
            patch.start()
        yield
    finally:
        for patch in reversed(patches):
            patch.stop()
        tf.config.run_functions_eagerly(was_eager)


def forget_models() -> None:
    """Lets go of what blocks shared."""
    _built.cache_clear()
    _trained.clear()
