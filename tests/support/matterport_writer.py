"""Weights files of the layout in which Matterport's Mask_RCNN saves them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

BLOCKS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}


def matterport_shapes(
    backbone: str = "resnet101", classes: int = 81, pyramid: int = 256, dim: int = 1024
) -> dict[str, tuple[int, ...]]:
    """Every tensor: `"layer/variable"` to its shape. `classes` counts the background."""
    shapes: dict[str, tuple[int, ...]] = {}

    def layer(name: str, *shape: int, outputs: int | None = None) -> None:
        shapes[f"{name}/kernel"] = shape
        shapes[f"{name}/bias"] = (outputs or shape[-1],)

    def norm(name: str, channels: int) -> None:
        for variable in ("gamma", "beta", "moving_mean", "moving_variance"):
            shapes[f"{name}/{variable}"] = (channels,)

    layer("conv1", 7, 7, 3, 64)
    norm("bn_conv1", 64)
    before = 64
    for stage, blocks in zip((2, 3, 4, 5), BLOCKS[backbone], strict=True):
        inner = 32 * 2 ** (stage - 1)
        for block in range(blocks):
            name = f"{stage}{chr(97 + block)}_branch"
            parts = {"2a": (1, before, inner), "2b": (3, inner, inner), "2c": (1, inner, 4 * inner)}
            if block == 0:
                parts["1"] = (1, before, 4 * inner)
            for part, (size, inputs, outputs) in parts.items():
                layer(f"res{name}{part}", size, size, inputs, outputs)
                norm(f"bn{name}{part}", outputs)
            before = 4 * inner
        layer(f"fpn_c{stage}p{stage}", 1, 1, before, pyramid)
        layer(f"fpn_p{stage}", 3, 3, pyramid, pyramid)
    layer("rpn_conv_shared", 3, 3, pyramid, 512)
    layer("rpn_class_raw", 1, 1, 512, 6)
    layer("rpn_bbox_pred", 1, 1, 512, 12)
    layer("mrcnn_class_conv1", 7, 7, pyramid, dim)
    layer("mrcnn_class_conv2", 1, 1, dim, dim)
    for n in (1, 2):
        norm(f"mrcnn_class_bn{n}", dim)
    layer("mrcnn_class_logits", dim, classes)
    layer("mrcnn_bbox_fc", dim, 4 * classes)
    for n in (1, 2, 3, 4):
        layer(f"mrcnn_mask_conv{n}", 3, 3, pyramid if n == 1 else 256, 256)
        norm(f"mrcnn_mask_bn{n}", 256)
    layer("mrcnn_mask_deconv", 2, 2, 256, 256)
    layer("mrcnn_mask", 1, 1, 256, classes)
    return shapes


# Of outputs, so that boxes move moderately and some classes are sure.
_GAINS = {
    "rpn_bbox_pred": 0.5,
    "mrcnn_bbox_fc": 0.5,
    "mrcnn_class_logits": 10.0,
    "fpn_": 0.12,
}


def random_tensors(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Values under which activations neither vanish nor explode."""
    rng = np.random.default_rng(0)
    tensors = {}
    for name, shape in shapes.items():
        layer, variable = name.split("/")
        x = rng.standard_normal(shape, dtype=np.float32)
        if variable == "kernel":
            gain = next((g for part, g in _GAINS.items() if layer.startswith(part)), 1.0)
            x *= gain * np.sqrt(2.0 / (x.size / shape[-1]))
        elif variable == "gamma":
            x = (0.3 if layer.endswith("2c") else 1.0) * (1.0 + 0.2 * np.tanh(x))
        elif variable == "moving_variance":
            # The stem's stands for that of pixels.
            x = (1e4 if layer == "bn_conv1" else 1.0) * (1.0 + 0.5 * np.tanh(x))
        else:
            x *= 0.2
        tensors[name] = x.astype("float32")
    return tensors


def _groups(names: Iterator[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {"input_image": [], "ROI": []}  # layers without weights
    for name in names:
        layer = name.split("/")[0]
        groups.setdefault("rpn_model" if layer.startswith("rpn_") else layer, []).append(name)
    return groups


def write_matterport_file(path: Path, tensors: dict[str, np.ndarray | tuple[int, ...]]) -> Path:
    """Writes arrays; of a shape alone a vector of .1, or a kernel of zeros that takes no room."""
    # A hole in the file, rather than data that was never written.
    hole = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    hole.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    hole.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    with h5py.File(path, "w") as file:
        groups = _groups(iter(tensors))
        file.attrs["layer_names"] = [name.encode() for name in groups]
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"2.0.8"
        for group_name, names in groups.items():
            group = file.create_group(group_name)
            group.attrs["weight_names"] = [f"{name}:0".encode() for name in names]
            for name in names:
                value = tensors[name]
                if not isinstance(value, tuple):
                    group[f"{name}:0"] = value
                elif len(value) == 1:
                    group[f"{name}:0"] = np.full(value, 0.1, "float32")
                else:
                    space = h5py.h5s.create_simple(value)
                    place = f"{name}:0".encode()
                    h5py.h5d.create(group.id, place, h5py.h5t.IEEE_F32LE, space, hole, lcpl=links)
    return path
