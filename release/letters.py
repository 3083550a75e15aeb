"""Makes `keras_maskrcnn/demo/letters.npz`, from which the demo's training starts.

    python release/letters.py --minutes 23

Composes scenes as the demo's, with letters and digits in the place of its things, and trains the
demo's model on them from random weights. They are painted with the photographs of the demo's
training scenes; those of its validation scenes come in nowhere. The fonts are matplotlib's. The
file in the package is of 2,697 updates of four scenes, 23 minutes on two cores.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import keras
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from keras_maskrcnn import MaskRCNN
from keras_maskrcnn.data import load_coco
from keras_maskrcnn.demo.letters import WEIGHTS, save_weights
from keras_maskrcnn.demo.model import compact_settings
from keras_maskrcnn.demo.run import SIZE, training_options
from keras_maskrcnn.demo.scenes import Cast, build_scenes, turned
from keras_maskrcnn.training import train_model

# Without those that a mirror or a turn makes of another.
CHARACTERS = "ABDEFGHJKLMNPQRTUWXZ2345789&@?#"
FONTS = (
    *("DejaVuSans-Bold", "DejaVuSerif-Bold"),
    *("DejaVuSansMono-Bold", "DejaVuSans-BoldOblique"),
)
_HEIGHT = 400
_SIDE = 128


def cut_out(
    name: str, split: str, size: int, rng: np.random.Generator
) -> tuple[np.ndarray | None, np.ndarray]:
    """A letter of any font, thinner or thicker, somewhat turned; see `Cast`."""
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    font = ImageFont.truetype(fonts / f"{FONTS[rng.integers(len(FONTS))]}.ttf", _HEIGHT)
    canvas = Image.new("L", (3 * _HEIGHT // 2, 3 * _HEIGHT // 2))
    middle = (canvas.width // 2, canvas.height // 2)
    more = int(rng.integers(0, 25))
    ImageDraw.Draw(canvas).text(middle, name, 255, font, anchor="mm", stroke_width=more)
    letter = canvas.crop(canvas.getbbox())
    scale = _SIDE / max(letter.size)
    sides = [max(8, round(side * scale)) for side in letter.size]
    coverage = np.asarray(letter.resize(sides, Image.Resampling.BOX), "float32") / 255.0
    return turned(None, coverage, rng.uniform(0.22, 0.55) * size, rng.uniform(-30, 30), rng)


LETTERS = Cast(tuple(CHARACTERS), tuple(range(1, len(CHARACTERS) + 1)), cut_out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scenes", type=int, default=2000)
    parser.add_argument("--minutes", type=float, default=23.0)
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = build_scenes(
            Path(name) / "scenes", train=options.scenes, val=40, size=SIZE, seed=1, cast=LETTERS
        )
        train, val = (
            load_coco(folder / f"instances_{split}.json", folder / split)
            for split in ("train", "val")
        )
        keras.utils.set_random_seed(0)
        model = MaskRCNN(num_classes=len(CHARACTERS), seed=0, **compact_settings(SIZE))
        how = training_options(minutes=options.minutes, seed=0)
        history = train_model(model, train, val, Path(name) / "run", how)
        print(history[-1])
        save_weights(model, options.output)
    print(options.output)


if __name__ == "__main__":
    main()
