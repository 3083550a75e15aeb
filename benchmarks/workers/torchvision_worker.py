"""torchvision's sides of the end-to-end benchmark; run by a Python that has torchvision."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from random_weights import random_tensor
from torchvision.models.detection import MaskRCNN, transform
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import misc
from worker import CLASSES, converse, detections, objects, picture


def build(min_size: int, max_size: int, backbone: str = "resnet50") -> MaskRCNN:
    """The published model's network (frozen norms) with random weights."""
    body = resnet_fpn_backbone(
        backbone_name=backbone,
        weights=None,
        trainable_layers=3,
        norm_layer=misc.FrozenBatchNorm2d,
    )
    model = MaskRCNN(body, CLASSES + 1, min_size=min_size, max_size=max_size)
    random = np.random.default_rng(0)
    state = model.state_dict()
    for name, tensor in state.items():
        value = random_tensor(name, tuple(tensor.shape), random).astype("float32")
        state[name] = torch.from_numpy(np.ascontiguousarray(value))
    model.load_state_dict(state)
    return model


def save_weights(path: str | os.PathLike[str], backbone: str = "resnet50") -> None:
    """Saves the random weights as torchvision's checkpoints are saved."""
    torch.save(build(800, 1333, backbone).state_dict(), path)


def build_for(case: dict[str, Any]) -> MaskRCNN:
    """The network of a case, whose pictures keep their size."""
    # The masks as the head gives them, 28 x 28: pasting is timed apart.
    transform.paste_masks_in_image = lambda masks, *_: masks
    return build(min(case["size"]), max(case["size"]), case["backbone"])


def tensors(case: dict[str, Any]) -> list[torch.Tensor]:
    """float32 `[3, H, W]`, 0..1: the pictures of a case."""
    pictures = [picture(*case["size"], seed) for seed in range(case["batch"])]
    return [torch.from_numpy(one).permute(2, 0, 1) / 255 for one in pictures]


def compile_parts(model: MaskRCNN) -> None:
    """`torch.compile` of all that is made of tensors alone.

    Choosing boxes between these parts depends on their number, so compiling the whole model would
    split there anyway.
    """
    heads = model.roi_heads
    for part in (
        model.backbone,
        model.rpn.head,
        heads.box_head,
        heads.box_predictor,
        heads.mask_head,
        heads.mask_predictor,
    ):
        part.compile()


def prepare(case: dict[str, Any]) -> Callable[[], Any]:
    """One repetition of a case as a function."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    device = torch.device(case["device"])
    if device.type == "cuda":
        # TensorFlow's defaults: float32 multiplies in TF32, and kernels are chosen by trying them.
        # In training the mask head's shapes change at each step, and PyTorch would try again for
        # each: there it keeps its own default.
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = case["kind"] == "inference"
    (height, width), batch = case["size"], case["batch"]
    model = build_for(case).to(device, memory_format=torch.channels_last)
    if case.get("compile"):
        compile_parts(model)
    images = [image.to(device) for image in tensors(case)]

    def precision() -> contextlib.AbstractContextManager:
        if case["dtype"] == "float32":
            return contextlib.nullcontext()
        return torch.autocast(device.type, torch.bfloat16)

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    if case["kind"] == "inference":
        model.eval()

        def infer() -> dict[str, list[Any]]:
            with torch.no_grad(), precision():
                found = model(images)
            wait()
            # To the host, as Keras does.
            found = [{name: value.cpu() for name, value in one.items()} for one in found]
            return detections(one["scores"].float() for one in found)  # NumPy has no bfloat16

        return infer

    model.train()
    targets = []
    for seed in range(batch):
        boxes, classes = objects(height, width, case["objects"], seed)
        masks = np.zeros((len(boxes), height, width), "uint8")
        for mask, (x1, y1, x2, y2) in zip(masks, boxes.round().astype(int), strict=True):
            mask[y1:y2, x1:x2] = 1
        target = {
            "boxes": torch.from_numpy(boxes),
            "labels": torch.from_numpy(classes) + 1,
            "masks": torch.from_numpy(masks),
        }
        targets.append({name: value.to(device) for name, value in target.items()})
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-6, momentum=0.9, weight_decay=1e-4)

    def step() -> float:
        with precision():
            loss = sum(model(images, targets).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        wait()
        return float(loss.detach())

    return step


def paste(case: dict[str, Any]) -> Callable[[], Any]:
    """Pasting of masks into the picture, as torchvision's inference ends."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    from torchvision.models.detection.roi_heads import paste_masks_in_image

    height, width = case["size"]
    boxes = torch.from_numpy(objects(height, width, case["objects"])[0])
    masks = torch.from_numpy(
        np.random.default_rng(0).uniform(0, 1, (len(boxes), 1, 28, 28)).astype("float32")
    )

    def run() -> int:
        # A user thresholds what the model gives.
        return int((paste_masks_in_image(masks, boxes, (height, width)) >= 0.5).sum())

    return run


if __name__ == "__main__":
    import sys

    if len(sys.argv) > 1:
        save_weights(Path(sys.argv[1]), *sys.argv[2:])
    else:
        converse(
            lambda case: (paste if case["kind"] == "paste" else prepare)(case),
            ("torch", "torchvision"),
            torch.cuda.max_memory_allocated,
        )
