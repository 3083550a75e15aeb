"""Outlines go where their drawn masks go: polygons, holes, several parts, bitmaps, run lengths."""

import dataclasses

import numpy as np
import pytest

from keras_maskrcnn.data.records import Instance
from keras_maskrcnn.data.transforms import Move, Sample, make_transforms
from keras_maskrcnn.outlines import Bitmap, Polygons

SIZE = 72, 96
FINE = 8
PICTURES = 40  # With five objects each.
# Of fewer cells, borders that are rounded to cells differ by more than half a percent: there, by
# less than two thirds of a cell along what goes round a square.
SMALL = 20_000

CASES = {
    "flip": {"probability": 1},
    "vertical_flip": {"probability": 1},
    "quarter_turn": {"quarters": [1, 2, 3]},
    "rotate": {"degrees": [-180, 180]},
    "rotate and grow": {"name": "rotate", "degrees": [-180, 180], "expand": True},
    "shear": {"x": [-30, 30], "y": [-30, 30]},
    "perspective": {"displacement": 0.2},
    "scale_jitter": {"scale": [0.5, 2.0]},
    "large scale jitter": {"name": "scale_jitter", "scale": [0.1, 2.0], "size": [100, 80]},
    "random_crop": {},
    "fused": {"transforms": ["perspective", "flip", "rotate", "shear", "scale_jitter"]},
}


def transform_of(name):
    (made,) = make_transforms({"name": name, **CASES[name]})
    return made


def star(rng, radius, x, y):
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False) + rng.uniform(0, 0.3, 16)
    lengths = radius * rng.uniform(0.8, 1, 16)
    return np.stack([x + lengths * np.cos(angles), y + lengths * np.sin(angles)], axis=1)


def fill(loops, size):
    """Which fine cells of a picture loops enclose, even-odd: each edge toggles what is right of it
    in the rows whose middle it crosses."""
    height, width = size[0] * FINE, size[1] * FINE
    toggles = np.zeros((height, width + 1), np.uint8)
    for loop in loops:
        ends = loop * FINE - 0.5
        for (x1, y1), (x2, y2) in zip(ends, np.roll(ends, -1, axis=0), strict=True):
            low, high = np.clip(np.ceil(sorted((y1, y2))), 0, height).astype(int)
            rows = np.arange(low, high)
            x = x1 + (rows - y1) * ((x2 - x1) / (y2 - y1)) if high > low else rows
            toggles[rows, np.clip(np.ceil(x), 0, width).astype(int)] += 1
    return np.cumsum(toggles, axis=1, dtype=np.uint8)[:, :width] % 2 == 1


def drawn(outline, size):
    """The fine cells of a picture that an outline covers."""
    if isinstance(outline, Polygons):
        return np.any([fill(loops, size) for loops in outline.groups], axis=0)
    return enlarged(outline.draw_whole(*size) > 0)


def enlarged(bits):
    return bits.repeat(FINE, axis=0).repeat(FINE, axis=1)


def outlines(rng):
    """One of each kind, with the cells that it covers."""
    centre = (rng.uniform(40, 56), rng.uniform(32, 40))
    # Of some, the hole crosses the edge, or the parts overlap.
    groups = [
        [[star(rng, 32, *centre)]],
        [[star(rng, 34, *centre), star(rng, 13, centre[0] + rng.uniform(0, 25), centre[1])]],
        [[star(rng, 26, rng.uniform(28, 42), 36)], [star(rng, 26, 66, 36)]],
    ]
    made = [
        (Polygons.from_loops(g), np.any([fill(loops, SIZE) for loops in g], axis=0)) for g in groups
    ]
    bits = np.zeros(SIZE, bool)
    for _ in range(3):
        y, x = rng.integers(4, 20), rng.integers(4, 30)
        bits[y : y + rng.integers(25, 40), x : x + rng.integers(25, 50)] ^= True
    bitmap = Bitmap(bits[2:70, 3:90], 3, 2)
    return [*made, (bitmap, enlarged(bits)), (bitmap.to_rle(*SIZE), enlarged(bits))]


def moved_cells(cells, matrix, size):
    """Nearest neighbour of each fine cell's centre, by the inverse of the matrix."""
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]])[:3])
    y, x = (np.indices((size[0] * FINE, size[1] * FINE)) + 0.5) / FINE
    u, v, w = (row[0] * x + row[1] * y + row[2] for row in back)
    column, row = (np.floor(n / w * FINE).astype(np.int32) for n in (u, v))
    rows, columns = cells[0].shape
    seen = (row >= 0) & (column >= 0) & (row < rows) & (column < columns) & (w > 0)
    place = np.where(seen, row * columns + column, 0)
    return [c.ravel().take(place) & seen for c in cells]


@pytest.mark.parametrize("name", CASES)
def test_an_outline_is_drawn_where_its_mask_goes(name):
    rng = np.random.default_rng(list(name.encode()))
    transform = transform_of(name)
    image = np.zeros((*SIZE, 3), np.uint8)
    large = 0
    for _ in range(PICTURES):
        made = outlines(rng)
        given = Sample(
            image,
            tuple(
                Instance(0, outline.bounds(), outline, number % 2 == 1, None, number)
                for number, (outline, _) in enumerate(made)
            ),
        )
        action = transform.draw(rng, given)
        found = {i.annotation_id: i for i in action.apply(given).instances}
        size = action.new_size(*SIZE)
        expected = moved_cells([c for _, c in made], action.matrix(*SIZE), size)
        for number, cells in enumerate(expected):
            outline = found[number].outline if number in found else Polygons.from_loops([[]])
            covered = drawn(outline, size)
            union, differing = (covered | cells).sum(), (covered ^ cells).sum()
            is_large = union >= SMALL
            assert differing <= (0.005 * union if is_large else 2.5 * np.sqrt(union))
            large += is_large
    assert large >= 100


@dataclasses.dataclass(frozen=True)
class Back(Move):
    """What undoes a move of a picture of `SIZE`."""

    there: Move

    def matrix(self, height, width):
        return np.linalg.inv(np.vstack([self.there.matrix(*SIZE), [0, 0, 1]])[:3])

    def new_size(self, height, width):
        return SIZE

    def move_pixels(self, image):
        return np.zeros((*SIZE, 3), np.uint8)


@pytest.mark.parametrize("name", CASES)
def test_there_and_back(name):
    rng = np.random.default_rng(7)
    transform = transform_of(name)
    kept = 0
    for _ in range(20):
        # So small that nothing of it leaves the picture often.
        loops = [star(rng, 9, 48, 36), star(rng, 4, 48, 36)]
        before = Polygons.from_loops([loops])
        thing = Instance(0, before.bounds(), before, False, None, 1)
        given = Sample(np.zeros((*SIZE, 3), np.uint8), (thing,))
        action = transform.draw(rng, given)
        there = action.apply(given)
        if not there.objects:
            continue
        (after,) = Back(action).apply(there).objects
        if len(after.outline.groups[0]) == 2 and after.outline.groups[0][0].shape == (16, 2):
            for found, loop in zip(after.outline.groups[0], loops, strict=True):
                np.testing.assert_allclose(found, loop, rtol=0, atol=1e-6)
            np.testing.assert_allclose(after.box, before.bounds(), rtol=0, atol=1e-6)
            kept += 1
    assert kept >= 5
