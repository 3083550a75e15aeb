"""Options of a run, and the optimizer that they describe."""

import keras
import pytest

from keras_maskrcnn.training import TrainingOptions, make_optimizer


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"optimizer": "lion"}, "optimizer='lion'"),
        ({"schedule": "linear"}, "schedule='linear'"),
        ({"epochs": 0}, "epochs=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0"),
    ],
)
def test_bad_options(field, message):
    with pytest.raises(ValueError, match=message):
        TrainingOptions(**field)


def test_default_rate_grows_with_the_batch():
    # .02 for 16 pictures, reached after a tenth of the run.
    optimizer = make_optimizer(TrainingOptions(batch_size=4), total_steps=300)
    assert isinstance(optimizer, keras.optimizers.SGD)
    assert optimizer.momentum == 0.9
    assert float(optimizer._learning_rate(30)) == pytest.approx(0.005)
    assert float(optimizer._learning_rate(15)) == pytest.approx(0.005 * 0.5005)


def test_warmup_is_at_most_a_thousand_steps():
    rate = make_optimizer(TrainingOptions(), total_steps=90_000)._learning_rate
    assert rate.warmup_steps == 1000
    rate = make_optimizer(TrainingOptions(warmup_steps=7, optimizer="adam"), 90_000)._learning_rate
    assert (rate.warmup_steps, rate.learning_rate) == (7, 2e-4)
