"""What the demo starts from."""

import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_maskrcnn import MaskRCNN
from keras_maskrcnn.demo.letters import WEIGHTS, save_weights, start_from_letters
from keras_maskrcnn.demo.model import compact_settings
from keras_maskrcnn.demo.scenes import build_scenes, compose_scene

SCRIPT = Path(__file__).resolve().parents[2] / "release" / "letters.py"
OF_CLASSES = ("class_logits", "box_deltas", "mask_logits")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return MaskRCNN(num_classes=5, **compact_settings(160))


@pytest.fixture(scope="module")
def script():
    pytest.importorskip("matplotlib", reason="needs matplotlib's fonts")
    spec = importlib.util.spec_from_file_location("letters_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_but_the_classes_come_from_the_file(model, tmp_path):
    def values():
        return {v.path: np.asarray(v) for v in model.variables if "seed" not in v.path}

    before = values()
    fresh = start_from_letters(model)
    after = values()
    assert len(fresh) == 6
    assert all(any(name in path for name in OF_CLASSES) for path in fresh)
    with np.load(WEIGHTS) as file:
        arrays = dict(zip(after, (file[name] for name in file.files), strict=True))
    for path, value in after.items():
        np.testing.assert_array_equal(value, before[path] if path in fresh else arrays[path])
    # Trained: the norms' statistics are no longer 0 and 1.
    assert all(np.std(v) > 0 for p, v in after.items() if p.endswith(("_mean", "_variance")))

    save_weights(model, tmp_path / "again.npz")
    assert start_from_letters(model, tmp_path / "again.npz") == []
    for path, value in values().items():
        np.testing.assert_allclose(value, after[path], rtol=2.0**-11, atol=2.0**-24)


def test_of_another_architecture():
    settings = compact_settings(160)
    other = MaskRCNN(num_classes=5, **{**settings, "heads": ({"name": "mask", "convs": 1},)})
    with pytest.raises(ValueError, match=r"131 arrays\. Received: 133 in "):
        start_from_letters(other)
    narrow = {**settings["box"], "dim": 128}
    other = MaskRCNN(num_classes=5, **{**settings, "box": narrow})
    with pytest.raises(ValueError, match=r"\(128, 128\) for .*Received: \(256, 256\) in "):
        start_from_letters(other)


def test_scenes_of_letters(script, tmp_path):
    scene = compose_scene("train", 160, np.random.default_rng(0), script.LETTERS)
    assert len(scene.classes) >= 3 and scene.masks.sum(0).max() == 1
    seen = {
        int(k)
        for seed in range(8)
        for k in compose_scene("train", 96, np.random.default_rng(seed), script.LETTERS).classes
    }
    assert len(seen) > 15 and max(seen) < len(script.CHARACTERS)
    build_scenes(tmp_path, train=1, val=1, size=96, cast=script.LETTERS)
    assert '"name": "@"' in (tmp_path / "instances_val.json").read_text()
