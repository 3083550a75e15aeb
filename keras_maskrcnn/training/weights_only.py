"""A model's file without what only training needs."""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path

import h5py

# Keras' entries of a `.keras` file, which is a zip file.
_METADATA, _CONFIG, _WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
# What they hold of training: how the model was compiled, and the optimizer's variables.
_COMPILED, _OPTIMIZER = "compile_config", "optimizer"


def copy_without_optimizer(source: Path, target: Path) -> None:
    """Copies a `.keras` file, of which the optimizer is left out.

    With Adam it is two thirds of the file. The copy is a model that is not compiled: it predicts,
    is evaluated and exported, and trains after `compile`.

    Args:
        source: what `MaskRCNN.save` wrote.
        target: the file to write.

    Raises:
        OSError: when it cannot be written.
    """
    with (
        zipfile.ZipFile(source) as old,
        zipfile.ZipFile(target, "w") as new,
        tempfile.TemporaryDirectory(dir=target.parent) as folder,
    ):
        config = json.loads(old.read(_CONFIG))
        config.pop(_COMPILED, None)
        new.writestr(_METADATA, old.read(_METADATA))
        new.writestr(_CONFIG, json.dumps(config))
        # HDF5 reads and writes at any place, for which an entry of a zip file is too slow.
        whole, part = Path(old.extract(_WEIGHTS, folder)), Path(folder, "part")
        with h5py.File(whole) as variables, h5py.File(part, "w") as kept:
            for group in variables:
                if group != _OPTIMIZER:
                    variables.copy(group, kept)
        new.write(part, _WEIGHTS)
