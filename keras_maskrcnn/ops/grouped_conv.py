"""Grouped convolution with a gradient that is quick on every CPU.

Keras compiles a grouped convolution with XLA on CPU, and TensorFlow's own gradient without oneDNN
is a plain loop: either takes seconds where the forward pass takes milliseconds. The gradients below
need only what is fast everywhere: the forward convolution and batched matrix products.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def grouped_conv2d(inputs: Any, kernel: Any, *, groups: int, stride: int = 1) -> Any:
    """Convolves groups of channels apart, without padding.

    Args:
        inputs: `[B, H, W, groups * ci]`.
        kernel: `[k, k, ci, groups * co]`, the layout of `keras.layers.Conv2D(groups=groups)`.
        groups: number of groups.
        stride: step along both axes.

    Returns:
        `[B, (H - k) // stride + 1, (W - k) // stride + 1, groups * co]`.
    """

    @tf.custom_gradient
    def apply(x: tf.Tensor, w: tf.Tensor) -> Any:
        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return _input_gradient(x, w, dy, groups, stride), _kernel_gradient(
                x, w, dy, groups, stride
            )

        # Without oneDNN, which TensorFlow leaves out on some CPUs, its optimiser joins a
        # convolution and the bias that follows into a kernel that refuses groups. It joins
        # neighbours only.
        y = tf.nn.conv2d(x, w, stride, "VALID")
        return tf.ensure_shape(y, [None, None, None, w.shape[-1]]), gradient

    return apply(tf.convert_to_tensor(inputs), tf.convert_to_tensor(kernel))


def _input_gradient(
    x: tf.Tensor, w: tf.Tensor, dy: tf.Tensor, groups: int, stride: int
) -> tf.Tensor:
    """Full correlation of the output's gradient with the mirrored kernel."""
    side, _, ci, out_channels = w.shape
    co = out_channels // groups
    batch, height, width = tf.unstack(tf.shape(dy)[:3])
    if stride > 1:  # zeros between the samples: [B, h, 1, w, 1, C] -> [B, h s, w s, C]
        gaps = [[0, 0], [0, 0], [0, stride - 1], [0, 0], [0, stride - 1], [0, 0]]
        dy = tf.pad(dy[:, :, None, :, None, :], gaps)
        dy = tf.reshape(dy, [batch, height * stride, width * stride, out_channels])
    # The forward pass may leave a remainder of H - k over stride: it is cut or filled with zeros.
    rows, columns = tf.shape(x)[1] - side + 1, tf.shape(x)[2] - side + 1
    dy = dy[:, :rows, :columns]
    border = side - 1
    pad_rows = [border, border + rows - tf.shape(dy)[1]]
    pad_columns = [border, border + columns - tf.shape(dy)[2]]
    dy = tf.pad(dy, [[0, 0], pad_rows, pad_columns, [0, 0]])
    # [k, k, ci, g, co] -> [k, k, co, g, ci] -> [k, k, co, g ci]
    mirrored = tf.reshape(w[::-1, ::-1], [side, side, ci, groups, co])
    mirrored = tf.reshape(tf.transpose(mirrored, [0, 1, 4, 3, 2]), [side, side, co, groups * ci])
    return tf.ensure_shape(tf.nn.conv2d(dy, mirrored, 1, "VALID"), x.shape)


def _kernel_gradient(
    x: tf.Tensor, w: tf.Tensor, dy: tf.Tensor, groups: int, stride: int
) -> tf.Tensor:
    """For each of the k * k taps, one matrix product per group over all pixels."""
    side, _, ci, out_channels = w.shape
    co = out_channels // groups
    channels = groups * ci
    height, width = tf.shape(dy)[1], tf.shape(dy)[2]
    if stride > 1:
        # Every tap sees each stride-th pixel. Sorting the pixels by phase once, into the channels,
        # makes that a plain slice: strided slices are ten times slower.
        rest = [-(tf.shape(x)[axis]) % stride for axis in (1, 2)]
        x = tf.pad(x, [[0, 0], [0, rest[0]], [0, rest[1]], [0, 0]])
        x = tf.nn.space_to_depth(x, stride)
    # dy: [B, h, w, g co] -> [g, B h w, co]
    dy = tf.transpose(tf.reshape(dy, [-1, groups, co]), [1, 0, 2])
    taps = []
    for row in range(side):
        for column in range(side):
            top, left = row // stride, column // stride
            phase = channels * (row % stride * stride + column % stride)
            seen = x[:, top : top + height, left : left + width, phase : phase + channels]
            seen = tf.transpose(tf.reshape(seen, [-1, groups, ci]), [1, 2, 0])
            taps.append(tf.matmul(seen, dy))  # [g, ci, co]
    # [k k, g, ci, co] -> [k, k, ci, g co]
    stacked = tf.transpose(tf.stack(taps), [0, 2, 1, 3])
    return tf.reshape(stacked, [side, side, ci, out_channels])
