"""Reading a weights file of any known kind, recognised by what is in it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np

from keras_maskrcnn.weights.archive import is_archive, open_archive
from keras_maskrcnn.weights.detectron2_file import read_detectron2_file
from keras_maskrcnn.weights.hdf5_file import read_hdf5_file
from keras_maskrcnn.weights.limits import Budget, WeightsFileError, shown
from keras_maskrcnn.weights.numpy_file import read_numpy_archive
from keras_maskrcnn.weights.torch_file import is_legacy_torch_file, read_torch_file
from keras_maskrcnn.weights.torchvision import rename_old


@dataclasses.dataclass(frozen=True)
class WeightsFile:
    """Tensors and where they come from.

    Args:
        path: of the file.
        kind: `"torchvision"`, `"detectron2"`, `"matterport"`, `"keras_applications"` or `"folded"`
            (convolutions of keras.applications' ResNets with the batch norm folded in).
        detector: whether it holds a whole detector rather than a classification network.
        tensors: name to array, in the file's layout.
    """

    path: Path
    kind: str
    detector: bool
    tensors: dict[str, np.ndarray]

    def __str__(self) -> str:
        content = "detector" if self.detector else "backbone"
        return f"{self.path.name} ({self.kind.replace('_', '.')} {content})"


def read_weights_file(path: str | Path) -> WeightsFile:
    """Reads a weights file of any known kind.

    Args:
        path: torchvision's `.pth`, detectron2's `.pkl`, Matterport's or keras.applications' `.h5`,
            or `.npz`.

    Raises:
        FileNotFoundError: when there is none.
        UnsafeFileError: when a file asks for more than weights need: for code, other files or more
            memory than its size allows.
        ValueError: when the kind is unknown or the file is damaged. Both name the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no weights file {path}")
    with open(path, "rb") as file:
        start = file.read(8)
    if start == b"\x89HDF\r\n\x1a\n":
        tensors = read_hdf5_file(path)
    elif is_archive(path):
        tensors = _read_zip(path)
    elif start[:1] == b"\x80" and is_legacy_torch_file(path):
        tensors = read_torch_file(path)
    elif start[:1] == b"\x80":
        tensors = read_detectron2_file(path)
    else:
        raise WeightsFileError(
            f"{path} is no weights file of a known kind: expected torchvision's .pth, "
            "detectron2's .pkl, Matterport's or keras.applications' .h5, or .npz"
        )
    kind, detector = _recognise(tensors, path)
    if kind == "torchvision" and detector:
        renamed = rename_old(tensors)
        if len(renamed) < len(tensors):
            raise WeightsFileError(
                f"{path} holds tensors under their old names and under the new: "
                f"{shown(sorted(tensors.keys() - renamed.keys()))}"
            )
        tensors = renamed
    return WeightsFile(path, kind, detector, tensors)


def _read_zip(path: Path) -> dict[str, np.ndarray]:
    budget = Budget(path)
    with open_archive(path, budget) as archive:
        if "config.json" in archive.names:
            raise WeightsFileError(
                f"{path} is a Keras model, not a weights file: open it with keras.saving.load_model"
            )
        if any(name.endswith(".npy") for name in archive.names):
            return read_numpy_archive(archive, budget)
    return read_torch_file(path)


def _recognise(tensors: dict[str, np.ndarray], path: Path) -> tuple[str, bool]:
    # The first name that occurs decides. Kernels of the last stage exist in every network; a
    # detector's stand under another name than a backbone's.
    signs = {
        r"layer4\.0\.conv1\.weight": ("torchvision", False),
        r"trunk_output\.block4\.block4-0\.f\.a\.0\.weight": ("torchvision", False),
        r"backbone\.body\.layer4\.0\.conv1\.weight": ("torchvision", True),
        r"res5\.0\.conv1\.weight": ("detectron2", False),
        r"s4\.b1\.f\.a\.weight": ("detectron2", False),
        r"(backbone(\.bottom_up)?|roi_heads)\.res5\.0\.conv1\.weight": ("detectron2", True),
        r"backbone\.bottom_up\.s4\.b1\.f\.a\.weight": ("detectron2", True),
        r"res5a_branch2a/kernel": ("matterport", True),
        r"conv5_block1_1_bn/gamma": ("keras_applications", False),
        r"conv5_block1_1_conv/bias": ("folded", False),
    }
    for pattern, kind in signs.items():
        if any(re.fullmatch(pattern, name) for name in tensors):
            return kind
    raise WeightsFileError(
        f"{path} holds no network that is known here: expected a ResNet of torchvision, detectron2 "
        "or keras.applications, a RegNet of the first two, or a detector on one (Matterport's "
        f"too). It has {len(tensors)} tensors, such as {shown(sorted(tensors)[:5])}"
    )
