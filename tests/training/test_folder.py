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


@pytest.mark.parametrize(
    "cut", ["1", "1,", "1,2.5", "1,2.5,0.", "1,2.5,x\n", "1,2.5,0.2,7\n", "1\n"]
)
def test_a_cut_line_of_the_history_is_named_and_left_out(tmp_path, caplog, cut):
    run = RunFolder(tmp_path)
    run.history_file.write_text("epoch,loss,val_mask_ap\n0,3.5,0.1\n" + cut)
    assert run.history() == [{"epoch": 0.0, "loss": 3.5, "val_mask_ap": 0.1}]
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
        "epoch,loss,val_loss,class_loss,val_mask_ap\n0,3.5,3.6,1.1,nan\n1,2.5,2.7,0.9,0.2\n"
    )
    run.draw_learning_curves()
    picture = Image.open(run.curves_file)
    assert len(picture.convert("RGB").getcolors(10_000)) > 10
