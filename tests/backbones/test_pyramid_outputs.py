"""Backbones with maps in `pyramid_outputs`, as KerasHub has them: real ones and a stand-in."""

import keras
import numpy as np
import pytest
from helpers import TINY, batch, to_dataset

from keras_maskrcnn import MaskRCNN
from keras_maskrcnn.backbones import FunctionalBackbone


@keras.saving.register_keras_serializable(package="test")
class Steps(keras.layers.Layer):
    """A layer of layers, one of them in a list."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.conv = keras.layers.Conv2D(filters, 3, strides=2, padding="same")
        self.rest = [keras.layers.BatchNormalization(), keras.layers.ReLU()]

    def build(self, shape):
        self.conv.build(shape)
        self.rest[0].build(self.conv.compute_output_shape(shape))

    def call(self, x, training=None):
        return self.rest[1](self.rest[0](self.conv(x), training=training))

    def compute_output_shape(self, shape):
        return self.conv.compute_output_shape(shape)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable(package="test")
class Pyramid(keras.Model):
    """Its own output is no map: what counts is `pyramid_outputs`."""

    def __init__(self, width=4, **kwargs):
        images = keras.Input((None, None, 3))
        x, maps = Steps(width, name="stem")(images), {}
        for level in range(2, 6):
            x = maps[f"P{level}"] = Steps(width * level, name=f"stage{level}")(x)
        pooled = keras.layers.GlobalAveragePooling2D()(x)
        super().__init__(images, keras.layers.Dense(10)(pooled), **kwargs)
        self.width = width
        self.pyramid_outputs = maps

    def get_config(self):
        return {"name": self.name, "width": self.width}


def keras_hub_resnet():
    """The smallest that KerasHub makes, with random weights."""
    models = pytest.importorskip("keras_hub", reason="needs keras-hub").models
    return models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64, 64, 64],
        stackwise_num_blocks=[1, 1, 1, 1],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
    )


def norms(backbone):
    return [v for v in backbone.variables if v.path.endswith(("/gamma", "/beta"))]


def test_maps_are_those_of_the_pyramid():
    network = Pyramid()
    maps = FunctionalBackbone(model=network).build_maps(None, None)
    assert {name: x.shape[-1] for name, x in maps.output.items()} == {
        "C2": 8,
        "C3": 12,
        "C4": 16,
        "C5": 20,
    }
    x = np.random.default_rng(0).normal(size=(1, 64, 96, 3)).astype("float32")
    stem = network.get_layer("stage2")(network.get_layer("stem")(x))
    np.testing.assert_allclose(maps(x)["C2"], stem, atol=1e-6)


@pytest.mark.parametrize("make", [Pyramid, keras_hub_resnet])
def test_it_trains_saves_and_loads(make, tmp_path):
    network = make()
    box = {**TINY["box"], "score_threshold": 0.0}
    backbone = FunctionalBackbone(model=network, preprocessing="tf")
    model = MaskRCNN(**{**TINY, "backbone": backbone, "box": box})
    assert model.network.neck.rpn_strides == (4, 8, 16, 32, 64)
    # Batch normalisation is frozen wherever it lies; all else of the stages trains.
    assert len(norms(network)) > 8
    trained = {v.path for v in model.trainable_variables}
    assert not trained & {v.path for v in norms(network)}
    kernels = [v for v in network.variables if v.path.endswith("kernel") and len(v.shape) == 4]
    assert {v.path for v in kernels} <= trained
    before = [v.numpy() for v in kernels]
    model.compile(keras.optimizers.SGD(1e-3))
    history = model.fit(to_dataset([batch(2)]), verbose=0).history
    assert np.isfinite(history["loss"][0])
    assert all((v.numpy() != old).any() for v, old in zip(kernels, before, strict=True))
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    images = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)).astype("float32")
    expected, found = model.predict_on_batch(images), loaded.predict_on_batch(images)
    assert expected["counts"][0] > 0
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-4, err_msg=name)
