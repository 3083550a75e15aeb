"""What every layer, model and schedule owes: a config that holds all its constructor takes."""

import inspect
import json

import keras
import pytest
from helpers import import_all_modules

from keras_maskrcnn.layers.geometry import GeometryLayer
from keras_maskrcnn.parts import DataRegistry, Part, setting_names

PACKAGE = "keras_maskrcnn"
# Of every Keras layer.
BASE = {"name": "given", "trainable": False, "dtype": "mixed_bfloat16"}
WEIGHTS = (1.0, 2.0, 3.0, 4.0)
POOLING = {"output_size": (3, 5), "strides": (8, 16), "backend": "reference"}

# For every class a value for every argument, none of them the default.
ARGUMENTS = {
    "AnchorLayer": {
        "sizes": ((8.0, 16.0), (32.0, 64.0)),
        "ratios": (0.5, 2.0),
        "strides": (4, 8),
        "offset": 0.5,
        "style": "torchvision",
    },
    "AnchorTargetLayer": {
        "positive_iou": 0.6,
        "negative_iou": 0.2,
        "num_samples": 128,
        "positive_fraction": 0.25,
        "box_weights": WEIGHTS,
        "crowd_overlap": 0.5,
        "match_zero_iou": True,
        "seed": 7,
    },
    "AtLeastOne": {},
    "BatchNormalization": {},
    "BoxHead": {
        "num_classes": 7,
        "num_convs": 2,
        "num_fcs": 1,
        "dim": 32,
        "norm": "batch",
        "class_agnostic": True,
    },
    "BoxLimits": {"style": "matterport"},
    "ConvBlock": {
        "filters": 6,
        "size": 5,
        "strides": 2,
        "groups": 3,
        "dilation": 2,
        "norm": "frozen_statistics",
        "norm_epsilon": 1e-3,
        "relu": False,
        "initializer": keras.initializers.RandomNormal(stddev=0.5),
    },
    "CropAndResizeLayer": POOLING,
    "CropToPicture": {"stride": 8},
    "DetectionLayer": {
        "score_threshold": 0.1,
        "nms_iou": 0.4,
        "max_detections": 7,
        "box_weights": WEIGHTS,
        "one_class_per_roi": True,
        "nms": "soft_gaussian",
        "soft_sigma": 0.3,
        "looped_nms": True,
    },
    "DetectionTargetLayer": {
        "num_classes": 5,
        "num_samples": 64,
        "positive_fraction": 0.5,
        "iou": 0.6,
        "box_weights": WEIGHTS,
        "crowd_overlap": 0.5,
        "seed": 7,
    },
    "FrozenBatchNormalization": {"epsilon": 1e-3, "train_affine": True},
    "ImageNormalization": {
        "preprocessing": "caffe",
        "mean": (1.0, 2.0, 3.0),
        "deviation": (4.0, 5.0, 6.0),
    },
    "KeypointDecodeLayer": {"scores": "probability"},
    "KeypointHead": {"num_keypoints": 5, "num_convs": 3, "dim": 16},
    "KeypointTargetLayer": {"size": 28, "shift": 0.5},
    "ListSlots": {},
    "MaskHead": {
        "num_classes": 7,
        "num_convs": 2,
        "dim": 16,
        "norm": "group",
        "upsampling": "bilinear",
        "output": "softmax",
    },
    "MaskMLPHead": {
        "num_classes": 7,
        "num_fcs": 1,
        "dim": 16,
        "side": 14,
        "output": "class_agnostic",
    },
    "MaskTargetLayer": {"size": 14, "binary": True, "whole_pictures": True, "aligned": False},
    "PadToStride": {"stride": 32},
    "ProposalLayer": {
        "pre_nms_train": 5,
        "pre_nms_test": 6,
        "num_train": 7,
        "num_test": 8,
        "nms_iou": 0.6,
        "box_weights": WEIGHTS,
        "per_level": False,
        "looped_nms": True,
    },
    "RefineBoxes": {"box_weights": WEIGHTS},
    "RelabelRoIs": {
        "num_classes": 5,
        "iou": 0.6,
        "box_weights": WEIGHTS,
        "crowd_overlap": 0.5,
    },
    "RPNHead": {"anchors_per_cell": 4, "num_convs": 2, "channels": 16},
    "RestoreSlots": {},
    "RoIAlignLayer": {**POOLING, "sampling_ratio": 0, "aligned": False},
    "RoIPoolLayer": POOLING,
    "RoIWarpLayer": {**POOLING, "sampling_ratio": 3},
    "SameRows": {},
    "ScaleGradient": {"scale": 0.25},
    "SelectRoIs": {},
    "SqueezeExcite": {"channels": 5},
    "TakeObjects": {},
    "TakeSlots": {},
    "UpsampleAdd": {},
    "WarmupSchedule": {
        "learning_rate": 0.3,
        "total_steps": 50,
        "warmup_steps": 5,
        "decay": "cosine",
        "steps_per_update": 2,
    },
}
# Made of parts, below; how they are kept, in `models/test_mask_rcnn.py`.
MODEL = "MaskRCNN"


def _registered():
    """Classes of the package by name, those of optional packages where these are installed."""
    import_all_modules()
    return {
        name.removeprefix(f"{PACKAGE}>"): item
        for name, item in keras.saving.get_custom_objects().items()
        if name.startswith(f"{PACKAGE}>")
    }


