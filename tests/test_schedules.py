"""Learning rates by hand."""

import keras
import pytest

from keras_maskrcnn.schedules import WarmupSchedule


def _rates(schedule, steps):
    return [float(schedule(step)) for step in steps]


def test_linear_warmup_from_a_thousandth():
    schedule = WarmupSchedule(0.02, total_steps=900, warmup_steps=100, decay="constant")
    assert _rates(schedule, [0, 50, 100, 500]) == pytest.approx([2e-5, 0.01001, 0.02, 0.02])


def test_steps_at_two_thirds_and_eight_ninths():
    schedule = WarmupSchedule(1.0, total_steps=90, decay="step")
    expected = [1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
    assert _rates(schedule, [0, 59, 60, 79, 80, 200]) == pytest.approx(expected)


def test_cosine_falls_to_zero_and_stays():
    schedule = WarmupSchedule(2.0, total_steps=100, decay="cosine")
    assert _rates(schedule, [0, 50, 100, 150]) == pytest.approx([2.0, 1.0, 0.0, 0.0], abs=1e-6)


def test_round_trip_through_an_optimizer():
    optimizer = keras.optimizers.SGD(WarmupSchedule(0.5, 40, 7, "cosine"))
    config = keras.optimizers.serialize(optimizer)
    rate = keras.optimizers.deserialize(config)._learning_rate
    assert rate.get_config() == {
        "learning_rate": 0.5,
        "total_steps": 40,
        "warmup_steps": 7,
        "decay": "cosine",
        "steps_per_update": 1,
    }


def test_unknown_decay():
    with pytest.raises(ValueError, match="decay='linear'"):
        WarmupSchedule(0.1, 10, decay="linear")
