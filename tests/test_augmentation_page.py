"""The page of what training will see."""

import numpy as np
import pytest
from helpers import make_data
from PIL import Image

from keras_maskrcnn.augmentation_page import augmentation_page
from keras_maskrcnn.cli.main import main
from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.writers import save_dataset
from keras_maskrcnn.images.tiling import Tiling

TILE, GAP, CAPTION = 120, 12, 26


def test_rows_and_columns(tmp_path):
    data = make_data(tmp_path, [(60, 90), (60, 90), (60, 90)])
    page = augmentation_page(
        data, "none", tmp_path / "page.png", pictures=2, draws=3, min_size=60, max_size=90,
        tile=TILE,
    )  # fmt: skip
    assert page.shape == (2 * (80 + CAPTION + GAP), 4 * (TILE + GAP) + GAP, 3)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "page.png")), page)
    # Without augmentation, all columns are the picture as it is.
    columns = [GAP + n * (TILE + GAP) for n in range(4)]
    tiles = [page[CAPTION : CAPTION + 80, x : x + TILE] for x in columns]
    for other in tiles[1:]:
        np.testing.assert_array_equal(other, tiles[0])
    # Outlines are drawn in the classes' colours.
    for color in ((255, 86, 70), (40, 160, 255)):
        assert (tiles[0] == color).all(axis=2).sum() > 20


def test_crops(tmp_path):
    """Where they lie by the grid, then as they shift: of a picture of one tile, not at all."""
    data = make_data(tmp_path, [(60, 60), (60, 300)])
    options = {"pictures": 9, "draws": 3, "tile": TILE, "tiling": Tiling(60, 10)}
    page = augmentation_page(data, "none", tmp_path / "page.png", **options)
    assert page.shape[1] == 4 * (TILE + GAP) + GAP
    columns = [GAP + n * (TILE + GAP) for n in range(4)]
    height = TILE + CAPTION + GAP
    for row in range(len(page) // height):
        tiles = [page[row * height + CAPTION :][:TILE, x : x + TILE] for x in columns]
        alike = [bool((tile == tiles[0]).all()) for tile in tiles[1:]]
        assert all(alike) == (row == 0)
    assert len(page) // height >= 3


def test_passes_are_those_of_training(tmp_path):
    data = make_data(tmp_path, [(60, 90)])
    sizes = {"min_size": 60, "max_size": 90}
    page = augmentation_page(data, "flip", pictures=1, draws=8, seed=4, tile=TILE, **sizes)
    columns = [GAP + n * (TILE + GAP) for n in range(9)]
    tiles = [page[CAPTION : CAPTION + 80, x : x + TILE] for x in columns]
    as_it_is = [bool((tile == tiles[0]).all()) for tile in tiles[1:]]
    batches = data.batches(1, augment="flip", seed=4, **sizes)
    box = data.records[0].objects[0].box
    trained = [bool((t["boxes"][0, 0].numpy() == box).all()) for _ in range(8) for _, t in batches]
    assert as_it_is == trained and len(set(trained)) == 2


def test_nothing_to_show():
    with pytest.raises(ValueError, match="Expected pictures with objects"):
        augmentation_page(DetectionData([], ["a"], [1], name="none"), "flip")


def test_command(tmp_path, capsys):
    (tmp_path / "pictures").mkdir()
    data = make_data(tmp_path / "pictures", [(60, 90)] * 4)
    save_dataset(data, tmp_path / "data", "coco")
    page = tmp_path / "page.png"
    words = ["show", "--data", str(tmp_path / "data"), "--output", str(page), "--draws", "2"]
    words += ["--min-size", "60", "--max-size", "90", "--augment", "standard"]
    assert main([*words, '{"name": "copy_paste", "max_pasted": 2}']) == 0
    assert Image.open(page).size[0] == 3 * 372 + GAP
    assert str(page) in capsys.readouterr().out
    assert main([*words, "{bad"]) == 2
    assert "Expected a name or a JSON object" in capsys.readouterr().err
    assert main([*words, "flip", "--tile", "60"]) == 2
    assert "only without --tile" in capsys.readouterr().err
    words = [*words[:7], "--tile", "40", "--overlap", "8"]
    assert main([*words, "--augment", "flip"]) == 0
    assert main([*words, "--augment", "jitterr"]) == 2
    assert "mean 'scale_jitter'" in capsys.readouterr().err