def _parameters(kind):
    """Arguments of the nearest constructor that the package itself wrote."""
    found = {}
    for base in kind.__mro__:
        if "__init__" in vars(base):
            if base.__module__.startswith(PACKAGE):
                found = inspect.signature(base.__init__).parameters
            break
    variable = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    return {
        name: parameter
        for name, parameter in found.items()
        if name != "self" and parameter.kind not in variable
    }


def _plain(value):
    """As JSON holds it, objects as Keras writes them."""
    if hasattr(value, "get_config"):
        value = keras.saving.serialize_keras_object(value)
    return json.loads(json.dumps(value))


def test_every_class_is_here():
    registered = _registered()
    parts = {name for name, kind in registered.items() if issubclass(kind, Part)}
    assert parts == set(SETTINGS)
    assert set(ARGUMENTS) | parts | {MODEL} == set(registered)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_config_holds_what_was_given(name):
    kind, arguments = _registered()[name], ARGUMENTS[name]
    parameters = _parameters(kind)
    # All arguments, and none of them by chance the default's value.
    assert set(arguments) == set(parameters) - set(BASE)
    for key, value in arguments.items():
        default = parameters[key].default
        assert default is inspect.Parameter.empty or _plain(default) != _plain(value), key
    is_layer = issubclass(kind, keras.layers.Layer)
    layer = kind(**arguments, **(BASE if is_layer else {}))
    written = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    again = keras.saving.deserialize_keras_object(written)
    assert type(again) is kind
    if is_layer:
        # Layers of coordinates compute in float32 under any policy.
        dtype = "float32" if issubclass(kind, GeometryLayer) else BASE["dtype"]
        assert (layer.dtype_policy.name, again.dtype_policy.name) == (dtype, dtype)
    for config in (written["config"], _plain(again.get_config())):
        given = {key: _plain(config[key]) for key in arguments}
        assert given == {key: _plain(value) for key, value in arguments.items()}
        if is_layer:
            assert (config["name"], config["trainable"]) == (BASE["name"], BASE["trainable"])
        # Nothing that a constructor of the package would not take.
        if arguments:
            assert set(config) <= set(arguments) | set(BASE)
    assert _plain(again.get_config()) == written["config"]


# For every part another value than the default for each setting that is no number.
HEAD = {"name": "other", "pooler": "roi_pool"}
SETTINGS = {
    "Application": {"name": "MobileNetV2", "norm": "batch", "preprocessing": "caffe"},
    "Box": {
        "pooler": "roi_pool",
        "norm": "group",
        "weights": WEIGHTS,
        "nms": "cross_class",
    },
    "C4": {},
    "C5": {},
    "Cascade": {
        "nms": "cross_class",
        "pooler": "roi_pool",
        "norm": "group",
        "ious": (0.4, 0.8),
        "weights": (WEIGHTS, WEIGHTS),
    },
    "DC5": {},
    "FPN": {"norm": "group"},
    "FunctionalBackbone": None,  # holds a network: `extending/test_stranger.py`
    "Keypoint": {**HEAD, "num_keypoints": 3, "scores": "probability"},
    "MLPMask": {**HEAD, "output": "softmax", "target_style": "binary"},
    "Mask": {
        **HEAD,
        "norm": "group",
        "target_style": "binary",
        "upsampling": "bilinear",
        "output": "class_agnostic",
    },
    "RPN": {
        "anchor_sizes": ((8.0,), (16.0,)),
        "anchor_ratios": (1.0,),
        "anchor_style": "torchvision",
        "channels": 16,
        "weights": WEIGHTS,
    },
    "RegNet": {
        "name": "regnety_4gf",
        "norm": "batch",
        "preprocessing": "caffe",
        "freeze_at": 3,
    },
    "ResNet": {
        "name": "resnet18",
        "stem_pool": "same",
        "norm": "batch",
        "preprocessing": "caffe",
        "freeze_at": 3,
    },
}


@pytest.mark.parametrize("name", [name for name, given in SETTINGS.items() if given is not None])
def test_settings_of_a_part(name):
    kind, given = _registered()[name], dict(SETTINGS[name])
    for setting, default in setting_names(kind).items():
        if setting == "weights" and name == "Application":
            continue  # whoever loads the model has them already
        if setting not in given:
            is_share = isinstance(default, float) and 0 < default < 1
            other = not default if isinstance(default, bool) else (default or 0) + 2
            given[setting] = default / 2 if is_share else other
        assert given[setting] != default, setting
    part = kind(**given)
    assert {key: part.settings[key] for key in given} == given
    written = json.loads(json.dumps(keras.saving.serialize_keras_object(part)))
    again = keras.saving.deserialize_keras_object(written)
    assert type(again) is kind
    assert {key: again.settings[key] for key in given} == given
    with pytest.raises(ValueError, match="has no setting 'colour'"):
        kind(colour="red")


def test_a_name_stands_for_one_class():
    registry = DataRegistry("fruit")

    class Apple:
        pass

    class Pear:
        pass

    registry.register("round", "apple")(Apple)
    again = type("Apple", (), {})
    again.__qualname__, again.__module__ = Apple.__qualname__, Apple.__module__
    registry.register("apple")(again)  # The same file, run anew.
    assert registry.find("apple") is again
    with pytest.raises(ValueError, match=r"fruit 'round' is registered already, as .*Apple.*Pear"):
        registry.register("round")(Pear)
