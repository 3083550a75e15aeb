"""The composed scenes: reproducible, exact, readable by pycocotools."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from scipy import ndimage

from keras_maskrcnn.demo import sprites, textures
from keras_maskrcnn.demo.scenes import CATEGORY_IDS, build_scenes, compose_scene


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build_scenes(tmp_path_factory.mktemp("scenes"), train=12, val=12, size=160, seed=3)


def _digests(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def _objects(folder, split):
    coco = COCO(str(folder / f"instances_{split}.json"))
    for image in coco.imgs.values():
        picture = np.asarray(Image.open(folder / split / image["file_name"]))
        assert picture.shape == (image["height"], image["width"], 3)
        annotations = coco.imgToAnns[image["id"]]
        yield picture, annotations, [coco.annToMask(a).astype(bool) for a in annotations]


def test_same_seed_writes_the_same_bytes_and_another_does_not(tmp_path):
    first = _digests(build_scenes(tmp_path / "a", train=3, val=2, size=96, seed=7))
    assert len(first) == 3 + 2 + 2
    assert first == _digests(build_scenes(tmp_path / "b", train=3, val=2, size=96, seed=7))
    other = _digests(build_scenes(tmp_path / "c", train=3, val=2, size=96, seed=8))
    assert all(other[name] != digest for name, digest in first.items())


@pytest.mark.parametrize("split", textures.SPLITS)
def test_masks_boxes_and_areas_agree(folder, split):
    for _, annotations, masks in _objects(folder, split):
        assert annotations
        # No pixel belongs to two objects: what is hidden is not in the mask.
        assert np.sum(masks, axis=0).max() == 1
        for annotation, mask in zip(annotations, masks, strict=True):
            assert mask.sum() == annotation["area"] > 50
            rows, columns = np.nonzero(mask)
            x, y, w, h = annotation["bbox"]
            assert (x, y) == (columns.min(), rows.min())
            assert (x + w, y + h) == (columns.max() + 1, rows.max() + 1)


@pytest.mark.parametrize("split", textures.SPLITS)
def test_the_picture_has_an_edge_where_the_mask_ends(folder, split):
    # Against the same outline moved by 5 pixels in eight directions.
    moves = [(dy, dx) for dy in (-5, 0, 5) for dx in (-5, 0, 5) if (dy, dx) != (0, 0)]
    ratios = []
    for picture, _, masks in _objects(folder, split):
        channels = np.moveaxis(picture.astype("float32"), -1, 0)
        gradient = np.max([ndimage.gaussian_gradient_magnitude(c, 0.7) for c in channels], axis=0)
        for mask in masks:
            border = mask & ~ndimage.binary_erosion(mask, border_value=1)
            moved = [ndimage.shift(border.astype("uint8"), move, order=0) > 0 for move in moves]
            elsewhere = np.mean([gradient[m].mean() for m in moved if m.any()])
            ratios.append(gradient[border].mean() / elsewhere)
    # Measured: medians 2.8 and 2.4, minima 2.0 and 1.5.
    assert np.median(ratios) > 2
    assert np.min(ratios) > 1.3


def test_both_mask_encodings_and_picture_formats_occur(folder):
    content = json.loads((folder / "instances_train.json").read_text())
    kinds = {type(a["segmentation"]) for a in content["annotations"]}
    assert kinds == {list, dict}
    assert {i["file_name"][-4:] for i in content["images"]} == {".jpg", ".png"}
    assert [c["name"] for c in content["categories"]] == list(sprites.CLASS_NAMES)
    assert {a["category_id"] for a in content["annotations"]} <= set(CATEGORY_IDS)
    assert len({(i["height"], i["width"]) for i in content["images"]}) > 1


def test_every_class_occurs_and_most_of_each_object_is_visible():
    seen = set()
    for seed in range(12):
        scene = compose_scene("train", 96, np.random.default_rng(seed))
        assert scene.image.dtype == np.uint8
        assert scene.masks.shape == (len(scene.classes), *scene.image.shape[:2])
        seen |= set(scene.classes.tolist())
    assert seen == set(range(len(sprites.CLASS_NAMES)))


def test_splits_share_no_photograph_and_no_coin():
    for pictures in (
        [p.tobytes() for s in textures.SPLITS for p in textures.photographs(s)],
        [c.colors.tobytes() for s in textures.SPLITS for c in sprites.coins(s)],
    ):
        assert len(set(pictures)) == len(pictures)
    assert len(sprites.coins("train")) + len(sprites.coins("val")) == 24


def test_sprites_have_the_expected_areas():
    # Annulus: pi (R^2 - r^2); five-pointed star: 5 R r sin(36 degrees).
    radius = 128 / 2 - 2
    assert sprites.ring(0.5).sum() == pytest.approx(np.pi * radius**2 * 0.75, rel=0.01)
    unit = 128 * 0.48
    expected = 5 * unit * 0.5 * unit * np.sin(np.pi / 5)
    assert sprites.star(5, 0.5).sum() == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("argument", "message"),
    [({"train": 0}, "train=0"), ({"val": 0}, "val=0"), ({"size": 32}, "size=32")],
)
def test_bad_arguments(tmp_path, argument, message):
    with pytest.raises(ValueError, match=message):
        build_scenes(tmp_path, **argument)
