"""One data set in every format that holds polygons: the same records, wherever it is read from."""

import numpy as np
import pytest
from format_files import load, outline_of
from format_scenes import CLASSES, SCENES, WRITERS, pairs, write

from keras_maskrcnn.data import FORMATS, Source


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_reads_the_same(tmp_path, name):
    write(tmp_path / name, name)
    data = load(tmp_path / name)
    assert data.class_names == CLASSES
    assert len(data) == len(SCENES)
    for record, (file, (height, width, objects)) in zip(data.records, SCENES.items(), strict=True):
        assert record.path == str(tmp_path / name / file)
        assert (record.height, record.width) == (height, width)
        assert len(record.objects) == len(objects)
        for instance, (label, outline) in zip(record.objects, objects, strict=True):
            assert data.class_names[instance.category] == label
            (polygon,) = outline_of(instance)
            np.testing.assert_allclose(polygon, outline, atol=1e-6)
            low, high = np.min(pairs(outline), axis=0), np.max(pairs(outline), axis=0)
            np.testing.assert_allclose(instance.box, [*low, *high], atol=1e-6)
    ids = [o.annotation_id for record in data.records for o in record.objects]
    assert ids == [1, 2, 3] and [record.image_id for record in data.records] == [1, 2, 3]


@pytest.mark.parametrize("name", WRITERS)
def test_no_reader_takes_the_format_of_another(tmp_path, name):
    write(tmp_path / name, name)
    assert list(FORMATS.that_find(Source(tmp_path / name))) == [name]


def test_the_same_first_batch(tmp_path):
    """What training sees is the same too, masks and all."""
    batches = []
    for name in WRITERS:
        write(tmp_path / name, name)
        data = load(tmp_path / name)
        batches.append(next(iter(data.batches(3, min_size=64, max_size=96, seed=0, shuffle=True))))
    images, targets = batches[0]
    for other_images, other_targets in batches[1:]:
        np.testing.assert_array_equal(images, other_images)
        assert set(other_targets) == set(targets)
        for key, values in targets.items():
            np.testing.assert_allclose(values, other_targets[key], atol=1e-4, err_msg=key)
