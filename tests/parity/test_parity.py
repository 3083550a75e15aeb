"""Every number of every golden file: see `table.py`, which prints them."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from parity.cases import CASES, GOLDEN_FILES, SINGLE_OPS, USES, checks_of
from parity.golden_files import FOLDER
from parity.record import Check, Record


def _assert_all_hold(name):
    checks = list(checks_of(name))
    # Differences that are meant hold whatever they are.
    assert any(check.tolerance is not None for check in checks), "nothing was checked"
    assert {check.file for check in checks} == {name}
    assert "\n".join(str(check) for check in checks if not check.holds) == ""


@pytest.mark.parametrize("checks", [[], [Check("nms", "kept", 3.0, None, "unequal", "meant")]])
def test_a_file_without_checks_fails(monkeypatch, checks):
    monkeypatch.setitem(SINGLE_OPS, "nms", lambda: SimpleNamespace(checks=checks))
    with pytest.raises(AssertionError, match="nothing was checked"):
        _assert_all_hold("nms")


@pytest.mark.parametrize("compare", [Record.relative, Record.absolute])
def test_numbers_of_nothing_are_not_compared(compare):
    with pytest.raises(ValueError, match="boxes: nothing was recorded"):
        compare(Record("nms"), "boxes", np.zeros((0, 4)), np.zeros((0, 4)), 1.0)


def test_lists_may_be_empty_and_must_be_equal():
    record = Record("nms")
    record.equal("kept", [], [])
    record.equal("kept", [5], [])
    assert [check.holds for check in record.checks] == [True, False]


def test_no_golden_file_is_left_out(shared):
    # That of augmentation is held by tests/data/transforms/test_detectron2.py.
    names = {*GOLDEN_FILES, "augmentation_ops"}
    assert sorted(path.stem for path in FOLDER.rglob("*.npz")) == sorted(names)


@pytest.mark.parametrize("name", SINGLE_OPS)
def test_single_ops(shared, name):
    _assert_all_hold(name)


# One always; all, at minutes for each, by `make parity` and, after the suite, by `.ci/run`.
_ALWAYS = ("tv_mask_r50_fpn",)


@pytest.mark.parametrize(
    "name",
    [
        name if name in _ALWAYS else pytest.param(name, marks=pytest.mark.slow)
        for name in (*CASES, *USES)
    ],
)
def test_whole_models(shared, name):
    """In a process of its own: a model, its activations and gradients take gigabytes."""
    table = Path(__file__).with_name("table.py")
    process = subprocess.run([sys.executable, table, name], capture_output=True, text=True)
    print(process.stdout)
    assert process.returncode == 0, process.stdout + process.stderr
    found = re.search(
        r"(\d+) checks of 1 golden files, 0 fail\npeak memory (\d+) MB", process.stdout
    )
    assert int(found[1]) > 10
    assert int(found[2]) < 3000
