"""A wrong option of `maskrcnn train` is told at once, before TensorFlow is imported."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = "--output", "new"
DATA = "--data", "data"

# Words after `train`, and what the error says.
CASES = [
    ([*DATA, "--epochs", "0"], "epochs must be at least 1. Received: epochs=0"),
    ([*DATA, "--epochs", "2", "--minutes", "3"], "Expected either epochs or minutes"),
    ([*DATA, "--minutes", "-1"], "minutes must be positive"),
    ([*DATA, "--learning-rate", "-1"], "learning_rate must be positive"),
    ([*DATA, "--learning-rate", "nan"], "learning_rate must be positive"),
    ([*DATA, "--accumulate", "0"], "accumulate must be at least 1"),
    ([*DATA, "--ema", "1.5"], "ema must be between 0 and 1"),
    ([*DATA, "--patience", "0"], "patience must be at least 1"),
    ([*DATA, "--warmup-steps", "-1"], "warmup_steps must be at least 0"),
    ([*DATA, "--seed", "-1"], "seed must be at least 0"),
    ([*DATA, "--monitor", "mask_app"], "Did you mean 'mask_ap'?"),
    ([*DATA, "--freeze-epochs", "2"], "Expected freeze beside freeze_epochs"),
    ([*DATA, "--freeze-at", "6"], "Expected --freeze-at from 0 to 5"),
    ([*DATA, "--min-size", "0"], "min_size must be at least 1"),
    ([*DATA, "--min-size", "64", "96", "--augment", "none"], "Expected one min_size"),
    ([*DATA, "--tile", "0"], "tile must be at least 1"),
    ([*DATA, "--tile", "64", "--overlap", "32"], "overlap must be less than half of tile"),
    ([*DATA, "--overlap", "32"], "overlap goes with tile"),
    ([*DATA, "--tile", "64", "--min-size", "32"], "Expected --min-size only without --tile"),
    ([*DATA, "--augment", "rotat"], "'rotate'"),
    ([*DATA, "--sampling-set", "empty_shar=0.1"], "Did you mean 'empty_share'?"),
    ([*DATA, "--set", "rpn.sampels=3"], "Did you mean 'samples'?"),
    ([*DATA, "--set", "size_divisr=3"], "Did you mean 'size_divisor'?"),
    ([*DATA, "--set", "maks.dim=3"], "Did you mean 'mask'?"),
    ([*DATA, "--set", "keypoint.dim=8"], "PART one of ('backbone', 'neck', 'rpn', 'box', 'pooler'"),
    ([*DATA, "--set", "mask.fcs=2"], "mask has no setting 'fcs'. Its settings are convs, dim, na"),
    ([*DATA, "--set", 'heads=["mask_mlp"]', "--set", "mask_mlp.sid=2"], "Did you mean 'side'?"),
    ([*DATA, "--set", 'heads=[{"name": "keypoint", "convz": 2}]'], "Did you mean 'convs'?"),
    ([*DATA, "--set", 'heads=["maks"]'], "Did you mean 'mask'?"),
    ([*DATA, "--set", "mask.dim=8", "--set", 'heads=["keypoint"]'], "Received: --set mask.dim"),
    ([*DATA, "--set", "heads=[]", "--set", "mask.dim=8"], "Received: mask.dim"),
    ([*DATA, "--set", "heads=mask"], "Expected heads as a JSON list"),
    (
        [*DATA, "--backbone", "MobileNetV2", "--set", "backbone.norm_epsilon=1"],
        "backbone MobileNetV2 has no setting 'norm_epsilon'. Its settings are freeze_at",
    ),
    (
        [*DATA, "--set", 'backbone={"name": "regnetx_4gf", "stem_pol": 1}'],
        "backbone regnetx_4gf ha",
    ),
    ([*DATA, "--set", "neck=c4", "--set", "neck.channels=8"], "neck c4 has no setting 'channels'"),
    ([*DATA, "--set", "neck=fnp"], "Did you mean 'fpn'?"),
    ([*DATA, "--set", "box.name=cascade", "--set", "box.iou=0.6"], "Did you mean 'ious'?"),
    (
        [*DATA, "--set", "pooler.name=roi_pool", "--set", "pooler.aligned=true"],
        "pooler roi_pool ha",
    ),
    ([*DATA, "--weights", "mask_rcnn_R_50_C4_1x", "--set", "neck.norm=group"], "neck c4 has no"),
    ([*DATA, "--weights", "keypoint_rcnn_R_50_FPN_1x", "--set", "mask.dim=8"], "'keypoint')"),
    ([*DATA, "--weights", "own.keras", "--set", "neck.twirls=1"], "Did you mean 'twirl'?"),
    ([*DATA, "--weights", "own.keras", "--set", "thing.dim=1"], "thing has no setting 'dim'"),
    ([*DATA, "--weights", "own.keras", "--set", "mask.dim=1"], "'pooler', 'thing')"),
    (
        [*DATA, "--weights", "own.keras", "--set", "neck.name=c4", "--set", "neck.twirl=1"],
        "neck c4 has no setting 'twirl'",
    ),
    ([*DATA, "--backbone", "resnet51"], "Did you mean 'resnet50'?"),
    ([*DATA, "--weights", "mask_rcnn_R_50_FNP"], "Did you mean 'mask_rcnn_R_50_FPN'?"),
    ([*DATA, "--weights", "gone.pth"], 'Expected "imagenet", a weights file'),
    ([*DATA, "--weights", "gone.keras"], "Received: gone.keras"),
    ([*DATA, "--weights", "data"], "Received: data/best.keras"),
    ([*DATA, "--weights", "other.keras"], "Received: other.keras with a Functional"),
    ([*DATA, "--weights", "half.keras"], "Expected a saved MaskRCNN. Received: half.keras"),
    ([*DATA, "--weights", "own.keras", "--backbone", "resnet18"], "Expected --backbone only"),
    ([*DATA, "--weights", "own.keras", "--ema", "2"], "ema must be"),
    ([*DATA, "--weights", "mask_rcnn_R_50_FPN", "--weights-file", "no.pkl"], "--weights-file no.p"),
    ([*DATA, "--output", "data"], "The folder data is not empty"),
    (["--data", "nowhere"], "Expected a data folder. Received: nowhere"),
    (["--data", "empty"], "empty"),
    (["--train", "data/instances.json", "gone"], "Expected --val"),
    (["--train", "data/instances.json", "no", "--val", "a", "b"], "Received: --train no"),
    (["--resume", "data"], "Expected a run folder with config.json"),
    (["--resume", "begun", "--find-learning-rate"], "Expected --find-learning-rate without"),
]

SCRIPT = """
import json, sys
from keras_maskrcnn.cli import main
for words in json.load(open("words.json")):
    print(main(["train", *words]), flush=True)
    print("---", file=sys.stderr, flush=True)
