"""Forms of the mask head, worked by hand and against plain NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from keras_maskrcnn.heads import HeadContext, Mask
from keras_maskrcnn.layers.mask_head import MaskHead
from keras_maskrcnn.layers.mask_mlp_head import MaskMLPHead
from keras_maskrcnn.layers.mask_outputs import masks_of_classes
from keras_maskrcnn.losses import softmax_mask_loss

CLASSES = np.array([1, 0], "int32")
MAPS = np.random.default_rng(0).normal(size=(2, 3, 3, 4)).astype("float32")


def softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def test_sigmoids_do_not_compete_and_a_softmax_does():
    sigmoid = masks_of_classes(tf.constant(MAPS), CLASSES, "sigmoid")
    np.testing.assert_allclose(sigmoid, [MAPS[0, ..., 1], MAPS[1, ..., 0]], rtol=1e-6)
    found = masks_of_classes(tf.constant(MAPS), CLASSES, "softmax")
    shares = softmax(MAPS)
    np.testing.assert_allclose(np.exp(found[..., 0]), shares[..., 3], rtol=1e-5)
    own = np.stack([shares[0, ..., 1], shares[1, ..., 0]])
    np.testing.assert_allclose(np.exp(found[..., 1]), own, rtol=1e-5)
    agnostic = masks_of_classes(tf.constant(MAPS[..., :1]), CLASSES, "class_agnostic")
    np.testing.assert_array_equal(agnostic, MAPS[..., 0])


def test_softmax_loss_is_the_cross_entropy_of_every_pixel():
    """Of two pixels, one inside with probability .25, one outside with background .5."""
    told = np.log([[[[0.1, 0.25], [0.5, 0.2]]]]).astype("float32")
    loss = softmax_mask_loss(tf.constant(told), tf.constant([[[1.0, 0.0]]]))
    assert float(loss) == pytest.approx(-(np.log(0.25) + np.log(0.5)) / 2, rel=1e-6)


@pytest.mark.parametrize("output", ["sigmoid", "softmax", "class_agnostic"])
def test_fcn_head_is_a_convolution_to_all_masks(output):
    """Without convolutions, of features enlarged bilinearly: a matrix product for each pixel."""
    features = np.random.default_rng(1).normal(size=(2, 3, 3, 5)).astype("float32")
    layer = MaskHead(3, num_convs=0, upsampling="bilinear", output=output)
    layer(features, CLASSES)
    kernel = np.random.default_rng(2).normal(size=layer.mask_logits.kernel.shape)
    layer.mask_logits.kernel.assign(kernel)
    # Along each axis: centres of the new cells lie a quarter of an old one off.
    weights = np.array(
        [
            [1, 0, 0],
            [0.75, 0.25, 0],
            [0.25, 0.75, 0],
            [0, 0.75, 0.25],
            [0, 0.25, 0.75],
            [0, 0, 1],
        ]
    )
    large = np.einsum("yi,xj,pijc->pyxc", weights, weights, features)
    expected = masks_of_classes(
        tf.constant((large @ kernel[0, 0]).astype("float32")), CLASSES, output
    )
    np.testing.assert_allclose(layer(features, CLASSES), expected, rtol=1e-4, atol=1e-5)


def test_mlp_head_is_its_matrices():
    features = np.random.default_rng(3).normal(size=(2, 2, 2, 5)).astype("float32")
    layer = MaskMLPHead(3, num_fcs=1, dim=6, side=4, output="sigmoid")
    layer(features, CLASSES)
    layer.mask_logits.kernel.assign(np.random.default_rng(4).normal(size=(6, 4 * 4 * 3)))
    (first,), last = layer.fcs, layer.mask_logits
    hidden = np.maximum(features.reshape(2, -1) @ first.kernel.numpy(), 0)
    maps = (hidden @ last.kernel.numpy()).reshape(2, 4, 4, 3)
    np.testing.assert_allclose(
        layer(features, CLASSES), [maps[0, ..., 1], maps[1, ..., 0]], rtol=1e-4, atol=1e-5
    )


def test_a_softmax_head_decodes_to_its_probability():
    head = Mask(convs=0, pool_size=2, output="softmax")
    head.build(HeadContext(num_classes=3, roi_strides=(4,)))
    found = masks_of_classes(tf.constant(MAPS), CLASSES, "softmax")
    expected = softmax(MAPS)[[0, 1], ..., [1, 0]]
    np.testing.assert_allclose(head.decode(found, None)["masks"], expected, rtol=1e-5)


def test_names_are_checked():
    with pytest.raises(ValueError, match="Did you mean 'softmax'.* Received: output='softmaxx'"):
        MaskHead(2, output="softmaxx")
    with pytest.raises(ValueError, match="Received: upsampling='cubic'"):
        MaskHead(2, upsampling="cubic")
