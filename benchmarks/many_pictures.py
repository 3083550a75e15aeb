"""`predict_many` beside the model alone: pictures a second, and memory as it goes on.

    python benchmarks/many_pictures.py --pictures 20000 --size 160

Composed scenes are listed again and again until there are enough. The model alone gets batches that
were decoded and resized before. Both are timed in turns, several times; the ratio is the median of
those of neighbours. Memory is that of the process after each tenth of the last turn.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from workers.describe import describe_machine, status_megabytes

SCENES = 64


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=2000, help="of each turn")
    parser.add_argument("--size", type=int, default=160, help="of pictures, in pixels")
    parser.add_argument("--objects", type=int, default=5, help="that are found in each")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(describe_machine(), flush=True)

    import keras

    from keras_maskrcnn import MaskRCNN
    from keras_maskrcnn.data.reading import read_image
    from keras_maskrcnn.demo.model import compact_settings
    from keras_maskrcnn.demo.scenes import build_scenes
    from keras_maskrcnn.inference.inputs import network_inputs
    from keras_maskrcnn.inference.many import predict_many
    from keras_maskrcnn.models.settings import merge_arguments

    keras.utils.set_random_seed(0)
    settings = merge_arguments(
        compact_settings(options.size), {"box.max_detections": options.objects}
    )
    model = MaskRCNN(5, **settings)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build_scenes(folder / "scenes", train=SCENES, val=1, size=options.size)
        files = sorted((folder / "scenes" / "train").iterdir())
        (folder / "archive").mkdir()
        for number in range(options.pictures):
            file = files[number % len(files)]
            (folder / "archive" / f"{number:06d}{file.suffix}").hardlink_to(file)
        decoded = [read_image(file) for file in files]
        # Of like size, as `predict_many` brings them together.
        decoded.sort(key=lambda picture: picture.shape)
        batches = [
            network_inputs(decoded[start : start + options.batch_size], model.input_size)
            for start in range(0, len(decoded), options.batch_size)
        ]
        alone, many = [], []
        for turn in range(options.rounds + 1):
            start = time.perf_counter()
            done = 0
            while done < options.pictures:
                batch = batches[done // options.batch_size % len(batches)]
                model.predict_on_batch(batch)
                done += len(batch["images"])
            middle = time.perf_counter()
            held: list[float] = []

            def tell(count: int, of: int, held: list[float] = held) -> None:
                if count * 10 >= of * (len(held) + 1):
                    held.append(status_megabytes("VmRSS"))

            summary = predict_many(
                model, folder / "archive", folder / f"out{turn}",
                batch_size=options.batch_size, threshold=0.05, tell=tell,
            )  # fmt: skip
            if turn:  # The first traces.
                alone.append(done / (middle - start))
                many.append(options.pictures / (time.perf_counter() - middle))
                print(
                    f"model alone {alone[-1]:.1f}, predict_many {many[-1]:.1f} pictures a second; "
                    f"{summary.objects} objects",
                    flush=True,
                )
    ratio = statistics.median(np.divide(many, alone))
    print(
        f"{options.pictures} pictures of {options.size} pixels, {options.objects} objects in each"
    )
    print(
        f"medians: {statistics.median(alone):.1f} a second alone, {statistics.median(many):.1f} in "
        f"predict_many, ratio {ratio:.2f}"
    )
    print(f"MB after each tenth: {', '.join(f'{mb:.0f}' for mb in held)}")


if __name__ == "__main__":
    main()
