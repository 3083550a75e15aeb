"""Files appear whole, or not at all."""

import os

import pytest

from keras_maskrcnn.training.files import remove_partials, replacing


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with replacing(path) as partial:
        partial.write_text("one")
        assert not path.exists()
    assert path.read_text() == "one"
    with replacing(path) as partial:
        partial.write_text("tw")
        (partial.parent / "of the writer itself").touch()
        assert path.read_text() == "one"
    assert path.read_text() == "tw"
    assert os.listdir(path.parent) == ["a.txt"]


def test_failures_keep_the_old_file_and_name_it(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as partial:
        partial.write_text(str(1 / 0))
    message = rf"^Cannot write {path}: No such file or directory$"
    with pytest.raises(OSError, match=message), replacing(path):
        pass  # Nothing is written.
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_a_killed_writer_left_is_removed(tmp_path):
    (tmp_path / ".a.txt.partial").mkdir()
    (tmp_path / ".a.txt.partial" / "a.txt").write_text("ha")
    (tmp_path / "b.txt").touch()
    (tmp_path / "c.partial").mkdir()  # Not ours.
    with replacing(tmp_path / "a.txt") as partial:
        assert list(partial.parent.iterdir()) == []
        partial.write_text("whole")
    assert remove_partials(tmp_path) == []
    (tmp_path / ".a.txt.partial").mkdir()
    assert remove_partials(tmp_path) == ["a.txt"]
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "b.txt", "c.partial"]
