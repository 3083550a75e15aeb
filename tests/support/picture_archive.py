"""Archives for tests, and what finds their squares without a network.

python picture_archive.py SOURCE OUTPUT SECONDS   # looks at an archive, so long in each batch
"""

import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import numpy as np
from PIL import Image

from keras_maskrcnn.data.decoding import RGB
from keras_maskrcnn.images.input_size import InputSize
from keras_maskrcnn.inference.many import predict_many
from keras_maskrcnn.inference.many import work as many
from keras_maskrcnn.outlines import Bitmap
from keras_maskrcnn.results import Detections

CLASSES = ("grey", "white")
BROKEN = 7


def make_archive(folder: Path, count: int = 23) -> list[tuple[int, int, int, int]]:
    """Pictures of three sizes with a square each, but the first and the broken; their squares."""
    rng = np.random.default_rng(0)
    squares = []
    for number in range(count):
        height, width = [(48, 64), (64, 48), (40, 80)][number % 3]
        x, y, side = rng.integers(1, 20, 3).tolist()
        picture = np.zeros((height, width, 3), "uint8")
        if number:
            picture[y : y + side, x : x + side] = 255 if number % 2 else 128
        path = folder / f"{number // 10}" / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
        if number == BROKEN:
            path.write_bytes(path.read_bytes()[:60])
        squares.append((x, y, x + side, y + side))
    return squares


def stub_model(weights: float = 0.0) -> SimpleNamespace:
    """All that is asked of a model beside its finding."""
    values = SimpleNamespace(numpy=lambda: np.float32(weights))
    size = InputSize(64, 96, 32)
    return SimpleNamespace(pixels=RGB, input_size=size, class_names=CLASSES, weights=[values])


class DeadlyModel:
    """Ends the process that looks at a picture with it."""

    class_names = CLASSES
    weights = ()

    @property
    def pixels(self) -> NoReturn:
        os.kill(os.getpid(), signal.SIGKILL)
        raise SystemExit


def find_squares(_: SimpleNamespace, pictures: list[np.ndarray]) -> list[Detections]:
    """The bounds of what is not black; sure of what is white."""
    results = []
    for picture in pictures:
        size, lit = picture.shape[:2], picture[..., 0] > 0
        boxes, outlines, classes = np.zeros((0, 4)), [], np.zeros(0, int)
        if lit.any():
            y, x = np.nonzero(lit)
            boxes = np.array([[x.min(), y.min(), x.max() + 1, y.max() + 1]], float)
            outlines = [Bitmap(lit, 0, 0).to_rle(*size)]
            classes = np.array([int(picture.max() == 255)])
        results.append(
            Detections(
                boxes=boxes,
                classes=classes,
                scores=0.5 + 0.5 * classes,
                mask_probabilities=None,
                outlines=outlines,
                image_size=size,
                class_names=CLASSES,
            )
        )
    return results


def main() -> None:
    source, output, seconds = sys.argv[1:]

    def slowly(model: SimpleNamespace, pictures: list[np.ndarray]) -> list[Detections]:
        print("looks\n", end="", flush=True)  # In one go: two do so at once.
        time.sleep(float(seconds))
        return find_squares(model, pictures)

    many.predict_batch = slowly
    predict_many(stub_model(), source, output, batch_size=2, part_size=5)


if __name__ == "__main__":
    main()
