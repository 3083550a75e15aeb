"""Masks of whole pictures and crops of them, through the model's own training walk."""

import numpy as np
import tensorflow as tf
from helpers import make_data, tiny_model, training_outputs
from parity.golden_models import first_come_sampling

from keras_maskrcnn.heads import Mask


def test_whole_masks_train_like_crops(tmp_path):
    """Objects whose borders are pixel borders: both know them exactly."""
    data = make_data(tmp_path, [(64, 96), (64, 96)])
    found = {}
    for whole in (False, True):
        images, targets = next(iter(data.batches(2, min_size=64, max_size=96, whole_masks=whole)))
        model = tiny_model()
        assert model.network.heads[0].layout({"images": images, **targets}) == whole
        with first_come_sampling():
            outputs = training_outputs(model, images, targets)
        model.compute_loss(y=targets, y_pred=outputs)
        losses = {mean.name: float(mean.result()) for mean in model._loss_means}
        found[whole] = losses, outputs["mask"]["targets"].numpy()
    (crop_losses, crops), (whole_losses, wholes) = found[False], found[True]
    assert crops.shape == wholes.shape and len(crops) >= 4
    assert 0.1 < crops.mean() <= 1
    assert np.abs(crops - wholes).mean() < 0.02
    for name, value in crop_losses.items():
        np.testing.assert_allclose(whole_losses[name], value, rtol=0.02, err_msg=name)


def test_a_data_set_says_which_masks_it_holds(tmp_path):
    data = make_data(tmp_path, [(64, 96)])
    crops, wholes = (
        data.batches(1, min_size=64, max_size=96, whole_masks=whole).element_spec[1]["masks"]
        for whole in (False, True)
    )
    images = tf.TensorSpec((None, None, None, 3))
    head = Mask()
    assert not head.layout({"images": images, "masks": crops})
    assert head.layout({"images": images, "masks": wholes})
