"""`MaskRCNN.predict` tile by tile."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from keras_maskrcnn.images.input_size import InputSize
from keras_maskrcnn.images.tiling import Tile, Tiling
from keras_maskrcnn.inference.inputs import network_inputs
from keras_maskrcnn.inference.tiling.joining import Joined, Piece, best_of_scales, join
from keras_maskrcnn.inference.tiling.pictures import LargePicture
from keras_maskrcnn.outlines import Bitmap
from keras_maskrcnn.results import Detections
from keras_maskrcnn.results.pixels import crops

# From pictures of one scale, each `[h, w, C]` on the scale 0..255, to what is in each.
Finder = Callable[[list[np.ndarray], float], list[Detections]]


@dataclasses.dataclass(frozen=True)
class _TileSize(InputSize):
    """Tiles are scaled as they are told to be, whatever their size is."""

    scale: float = 1.0

    def resized(self, height: int, width: int) -> tuple[int, int]:
        return max(1, round(height * self.scale)), max(1, round(width * self.scale))


def model_finder(model: Any) -> Finder:
    """Tiles through a `MaskRCNN`."""

    def find(pictures: list[np.ndarray], scale: float) -> list[Detections]:
        size = _TileSize(divisor=model.input_size.divisor, scale=scale)
        inputs = network_inputs(pictures, size)
        outputs = model.predict_on_batch(inputs)
        return [
            Detections.from_padded(
                outputs,
                row,
                image_size=inputs["image_sizes"][row],
                original_size=picture.shape[:2],
                class_names=model.class_names,
                keypoint_shift=model.keypoint_shift,
            )
            for row, picture in enumerate(pictures)
        ]

    return find


def predict_tiled(
    find: Finder,
    picture: LargePicture,
    tiling: Tiling,
    class_names: Sequence[str],
    batch_size: int = 1,
    tell: Callable[[int, int], None] = lambda done, count: None,
) -> Detections:
    """What is in a picture of any size, in the memory of a few tiles and of what is found.

    Args:
        find: sees the tiles.
        picture: is read tile by tile.
        tiling: where the tiles lie.
        class_names: of the classes that are found.
        batch_size: tiles at once.
        tell: called after each batch with the number of tiles that are done, and of all.

    Returns:
        the objects of the whole picture, best score first, with their masks as run lengths.
    """
    height, width = picture.shape
    grids = [(scale, tiling.tiles(height, width, scale)) for scale in tiling.scales]
    count, done = sum(len(tiles) for _, tiles in grids), 0
    by_scale: list[list[Joined]] = []
    for scale, tiles in grids:
        pieces: list[Piece] = []
        for start in range(0, len(tiles), batch_size):
            batch = tiles[start : start + batch_size]
            results = find([picture.read(tile.window) for tile in batch], scale)
            for tile, found in zip(batch, results, strict=True):
                pieces.extend(_pieces(tile, found, tiling.pixels_shared / scale))
            done += len(batch)
            tell(done, count)
        by_scale.append(join(pieces))
    return _as_detections(best_of_scales(by_scale), (height, width), class_names)


def _pieces(tile: Tile, found: Detections, overlap: float) -> Iterator[Piece]:
    """What a tile has found, in pixels of the picture."""
    x, y = tile.window[:2]
    keypoints = found.keypoints
    if keypoints is not None:
        keypoints = keypoints + np.array([x, y, 0], "float32")
    # Probabilities of masks are no longer needed, and large.
    rest = dataclasses.replace(
        found, mask_probabilities=None, outlines=None, keypoints=keypoints, picture=None
    )
    masks = crops(found) if found.has_masks else _boxes(found)
    for row, (left, top, values) in enumerate(masks):
        x1, y1, x2, y2 = found.boxes[row].tolist()
        yield Piece(
            tile=tile,
            box=(x1 + x, y1 + y, x2 + x, y2 + y),
            mask=Bitmap(values >= 0.5, left + x, top + y),
            overlap=overlap,
            found=rest,
            row=row,
        )


def _boxes(found: Detections) -> Iterator[tuple[int, int, np.ndarray]]:
    """Of a model without masks: all pixels of each box."""
    for box in found.boxes:
        x1, y1 = np.floor(box[:2]).astype(int).tolist()
        x2, y2 = np.ceil(box[2:]).astype(int).tolist()
        yield x1, y1, np.ones((y2 - y1, x2 - x1), "float32")


def _as_detections(
    objects: list[Joined], size: tuple[int, int], class_names: Sequence[str]
) -> Detections:
    bests = [(joined.best.found, joined.best.row) for joined in objects]
    first = bests[0][0] if bests else None

    def rows(get: Callable[[Detections], Any]) -> np.ndarray:
        return np.array([get(found)[row] for found, row in bests])

    return Detections(
        boxes=np.array([joined.box for joined in objects]).reshape(-1, 4),
        classes=rows(lambda found: found.classes),
        scores=rows(lambda found: found.scores),
        mask_probabilities=None,
        outlines=[joined.mask.to_rle(*size) for joined in objects],
        image_size=size,
        class_names=class_names,
        keypoints=(
            rows(lambda found: found.keypoints)
            if first is not None and first.keypoints is not None
            else None
        ),
        extras={
            name: np.array([found.extras[name][row] for found, row in bests])
            for name in (first.extras if first is not None else ())
        },
    )
