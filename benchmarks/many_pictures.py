"""`predict_many` beside the model alone: pictures a second, and memory as it goes on.

    python benchmarks/many_pictures.py --pictures 20000 --size 160
    python benchmarks/many_pictures.py --pictures 400 --part-size 50 --rounds 1 --ray 2

Composed scenes are listed again and again until there are enough. The model alone gets batches that
were decoded and resized before. Both are timed in turns, several times; the ratio is the median of
those of neighbours. Memory is that of the process after each tenth of the last turn.

With `--ray`, workers of Ray Data follow in each turn. Their start, and the trace that each makes of
the model, fall into the time until the first part; memory is the most that this process and those
that it started held together, shared pages counted once.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from workers.describe import describe_machine, family_megabytes, status_megabytes

SCENES = 64


def turn_on_ray(run: Callable[..., Any], pictures: int, workers: int) -> None:
    """Prints time and memory of `predict_many` by workers.

    Args:
        run: `predict_many` with all that it takes but `ray_workers` and `tell`.
        pictures: how many there are.
        workers: of Ray Data.
    """
    moments: list[tuple[float, int]] = []
    most = [family_megabytes()]
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.5):
            most.append(family_megabytes())

    watching = threading.Thread(target=watch)
    watching.start()
    start = time.perf_counter()
    run(
        ray_workers=workers,
        tell=lambda done, _: moments.append((time.perf_counter() - start, done)),
    )
    whole = time.perf_counter() - start
    is_over.set()
    watching.join()
    # The first moment is before anything is done.
    (first, done), (last, _) = moments[1], moments[-1]
    print(
        f"{workers} workers of Ray: {whole:.1f} s in all, {first:.1f} s until the first part, "
        f"{(pictures - done) / (last - first):.1f} pictures a second from there on; memory at most "
        f"{max(most):.0f} MB, of which {most[0]:.0f} MB were this process before",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=2000, help="of each turn")
    parser.add_argument("--size", type=int, default=160, help="of pictures, in pixels")
    parser.add_argument("--objects", type=int, default=5, help="that are found in each")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--part-size", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ray", type=int, metavar="N", help="so many workers of Ray Data too")
    options = parser.parse_args()
    if options.ray is not None and options.part_size * 2 > options.pictures:
        parser.error("--ray needs two parts at least: take a smaller --part-size")
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
                batch_size=options.batch_size, part_size=options.part_size, tell=tell,
            )  # fmt: skip
            if turn:  # The first traces.
                alone.append(done / (middle - start))
                many.append(options.pictures / (time.perf_counter() - middle))
                print(
                    f"model alone {alone[-1]:.1f}, predict_many {many[-1]:.1f} pictures a second; "
                    f"{summary.objects} objects",
                    flush=True,
                )
                if options.ray is not None:
                    run = functools.partial(
                        predict_many, model, folder / "archive", folder / f"ray{turn}",
                        batch_size=options.batch_size, part_size=options.part_size,
                    )  # fmt: skip
                    turn_on_ray(run, options.pictures, options.ray)
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
