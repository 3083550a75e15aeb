"""What the command line offers by name is what there is."""

import inspect

from keras_maskrcnn import names
from keras_maskrcnn.data.sampling import SAMPLINGS
from keras_maskrcnn.data.splits import load_splits
from keras_maskrcnn.data.transforms import POLICIES
from keras_maskrcnn.data.writers import WRITERS
from keras_maskrcnn.evaluation.metrics import PREFIXES
from keras_maskrcnn.export.exporting import FORMATS


def test_names():
    assert tuple(WRITERS) == names.WRITERS
    assert tuple(PREFIXES) == names.COMPARISONS
    assert tuple(FORMATS) == names.EXPORTS
    assert tuple(POLICIES) == names.AUGMENTATIONS
    assert SAMPLINGS.names == names.SAMPLINGS
    parameters = inspect.signature(load_splits).parameters
    assert parameters["val_fraction"].default == names.VAL_FRACTION
