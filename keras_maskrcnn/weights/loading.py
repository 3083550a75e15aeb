"""Loading weights files into models."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_maskrcnn.matterport import MATTERPORT_CONVENTIONS
from keras_maskrcnn.weights import detectron2, keras_applications, matterport, torchvision
from keras_maskrcnn.weights.download import fetch
from keras_maskrcnn.weights.files import WeightsFile, read_weights_file
from keras_maskrcnn.weights.report import LoadReport, Slot, fill
from keras_maskrcnn.weights.transfer import warn_of_fresh

# What a file may hold beyond the variables, by regular expression.
_NEEDLESS = {
    r".*num_batches_tracked": "a counter",
    r"(fc|stem\.fc|fc1000)\.(weight|bias)": "the ImageNet classifier",
    r"(predictions|probs|fc1000)/(kernel|bias)": "the ImageNet classifier",
    r"pixel_(mean|std)": "the preprocessing is in the config",
    r".*anchor_generator\.cell_anchors\..*|anchors/.*": "anchors are computed",
}

# How the networks of each kind were trained. Shapes do not tell, results do. detectron2: the
# published MSRA ResNets, and FAIR's ResNeXt, whose BGR kernel is turned round on loading. RegNets
# stride in one place, and their pixels are alike in all libraries (detectron2's kernel is turned).
_CONVENTIONS: dict[str, dict[str, Any]] = {
    "torchvision": {"stride_in_1x1": False, "preprocessing": "torch"},
    "keras_applications": {"stride_in_1x1": True, "preprocessing": "caffe"},
    "folded": {"stride_in_1x1": True, "preprocessing": "torch"},
    "detectron2": {"stride_in_1x1": True, "preprocessing": "caffe"},
    "detectron2 resnext": {"stride_in_1x1": False, "preprocessing": "torch"},
    "regnet": {"preprocessing": "torch"},
    "matterport": {
        name.removeprefix("backbone."): value
        for name, value in MATTERPORT_CONVENTIONS.items()
        if name.startswith("backbone.")
    },
}


def backbone_conventions(name: str, source: str | Path) -> dict[str, Any]:
    """Config fields with which the weights of a source work as they were trained.

    Args:
        name: of the backbone, such as `"resnet50"`.
        source: `"imagenet"` or a path.

    Returns:
        `stride_in_1x1` and `preprocessing`; of Matterport's files `stem_pool` too; of a RegNet
        `preprocessing` alone.
    """
    kind = "keras_applications" if source == "imagenet" else read_weights_file(source).kind
    return dict(_conventions(kind, name))


def load_backbone_weights(
    backbone: keras.Model | Sequence[keras.Model],
    source: str | Path,
    *,
    preprocessing: str | None = None,
) -> LoadReport:
    """Loads a pre-trained ResNet or RegNet into a backbone; the rest of a detector stays as it is.

    Args:
        backbone: what `Backbone.build_maps` returned, or with a C4 model that and
            `build_last_stage`'s.
        source: `"imagenet"` (ResNet-50 and -101, through Keras' download), or a path whose kind
            is recognised by its content: torchvision's `.pth` or detectron2's `.pkl` (of
            classification networks or whole detectors), Matterport's or keras.applications' `.h5`,
            or `.npz` of the latter's layers with the batch norm folded in.
        preprocessing: of the model's config, to be compared with how the weights were trained.

    Returns:
        What was loaded and what was left aside.

    Raises:
        ValueError: when a variable of the backbone has no tensor or a tensor of a backbone no
            variable, listing both; or when strides stand elsewhere than in the weights' network.

    Warns:
        UserWarning: when `preprocessing` is not that of the weights, or the strides stand
            elsewhere than in detectron2's own ResNets.
    """
    models = [backbone] if isinstance(backbone, keras.Model) else list(backbone)
    name = models[0].name
    file = read_weights_file(keras_applications.download(name) if source == "imagenet" else source)
    _check_norms(models, file)
    _check_conventions(models, file, preprocessing)
    variables = [variable for model in models for variable in model.weights]
    return fill(
        _backbone_slots(variables, models[0], file, preprocessing),
        file.tensors,
        source=str(file),
        ignore=_ignored(file, backbone_only=True),
        note="the backbone only: pyramid and heads keep their values and want training",
    )


def load_detector_weights(
    model: keras.Model, source: str | Path, *, fresh_classes: bool = False
) -> LoadReport:
    """Loads a whole Mask or Keypoint R-CNN of torchvision or detectron2, or Matterport's.

    Args:
        model: a `MaskRCNN` of the same architecture.
        source: path of the `.pth`, `.pkl` or `.h5` file.
        fresh_classes: leave the layers whose size depends on the classes as they are: for other
            classes than the file's. Said loudly.

    Returns:
        What was loaded and what was left aside.

    Raises:
        ValueError: when a variable has no tensor, a tensor no variable, or a shape differs; all
            are listed, and nothing is loaded.

    Warns:
        UserWarning: with `fresh_classes`, naming the layers that must be trained.
    """
    file = read_weights_file(source)
    if not file.detector:
        raise ValueError(
            f"{file.path} holds a backbone only: load it with load_backbone_weights, or give a "
            "detector's file"
        )
    network = model.network
    preprocessing, box = network.preprocessing, network.box.settings
    _check_conventions([network.backbone], file, preprocessing)
    if file.kind == "torchvision":
        slots = torchvision.detector_slots(
            model.weights,
            box_head_convs=box["convs"],
            box_pool_size=box["pool_size"],
            fresh_classes=fresh_classes,
        )
    elif file.kind == "matterport":
        _check_matterport(model, file)
        slots = matterport.detector_slots(
            model.weights,
            norm_epsilon=network.backbone.get_layer("stem_conv").norm_epsilon,
            fresh_classes=fresh_classes,
        )
    else:
        slots = detectron2.detector_slots(
            model.weights,
            neck=_neck_of_layers(network.neck),
            preprocessing=preprocessing,
            box_pool_size=box["pool_size"],
            fresh_classes=fresh_classes,
        )
    report = fill(
        slots,
        file.tensors,
        source=str(file),
        ignore=_ignored(file, backbone_only=False),
        advice=(
            f"The model has num_classes={model.num_classes}; for other classes than the file's, "
            "fresh_classes=True leaves the layers that depend on them to be trained."
        ),
    )
    warn_of_fresh(report)
    return report


def load_preset_weights(
    model: keras.Model, preset: Any, weights_file: str | Path | None = None
) -> LoadReport:
    """Loads a published model's weights into a model of its architecture.

    Args:
        model: a `MaskRCNN` built from `preset.model_arguments(...)`. With another number of classes
            than the preset's, the layers that depend on it are left to be trained.
        preset: whose weights: an entry of `keras_maskrcnn.PRESETS`.
        weights_file: the official file, when it is at hand; by default it is downloaded once, and
            checked.

    Returns:
        What was loaded and what was left aside.
    """
    if weights_file is None:
        if not preset.checksum:
            warnings.warn(
                f"{preset.url}: its publisher states no checksum, so what is downloaded is checked "
                "only by its tensors' names and shapes",
                stacklevel=2,
            )
        weights_file = fetch(preset.url, preset.checksum, preset.algorithm)
    fresh = model.num_classes != preset.num_classes
    return load_detector_weights(model, weights_file, fresh_classes=fresh)


def _backbone_slots(
    variables: Sequence[keras.Variable],
    backbone: keras.Model,
    file: WeightsFile,
    preprocessing: str | None,
) -> list[Slot]:
    if file.kind == "torchvision":
        prefix = torchvision.BODY if file.detector else ""
        return torchvision.backbone_slots(variables, prefix)
    if file.kind == "detectron2":
        preprocessing = preprocessing or _conventions(file.kind, backbone.name)["preprocessing"]
        if not file.detector:
            return detectron2.backbone_slots(variables, preprocessing=preprocessing)
        return detectron2.detector_slots(
            variables,
            neck=_neck_of_tensors(file.tensors),
            preprocessing=preprocessing,
            box_pool_size=1,
        )
    epsilon = backbone.get_layer("stem_conv").norm_epsilon
    if file.kind == "matterport":
        return matterport.backbone_slots(variables, norm_epsilon=epsilon)
    return keras_applications.backbone_slots(
        variables, norm_epsilon=epsilon, folded=file.kind == "folded"
    )


def _neck_of_layers(neck: Any) -> str:
    """By which rules detectron2 names the backbone of such a neck."""
    if neck.shares_roi_features:
        return "c4"
    return "fpn" if hasattr(neck, "pyramid") else "dc5"


def _neck_of_tensors(names: Collection[str]) -> str:
    """With which neck detectron2 saved a detector."""
    if any(name.startswith("backbone.bottom_up.") for name in names):
        return "fpn"
    return "dc5" if "backbone.res5.0.conv1.weight" in names else "c4"


def _conventions(kind: str, name: str) -> dict[str, Any]:
    if name.startswith("regnet"):
        return _CONVENTIONS["regnet"]
    return _CONVENTIONS[
        f"{kind} resnext" if (kind, name[:7]) == ("detectron2", "resnext") else kind
    ]


def _check_norms(models: Sequence[keras.Model], file: WeightsFile) -> None:
    for model in models:
        for layer in model.layers:
            if getattr(layer, "norm_kind", None) == "group":
                raise ValueError(
                    f"{file} has batch norm; a backbone with norm='group' cannot take its weights"
                )


def _check_conventions(
    models: Sequence[keras.Model], file: WeightsFile, preprocessing: str | None
) -> None:
    expected = _conventions(file.kind, models[0].name)
    in_1x1 = expected.get("stride_in_1x1")
    if any(_strides_in_1x1(model) not in (None, in_1x1) for model in models):
        message = (
            f"{file} was trained with stride_in_1x1={in_1x1}: build the model with that, or its "
            f"features are wrong. Received: stride_in_1x1={not in_1x1}"
        )
        # detectron2's names are also those of networks that others trained.
        if file.kind != "detectron2":
            raise ValueError(message)
        warnings.warn(message, stacklevel=3)
    if preprocessing is not None and preprocessing != expected["preprocessing"]:
        warnings.warn(
            f"{file} was trained with preprocessing={expected['preprocessing']!r}, and the model "
            f"has preprocessing={preprocessing!r}: features will be worse than they could be",
            stacklevel=3,
        )


def _check_matterport(model: Any, file: WeightsFile) -> None:
    own = {name: _setting(model, name) for name in MATTERPORT_CONVENTIONS}
    wrong = [
        f"{name}={value!r} rather than {own[name]!r}"
        for name, value in MATTERPORT_CONVENTIONS.items()
        if own[name] != value
    ]
    if wrong:
        raise ValueError(
            f"{file} means something else in this model: it must be built with {', '.join(wrong)}. "
            "The preset 'matterport_mask_rcnn_coco' binds them all"
        )


def _setting(model: Any, dotted: str) -> Any:
    part, _, setting = dotted.rpartition(".")
    settings = model.network.parts[part].settings if part else model.get_config()
    value = settings[setting]
    return tuple(value) if isinstance(value, list) else value


def _strides_in_1x1(model: keras.Model) -> bool | None:
    """Where the bottlenecks stride; `None` for a model in which none does."""
    layers = {layer.name: layer for layer in model.layers}
    for stage in ("res3", "res4", "res5"):
        if f"{stage}_block1_conv3" in layers:
            return layers[f"{stage}_block1_conv1"].strides == 2
    return None


def _ignored(file: WeightsFile, *, backbone_only: bool) -> dict[str, str]:
    reasons = dict(_NEEDLESS)
    if backbone_only and file.detector:
        body = {
            "torchvision": re.escape(torchvision.BODY),
            "detectron2": r"(backbone\.(bottom_up\.)?|roi_heads\.)(stem|res\d|s\d)\.",
            "matterport": matterport.BACKBONE,
        }[file.kind]
        reasons[rf"(?!{body}).*"] = "not of the backbone"
    return {
        name: reason
        for name in file.tensors
        for pattern, reason in reasons.items()
        if re.fullmatch(pattern, name)
    }
