"""`maskrcnn evaluate`: results files, and what a model found as such files."""

import json

import numpy as np
import pytest
from evaluation_reference import DETECTION, assert_same, compose, only, pycocotools_numbers, write
from evaluation_stubs import StubModel
from results_archive import write_archive

from keras_maskrcnn.cli import evaluate, main
from keras_maskrcnn.data import load_coco


@pytest.fixture
def files(tmp_path):
    """An annotation file, and results with boxes, with masks, and with both."""
    content, results = compose(21, pictures=10)
    return (
        write(tmp_path / "gt.json", content),
        write(tmp_path / "bbox.json", only(results, "bbox")),
        write(tmp_path / "segm.json", only(results, "segmentation")),
        write(tmp_path / "both.json", only(results, "bbox", "segmentation")),
    )


def numbers(file):
    """The numbers of a JSON file that the command wrote."""
    metrics = json.loads(file.read_text())["metrics"]
    return {name: np.nan if value is None else value for name, value in metrics.items()}


def run(*words):
    return main(["evaluate", *map(str, words)])


def test_scores_results_files(files, tmp_path, capsys):
    annotations, boxes, masks, both = files
    output = tmp_path / "numbers.json"
    for results in ([boxes, masks], [both]):
        words = ["--results", *results, "--annotations", annotations, "--output", output]
        assert run(*words) == 0
        received = numbers(output)
        assert_same(received, pycocotools_numbers(annotations, results[0], "bbox"))
        assert_same(received, pycocotools_numbers(annotations, results[-1], "segm"))
    content = json.loads(output.read_text())
    assert (content["results"], content["annotations"]) == ([str(both)], str(annotations))
    assert content["per_class"]["class 9"]["mask_ar_10"] is None  # It has no objects.
    lines = capsys.readouterr().out.splitlines()
    assert tuple(lines[0].split()) == DETECTION
    assert lines[1].split()[:2] == ["box", f"{100 * received['box_ap']:.1f}"]
    assert any(line.startswith("all classes") for line in lines)


def test_scores_an_archive_in_processes(files, tmp_path):
    annotations, boxes, masks, _ = files
    content = json.loads(annotations.read_text())
    results = compose(21, pictures=10)[1]
    folder = write_archive(tmp_path / "found", content, only(results, "bbox", "segmentation"))
    output = tmp_path / "numbers.json"
    words = ["--results", folder, "--annotations", annotations, "--output", output]
    assert run(*words, "--jobs", "2") == 0
    assert_same(numbers(output), pycocotools_numbers(annotations, boxes, "bbox"))
    assert_same(numbers(output), pycocotools_numbers(annotations, masks, "segm"))


def test_types_and_counts_are_options(files, tmp_path):
    annotations, _, _, both = files
    output = tmp_path / "numbers.json"
    words = ["--results", both, "--annotations", annotations, "--output", output]
    assert run(*words, "--types", "segm") == 0
    every = numbers(output)
    assert all(name.startswith("mask_") for name in every)
    assert run(*words, "--types", "segm", "--max-detections", "1") == 0
    assert numbers(output)["mask_ar"] == every["mask_ar_1"] < every["mask_ar"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Expected a MODEL, or --results FILE with --annotations FILE"),
        (["m.keras", "--results", "r"], "Expected a MODEL, or --results FILE"),
        (["m.keras", "--tta", "--batch-size", "2"], "Expected --batch-size only without --tta"),
        (["m.keras", "--tile", "64", "--tta"], "Expected --tile without --tta"),
        (["m.keras", "--overlap", "9"], "Expected --overlap with --tile"),
        (["m.keras", "--tile", "64", "--overlap", "32"], "overlap must be less than half of tile"),
        (["m.keras", "--tile", "64", "--min-size", "9"], "Expected --tile without --min-size"),
        (["--results", "r", "--tile", "64"], "Expected --tile only with a MODEL"),
        (["--results", "r"], "Expected --annotations FILE with --results FILE"),
        (["--results", "r", "--annotations", "none"], "Expected a JSON file. Received: none"),
        (["--results", "r", "--data", "d"], "Expected --data only with a MODEL"),
        (["--results", "r", "--images", "d"], "Expected --images only with a MODEL"),
        (["--results", "r", "--min-size", "9"], "Expected --min-size only with a MODEL"),
        (["m.keras", "--jobs", "2"], "Expected --jobs only with --results"),
        (
            ["--results", "r", "--annotations", "a", "--jobs", "2", "--report", "p"],
            "Expected --jobs",
        ),
        (["--results", "r", "--tta"], "Expected --tta only with a MODEL"),
        (["--results", "r", "--seed", "0"], "Expected --seed only with a MODEL"),
        (["--results", "r", "--save-results", "d"], "Expected --save-results only with a MODEL"),
    ],
)
def test_errors_are_one_line(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"maskrcnn evaluate: error: {message}")
    assert error.count("\n") == 1


def test_broken_results_are_one_line(files, capsys):
    annotations, _, masks, _ = files
    results = json.loads(masks.read_text())
    results[3]["segmentation"]["counts"] = "`do"
    write(masks, results)
    assert run("--results", masks, "--annotations", annotations) == 2
    error = capsys.readouterr().err
    assert "segm.json, result 3: expected run lengths" in error
    assert error.count("\n") == 1 and len(error) < 300


def test_a_models_results_can_be_scored_again(shared, tmp_path, monkeypatch, capsys):
    folder = shared / "data" / "coco_ccby"
    annotations, images = folder / "annotations" / "instances_val2017.json", folder / "val2017"
    random = np.random.default_rng(5)

    def answer(record):
        boxes = np.array([i.box for i in record.objects]).reshape(-1, 4)
        boxes += random.normal(0, 0.04, boxes.shape) * np.tile(boxes[:, 2:] - boxes[:, :2], 2)
        return [
            (box, i.category, random.random(), i.outline)
            for box, i in zip(boxes, record.objects, strict=True)
        ]

    model = StubModel(load_coco(annotations, images), answer)
    monkeypatch.setattr(evaluate, "load_model", lambda path, weights_file: model)
    found, first, again = tmp_path / "found", tmp_path / "first.json", tmp_path / "again.json"
    words = ["m.keras", "--annotations", annotations, "--images", images]
    assert run(*words, "--save-results", found, "--output", first) == 0
    table = capsys.readouterr().out.splitlines()[-86:]  # Below the progress bar.
    words = ["--results", found / "bbox.json", found / "segm.json", "--annotations", annotations]
    assert run(*words, "--output", again) == 0
    assert capsys.readouterr().out.splitlines() == table
    first, again = (json.loads(file.read_text()) for file in (first, again))
    assert len(first["metrics"]) == 24
    # Files are counted by another code than what is in memory.
    assert list(again["per_class"]) == list(first["per_class"])
    rows = ([content["metrics"], *content["per_class"].values()] for content in (first, again))
    for one, other in zip(*rows, strict=True):
        assert list(other) == list(one)
        values = (np.array(list(row.values()), float) for row in (other, one))  # None is nan.
        np.testing.assert_allclose(*values, rtol=0, atol=1e-12)
    assert 0.1 < first["metrics"]["box_ap"] < 0.9
