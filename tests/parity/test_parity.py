"""Every number of every golden file: see `table.py`, which prints them."""

import pytest

from parity.cases import CASES, GOLDEN_FILES, SINGLE_OPS, checks_of
from parity.golden_files import FOLDER


def _failing(name):
    return "\n".join(str(check) for check in checks_of(name) if not check.holds)


def test_no_golden_file_is_left_out(shared):
    assert sorted(path.stem for path in FOLDER.glob("*.npz")) == sorted(GOLDEN_FILES)


@pytest.mark.parametrize("name", SINGLE_OPS)
def test_single_ops(shared, name):
    assert _failing(name) == ""


@pytest.mark.parametrize("name", CASES)
def test_whole_models(shared, name):
    assert _failing(name) == ""
