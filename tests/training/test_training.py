"""Options, optimizers and checkpoints of a run."""

import keras
import numpy as np
import pytest

from keras_maskrcnn.training import SafeCheckpoint, TrainingOptions, make_optimizer


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


@pytest.fixture
def model():
    inputs = keras.Input((1,))
    return keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(inputs))


def _saved_weight(path):
    return float(keras.saving.load_model(path).get_weights()[0][0, 0])


def test_checkpoint_keeps_the_best_and_counts_nan_as_nothing(model, tmp_path):
    path = tmp_path / "new" / "best.keras"
    checkpoint = SafeCheckpoint(path, "val_mask_ap")
    checkpoint.set_model(model)
    kept = []
    for epoch, value in enumerate([np.nan, 0.2, 0.1, np.nan, 0.3]):
        model.set_weights([np.array([[float(epoch)]])])
        checkpoint.on_epoch_end(epoch, {"val_mask_ap": value})
        kept.append(_saved_weight(path))
    assert kept == [0.0, 1.0, 1.0, 1.0, 4.0]
    assert [file.name for file in path.parent.iterdir()] == ["best.keras"]


def test_checkpoint_goes_on_from_an_earlier_best(model, tmp_path):
    checkpoint = SafeCheckpoint(tmp_path / "best.keras", "val_mask_ap", best=0.5)
    checkpoint.set_model(model)
    checkpoint.on_epoch_end(0, {"val_mask_ap": 0.4})
    assert not list(tmp_path.iterdir())


def test_interrupt_while_saving_leaves_the_good_file(model, tmp_path, monkeypatch):
    path = tmp_path / "last.keras"
    checkpoint = SafeCheckpoint(path)
    checkpoint.set_model(model)
    model.set_weights([np.array([[3.0]])])
    checkpoint.on_epoch_end(0, {})

    def interrupted(file):
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.on_epoch_end(1, {})
    assert _saved_weight(path) == 3.0


def test_checkpoint_errors(model, tmp_path):
    with pytest.raises(ValueError, match=r"best\.h5"):
        SafeCheckpoint(tmp_path / "best.h5")
    checkpoint = SafeCheckpoint(tmp_path / "best.keras", "val_mask_ap")
    checkpoint.set_model(model)
    with pytest.raises(ValueError, match="monitor='val_mask_ap'"):
        checkpoint.on_epoch_end(0, {"loss": 1.0})
