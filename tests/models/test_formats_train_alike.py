"""The same data set in every annotation format: the same first losses."""

import pytest
from format_files import load
from format_scenes import WRITERS, write
from helpers import get_state, set_state


@pytest.mark.slow  # Every format's pictures are read, and a step taken on each.
def test_the_first_losses_are_those_of_every_format(fresh, tmp_path):
    state = get_state(fresh)
    found = {}
    for name in WRITERS:
        write(tmp_path / name, name)
        set_state(fresh, state)  # The same samples each time.
        batches = load(tmp_path / name).batches(3, model=fresh, shuffle=True, seed=0)
        history = fresh.fit(batches, verbose=0)
        found[name] = {key: values[0] for key, values in history.history.items()}
    expected = found["coco"]
    assert expected["mask_loss"] > 0.1 and expected["box_loss"] > 0
    for name, losses in found.items():
        assert losses == pytest.approx(expected, rel=1e-5, abs=1e-6), name
