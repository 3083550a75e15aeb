"""The page's recipe with the real tracker: each object keeps its number through the clip."""

from types import SimpleNamespace

import numpy as np
import pytest
from doc_blocks import ROOT, blocks
from scipy import ndimage

av = pytest.importorskip("av", reason="needs av")
sv = pytest.importorskip("supervision", reason="needs supervision")
trackers = pytest.importorskip("trackers", reason="needs trackers")

from clips import make_clip_of, told  # noqa: E402

from keras_maskrcnn.data.decoding import RGB  # noqa: E402
from keras_maskrcnn.inference.video import predict_stream, stream  # noqa: E402
from keras_maskrcnn.outlines import Bitmap  # noqa: E402
from keras_maskrcnn.results import Detections  # noqa: E402

COUNT, SIZE, HIDDEN = 24, (96, 128), (10, 11)


def scene(number):
    """One square to the right, and one to the left, which is hidden for two frames."""
    made = np.zeros((*SIZE, 3), "uint8")
    made[10:30, 2 * number : 2 * number + 20] = 255
    if number not in HIDDEN:
        made[50:70, 100 - 3 * number : 120 - 3 * number] = 128
    return made


def find(_, pictures):
    """White and grey parts, by their exact pixels."""
    results = []
    for picture in pictures:
        labels, count = ndimage.label(picture[..., 0] > 60)
        parts = [labels == k for k in range(1, count + 1)]
        edges = [np.nonzero(part) for part in parts]
        boxes = [[x.min(), y.min(), x.max() + 1, y.max() + 1] for y, x in edges]
        results.append(
            Detections(
                boxes=np.array(boxes, float).reshape(-1, 4),
                classes=np.array([picture[part].mean() > 200 for part in parts], int),
                scores=np.full(count, 0.9),
                mask_probabilities=None,
                outlines=[Bitmap(part, 0, 0).to_rle(*SIZE) for part in parts],
                image_size=SIZE,
                class_names=("grey", "white"),
            )
        )
    return results


def test_the_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stream, "predict_batch", find)
    make_clip_of(tmp_path / "clip.mp4", map(scene, range(COUNT)))
    (recipe,) = (
        block
        for block in blocks(ROOT / "docs" / "how-to" / "video.md")
        if "ByteTrackTracker" in block.text
    )
    seen = []

    class Watched(trackers.ByteTrackTracker):
        def update(self, detections, **more):
            tracked = super().update(detections, **more)
            seen.append((more["timestamp"], tracked))
            return tracked

    monkeypatch.setattr(trackers, "ByteTrackTracker", Watched)
    model = SimpleNamespace(pixels=RGB, class_names=("grey", "white"))
    exec(recipe.text, {"model": model, "predict_stream": predict_stream})

    assert [time for time, _ in seen] == pytest.approx([n / 10 for n in range(COUNT)])
    identities = {"grey": set(), "white": set()}
    for number, (_, tracked) in enumerate(seen):
        assert len(tracked) == 2 - (number in HIDDEN)
        assert tracked.mask.sum(axis=(1, 2)).tolist() == [400] * len(tracked)
        if number:
            for name, identity in zip(tracked["class_name"], tracked.tracker_id, strict=True):
                identities[name].add(int(identity))
    # Also after two frames in which the grey one was not there.
    assert sorted(map(len, identities.values())) == [1, 1]
    assert identities["grey"] != identities["white"] and -1 not in set.union(*identities.values())
    assert told(tmp_path / "tracked.mp4") == told(tmp_path / "clip.mp4")
