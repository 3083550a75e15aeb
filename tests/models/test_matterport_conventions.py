"""Matterport's conventions in a model that trains, is saved and loaded."""

import keras
import numpy as np
import pytest
from helpers import batch, tiny_model, to_dataset, training_outputs

from keras_maskrcnn.matterport import MATTERPORT_CONVENTIONS

CHANGES = {**MATTERPORT_CONVENTIONS, "rpn.channels": 24, "box.score_threshold": 0.0}


@pytest.mark.slow  # One more trace.
def test_trains_and_survives_saving(tmp_path):
    model = tiny_model(**CHANGES)
    assert model.network.rpn.head.channels == 24
    model.compile()
    data = to_dataset([batch(height=64, width=96)])
    history = model.fit(data, epochs=2, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    images, targets = batch(height=64, width=96, seed=1)
    inputs = {"images": images, "image_sizes": targets["image_sizes"]}
    found = model.predict_on_batch(inputs)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert loaded.get_config() == model.get_config()
    for name, values in loaded.predict_on_batch(inputs).items():
        np.testing.assert_allclose(values, found[name], atol=1e-5)


def test_targets_are_in_the_networks_own_boxes():
    model = tiny_model(**CHANGES)
    images, targets = batch(height=64, width=96)
    outputs = training_outputs(model, images, targets)
    # Ground truth joins the proposals: its own RoI has nothing to correct, and sees its whole mask.
    positive = np.isin(outputs["box"]["classes"], (0, 1))
    deltas = np.abs(np.array(outputs["box"]["target_deltas"])[positive]).max(axis=-1)
    exact = np.flatnonzero(deltas < 1e-6)
    assert len(exact) >= 4  # two objects in each of two pictures
    own = np.array(outputs["mask"]["targets"])[exact]
    classes = np.array(outputs["box"]["classes"])[positive][exact]
    np.testing.assert_array_equal(own[classes == 0], 1)
    np.testing.assert_array_equal(own[classes == 1].mean(axis=(1, 2)), 0.5)
