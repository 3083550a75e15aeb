"""Runs pictures through torchvision's Mask R-CNN and ours, with the same random weights.

    python benchmarks/parity_torchvision.py --torchvision /path/to/python PICTURES...

The interpreter is one that has torchvision; it draws the weights, saves them as torchvision's
checkpoints are saved, and we read that file. PICTURES are files, or folders whose `.jpg` files are
taken, of as unlike sizes as there are. Prints how far apart the results are, and fails when a
picture's detections are not the same set, boxes are over .05 px of the network's input apart,
scores over 1e-4 or mask probabilities over 1e-3.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from workers.random_weights import random_tensor

BOX, SCORE, MASK = 0.05, 1e-4, 1e-3


def torchvision_side(folder: Path, min_size: int, max_size: int) -> None:
    """Draws weights, and saves them and what torchvision finds in `folder`'s pictures."""
    import torch
    from torchvision.models.detection import maskrcnn_resnet50_fpn, transform

    # The masks as the head gives them, 28 x 28.
    transform.paste_masks_in_image = lambda masks, *_: masks
    model = maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, min_size=min_size, max_size=max_size
    ).eval()
    random = np.random.default_rng(0)
    state = model.state_dict()
    for name, tensor in state.items():
        if tensor.is_floating_point():
            value = random_tensor(name, tuple(tensor.shape), random).astype("float32")
            state[name] = torch.from_numpy(np.ascontiguousarray(value))
    model.load_state_dict(state)
    torch.save(state, folder / "model.pth")
    for path in sorted(folder.glob("picture_*.npy")):
        pixels = torch.from_numpy(np.load(path)).permute(2, 0, 1) / 255
        with torch.no_grad():
            found = model([pixels])[0]
        np.savez(path.with_suffix(".npz"), **{key: value.numpy() for key, value in found.items()})


def unlike_sizes(paths: list[Path], count: int) -> list[Path]:
    """Pictures of as many sizes as there are, then more of each."""
    from PIL import Image

    seen: dict[tuple[int, int], int] = {}
    ranked = []
    for path in paths:
        with Image.open(path) as picture:
            rank = seen[picture.size] = seen.get(picture.size, -1) + 1
        ranked.append((rank, len(ranked), path))
    return [path for _, _, path in sorted(ranked)[:count]]


def differences(ours: Any, theirs: dict[str, np.ndarray], scale: float) -> dict[str, float]:
    """Unmatched detections, and largest differences of those that match.

    Args:
        ours: `Detections`.
        theirs: torchvision's, classes from 1.
        scale: pixels of the network's input per pixel of the picture.
    """
    boxes, labels = theirs["boxes"], theirs["labels"] - 1
    distance = np.abs(boxes[:, None] - ours.boxes[None]).max(axis=-1, initial=0.0) * scale
    distance[labels[:, None] != ours.classes[None]] = np.inf
    own = distance.argmin(axis=1) if distance.size else np.zeros(0, int)
    near = np.flatnonzero(distance[np.arange(len(own)), own] <= 1.0)
    own = own[near]
    return {
        "found": len(boxes),
        "unmatched": len(boxes) + len(ours) - len(near) - len(set(own)),
        "box": float(distance[near, own].max(initial=0.0)),
        "score": float(np.abs(theirs["scores"][near] - ours.scores[own]).max(initial=0.0)),
        "mask": float(
            np.abs(theirs["masks"][near, 0] - ours.mask_probabilities[own]).max(initial=0.0)
        ),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--torchvision", required=True, help="an interpreter that has torchvision")
    parser.add_argument("--count", type=int, default=20, help="how many pictures (%(default)s)")
    parser.add_argument("--min-size", type=int, default=800, help="shorter side (%(default)s)")
    parser.add_argument("--max-size", type=int, default=1333, help="longer side (%(default)s)")
    parser.add_argument("pictures", nargs="+", type=Path, help="files or folders")
    options = parser.parse_args()
    paths = [p for item in options.pictures for p in (sorted(item.glob("*.jpg")) or [item])]
    with tempfile.TemporaryDirectory() as name:
        return compare(Path(name), unlike_sizes(paths, options.count), options)


def compare(folder: Path, paths: list[Path], options: argparse.Namespace) -> int:
    """Runs both sides; returns 1 when they disagree."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from keras_maskrcnn import MaskRCNN
    from keras_maskrcnn.data.reading import read_image
    from keras_maskrcnn.images.input_size import resize_shape
    from keras_maskrcnn.weights import load_detector_weights

    pictures = [read_image(path) for path in paths]
    for i, picture in enumerate(pictures):
        np.save(folder / f"picture_{i:03}.npy", picture)
    sizes = [str(options.min_size), str(options.max_size)]
    subprocess.run([options.torchvision, __file__, "--worker", str(folder), *sizes], check=True)
    model = MaskRCNN.from_preset(
        "maskrcnn_resnet50_fpn_coco",
        load_weights=False,
        # Of torchvision's batch norm until it reads a published file.
        **{"backbone.norm_epsilon": 1e-5},
        min_size=options.min_size,
        max_size=options.max_size,
    )
    load_detector_weights(model, folder / "model.pth")
    print(f"{'picture':<18} {'height x width':>14} {'found':>5} {'unmatched':>9}", end=" ")
    print(f"{'box, px':>8} {'score':>8} {'mask':>8}")
    worst = {"unmatched": 0.0, "box": 0.0, "score": 0.0, "mask": 0.0}
    for i, (path, picture) in enumerate(zip(paths, pictures, strict=True)):
        height, width = picture.shape[:2]
        scale = resize_shape(height, width, options.min_size, options.max_size)[0] / height
        with np.load(folder / f"picture_{i:03}.npz") as theirs:
            row = differences(model.predict(picture, verbose=0)[0], dict(theirs), scale)
        worst = {key: max(value, row[key]) for key, value in worst.items()}
        print(f"{path.name:<18} {height:>7} x {width:<4} {row['found']:>5}", end=" ")
        print(f"{row['unmatched']:>9} {row['box']:>8.1e} {row['score']:>8.1e} {row['mask']:>8.1e}")
    print(f"{'largest':<18} {'':>14} {'':>5} {worst['unmatched']:>9.0f}", end=" ")
    print(f"{worst['box']:>8.1e} {worst['score']:>8.1e} {worst['mask']:>8.1e}")
    allowed = {"unmatched": 0, "box": BOX, "score": SCORE, "mask": MASK}
    held = all(worst[key] <= limit for key, limit in allowed.items())
    print("agree" if held else f"DISAGREE: allowed are {allowed}")
    return 0 if held else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        torchvision_side(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        sys.exit(main())
