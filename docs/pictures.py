"""Makes docs/images/found.png, the picture of the README.

    python docs/pictures.py                       # trains the demo first: eight minutes
    python docs/pictures.py --run runs/demo       # with the model and the scenes of a demo

What is drawn is what the model finds in validation scenes, by default the ones with most objects.
They are composed of pictures that ship inside scikit-image (see NOTICE); none else may go in here.
"""

from __future__ import annotations

import argparse
import io
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from PIL import Image

OUTPUT = Path(__file__).parent / "images" / "found.png"
# Bytes of the file, pixels between scenes and of their height.
LARGEST, GAP, TILE = 400_000, 8, 400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, help="folder of a demo (default: one is trained)")
    parser.add_argument("--scenes", type=int, default=3, help="in a row: %(default)s")
    parser.add_argument("--first", type=int, default=0, help="how many of them to pass over")
    parser.add_argument("--threshold", type=float, default=0.5, help="lowest score: %(default)s")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    args = parser.parse_args()

    run = args.run
    if run is None:
        from keras_maskrcnn.demo.run import run_demo

        run = Path("runs/demo")
        run_demo(run)
    row = draw_row(run, args.first, args.scenes, args.threshold)
    args.output.parent.mkdir(exist_ok=True)
    args.output.write_bytes(png(row))
    print(f"{args.output}: {row.shape[1]} x {row.shape[0]}, {args.output.stat().st_size} bytes")


def draw_row(run: Path, first: int, count: int, threshold: float) -> np.ndarray:
    """Scenes beside each other, with what the run's best model finds in them."""
    import keras_maskrcnn
    from keras_maskrcnn.data import load_coco
    from keras_maskrcnn.data.reading import read_image
    from keras_maskrcnn.visualize import draw_detections

    data = load_coco(run / "scenes" / "instances_val.json", run / "scenes" / "val")
    records = sorted(data.records, key=lambda record: -len(record.objects))
    model = keras_maskrcnn.load_model(run / "best.keras")
    tiles = []
    for record in records[first : first + count]:
        (found,) = model.predict(record.path, verbose=0)
        scale = TILE / record.height
        image = read_image(record.path)
        drawn = draw_detections(image, found, threshold=threshold, scale=scale)
        tiles += [drawn, np.full((drawn.shape[0], GAP, 3), 255, np.uint8)]
    return np.concatenate(tiles[:-1], axis=1)


def png(image: np.ndarray) -> bytes:
    """A PNG file that is small enough, of as many colours as that leaves."""
    for colors in (256, 128, 64, 32):
        content = io.BytesIO()
        picture = Image.fromarray(image).quantize(colors, dither=Image.Dither.NONE)
        picture.save(content, "PNG", optimize=True)
        if len(content.getvalue()) <= LARGEST:
            return content.getvalue()
    raise ValueError(f"Expected a picture of at most {LARGEST} bytes. Received: {image.shape}")


if __name__ == "__main__":
    main()
