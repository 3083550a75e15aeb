"""Keras' layers: all that change pixels, repeatable in threads; those that move are refused."""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import make_data

from keras_maskrcnn.data.transforms import (
    KerasLayerTransform,
    Sample,
    make_transforms,
    transform_sample,
)
from keras_maskrcnn.data.transforms.keras_layer import _PIXEL_LAYERS

SETTINGS = {
    "RandomBrightness": {"factor": 0.3},
    "RandomColorDegeneration": {"factor": 0.5},
    "RandomColorJitter": {"brightness_factor": 0.2, "contrast_factor": 0.2, "hue_factor": 0.3},
    "RandomContrast": {"factor": 0.4},
    "RandomErasing": {"factor": 1.0},
    "RandomGaussianBlur": {"factor": 1.0, "sigma": 0.8},
    "RandomHue": {"factor": 0.5},
    "RandomPosterization": {"factor": [1, 6]},
    "RandomSaturation": {"factor": 0.8},
    "RandomSharpness": {"factor": 0.7},
    "Solarization": {"addition_factor": 0.3, "threshold_factor": 0.9},
}
FIXED = {"AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization", "Equalization"}


def picture(dtype="uint8"):
    return np.random.default_rng(0).integers(40, 200, (24, 36, 3)).astype(dtype)


def transformed(layer, seed=0, image=None):
    given = Sample(picture() if image is None else image)
    found, _, _ = transform_sample(given, make_transforms(layer), np.random.default_rng(seed))
    return found.image


# Of older versions of Keras, some are absent.
@pytest.mark.parametrize("name", [n for n in _PIXEL_LAYERS if hasattr(keras.layers, n)])
def test_all_that_change_pixels(name):
    layer = getattr(keras.layers, name)(**SETTINGS.get(name, {}))
    (transform,) = make_transforms([layer])

    def outcome(seed):
        return transform_sample(Sample(picture()), [transform], np.random.default_rng(seed))[0]

    images = [outcome(seed).image for seed in range(12)]
    assert all(image.dtype == np.uint8 for image in images)
    assert any((image != picture()).any() for image in images)
    assert (len({image.tobytes() for image in images}) == 1) == (name in FIXED)
    np.testing.assert_array_equal(outcome(3).image, images[3])
    # Its own seed and what it drew before have no say.
    other = type(layer)(**SETTINGS.get(name, {}), **({} if name in FIXED else {"seed": 7}))
    np.testing.assert_array_equal(transformed(other, 3), images[3])


def test_values_are_those_of_the_layer():
    given = picture()
    np.testing.assert_array_equal(
        transformed(keras.layers.RandomBrightness((0.2, 0.2))), np.minimum(given + 51, 255)
    )
    white = transformed(keras.layers.RandomBrightness((1, 1), value_range=(0, 255)))
    assert (white == 255).all()
    grey = tf.image.rgb_to_grayscale(given.astype("float32")).numpy()
    found = transformed(keras.layers.RandomGrayscale(factor=1))
    np.testing.assert_array_equal(found, np.rint(grey).repeat(3, axis=2))
    floats = transformed(keras.layers.RandomGrayscale(factor=1), image=picture("float32"))
    np.testing.assert_allclose(floats, grey.repeat(3, axis=2), rtol=1e-5)
    still = keras.layers.RandomBrightness(0.0)
    np.testing.assert_array_equal(transformed(still), given)


def test_draws_of_one_layer_are_independent():
    """A hue's direction and size are two draws: with one seed for both, each size has one sign."""
    draws = keras.layers.RandomHue((0.2, 1.0))
    red = np.full((1, 1, 3), (255, 0, 0), np.uint8)
    turned = [transformed(draws, seed, red)[0, 0].tolist() for seed in range(60)]
    signs = [g > b for _, g, b in turned]
    sizes = [max(g, b) + 255 - r for r, g, b in turned]
    assert 15 < sum(signs) < 45
    assert abs(np.corrcoef(signs, sizes)[0, 1]) < 0.4


def test_threads_draw_for_themselves():
    layer = keras.layers.RandomColorJitter((0, 255), 0.3, 0.3, 0.5, 0.3)
    (transform,) = make_transforms(layer)
    actions = [transform.draw(np.random.default_rng(s), Sample(picture())) for s in range(40)]
    expected = [action.apply(Sample(picture())).image for action in actions]
    found = [None] * 40
    start = threading.Barrier(8)

    def work(first):
        start.wait()
        for index in range(first, 40, 8):
            found[index] = actions[index].apply(Sample(picture())).image

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(found, expected)


