"""An exported model in memory."""

from __future__ import annotations

import json
import logging
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from keras_maskrcnn.export.refusals import read_refusal
from keras_maskrcnn.images.input_size import resize_shape

PIXELS, FILES = "serving_default", "encoded"
INPUTS = {PIXELS: "images", FILES: "image_bytes"}


class BrokenPictureError(Exception):
    """A picture that the model cannot decode.

    Args:
        position: which of the pictures.
    """

    def __init__(self, position: int) -> None:
        super().__init__(f"cannot decode picture {position}")
        self.position = position


class ServedModel:
    """A SavedModel of `maskrcnn export`, loaded once.

    Args:
        folder: the version's folder, as `served/photos/1`.
        name: that clients call it by.

    Raises:
        ValueError: when the folder holds no such model.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.version = int(folder.name) if folder.name.isdecimal() else 1
        try:
            self._loaded = _load(folder)
            self._functions = {key: self._loaded.signatures[key] for key in INPUTS}
            settings = json.loads((folder / "assets" / "config.json").read_text("utf-8"))
            names = (folder / "assets" / "class_names.txt").read_text("utf-8")
        except (OSError, KeyError, ValueError) as error:
            raise ValueError(
                f"Expected a SavedModel of `maskrcnn export` in {folder}: {error}"
            ) from error
        self.class_names = names.splitlines()
        # Of a picture sent as a file, where the export sets a limit.
        self.max_pixels: int | None = settings["export"].get("max_pixels")
        config = settings["model"]
        self._size_rule = config["min_size"], config["max_size"]
        self._divisor = config["size_divisor"]
        self._folder = folder

    def signature_def(self) -> dict[str, Any]:
        """The signatures as the JSON form of TensorFlow's `SignatureDef`."""
        saved = saved_model_pb2.SavedModel.FromString(
            (self._folder / "saved_model.pb").read_bytes()
        )
        signatures = saved.meta_graphs[0].signature_def
        return {key: _to_json(signatures[key]) for key in sorted(signatures)}

    def canvas(self, sizes: Sequence[tuple[int, int]]) -> Hashable:
        """Size of the network's input for pictures in one call.

        Pictures that share a call are padded to its size, and what surrounds a picture has some
        influence on what is found at its border. Where this is equal, so are the results.

        Args:
            sizes: `(height, width)` of each, of files when turned upright.
        """
        resized = np.array([resize_shape(*size, *self._size_rule) for size in sizes])
        height, width = (int(side) for side in -(-resized.max(0) // self._divisor))
        return height * self._divisor, width * self._divisor

    def run(self, signature: str, rows: Sequence[Any]) -> dict[str, np.ndarray]:
        """Calls a signature.

        Args:
            signature: `PIXELS` or `FILES`.
            rows: pictures: uint8 `[h, w, 3]` of one size, or files as bytes.

        Returns:
            Its outputs by name, one row for each picture.

        Raises:
            BrokenPictureError: for a file that cannot be decoded.
        """
        value = np.stack(rows) if signature == PIXELS else tf.constant(list(rows), tf.string)
        try:
            outputs = self._functions[signature](**{INPUTS[signature]: tf.convert_to_tensor(value)})
        except tf.errors.InvalidArgumentError as error:
            refusal = read_refusal(error.message)
            if refusal is None:
                raise
            raise BrokenPictureError(refusal.picture) from None
        return {name: output.numpy() for name, output in sorted(outputs.items())}

    def warm_up(self) -> None:
        """Runs both signatures once: the first call takes longer."""
        blank = np.zeros((64, 64, 3), np.uint8)
        self.run(PIXELS, [blank])
        self.run(FILES, [tf.io.encode_png(blank).numpy()])


def _load(folder: Path) -> Any:
    """Without the warning that the model cannot be trained."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return tf.saved_model.load(str(folder))
    finally:
        logger.setLevel(level)


def _to_json(message: meta_graph_pb2.SignatureDef) -> dict[str, Any]:
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
