"""A saved model is opened whatever was imported first, each time in a fresh process."""

import keras
import numpy as np
import pytest
from helpers import run_python, tiny_model

from keras_maskrcnn import MaskRCNN, load_model

# What a user may write before `model = ...`, and the call.
WAYS = {
    "keras, then the package": (
        "import keras\nimport keras_maskrcnn",
        "keras.saving.load_model(path)",
    ),
    "the package alone": ("import keras_maskrcnn", "keras_maskrcnn.load_model(path)"),
    "the package, then keras": (
        "import keras_maskrcnn\nimport keras",
        "keras_maskrcnn.load_model(path)",
    ),
    "the class, then keras": (
        "from keras_maskrcnn import MaskRCNN\nimport keras",
        "keras.saving.load_model(path)",
    ),
    "tensorflow, then the package": (
        "import tensorflow as tf\nimport keras_maskrcnn",
        "tf.keras.models.load_model(path)",
    ),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "m.keras"
    # Another process knows what the package has.
    tiny_model(backbone="resnet18").save(path)
    return path


@pytest.mark.parametrize("way", WAYS)
def test_orders_of_import(way, saved):
    imports, call = WAYS[way]
    script = f"import sys; path = sys.argv[1]\n{imports}\nmodel = {call}\n"
    output = run_python(script + "print('loaded', type(model).__name__)", saved)
    assert "loaded MaskRCNN" in output


def test_it_is_whole(saved):
    model = load_model(saved)
    assert isinstance(model, MaskRCNN)
    for ours, stock in zip(
        model.get_weights(), keras.saving.load_model(saved).get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, stock)


def test_another_model_is_refused(tmp_path):
    path = tmp_path / "other.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(path)
    with pytest.raises(ValueError, match=r"Expected a MaskRCNN in .*other.keras. Received: Seq"):
        load_model(path)
    with pytest.raises(ValueError, match="none.keras"):
        load_model(tmp_path / "none.keras")


def test_with_the_model_its_learning_rate_can_be_loaded():
    """Runs save their optimizer, and another process must open it."""
    written = run_python(
        "from keras_maskrcnn import MaskRCNN\nimport keras\n"
        "print('found', keras.saving.get_registered_object('keras_maskrcnn>WarmupSchedule'))\n"
    )
    assert "found <class 'keras_maskrcnn.schedules.WarmupSchedule'>" in written
