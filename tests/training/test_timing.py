"""A run that time ends, on a clock that is turned by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_maskrcnn.training import TrainingOptions
from keras_maskrcnn.training.timing import TimedRun


class Turn:
    """What `fit` does, in epochs of 10 batches of 2 seconds, whose ends take 9; the first step
    takes `traced` seconds more.

    Attributes:
        rows: second and learning rate of each batch.
        ends: seconds at which epochs ended.
    """

    def __init__(self, minutes, seconds=0.0, done=0, traced=0.0, **options):
        options = TrainingOptions(minutes=minutes, learning_rate=1.0, **options)
        self.now = 1000.0
        timed = TimedRun(options, seconds, clock=lambda: self.now)
        optimizer = SimpleNamespace(iterations=done, learning_rate=1.0)
        model = SimpleNamespace(optimizer=optimizer, stop_training=False)
        timed.set_model(model)
        timed.set_params({"steps": 10})
        self.rows, self.ends = [], []
        timed.on_train_begin()
        while not model.stop_training:
            timed.on_epoch_begin(len(self.ends))
            for batch in range(10):
                timed.on_train_batch_begin(batch)
                self.rows.append((timed.seconds, optimizer.learning_rate))
                self.now += 2.0 + (traced if len(self.rows) == 1 else 0.0)
                timed.on_train_batch_end(batch)
                if model.stop_training:
                    break
            self.now += 9.0
            self.ends.append(timed.seconds)


def test_it_ends_in_time_after_the_end_of_an_epoch():
    # 29 seconds an epoch: four make 116; 184 of 300 are left, ten make 290, and 10 seconds are no
    # room for a batch and another end.
    turn = Turn(minutes=5)
    assert turn.ends == [29.0 * epoch for epoch in range(1, 11)]
    # Ten seconds more, and five batches of the next epoch fit: 10 + 9 is under 20.
    turn = Turn(minutes=310 / 60)
    assert turn.ends[-1] == 290 + 2 * 5 + 9
    assert len(turn.rows) == 105


def test_the_rate_follows_the_clock_and_its_fall_ends_with_it():
    turn = Turn(minutes=5, schedule="cosine", warmup_steps=0)
    seconds, rates = np.array(turn.rows).T
    after = seconds > 29  # From then on it is known that 9 seconds are to be kept.
    expected = 0.5 * (1 + np.cos(np.pi * seconds[after] / 291))
    np.testing.assert_allclose(rates[after], expected, rtol=1e-4, atol=1e-6)
    # The last batch begins 12 seconds before the last end.
    assert rates[-1] < 0.005 and (np.diff(rates) <= 1e-7).all()
    # Before, a tenth of the time.
    assert rates[5] == pytest.approx(0.5 * (1 + np.cos(np.pi * 10 / 270)))


def test_warm_up_takes_a_tenth_of_the_time_or_its_own_steps():
    seconds, rates = np.array(Turn(minutes=5, schedule="constant").rows).T
    progress = seconds / np.where(seconds < 29, 270, 291)
    np.testing.assert_allclose(rates, 0.001 + 0.999 * np.minimum(progress / 0.1, 1), rtol=1e-5)
    rates = np.array(Turn(minutes=5, schedule="constant", warmup_steps=4).rows)[:6, 1]
    assert rates == pytest.approx([0.001, 0.25075, 0.5005, 0.75025, 1, 1])


def test_a_resumed_run_takes_what_is_left():
    whole = Turn(minutes=5, schedule="cosine")
    rest = Turn(minutes=5, seconds=145, done=50, schedule="cosine")
    assert len(whole.ends) == 10 and len(rest.ends) == 5
    assert rest.ends == pytest.approx(whole.ends[5:])
    # First it does not know how long an end is, and keeps more: then the rate waits for the clock.
    rates, others = ([rate for _, rate in run.rows[-40:]] for run in (whole, rest))
    assert others[0] < rates[0] and others[0] == rest.rows[9][1]
    assert others[1:] == pytest.approx(rates[1:], rel=1e-5, abs=1e-7)


def test_a_short_time_is_one_step_and_an_end():
    turn = Turn(minutes=0.01)
    assert len(turn.rows) == 1 and len(turn.ends) == 1


def test_that_the_first_step_is_traced_does_not_count():
    turn = Turn(minutes=5, traced=150.0)
    assert turn.ends == [150 + 29 * epoch for epoch in range(1, 6)]


def test_options():
    assert TrainingOptions(minutes=5).epochs is None
    assert TrainingOptions().epochs == 12
    with pytest.raises(ValueError, match="epochs=3 and minutes=5"):
        TrainingOptions(minutes=5, epochs=3)
    with pytest.raises(ValueError, match="minutes=0"):
        TrainingOptions(minutes=0)
    with pytest.raises(ValueError, match="minutes=None"):
        TimedRun(TrainingOptions())
