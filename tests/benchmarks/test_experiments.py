"""Series of trainings: what is run, kept and compared."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def scripts(monkeypatch):
    """The modules of the folder; they are forgotten afterwards."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    import ablations
    import experiments
    import parts

    yield SimpleNamespace(ablations=ablations, experiments=experiments, parts=parts)
    for name in ("ablations", "experiments", "parts"):
        del sys.modules[name]


SCRIPT = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(BENCHMARKS)!r})
from experiments import run_series

def train(run):
    if run["n"] == 3:
        raise ArithmeticError("no such training")
    return {{"square": run["n"] ** 2}}

runs = [{{"n": n}} for n in map(int, sys.argv[1].split(","))]
table = lambda found: "so far " + str(sorted(run["square"] for run in found))
run_series(__file__, runs, Path(sys.argv[2]), train, table, jobs=2)
"""


def test_what_is_there_is_not_run_again_and_a_failure_stops_no_other(scripts, tmp_path, capfd):
    experiments = scripts.experiments
    script, output = tmp_path / "series.py", tmp_path / "runs.jsonl"
    script.write_text(SCRIPT)

    def series(numbers):
        command = [sys.executable, str(script), numbers, str(output)]
        return experiments.subprocess.run(command, check=False).returncode

    output.write_text(json.dumps({"n": 1, "square": 100}) + "\n")
    assert series("1,2,3,4,5") != 0
    found = {run["n"]: run["square"] for run in experiments.read_runs(output)}
    # What was there, though wrong, stayed.
    assert found == {1: 100, 2: 4, 4: 16, 5: 25}
    assert "RuntimeError: 1 of 4 runs failed: [{'n': 3}]" in capfd.readouterr().err
    assert series("1,2,4,5") == 0
    assert capfd.readouterr().out.splitlines() == ["so far [4, 16, 25, 100]"]


def test_a_model_of_several_comparisons_is_one_run(scripts):
    ablations = scripts.ablations
    cases = ablations.COMPARISONS
    default = cases["mask loss"].trained("sigmoid per class")
    for name, variant in (
        ("mask head", "FCN"),
        ("multi-task", "boxes and masks"),
        ("end to end", "all together"),
        ("box stages", "one"),
    ):
        assert cases[name].trained(variant) == default
    assert cases["features"].trained("pyramid") == default
    for name in ("stride 16", "stride 32"):
        pooled = cases[f"pooler, {name}"].trained("roi_align")
        assert cases["features"].trained(f"{name} alone") == pooled != default
    models = [case.trained(variant) for case in cases.values() for variant in case.variants]
    assert len(set(models)) == len(models) - 7

    numbers = dict.fromkeys(ablations.SHOWN, 0.3) | {"seconds": 1, "peak_mb": 2}
    runs = [
        {"model": default, "seed": 0, **numbers},
        {"model": default, "seed": 1, **numbers, "mask_ap": 0.5},
        {"model": cases["mask head"].trained("MLP"), "seed": 0, **numbers, "mask_ap": 0.2},
    ]
    table = ablations.table(runs).splitlines()
    heads = [line for line in table if line.startswith("**")]
    assert heads[0].startswith("**features**") and len(heads) == 6
    (mlp,) = [line for line in table if line.startswith("| MLP")]
    assert mlp.split(" | ")[1:3] == ["1", "20.0 (20.0 to 20.0)"]
    (fcn,) = [line for line in table if line.startswith("| FCN |")]
    assert fcn.split(" | ")[1:3] == ["2", "40.0 (30.0 to 50.0)"]


@pytest.mark.slow  # Trains a part at a time.
def test_parts_trained_one_by_one(scripts, tmp_path):
    """First features and proposals alone, then heads alone."""
    from helpers import make_data, tiny_model

    ablations = scripts.ablations
    data = make_data(tmp_path, [(64, 64)] * 8)
    # The gradient of a backbone takes long to trace; the pyramid has what both parts read.
    model = tiny_model(backbone={"norm": "frozen", "freeze_at": 5})
    batches = data.batches(8, model=model)
    options = SimpleNamespace(epochs=2, train_scenes=8)

    def changed(part):
        before = [v.numpy() for v in model.trainable_variables]
        paths = [v.path for v in model.trainable_variables]
        ablations.fit_part(options, model, batches, part)
        after = {v.path: v.numpy() for v in model.variables}
        return {p for p, v in zip(paths, before, strict=True) if not np.array_equal(after[p], v)}

    first, second = changed("features and proposals"), changed("heads")
    assert first and second and not first & second


def test_costs_beside_the_default(scripts):
    def run(part, seconds, megabytes):
        return {"part": part, "s": seconds, "MB": megabytes, "parameters": 2_500_000}

    runs = [run("default", s, 1000) for s in (2.0, 9.0, 1.0)]
    first, _, default, cascade = scripts.parts.table([run("cascade", 3.0, 1500), *runs]).split("\n")
    assert first.startswith("| part | million parameters | s a step")
    assert default == "| default | 2.5 | 1.00 | 9.00 | 1.00 | 1000 | 1.00 |"
    assert cascade == "| cascade | 2.5 | 3.00 | 3.00 | 3.00 | 1500 | 1.50 |"
