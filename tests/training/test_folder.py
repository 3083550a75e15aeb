"""What a run folder reads back and draws."""

import pytest
from PIL import Image

from keras_maskrcnn.training import RunFolder


def test_repeated_epoch_counts_once_with_its_later_numbers(tmp_path):
    run = RunFolder(tmp_path)
    assert run.history() == []
    run.history_file.write_text("epoch,loss,val_mask_ap\n0,3.5,nan\n1,9,0.1\n1,2.5,0.2\n")
    history = run.history()
    assert [row["epoch"] for row in history] == [0, 1]
    assert history[1] == {"epoch": 1.0, "loss": 2.5, "val_mask_ap": 0.2}


def test_a_run_goes_on_from_its_backup(tmp_path):
    run = RunFolder(tmp_path)
    assert run.epochs_done() == 0
    run.history_file.write_text("epoch,loss\n0,3\n1,2\n")
    assert run.epochs_done() == 2
    # Interrupted after the second epoch's line was written, before its weights were.
    run.backup_dir.mkdir()
    (run.backup_dir / "training_metadata.json").write_text('{"epoch": 1, "batch": 0}')
    assert run.epochs_done() == 1


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
        "epoch,loss,val_loss,class_loss,val_mask_ap\n0,3.5,3.6,1.1,nan\n1,2.5,2.7,0.9,0.2\n"
    )
    run.draw_learning_curves()
    picture = Image.open(run.curves_file)
    assert len(picture.convert("RGB").getcolors(10_000)) > 10
