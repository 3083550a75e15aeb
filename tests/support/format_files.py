"""Pictures and masks for tests of annotation formats."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from keras_maskrcnn.data import DetectionData, Instance, load_dataset
from keras_maskrcnn.outlines import RLE

ORIENTATION = 0x0112


def save_picture(path: Path, height: int = 60, width: int = 80, orientation: int = 1) -> Path:
    """A grey picture of that size as it is stored."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation != 1:
        exif[ORIENTATION] = orientation
    Image.new("RGB", (width, height), (90, 90, 90)).save(path, exif=exif)
    return path


def png_bytes(values: Any, palette: list[int] | None = None) -> bytes:
    """A PNG of these values: bits, 8 or 16 bits; with a palette, these are its indices."""
    values = np.asarray(values)
    picture = Image.fromarray(values)
    if palette is not None:
        picture = picture.convert("L")
        picture.putpalette(palette)
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def base64_png(values: Any) -> str:
    return base64.b64encode(png_bytes(values)).decode()


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def outline_of(instance: Instance, height: int = 0, width: int = 0) -> Any:
    """An object's outline in COCO's form: polygons, an RLE, or None; of bits, the size counts."""
    outline = instance.outline
    if isinstance(outline, RLE):
        return {"size": list(outline.size), "counts": outline.counts}
    return outline and outline.to_coco(height, width)


def drawn(instance: Instance, height: int = 60, width: int = 80) -> np.ndarray:
    """An object's mask in the whole picture, by the COCO tools; uint8 0 or 1."""
    outline: Any = outline_of(instance, height, width)
    rles = coco_mask.frPyObjects(outline, height, width) if isinstance(outline, list) else [outline]
    return np.asarray(coco_mask.decode(coco_mask.merge(rles)))


def load(path: Path, *lines: str, **options: Any) -> DetectionData:
    """What is read, where exactly these items are left out: a part of each line, in order."""
    if not lines:
        data = load_dataset(path, on_error="raise", verbose=False, **options)
    else:
        with pytest.warns(UserWarning, match=f"left out {len(lines)} items"):
            data = load_dataset(path, verbose=False, **options)
    assert len(data.warnings) == len(lines), data.warnings
    for line, expected in zip(data.warnings, lines, strict=True):
        assert expected in line, (expected, line)
    return data
