"""The balanced sampler."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_maskrcnn.ops.sampling import random_priorities, sample_labels, scatter_labels


def _first(shape):
    """Priorities that prefer low indices."""
    return np.broadcast_to(np.linspace(1, 0, shape[1], dtype="float32"), shape)


def test_order_and_counts_by_hand():
    labels = np.array([[0, 1, -1, 1, 0, 1, 0, 0, 0], [0, 0, -1, -1, -1, -1, -1, -1, -1]], "int32")
    indices, chosen = sample_labels(labels, 6, 1 / 3, _first(labels.shape))
    np.testing.assert_array_equal(chosen, [[1, 1, 0, 0, 0, 0], [0, 0, -1, -1, -1, -1]])
    np.testing.assert_array_equal(indices, [[1, 3, 0, 4, 6, 7], [0, 1, 0, 0, 0, 0]])
    back = scatter_labels(indices, chosen, labels.shape)
    np.testing.assert_array_equal(
        back, [[0, 1, -1, 1, 0, -1, 0, 0, -1], [0, 0, -1, -1, -1, -1, -1, -1, -1]]
    )


def test_fewer_candidates_than_samples():
    labels = np.array([[1, 0]], "int32")
    indices, chosen = sample_labels(labels, 8, 0.5, _first(labels.shape))
    np.testing.assert_array_equal(chosen, [[1, 0, -1, -1, -1, -1, -1, -1]])
    np.testing.assert_array_equal(indices[0, :2], [0, 1])


def test_every_candidate_is_equally_likely():
    labels = np.concatenate([np.ones((500, 20), "int32"), np.zeros((500, 30), "int32")], axis=1)
    priorities = random_priorities(labels.shape, keras.random.SeedGenerator(3))
    indices, chosen = sample_labels(labels, 16, 0.25, priorities)
    indices, chosen = np.asarray(indices), np.asarray(chosen)
    assert ((chosen == 1).sum(axis=1) == 4).all()
    assert ((chosen == 0).sum(axis=1) == 12).all()
    assert all(len(set(row)) == 16 for row in indices)
    # 500 draws of 4 from 20: 100 expected, deviation about 9; of 12 from 30: 200 and 11.
    counts = np.bincount(indices.ravel(), minlength=50)
    assert abs(counts[:20] - 100).max() < 40
    assert abs(counts[20:] - 200).max() < 50


@pytest.mark.parametrize("jit_compile", [False, True])
def test_priorities_are_those_of_keras(jit_compile):
    shape, seed = (2, 4999), keras.random.SeedGenerator(3)
    draw = tf.function(lambda: random_priorities(shape, seed), jit_compile=jit_compile)
    expected = keras.random.uniform(shape, seed=keras.random.SeedGenerator(3), dtype="float32")
    np.testing.assert_array_equal(draw(), expected)
