"""`MaskRCNN.predict` tile by tile."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from keras_maskrcnn.images.input_size import InputSize
from keras_maskrcnn.images.tiling import Tile, Tiling, Window
from keras_maskrcnn.inference.inputs import network_inputs
from keras_maskrcnn.inference.tiling.joining import Joined, Piece, best_of_scales, join
from keras_maskrcnn.inference.tiling.pictures import LargePicture, Level
from keras_maskrcnn.outlines import Bitmap
from keras_maskrcnn.results import Detections
from keras_maskrcnn.results.pixels import crops

Size = tuple[int, int]
# From tiles `[h, w, C]` on the scale 0..255, the scale from these to what the network sees, and
# height and width of each in pixels of the picture, to what is in each, in these pixels. A tile
# that was read from a smaller size of the picture has other pixels itself.
Finder = Callable[[list[np.ndarray], float, list[Size]], list[Detections]]


@dataclasses.dataclass(frozen=True)
class _TileSize(InputSize):
    """Tiles are scaled as they are told to be, whatever their size is."""

    scale: float = 1.0

    def resized(self, height: int, width: int) -> Size:
        return max(1, round(height * self.scale)), max(1, round(width * self.scale))


def model_finder(model: Any) -> Finder:
    """Tiles through a `MaskRCNN`."""

    def find(pictures: list[np.ndarray], scale: float, sizes: list[Size]) -> list[Detections]:
        size = _TileSize(divisor=model.input_size.divisor, scale=scale)
        inputs = network_inputs(pictures, size)
        outputs = model.predict_on_batch(inputs)
        return [
            Detections.from_padded(
                outputs,
                row,
                image_size=inputs["image_sizes"][row],
                original_size=original,
                class_names=model.class_names,
                keypoint_shift=model.keypoint_shift,
            )
            for row, original in enumerate(sizes)
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
        picture: is read tile by tile, for each scale from the smallest size that it has and that
            need not be made larger.
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
        level = picture.level(scale)
        for start in range(0, len(tiles), batch_size):
            batch = [_on_pixels(tile, level, picture) for tile in tiles[start : start + batch_size]]
            seen = [level.read(_in_level(tile.window, level)) for tile in batch]
            sizes = [(level.part * one.shape[0], level.part * one.shape[1]) for one in seen]
            results = find(seen, scale * level.part, sizes)
            for tile, found in zip(batch, results, strict=True):
                pieces.extend(_pieces(tile, found, tiling.pixels_shared / scale))
            done += len(batch)
            tell(done, count)
        by_scale.append(join(pieces))
    return _as_detections(best_of_scales(by_scale), (height, width), class_names)


def _on_pixels(tile: Tile, level: Level, picture: LargePicture) -> Tile:
    """The tile with whole pixels of a level at its edges: what it does see."""
    height, width = picture.shape
    x1, y1, x2, y2 = tile.window
    low = (side // level.part * level.part for side in (x1, y1))
    high = (-(-side // level.part) * level.part for side in (x2, y2))
    right, bottom = (min(side, most) for side, most in zip(high, (width, height), strict=True))
    left, top = low
    return dataclasses.replace(tile, window=(left, top, right, bottom))


def _in_level(window: Window, level: Level) -> Window:
    """The same window in the pixels of a level, which may lack the last part of one."""
    height, width = level.shape
    x1, y1, x2, y2 = window
    part = level.part
    return x1 // part, y1 // part, min(-(-x2 // part), width), min(-(-y2 // part), height)


def _pieces(tile: Tile, found: Detections, overlap: float) -> Iterator[Piece]:
    """What a tile has found, in pixels of the picture.

    The last pixels of a smaller size may reach beyond it: what is found there is cut off.
    """
    x, y, right, bottom = tile.window
    keypoints = found.keypoints
    if keypoints is not None:
        keypoints = keypoints + np.array([x, y, 0], "float32")
    # Probabilities of masks are no longer needed, and large.
    rest = dataclasses.replace(
        found, mask_probabilities=None, outlines=None, keypoints=keypoints, picture=None
    )
    masks = crops(found) if found.has_masks else _boxes(found)
    for row, (left, top, values) in enumerate(masks):
        left, top = left + x, top + y
        values = values[: max(0, bottom - top), : max(0, right - left)]
        x1, y1, x2, y2 = found.boxes[row].tolist()
        yield Piece(
            tile=tile,
            box=(x1 + x, y1 + y, min(x2 + x, right), min(y2 + y, bottom)),
            mask=Bitmap(values >= 0.5, left, top),
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
