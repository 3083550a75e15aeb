"""A trained model for other classes: which weights are whose, byte for byte."""

import re

import keras
import numpy as np
import pytest
from helpers import TINY, keypoint_head, tiny_model

from keras_maskrcnn import MaskRCNN
from keras_maskrcnn.models.saved import model_file, saved_arguments

NAMES = ["square", "bar"]
CLASS_LAYERS = {
    f"{layer}/{name}"
    for layer in ("box_head/class_logits", "box_head/box_deltas", "mask_head/mask_logits")
    for name in ("kernel", "bias")
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model with random numbers in all variables, and the folder that holds it."""
    folder = tmp_path_factory.mktemp("run")
    changes = {"class_names": NAMES, "rpn.nms_iou": 0.6, "backbone.preprocessing": "caffe"}
    model = tiny_model(size_divisor=64, dtype="mixed_bfloat16", **changes)
    rng = np.random.default_rng(1)
    for variable in model.weights:
        variable.assign(rng.uniform(0.1, 1, variable.shape))
    model.compile()
    model.save(folder / "best.keras")
    return model, folder


def values(model):
    return {v.path: keras.ops.convert_to_numpy(v).tobytes() for v in model.weights}


def test_the_same_classes_take_all(saved):
    trained, folder = saved
    model = MaskRCNN.from_model(folder)
    assert values(model) == values(trained)
    assert model.load_report.fresh == ()
    # All settings but the policy, which is the present one.
    assert {**trained.get_config(), "dtype": "float32"} == model.get_config()
    assert model.class_names == tuple(NAMES)


@pytest.mark.parametrize(
    "changes",
    [{"num_classes": 5}, {"class_names": ["a", "b"]}, {"class_names": ["bar", "square"]}],
    ids=str,
)
def test_other_classes_leave_their_layers_fresh(saved, changes):
    trained, folder = saved
    with pytest.warns(UserWarning, match="keep random weights.*mask_head/mask_logits"):
        model = MaskRCNN.from_model(folder, **changes)
    assert set(model.load_report.fresh) == CLASS_LAYERS
    found, expected = values(model), values(trained)
    assert {path for path in found if found[path] != expected[path]} == CLASS_LAYERS
    assert len(model.class_names) == model.num_classes == changes.get("num_classes", 2)
    assert str(model.load_report).startswith(f"{folder / 'best.keras'}: {len(found) - 6} var")


def test_settings_stay_those_of_the_weights_unless_named(saved):
    _, folder = saved
    changes = {"rpn.samples": 16, "min_size": 80, "seed": 7, "box": {"score_threshold": 0.2}}
    model = MaskRCNN.from_model(folder, **changes)
    parts = model.network.parts
    assert model.network.preprocessing == "caffe"
    assert (model.input_size.min_size, model.seed) == (80, 7)
    rpn = parts["rpn"].settings
    assert (rpn["samples"], rpn["nms_iou"]) == (16, 0.6)
    assert tuple(rpn["anchor_sizes"]) == TINY["rpn"]["anchor_sizes"]
    assert (parts["box"].settings["score_threshold"], parts["box"].settings["dim"]) == (0.2, 64)


def test_a_setting_that_changes_shapes_is_named(saved):
    _, folder = saved
    with pytest.raises(ValueError, match=r"Shapes that differ: .*mask_head/deconv/kernel"):
        MaskRCNN.from_model(folder, **{"mask.dim": 8})
    with pytest.raises(ValueError, match="Did you mean 'samples'"):
        MaskRCNN.from_model(folder, **{"rpn.sampels": 8})


@pytest.mark.slow  # Three more models.
def test_keypoints_do_not_hang_on_classes(tmp_path):
    trained = tiny_model(heads=(keypoint_head(3, convs=1, dim=8),), box={"class_agnostic": True})
    trained.save(tmp_path / "points.keras")
    with pytest.warns(UserWarning, match="keep random weights"):
        model = MaskRCNN.from_model(tmp_path / "points.keras", num_classes=4)
    assert all(path.startswith("box_head/") for path in model.load_report.fresh)
    found, expected = values(model), values(trained)
    taken = [path for path in found if path.startswith("keypoint_head")]
    assert taken and all(found[path] == expected[path] for path in taken)


def test_arguments_are_read_without_keras(saved, tmp_path):
    trained, folder = saved
    arguments = saved_arguments(model_file(folder))
    assert arguments == trained.get_config()
    with pytest.raises(ValueError, match=re.escape(f"Received: {tmp_path / 'best.keras'}")):
        model_file(tmp_path)
    inputs = keras.Input((1,))
    keras.Model(inputs, keras.layers.Dense(1)(inputs)).save(tmp_path / "best.keras")
    with pytest.raises(ValueError, match="saved MaskRCNN. Received: .* with a "):
        MaskRCNN.from_model(tmp_path)
