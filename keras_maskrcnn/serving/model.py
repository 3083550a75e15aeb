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
from keras_maskrcnn.images.pixels import PixelFormat

PIXELS, FILES = "serving_default", "encoded"
INPUTS = {PIXELS: "images", FILES: "image_bytes"}
# By which float32 on the scale 0..255 misses a value of 16 bits, at most.
_ROUNDING = 0.01


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
            signatures = self._loaded.signatures
            # Only models for RGB by its type take files.
            known = [key for key in INPUTS if key == PIXELS or key in signatures]
            self._functions = {key: signatures[key] for key in known}
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
        # Of the models' pictures, and of what `PIXELS` takes.
        self.pixels = PixelFormat(config.get("channels", 3), config.get("value_range"))
        specs = self._functions[PIXELS].structured_input_signature[1]
        self.input_dtype = np.dtype(specs[INPUTS[PIXELS]].dtype.as_numpy_dtype)
        self._size_rule = config["min_size"], config["max_size"]
        self._divisor = config["size_divisor"]
        self._folder = folder

    @property
    def takes_files(self) -> bool:
        """Whether it decodes picture files by itself."""
        return FILES in self._functions

    def as_input(self, levels: np.ndarray) -> np.ndarray:
        """A picture on the scale 0..255 as `PIXELS` takes it.

        Args:
            levels: `[h, w, C]`, uint8 or float32, as `decode_picture` gives it.

        Raises:
            ValueError: where its values have more depth than the type that the model takes.
        """
        dtype = self.input_dtype
        if levels.dtype == np.uint8 == dtype and self.pixels.keeps_bytes:
            return levels
        low, high = self.pixels.value_range or (0, 65535 if dtype == np.uint16 else 255)
        values = levels.astype(np.float64) * ((high - low) / 255) + low
        if dtype.kind == "f":
            return values.astype(dtype)
        whole = np.rint(values)
        most = np.iinfo(dtype).max
        if np.abs(values - whole).max() > _ROUNDING or whole.min() < 0 or whole.max() > most:
            raise ValueError(f"expected whole numbers from 0 to {most}, as the model takes")
        return whole.astype(dtype)

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
            rows: pictures: `[h, w, C]` of `input_dtype` and one size, or files as bytes.

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
        """Runs all signatures once: the first call takes longer."""
        self.run(PIXELS, [np.zeros((64, 64, self.pixels.channels), self.input_dtype)])
        if self.takes_files:
            self.run(FILES, [tf.io.encode_png(np.zeros((64, 64, 3), np.uint8)).numpy()])


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