def test_batches_do_not_depend_on_threads(tmp_path):
    data = make_data(tmp_path, [(64, 96)] * 8)
    augment = [keras.layers.RandomColorJitter((0, 255), 0.3, 0.3, 0.5, 0.3), "flip"]
    options = {"augment": augment, "seed": 3, "min_size": 64, "max_size": 96}
    one = tf.data.Options()
    one.threading.private_threadpool_size = 1
    passes = [
        [images.numpy() for images, _ in batches]
        for batches in (data.batches(1, **options), data.batches(1, **options).with_options(one))
    ]
    np.testing.assert_array_equal(*passes)
    assert len({image.tobytes() for image in passes[0]}) == 8


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_policies_lose_no_levels(policy):
    before = keras.config.dtype_policy()
    expected = transformed(keras.layers.RandomColorJitter((0, 255), 0.1, 0.1, 0.5, 0.1), 2)
    try:
        keras.config.set_dtype_policy(policy)
        found = transformed(keras.layers.RandomColorJitter((0, 255), 0.1, 0.1, 0.5, 0.1), 2)
    finally:
        keras.config.set_dtype_policy(before)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (keras.layers.RandomFlip(), "RandomFlip does not.*'flip'.*Did you mean 'flip'"),
        (keras.layers.RandomRotation(0.1), "RandomRotation does not.*transform of ours"),
        (keras.layers.RandomCrop(4, 4), "RandomCrop does not"),
        (keras.layers.RandomZoom(0.1), "RandomZoom does not"),
        (keras.layers.RandomTranslation(0.1, 0.1), "RandomTranslation does not"),
        (keras.layers.RandomElasticTransform(), "RandomElasticTransform does not"),
        (keras.layers.CenterCrop(4, 4), "CenterCrop does not"),
        (keras.layers.Resizing(4, 4), "Resizing does not"),
        (keras.layers.RandAugment(), "RandAugment does not"),
        (keras.layers.AugMix(), "AugMix does not"),
        (keras.layers.MixUp(), "MixUp does not"),
        (keras.layers.Rescaling(1 / 255), "Rescaling does not"),
        (keras.layers.Dense(3), "Dense does not"),
        (type("Mine", (keras.layers.RandomFlip,), {})(), "RandomFlip does not"),
        (keras.Sequential([keras.layers.RandomFlip()]), "layers of a model one by one"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, keras.Layer) else "",
)
def test_what_moves_is_refused(layer, words):
    with pytest.raises(TypeError, match=f"(?s)augment must .*{words}"):
        make_transforms(["flip", layer])


def test_other_conventions_are_refused():
    with pytest.raises(ValueError, match=r"RandomHue must have value_range=\(0, 255\).*\(0, 1\)"):
        make_transforms(keras.layers.RandomHue(0.1, value_range=(0, 1)))
    with pytest.raises(ValueError, match="data_format='channels_last'.*'channels_first'"):
        make_transforms(keras.layers.RandomHue(0.1, data_format="channels_first"))
    with pytest.raises(TypeError, match="layer must be a Keras layer.*layer='RandomHue'"):
        KerasLayerTransform(layer="RandomHue")
    # Unless the pictures are of that range.
    small = KerasLayerTransform(
        layer=keras.layers.RandomBrightness((0.5, 0.5), value_range=(0, 1)), value_range=1
    )
    given = Sample(np.full((2, 2, 3), 0.25, "float32"))
    found, _, _ = transform_sample(given, [small], np.random.default_rng(0))
    np.testing.assert_allclose(found.image, 0.75)


class Shade(keras.layers.Layer):
    """A layer of one's own, not registered, whose call knows no `training`."""

    def __init__(self, most=50, **options):
        super().__init__(**options)
        self.most = most
        self.draws = keras.random.SeedGenerator()

    def call(self, images):
        return images - keras.random.uniform((), 1, self.most, seed=self.draws)

    def get_config(self):
        return {**super().get_config(), "most": self.most}


class Half(Shade):
    def call(self, images):
        return images[:, :, ::2]


def test_layers_of_ones_own():
    images = [transformed(Shade(most=30), seed) for seed in range(5)]
    darker = np.array([picture().astype(int) - image for image in images])
    assert darker.min() >= 1 and darker.max() <= 30
    assert len({int(d.max()) for d in darker}) > 2
    np.testing.assert_array_equal(transformed(Shade(most=30), 4), images[4])
    with pytest.raises(ValueError, match=r"layer Half .*\(24, 36, 3\).*\(24, 18, 3\)"):
        transformed(Half())
