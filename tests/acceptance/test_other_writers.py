"""Files that other libraries wrote: we read of them what these libraries themselves read.

    OTHER_WRITERS=PYTHON pytest -m slow -s tests/acceptance/test_other_writers.py

PYTHON is one of an environment with datumaro (1.13) and supervision (0.31).
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from keras_maskrcnn.data import load_dataset
from keras_maskrcnn.outlines import Polygons

FORMATS = (
    "datumaro_coco_instances",
    "datumaro_cvat",
    "datumaro_open_images",
    "datumaro_voc",
    "supervision_coco",
    "supervision_labelme",
    "supervision_yolo",
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    python = os.environ.get("OTHER_WRITERS")
    if not python:
        pytest.skip("OTHER_WRITERS names no Python with datumaro and supervision")
    folder = tmp_path_factory.mktemp("written")
    script = Path(__file__).with_name("other_writers.py")
    done = subprocess.run([python, script, folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def overlap(a, b):
    return np.logical_and(a, b).sum() / max(1, np.logical_or(a, b).sum())


@pytest.mark.parametrize("name", FORMATS)
def test_what_others_wrote(written, name):
    truth = json.loads((written / f"{name}.json").read_text())
    data = load_dataset(written / name, verbose=False)
    assert data.warnings == []
    assert len(data) == len(truth) == 3
    farthest, least, objects = 0.0, 1.0, 0
    for record in data.records:
        expected = truth[Path(record.path).stem]
        # A mask of two objects that touch may be one of another's: each has its own counterpart.
        assert len(record.instances) == len(expected)
        left = list(range(len(expected)))
        for instance in record.instances:
            objects += 1
            drawn = instance.outline.draw_whole(record.height, record.width) > 0
            masks = [mask_of(expected[k], record) for k in left]
            best = int(np.argmax([overlap(drawn, mask) for mask in masks]))
            own = expected[left.pop(best)]
            assert data.class_names[instance.category] == own["label"]
            if "polygon" in own and isinstance(instance.outline, Polygons):
                (group,) = instance.outline.groups
                # datumaro keeps float32.
                points = np.reshape(own["polygon"], (-1, 2)).astype(np.float32)
                off = np.abs(group[0].astype(np.float32) - points).max()
                farthest = max(farthest, float(off))
                continue
            least = min(least, float(overlap(drawn, masks[best])))
    print(f"{name}: {objects} objects, vertices within {farthest:.1e}, IoU from {least:.4f}")
    assert objects >= 8
    assert farthest <= 1e-6 and least >= 0.999


def mask_of(item, record):
    size = record.height, record.width
    if "polygon" in item:
        return Polygons([item["polygon"]]).draw_whole(*size) > 0
    assert tuple(item["size"]) == size
    mask = np.zeros(size, bool)
    mask[tuple(np.array(item["mask"]).T)] = True
    return mask
