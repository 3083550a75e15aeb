"""Tables of several sides; who takes part."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
OURS = [1.0, 2.0, 4.0]


@pytest.fixture
def end_to_end(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    before = set(sys.modules)
    import end_to_end

    yield end_to_end
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("end_to_end", "sides", "workers"):
            del sys.modules[name]


def measured(name, failed=(), **others):
    seconds = {"ours": OURS, **others}
    return {
        "name": name,
        "seconds": seconds,
        "results": {side: {"found": [3], "best": [0.5]} for side in seconds},
        "failed": dict(failed),
        "peak": {side: 2**20 * (1 + i) for i, side in enumerate(seconds)},
    }


def table(end_to_end, rivals, *cases):
    chosen = {name: end_to_end.RIVALS[name] for name in rivals}
    paste = end_to_end.Case("paste", (64, 64))
    rows = [end_to_end.row(paste, case, {}) for case in cases]
    return end_to_end.as_table(rows, chosen).splitlines()


def test_table_of_one_rival(end_to_end):
    """Columns that the README and its test read."""
    lines = table(end_to_end, ["torchvision"], measured("a", torchvision=[2.0, 8.0, 4.0]))
    assert lines == [
        "| case | ours, ms | torchvision, ms | torchvision / ours | floor, ms | peak, MB | "
        "torchvision's, MB |",
        "| :-- | --: | --: | --: | --: | --: | --: |",
        # Ratios of neighbours: 2, 4 and 1.
        "| a | 2000 | 4000 | 2.00 |  | 1 | 2 |",
    ]


def test_table_of_several_rivals(end_to_end):
    both = measured("a", torchvision=[2.0, 2.0, 2.0], openvino=[0.5, 1.0, 2.0])
    one = measured("b", failed={"openvino": "Error: no such op"}, torchvision=[1.0, 1.0, 1.0])
    none = measured("c")
    lines = table(end_to_end, ["torchvision", "openvino"], both, one, none)
    assert lines[0].startswith(
        "| case | ours, ms | torchvision, ms | torchvision / ours | OpenVINO, ms | OpenVINO / ours "
    )
    assert lines[2:] == [
        "| a | 2000 | 2000 | 1.00 | 1000 | 0.50 |  | 1 | 2 | 3 |",
        "| b | 2000 | 1000 | 0.50 |  |  |  | 1 | 2 |  |",
        "| c | 2000 |  |  |  |  |  | 1 |  |  |",
        "",
        '- OpenVINO did not run "b": Error: no such op',
    ]


def test_rival_whose_package_is_missing(end_to_end, monkeypatch, capsys):
    import sides

    monkeypatch.setattr(sides, "absent", lambda packages, _: [p for p in packages if p == "onnx"])
    names = list(end_to_end.RIVALS)
    assert list(sides.present(names, "python", "cpu")) == ["torchvision", "torch-compile", "xla"]
    printed = capsys.readouterr().out.splitlines()
    assert [line.partition(" is left out: ")[0] for line in printed] == [
        "ONNX Runtime",
        "OpenVINO",
        "torchvision in OpenVINO",
    ]
    assert printed[-1].endswith("python has no onnx")
    monkeypatch.setattr(sides, "absent", lambda *_: [])
    assert list(sides.present(names, "python", "cpu")) == names
    assert list(sides.present(names, "python", "gpu")) == ["torchvision", "torch-compile", "xla"]


def test_absent_packages(end_to_end):
    import sides

    assert sides.absent(("json", "no_such_package"), sys.executable) == ["no_such_package"]


def test_forms(end_to_end):
    case = end_to_end.Case("inference", (64, 64), dtype="bfloat16", int8=True)
    assert case.name == "inference, 1 x 64x64, bfloat16, beside int8"
    able = [name for name, side in end_to_end.RIVALS.items() if side.can(case)]
    assert able == ["onnxruntime", "openvino", "openvino-torchvision"]
    training = end_to_end.Case("training", (64, 64), dtype="bfloat16")
    able = [name for name, side in end_to_end.RIVALS.items() if side.can(training)]
    assert able == ["torchvision", "torch-compile", "xla"]


def test_reason(end_to_end):
    import sides

    log = "ended with 1:\nTraceback:\n  x\nKeyError: 1\n\npkg.OpError: bad\n  more\n"
    assert sides.reason(log) == "pkg.OpError: bad more"
    assert sides.reason("ended with -9:\nsome warning\n") == "some warning"
    assert len(sides.reason("ValueError: " + "x" * 900)) < 320


def test_worker_that_ends_early_says_why(end_to_end, tmp_path):
    script = tmp_path / "benchmarks" / "workers" / "worker.py"
    script.parent.mkdir(parents=True)
    answers = "input()\nprint('{}', flush=True)\n"
    script.write_text(f"{answers}raise SystemExit('out of patience')\n", encoding="utf-8")
    worker = end_to_end.Worker(sys.executable, script, {"device": "cpu"})
    worker.process.wait()
    with pytest.raises(RuntimeError, match="ended with 1:\nout of patience"):
        worker.ask("run")
