"""Who is timed beside whom in `end_to_end.py`, and the files that some of them run."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workers.floor import environment

WORKERS = Path(__file__).resolve().parent / "workers"

_FLOATS = ("float32", "bfloat16")
_BOTH = {"inference": _FLOATS, "training": _FLOATS}
_ONNX_WRITERS = ("onnx", "tf2onnx", "onnxruntime")


@dataclasses.dataclass(frozen=True)
class Side:
    """A way to run a case.

    Args:
        title: as tables name it.
        worker: the script that runs it, of `workers/`.
        forms: of numbers (`Case.form`), for each kind of case that it can run.
        packages: that the Python which runs it must have.
        our_packages: that this Python must have to write its file.
        network: whose ONNX file it runs: `"ours"` or `"torchvision"`; empty where it builds a model
            itself.
        settings: go to the worker along with the case.
        on_gpu: whether it runs on a GPU, too.
    """

    title: str
    worker: str
    forms: Mapping[str, tuple[str, ...]]
    packages: tuple[str, ...] = ()
    our_packages: tuple[str, ...] = ()
    network: str = ""
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    on_gpu: bool = False

    def can(self, case: Any) -> bool:
        return case.form in self.forms.get(case.kind, ())


# There is no int8 of ours in Keras: beside a rival's int8 stands our bfloat16.
OURS = Side(
    "ours",
    "keras_worker.py",
    {"inference": (*_FLOATS, "int8"), "training": _FLOATS} | {"paste": ("float32",)},
)

RIVALS = {
    "torchvision": Side(
        "torchvision",
        "torchvision_worker.py",
        _BOTH | {"paste": ("float32",)},
        ("torch", "torchvision"),
        on_gpu=True,
    ),
    "torch-compile": Side(
        "torch.compile",
        "torchvision_worker.py",
        _BOTH,
        ("torch", "torchvision"),
        settings={"compile": True},
        on_gpu=True,
    ),
    "xla": Side(
        "ours by XLA",
        OURS.worker,
        _BOTH,
        settings={"jit_compile": True},
        on_gpu=True,
    ),
    # It has no bfloat16 convolutions on a CPU.
    "onnxruntime": Side(
        "ONNX Runtime",
        "onnx_worker.py",
        {"inference": ("float32", "int8")},
        ("onnxruntime",),
        _ONNX_WRITERS,
        "ours",
    ),
    "openvino": Side(
        "OpenVINO",
        "openvino_worker.py",
        {"inference": (*_FLOATS, "int8")},
        ("openvino",),
        _ONNX_WRITERS,
        "ours",
    ),
    "openvino-torchvision": Side(
        "torchvision in OpenVINO",
        "openvino_worker.py",
        {"inference": (*_FLOATS, "int8")},
        ("openvino", "torch", "torchvision", "onnx"),
        ("onnxruntime",),
        "torchvision",
    ),
}


def present(names: list[str], python: str, device: str) -> dict[str, Side]:
    """Those of the rivals that can be run; tells of each other one in a line why not.

    Args:
        names: of `RIVALS`.
        python: that is to run them.
        device: `"cpu"` or `"gpu"`.
    """
    found = {}
    for name in names:
        side = RIVALS[name]
        missing = [f"{python} has no {package}" for package in absent(side.packages, python)]
        missing += [
            f"{sys.executable} has no {package}"
            for package in absent(side.our_packages, sys.executable)
        ]
        if device == "gpu" and not side.on_gpu:
            missing.append("it is run on the CPU only")
        if missing:
            print(f"{side.title} is left out: {', '.join(missing)}", flush=True)
        else:
            found[name] = side
    return found


def absent(packages: tuple[str, ...], python: str) -> list[str]:
    """Those that a Python does not have."""
    script = (
        "import sys, importlib.util as u\n"
        "print(*(name for name in sys.argv[1:] if u.find_spec(name) is None))"
    )
    command = [python, "-c", script, *packages]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()


def process_environment(script: Path, device: str) -> dict[str, str]:
    """Of a script of `workers/`."""
    # The package of the script's own checkout, whatever its Python has installed.
    paths = [str(script.parents[2]), os.environ.get("PYTHONPATH", "")]
    return (
        os.environ
        | environment(device)
        | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    )


def reason(log: str) -> str:
    """What a process complained of, from its last lines, on one line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [i for i, line in enumerate(lines) if re.match(r"[\w.]*(Error|Exception)\b", line)]
    text = " ".join(lines[errors[-1] :] if errors else lines[-1:])
    return text if len(text) <= 300 else f"{text[:300]} ..."


class OnnxFiles:
    """ONNX files of either network, each written when it is first needed.

    Args:
        folder: for the files.
        python: that has torchvision.
    """

    def __init__(self, folder: Path, python: str) -> None:
        self._folder = folder
        self._writers = {
            "ours": (sys.executable, "write_onnx.py"),
            "torchvision": (python, "write_torchvision_onnx.py"),
        }

    def path(self, network: str, case: Any, order: dict[str, Any]) -> str:
        """The file for a case, float32 or int8.

        Args:
            network: `"ours"` or `"torchvision"`.
            order: the case as workers get it.

        Raises:
            RuntimeError: where it cannot be written, with what the process printed.
        """
        height, width = case.size
        name = f"{network}_{case.backbone}_{case.batch}x{height}x{width}"
        plain, small = (self._folder / f"{name}{end}.onnx" for end in ("", "_int8"))
        if not plain.exists():
            _write(*self._writers[network], {**order, "target": str(plain)})
        if case.form != "int8":
            return str(plain)
        if not small.exists():
            paths = {"source": str(plain), "target": str(small)}
            _write(sys.executable, "quantize_onnx.py", {**order, "network": network, **paths})
        return str(small)


def _write(python: str, script: str, order: dict[str, Any]) -> None:
    path = WORKERS / script
    done = subprocess.run(
        [python, str(path), json.dumps(order)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=process_environment(path, order["device"]),
    )
    if done.returncode:
        raise RuntimeError(f"{script} ended with {done.returncode}:\n{done.stderr[-4000:]}")
