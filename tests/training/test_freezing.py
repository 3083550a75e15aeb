"""What of a model does not train at first."""

import numpy as np
import pytest
from helpers import batch, tiny_model, to_dataset

from keras_maskrcnn.training.freezing import Freeze

BACKBONE = ("stem_", "res2_", "res3_", "res4_", "res5_")
NECK = ("lateral", "output")
HEADS = ("box_head/", "mask_head/")


@pytest.fixture(scope="module")
def model():
    """With a stage that never trains, and norms whose statistics follow the batches."""
    model = tiny_model(**{"backbone.freeze_at": 2})
    model.compile()
    return model


def paths(model):
    return [v.path for v in model.trainable_variables]


@pytest.mark.parametrize("epochs", [None, 2])
def test_what_trains(model, epochs):
    before = paths(model)
    assert not any(path.startswith(("stem_", "res2_")) for path in before)
    freeze = Freeze(model, "backbone", epochs)
    variables = freeze.begin(0)
    assert paths(model) == [path for path in before if not path.startswith(BACKBONE)]
    assert [v.path for v in variables] == (paths(model) if epochs is None else before)
    freeze.end()
    assert paths(model) == before

    freeze = Freeze(model, "all_but_heads", epochs)
    freeze.begin(0)
    assert paths(model) == [path for path in before if path.startswith(HEADS)]
    freeze.end()
    assert paths(model) == before


def test_it_is_over_by_its_epoch(model):
    before = paths(model)
    freeze = Freeze(model, "backbone", 2)
    assert [v.path for v in freeze.begin(2)] == before == paths(model)
    with pytest.raises(ValueError, match="Did you mean 'backbone'"):
        Freeze(model, "backbon")


@pytest.mark.slow  # Two traced steps.
def test_weights_and_statistics_stand_still_and_then_move():
    model = tiny_model()
    model.compile()
    freeze = Freeze(model, "backbone", 1)
    optimizer = model.optimizer
    optimizer.build(freeze.begin(0))
    own = [v for v in model.weights if v.path.startswith(BACKBONE)]
    others = [v for v in model.trainable_variables]
    assert any(v.path.endswith("moving_mean") for v in own) and others
    states, penalties = [], []

    class Keep(type(freeze).__mro__[1]):
        def on_epoch_end(self, epoch, logs=None):
            states.append([[v.numpy() for v in group] for group in (own, others)])
            kernels = [v.numpy() for v in model.trainable_variables if v.name == "kernel"]
            penalty = model.weight_decay / 2 * sum(np.square(kernel).sum() for kernel in kernels)
            penalties.append((logs["val_regularization_loss"], penalty))

    start = [v.numpy() for v in own]
    data = to_dataset([batch()])
    # Before the last epoch ends it frees all.
    callbacks = [Keep(), freeze]
    model.fit(data, validation_data=data, epochs=2, verbose=0, callbacks=callbacks)
    assert model.optimizer is optimizer and int(optimizer.iterations) == 2
    first, second = states
    for value, before in zip(first[0], start, strict=True):
        np.testing.assert_array_equal(value, before)
    for value, before in zip(second[0], start, strict=True):
        assert np.abs(value - before).max() > 0
    assert all(np.abs(a - b).max() > 0 for a, b in zip(first[1], second[1], strict=True))
    # What is validated pays for what trains, as in a run that goes on with the second epoch.
    assert penalties[1][1] > 1.5 * penalties[0][1]
    for found, expected in penalties:
        np.testing.assert_allclose(found, expected, rtol=1e-4)
