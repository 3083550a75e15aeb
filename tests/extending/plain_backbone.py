"""A stranger's backbone: a plain Functional model, and one that is chosen by name."""

import keras

from keras_maskrcnn.backbones import BACKBONES, Backbone


def plain_network(width=8):
    """Strided convolutions; the maps of stride 4 to 32 are outputs."""
    images = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(width, 3, strides=2, padding="same", activation="relu")(images)
    maps = []
    for level in range(4):
        x = keras.layers.Conv2D(
            width * 2**level, 3, strides=2, padding="same", activation="relu", name=f"down{level}"
        )(x)
        maps.append(x)
    return keras.Model(images, maps, name="plain")


@BACKBONES.register("plain")
class PlainBackbone(Backbone):
    """The same with a setting of its own."""

    def __init__(self, *, width=8, preprocessing="tf"):
        super().__init__(preprocessing=preprocessing)
        self.width = width

    def build_maps(self, outputs, dtype):
        network = plain_network(self.width)
        maps = dict(zip(("C2", "C3", "C4", "C5"), network.outputs, strict=True))
        wanted = {name: maps[name] for name in outputs or maps}
        return keras.Model(network.inputs[0], wanted, name="plain")
