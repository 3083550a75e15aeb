"""Data sets of other depths, made of a COCO data set of RGB pictures of 8 bits.

    python benchmarks/other_depths.py edges FRUITS fruits_edges
    python benchmarks/other_depths.py grey16 NUCLEI nuclei_16

`edges`: TIFF of four channels and 12 bits in 16 (0 to 4080), the fourth how fast the grey values
change, as a second sensor might see outlines. `grey16`: PNG of one channel and 16 bits, of which
the pictures use a narrow part, as microscopes give them (8000 to 24320).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from skimage.filters import sobel


def edges(picture: np.ndarray) -> np.ndarray:
    """Of `[height, width, 3]` uint8: `[height, width, 4]` uint16."""
    steep = np.clip(4 * sobel(picture.mean(-1)), 0, 255).astype("uint16")
    return 16 * np.concatenate([picture.astype("uint16"), steep[..., None]], -1)


def grey16(picture: np.ndarray) -> np.ndarray:
    """Of `[height, width, 3]` uint8: `[height, width]` uint16."""
    return (8000 + 64 * picture.astype("float32").mean(-1)).round().astype("uint16")


def write(kind: str, source: Path, target: Path) -> None:
    """The data set with other pictures, and the same objects."""
    images = target / "images"
    images.mkdir(parents=True)
    for split in ("train", "val"):
        content = json.loads((source / f"instances_{split}.json").read_text())
        for image in content["images"]:
            picture = np.array(Image.open(source / "images" / image["file_name"]).convert("RGB"))
            name = Path(image["file_name"]).stem
            if kind == "edges":
                image["file_name"] = f"{name}.tif"
                options = {"photometric": "rgb", "compression": "zlib", "predictor": True}
                tifffile.imwrite(images / f"{name}.tif", edges(picture), **options)
            else:
                image["file_name"] = f"{name}.png"
                Image.fromarray(grey16(picture)).save(images / f"{name}.png")
        (target / f"instances_{split}.json").write_text(json.dumps(content))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=["edges", "grey16"])
    parser.add_argument("source", type=Path, help="with instances_train.json, _val.json, images/")
    parser.add_argument("target", type=Path, help="is created")
    options = parser.parse_args()
    write(options.kind, options.source, options.target)


if __name__ == "__main__":
    main()
