"""What the command line offers by name is what there is."""

import inspect

from helpers import SMALLEST

from keras_maskrcnn import MaskRCNN, names
from keras_maskrcnn.backbones import BACKBONES
from keras_maskrcnn.data.sampling import SAMPLINGS
from keras_maskrcnn.data.splits import load_splits
from keras_maskrcnn.data.transforms import POLICIES
from keras_maskrcnn.data.writers import WRITERS
from keras_maskrcnn.evaluation.metrics import PREFIXES
from keras_maskrcnn.export.exporting import FORMATS
from keras_maskrcnn.heads import BOXES, HEADS, RPNS
from keras_maskrcnn.necks import NECKS
from keras_maskrcnn.parts import setting_names
from keras_maskrcnn.poolers import POOLERS


def test_names():
    assert tuple(WRITERS) == names.WRITERS
    assert tuple(PREFIXES) == names.COMPARISONS
    assert tuple(FORMATS) == names.EXPORTS
    assert tuple(POLICIES) == names.AUGMENTATIONS
    assert SAMPLINGS.names == names.SAMPLINGS
    parameters = inspect.signature(load_splits).parameters
    assert parameters["val_fraction"].default == names.VAL_FRACTION


def test_metrics():
    """All that `CocoMetrics` has, keypoints' too."""
    areas = {"ap", "ap50", "ap75", "apm", "apl", "ar", "arm", "arl"}
    boxes = areas | {"aps", "ars", "ar_1", "ar_10"}
    expected = {f"{kind}_{name}" for kind in ("box", "mask") for name in boxes}
    expected |= {f"keypoint_{name}" for name in areas | {"ar50", "ar75"}}
    assert set(names.METRICS) == expected and len(names.METRICS) == len(expected)


def test_backbones_and_settings():
    assert set(names.BACKBONES) == set(BACKBONES.names) - {"functional", SMALLEST}
    assert sorted(names.MODEL_SETTINGS) == sorted(setting_names(MaskRCNN))
    expected = {
        kind: {
            name: tuple(sorted({*setting_names(registry.find(name)), "name"}))
            for name in registry.names
        }
        for kind, registry in (
            *(("backbone", BACKBONES), ("neck", NECKS), ("rpn", RPNS)),
            *(("box", BOXES), ("heads", HEADS)),
        )
    }
    del expected["backbone"]["functional"], expected["backbone"][SMALLEST]
    expected["pooler"] = {
        name: tuple(sorted({*parameters_of(POOLERS.find(name)), "name"} - {"kwargs"}))
        for name in POOLERS.names
    }
    assert expected == names.PART_SETTINGS


def parameters_of(cls):
    return inspect.signature(cls).parameters
