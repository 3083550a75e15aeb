"""A healthy command prints no line of TensorFlow or its libraries."""

import os
import re
import signal
import subprocess
import sys
import warnings

import pytest

from keras_maskrcnn.cli import quiet
from keras_maskrcnn.cli.main import _warnings_in_a_line
from keras_maskrcnn.demo.scenes import build_scenes

# As the libraries below TensorFlow begin their lines, and what they speak of.
_FOREIGN = re.compile(
    r"(?m)^([IWEF]\d{4} .*|\d{4}-\d\d-\d\d .*|WARNING: All log.*|.*cuda.*)$", re.I
)
_TINY = [
    *("--backbone", "resnet18", "--min-size", "64", "--max-size", "64", "--epochs", "1"),
    *("--set", "neck.channels=16", "--set", "rpn.proposals_train=50", "--set", "box.samples=8"),
    *("--set", "box.dim=16", "--set", "mask.dim=8", "--set", "mask.convs=1"),
]


def start(*words, **more):
    """The command in a process of its own, in which nothing is set that quietens it."""
    unset = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    line = "import sys; from keras_maskrcnn.cli import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", line, *map(str, words)],
        env={**unset, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def require_quiet(process):
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert not _FOREIGN.findall(output + errors)
    return output, errors


@pytest.mark.slow
def test_train_evaluate_predict_serve(tmp_path):
    scenes = build_scenes(tmp_path / "scenes", train=2, val=1, size=64)
    run = tmp_path / "run"
    # One of the pictures is a JPEG file, which TensorFlow decodes.
    require_quiet(start("validate", "--data", scenes, "--output", tmp_path / "report"))
    require_quiet(start("show", "--data", scenes, "--output", tmp_path / "augmented.png"))
    output, _ = require_quiet(start("train", "--data", scenes, "--output", run, *_TINY))
    assert "2 pictures" in output
    _, errors = require_quiet(start("evaluate", run, "--data", scenes))
    assert errors == ""
    picture = next((scenes / "val").iterdir())
    _, errors = require_quiet(start("predict", run, picture, "--output", tmp_path / "found"))
    assert errors == ""

    server = start("serve", run, "--port", "0")
    lines = []
    for line in server.stdout:
        lines.append(line)
        if "http://" in line:
            break
    server.send_signal(signal.SIGTERM)
    output, errors = server.communicate(timeout=60)
    assert server.returncode == 0
    assert not _FOREIGN.findall("".join(lines) + output + errors)


def test_what_is_put_aside_is_shown_with_an_error(capfd):
    with quiet._errors_aside():
        os.write(2, b"I0000 a note\n")
    assert capfd.readouterr().err == ""
    with pytest.raises(ImportError), quiet._errors_aside():
        os.write(2, b"F0000 no such library\n")
        raise ImportError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "F0000 no such library\nafter\n"


def test_verbose(monkeypatch):
    for verbose, level in ((False, "3"), (True, "0")):
        monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
        quiet.quieten(verbose)
        assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == level
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "1")
    quiet.quieten(verbose=False)
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "1"


def test_a_warning_is_a_line():
    place = ("run.py", 7)
    with _warnings_in_a_line():
        assert warnings.formatwarning("few pictures", UserWarning, *place) == (
            "warning: few pictures\n"
        )
        assert "run.py:7: " in warnings.formatwarning("old", DeprecationWarning, *place)
    assert "run.py:7: " in warnings.formatwarning("few pictures", UserWarning, *place)
