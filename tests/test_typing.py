"""What `py.typed` promises: a user's mistakes are found by a type checker."""

import subprocess
import sys
from pathlib import Path

import pytest

# A user's script; the lines that end with a number of an error have a mistake.
_SCRIPT = """\
from keras_maskrcnn import Detections, MaskRCNN, TestTimeAugmentation, evaluate_coco
from keras_maskrcnn.data import load_splits

train, val = load_splits("photos")
model = MaskRCNN(num_classes=len(train.class_names), class_names=train.class_names)
found: list[Detections] = model.predict("a.jpg", augment=TestTimeAugmentation())
names: list[str] = found[0].names.tolist()
print(evaluate_coco(model, val, max_detections=300)["mask_ap"])
model.predict("a.jpg", treshold=0.5)  # call-arg
evaluate_coco(model, "photos")  # arg-type
scores: str = found[0].scores  # assignment
"""


def test_a_user_script(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    pytest.importorskip("mypy")
    root = Path(__file__).resolve().parents[1]
    words = ["--config-file", "", "--cache-dir", str(tmp_path), "--ignore-missing-imports"]
    words += ["--follow-imports", "silent"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *words, str(script)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"MYPYPATH": "", "PATH": "", "PYTHONPATH": str(root)},
        check=False,
    )
    wrong = {
        (number, line.split("# ")[1])
        for number, line in enumerate(_SCRIPT.splitlines(), 1)
        if "# " in line
    }
    told = {
        (int(line.split(":")[1]), line.rsplit("[", 1)[1].rstrip("]"))
        for line in done.stdout.splitlines()
        if ": error:" in line
    }
    assert told == wrong, done.stdout + done.stderr
