"""Uses an installed keras_maskrcnn: `python try_installed.py wheel` (or `sdist`).

Run by `make_dist.py` in a fresh environment, away from the checkout.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def main() -> None:
    """Each step prints what it found; the first that fails ends it."""
    kind = sys.argv[1]
    maskrcnn = str(Path(sys.executable).parent / "maskrcnn")
    print(
        subprocess.run([maskrcnn, "--version"], check=True, text=True, capture_output=True).stdout
    )
    start = time.perf_counter()
    subprocess.run([maskrcnn, "--help"], check=True, stdout=subprocess.DEVNULL)
    print(f"maskrcnn --help: {time.perf_counter() - start:.2f} s")

    import numpy as np

    import keras_maskrcnn
    from keras_maskrcnn.ops import compiled
    from keras_maskrcnn.ops.roi_align import roi_align_backend

    package = Path(keras_maskrcnn.__file__).parent
    if not package.is_relative_to(sys.prefix) or not (package / "py.typed").is_file():
        sys.exit(f"expected the installed package with its types. Received: {package}")

    builder = compiled.load_builder(package / "custom_ops" / "build.py")
    shipped = list(package.glob("custom_ops/library/*/*.so"))
    if kind == "wheel" and builder.find_library() not in shipped:
        sys.exit(f"expected the wheel's library to be taken. Received: {builder.find_library()}")
    if kind == "sdist" and shipped:
        sys.exit(f"expected no library of an isolated build. Received: {shipped}")
    start = time.perf_counter()
    backend = roi_align_backend()
    print(f"RoIAlign: {backend}, {time.perf_counter() - start:.1f} s, {builder.find_library()}")
    if backend != "compiled":
        sys.exit(f"expected the compiled op. Received: {backend}: {compiled._load()[1]}")

    model = keras_maskrcnn.MaskRCNN(
        num_classes=3, backbone="resnet18", neck={"channels": 16}, min_size=96, max_size=128
    )
    picture = np.random.default_rng(0).integers(0, 255, (120, 100, 3)).astype("uint8")
    before = model.predict(picture, verbose=0)[0]
    model.save("model.keras")
    after = keras_maskrcnn.load_model("model.keras").predict(picture, verbose=0)[0]
    np.testing.assert_allclose(after.scores, before.scores, atol=1e-4)
    print(f"predicted {len(before)} objects, saved, loaded, predicted the same: it works")


if __name__ == "__main__":
    main()
