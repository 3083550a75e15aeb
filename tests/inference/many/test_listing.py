"""Which pictures there are."""

import pytest

from keras_maskrcnn.inference.many.listing import list_pictures


@pytest.fixture
def folder(tmp_path):
    for name in ("b.png", "a.jpg", "notes.txt", "c/d.PNG", "c/e/f.tif", "c/g.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "list.txt").write_text(f"c/d.PNG\n\n  b.png\n{tmp_path}/a.jpg\nb.png\nno.png\n")
    return tmp_path


def names(found, folder, start=""):
    assert all(path.startswith(f"{start}{folder}/") for path in found)
    return [path.removeprefix(f"{start}{folder}/") for path in found]


@pytest.mark.parametrize("start", ["", "file://"], ids=["disk", "bucket"])
def test_folders_lists_and_patterns(folder, start):
    """`file://` goes through TensorFlow's file systems, as `gs://` does."""
    here = f"{start}{folder}"
    found = names(list_pictures(here), folder, start)
    assert found == ["a.jpg", "b.png", "c/d.PNG", "c/e/f.tif"]
    assert names(list_pictures(f"{here}/*.png"), folder, start) == ["b.png"]
    assert names(list_pictures(f"{here}/c/*.PNG"), folder, start) == ["c/d.PNG"]
    # In the list's order, each once; what is missing is told when it is read.
    listed = list_pictures(f"{here}/list.txt")
    expected = [f"{here}/c/d.PNG", f"{here}/b.png", f"{folder}/a.jpg", f"{here}/no.png"]
    if start:  # A path from the root on stays one.
        assert listed == expected
    else:
        assert names(listed, folder) == ["c/d.PNG", "b.png", "a.jpg", "no.png"]


def test_below_and_given(folder):
    assert names(list_pictures(f"{folder}/**/*.tif"), folder) == ["c/e/f.tif"]
    assert list_pictures(folder / "b.png") == [str(folder / "b.png")]
    (folder / "c[1].png").write_bytes(b"")
    assert list_pictures(folder / "c[1].png") == [str(folder / "c[1].png")]
    assert list_pictures(["z", folder / "b.png", "z"]) == ["z", str(folder / "b.png")]


@pytest.mark.parametrize("nothing", ["c/none", "*.gif", "empty.txt"])
def test_nothing(folder, nothing):
    (folder / "empty.txt").write_text("\n")
    with pytest.raises(ValueError, match=r"Expected pictures.*(none|gif|empty)"):
        list_pictures(folder / nothing)
    with pytest.raises(ValueError, match=r"Received: \[\]"):
        list_pictures([])
