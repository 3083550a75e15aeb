"""What a run folder reads back and draws."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from doctor_data import data_of, pixels, record, save, thing
from PIL import Image

from keras_maskrcnn import prediction_page
from keras_maskrcnn.results import Detections
from keras_maskrcnn.training import RunFolder, TrainingState
from keras_maskrcnn.training.checkpoints import RunCheckpoint


def test_repeated_epoch_counts_once_with_its_later_numbers(tmp_path):
    run = RunFolder(tmp_path)
    assert run.history() == []
    run.history_file.write_text("epoch,loss,val_mask_ap\n1,3.5,nan\n2,9,0.1\n2,2.5,0.2\n")
    history = run.history()
    assert [row["epoch"] for row in history] == [1, 2]
    assert history[1] == {"epoch": 2.0, "loss": 2.5, "val_mask_ap": 0.2}


@pytest.mark.parametrize(
    "cut", ["2", "2,", "2,2.5", "2,2.5,0.", "2,2.5,x\n", "2,2.5,0.2,7\n", "2\n"]
)
def test_a_cut_line_of_the_history_is_named_and_left_out(tmp_path, caplog, cut):
    run = RunFolder(tmp_path)
    run.history_file.write_text("epoch,loss,val_mask_ap\n1,3.5,0.1\n" + cut)
    assert run.history() == [{"epoch": 1.0, "loss": 3.5, "val_mask_ap": 0.1}]
    assert repr(cut) in caplog.text


def test_a_folder_that_a_run_hardly_touched_is_unused(tmp_path):
    run = RunFolder(tmp_path / "new")
    assert run.is_unused()
    with run.lock():
        assert run.is_unused()
        (run.path / ".config.json.partial").mkdir()
        assert run.is_unused()
        run.write_config({})
        assert not run.is_unused()


def test_half_written_files_are_passed_over_with_a_word(tmp_path, caplog):
    run = RunFolder(tmp_path)
    half = tmp_path / ".last.keras.partial"
    half.mkdir()
    (half / "last.keras").write_bytes(b"half")
    assert run.state() is None
    run.remove_partials()
    assert "half-written last.keras" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_config_round_trip_and_errors(tmp_path):
    run = RunFolder(tmp_path / "new")
    with pytest.raises(ValueError, match=r"config\.json"):
        run.read_config()
    run.write_config({"options": {"epochs": 3}})
    assert run.read_config() == {"options": {"epochs": 3}}
    run.config_file.write_text("{")
    with pytest.raises(ValueError, match="Expected JSON"):
        run.read_config()


def test_learning_curves_are_drawn(tmp_path):
    run = RunFolder(tmp_path)
    run.history_file.write_text(
        "epoch,loss,val_loss,class_loss,val_mask_ap\n1,3.5,3.6,1.1,nan\n2,2.5,2.7,0.9,0.2\n"
    )
    run.draw_learning_curves()
    picture = Image.open(run.curves_file)
    assert len(picture.convert("RGB").getcolors(10_000)) > 10


def test_history_counts_epochs_from_1(tmp_path):
    run = RunFolder(tmp_path)
    state = TrainingState(pictures=4)
    checkpoint = RunCheckpoint(run, state, "val_mask_ap")
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    model.stop_training = False  # As `fit` begins.
    checkpoint.set_model(model)
    for epoch, value in enumerate((0.1, 0.3, 0.2)):
        checkpoint.on_epoch_end(epoch, {"val_mask_ap": value})
    lines = run.history_file.read_text().splitlines()
    assert lines == ["epoch,val_mask_ap", "1,0.1", "2,0.3", "3,0.2"]
    assert [row["epoch"] for row in run.state().history] == [1, 2, 3]
    assert run.state().epochs_done == 3  # A resumed run goes on with Keras' fourth, number 3.


def test_predictions_are_drawn_however_low_their_scores_are(tmp_path, monkeypatch):
    notes = []
    threshold = prediction_page.page_threshold
    monkeypatch.setattr(
        prediction_page, "page_threshold", lambda *a: notes.append(threshold(*a)) or notes[-1]
    )
    data = data_of(
        [record(k, save(tmp_path / f"{k}.png", pixels(k)), [thing(k)]) for k in range(2)]
    )

    def predict(paths, verbose):
        return [
            Detections([[10, 10, 42, 42]] * 2, [0, 0], [0.21, 0.1], None, (60, 80), ["cat"])
            for _ in paths
        ]

    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.draw_predictions(SimpleNamespace(predict=predict), data)
    assert notes[0][0] == 0.21 and "nothing reached 0.5" in notes[0][1]
    page = np.asarray(Image.open(run.predictions_file))
    # A line for the page, then each picture beside what was found in it.
    assert page.shape == (30 + 2 * (360 + 46), 2 * 480 + 48, 3)