"""


def save_config(path, registered_name):
    content = {"registered_name": registered_name, "config": {}}
    content["config"] = {"min_size": 64, "max_size": 96, "channels": 3, "value_range": None}
    content["config"]["neck"] = {"class_name": "OfAStranger", "config": {"twirl": 3}}
    content["config"]["heads"] = [{"class_name": "Thing", "config": {"name": "thing"}}]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(content))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where commands run: tiny data, models that are no models, a TensorFlow that ends them."""
    folder = tmp_path_factory.mktemp("checks")
    for name in ("data/images", "empty", "broken", "begun"):
        (folder / name).mkdir(parents=True)
    for module in ("tensorflow", "keras"):
        (folder / "broken" / f"{module}.py").write_text("raise SystemExit('imported')")
    images, annotations = [], []
    for number in range(1, 4):
        Image.new("RGB", (40, 30)).save(folder / f"data/images/{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": 30, "width": 40})
        square = {"segmentation": [[5, 5, 20, 5, 20, 20, 5, 20]], "bbox": [5, 5, 15, 15]}
        square |= {"id": number, "image_id": number, "category_id": 1, "iscrowd": 0, "area": 225}
        annotations.append(square)
    content = {"images": images, "annotations": annotations}
    content["categories"] = [{"id": 1, "name": "square"}]
    (folder / "data" / "instances.json").write_text(json.dumps(content))
    save_config(folder / "own.keras", "keras_maskrcnn>MaskRCNN")
    save_config(folder / "other.keras", "Functional")
    (folder / "half.keras").write_bytes((folder / "own.keras").read_bytes()[:60])
    kept = {"options": {"data": "data", "epochs": 2}}
    (folder / "begun" / "config.json").write_text(json.dumps(kept))
    return folder


def python(script, folder):
    return subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": f"{folder / 'broken'}:{ROOT}", "PATH": ""},
        cwd=folder,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def answers(folder):
    """Exit code and error of each case, from one process in which TensorFlow is broken."""
    lines = [words if {"--output", "--resume"} & set(words) else [*words, *OUTPUT]
             for words, _ in CASES]  # fmt: skip
    (folder / "words.json").write_text(json.dumps(lines))
    done = python(SCRIPT, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (folder / "new").exists()
    return list(zip(done.stdout.split(), done.stderr.split("---\n")[:-1], strict=True))


@pytest.mark.parametrize("number", range(len(CASES)), ids=[" ".join(words) for words, _ in CASES])
def test_told_in_one_line_without_tensorflow(answers, number):
    code, error = answers[number]
    assert code == "2"
    assert error.startswith("maskrcnn train: error: ") and error.count("\n") == 1
    assert CASES[number][1] in error


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ([], "Training resnet50 with random weights for 12 epochs: run0"),
        (["--backbone", "resnet18", "--weights", "imagenet", "--minutes", "2.5"],
         "Training resnet18 with imagenet weights for 2.5 minutes: run1"),
        (["--weights", "mask_rcnn_R_50_FPN", "--find-learning-rate"],
         "Searching for the learning rate of mask_rcnn_R_50_FPN: run2"),
    ],
)  # fmt: skip
def test_what_is_trained_and_found_is_told_before_tensorflow_is_imported(words, first, folder):
    """Here its import ends the process."""
    words = ["train", "--data", "data", *words, "--output", first.rpartition(": ")[2]]
    done = python(f"from keras_maskrcnn.cli import main; main({words})", folder)
    assert (done.returncode, done.stderr.strip()) == (1, "imported")
    lines = done.stdout.splitlines()
    assert lines[0] == first
    found = [line for line in lines if line.startswith("DetectionData(")]
    assert [line.partition(", crowds")[0] for line in found] == [
        "DetectionData(name='instances_train', images=2, objects=2",
        "DetectionData(name='instances_val', images=1, objects=1",
    ]


def test_data_are_announced_before_they_are_read(folder):
    """Large ones take a while."""
    script = """
from keras_maskrcnn.cli import main, train
def read(args):
    print("reading")
    raise SystemExit
train.read_both = read
main(["train", "--data", "data", "--output", "run3"])
"""
    assert python(script, folder).stdout.splitlines()[1:] == ["reading"]
