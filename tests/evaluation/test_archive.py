"""Archives of results and large files: pycocotools' numbers, group by group and in processes."""

import json
import logging

import pytest
from evaluation_reference import assert_same, compose, only, pycocotools_numbers, write
from results_archive import write_archive

from keras_maskrcnn.evaluation import evaluate_coco_files, in_groups
from keras_maskrcnn.evaluation.files import compare_files, open_files

FIELDS = {"bbox": "bbox", "segm": "segmentation", "keypoints": "keypoints"}
CASES = {
    "plain": {"pictures": 9},
    "ties and crowds": {"ties": True, "copies": 4, "crowds": 0.4, "pictures": 9},
    "many": {"pictures": 4, "objects": 90, "copies": 6, "ties": True},
}


@pytest.fixture
def small_groups(monkeypatch):
    """Two pictures a group."""
    monkeypatch.setattr(in_groups, "_PICTURES", 2)


def expected(tmp_path, content, results):
    """The annotation file, and pycocotools' numbers of files with one field."""
    annotations = write(tmp_path / "gt.json", content)
    numbers = {}
    for iou_type, field in FIELDS.items():
        file = write(tmp_path / "own.json", only(results, field))
        numbers[iou_type] = pycocotools_numbers(annotations, file, iou_type)
    return annotations, numbers


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
@pytest.mark.parametrize("case", CASES)
def test_archive_equals_pycocotools(case, format, tmp_path, small_groups):
    if format == "parquet":
        pytest.importorskip("pyarrow")
    content, results = compose(len(case), **CASES[case])
    annotations, numbers = expected(tmp_path, content, results)
    folder = write_archive(tmp_path / "found", content, results, format=format)
    metrics = evaluate_coco_files(annotations, folder)
    assert len(metrics) == 34 and 0.01 < metrics["mask_ap"] < 0.99
    for own in numbers.values():
        assert_same(metrics, own)


def test_groups_and_processes_change_nothing(tmp_path, small_groups):
    content, results = compose(5, pictures=9, copies=3, ties=True)
    annotations, numbers = expected(tmp_path, content, results)
    # In another order than the pictures': results of a group stand far from each other.
    file = write(tmp_path / "all.json", only(results[::2] + results[1::2], *FIELDS.values()))
    alone = evaluate_coco_files(annotations, file, iou_types=["bbox"])
    assert alone == evaluate_coco_files(annotations, file, iou_types=["bbox"], jobs=2)
    assert_same(alone, pycocotools_numbers(annotations, file, "bbox"))
    assert sum(numbers["bbox"].values()) > 0
    with pytest.raises(ValueError, match="jobs"):
        evaluate_coco_files(annotations, file, jobs=0)


def test_rows_of_a_group_stand_beside_each_other(tmp_path, small_groups):
    """In the files, whatever the pictures' ids are."""
    content, results = compose(5, pictures=9, copies=3)
    truth, sources = open_files(
        write(tmp_path / "gt.json", content),
        write_archive(tmp_path / "found", content, results, part_size=2),
    )
    groups = list(in_groups._groups(in_groups.Job(truth, sources, ["bbox"], 100)))
    assert sorted(i for group in groups for i in group.image_ids) == sorted(truth.sizes)
    for side in ([group.truth for group in groups], [group.found[0] for group in groups]):
        assert sorted(row for rows in side for row in rows) == list(range(sum(map(len, side))))
    for group in groups:
        rows = group.found[0]
        assert len(rows) == 0 or rows.max() - rows.min() == len(rows) - 1


def test_an_archive_is_compared_as_a_whole_for_reports(tmp_path):
    content, results = compose(5, pictures=6)
    annotations, _ = expected(tmp_path, content, results)
    folder = write_archive(tmp_path / "found", content, results)
    metrics = compare_files(annotations, folder).metrics
    assert dict(metrics) == pytest.approx(evaluate_coco_files(annotations, folder), abs=1e-12)


def test_what_is_malformed_is_named_from_another_process(tmp_path, small_groups):
    content, results = compose(5, pictures=9)
    results[-1]["bbox"] = [0, 0, 5]
    annotations = write(tmp_path / "gt.json", content)
    file = write(tmp_path / "results.json", only(results, "bbox"))
    with pytest.raises(ValueError, match=rf"results.json, result {len(results) - 1}: .*as bbox"):
        evaluate_coco_files(annotations, file, jobs=2)


def test_other_pictures_and_classes_are_left_out_and_told(tmp_path, caplog):
    content, results = compose(5, pictures=6, crowds=0)
    first = content["images"][0]["id"]
    part = {
        **content,
        "images": content["images"][1:],
        "annotations": [a for a in content["annotations"] if a["image_id"] != first],
    }
    kept = [result for result in results if result["image_id"] != first]
    annotations, numbers = expected(tmp_path, part, kept)
    folder = write_archive(tmp_path / "found", content, results)
    (table,) = folder.glob("objects-00000.jsonl")
    lines = [json.loads(line) for line in table.read_text().splitlines()]
    other = {**lines[-1], "category_name": "another", "category_id": 4}
    table.write_text("".join(json.dumps(line) + "\n" for line in (*lines, other)))
    with caplog.at_level(logging.WARNING):
        metrics = evaluate_coco_files(annotations, folder, iou_types=["bbox"])
    assert_same(metrics, numbers["bbox"])
    assert f"left out {len(results) - len(kept) + 1} results" in caplog.text


def test_unread_pictures_are_told(tmp_path, caplog):
    content, results = compose(5, pictures=6)
    unread = content["images"][2]["id"]
    kept = [result for result in results if result["image_id"] != unread]
    annotations, numbers = expected(tmp_path, content, kept)
    folder = write_archive(tmp_path / "found", content, kept)
    change(folder / "pictures-00000.jsonl", 2, height=None, width=None, error="cut off")
    with caplog.at_level(logging.WARNING):
        metrics = evaluate_coco_files(annotations, folder, iou_types=["bbox"])
    assert_same(metrics, numbers["bbox"])
    assert "1 pictures could not be read" in caplog.text and f"{unread}.jpg" in caplog.text


def test_nothing_found(tmp_path):
    content, _ = compose(5)
    folder = write_archive(tmp_path / "found", content, [])
    metrics = evaluate_coco_files(write(tmp_path / "gt.json", content), folder)
    assert [metrics[f"{name}_ap"] for name in ("box", "mask", "keypoint")] == [0, 0, 0]


def change(file, row, **values):
    """Writes other values into a row of a table."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[row].update(values)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize(
    ("table", "values", "message"),
    [
        ("pictures", {"id": 2}, r"pictures-00000.jsonl, row 0: expected an id .*|.*row 1: .* id=2"),
        ("pictures", {"file_name": 7}, r"row 0: expected an id of its own and a file_name"),
        ("pictures", {"file_name": "b.jpg"}, r"found: expected all 6 pictures of .*none for 1 of"),
        ("pictures", {"height": 9}, r"row 0: expected .* height and width \(150, 200\)"),
        ("objects", {"image_id": 77}, r"objects-00000.jsonl, row 0: expected image_id of the arch"),
        ("objects", {"category_name": "dog"}, r"row 0: expected category_name of the archive"),
        ("objects", {"score": None}, r"row 0: expected a finite number as score"),
        ("objects", {"bbox": [1, 2]}, r"objects-00000.jsonl, row 0: expected four finite numbers"),
        ("objects", {"bbox": None}, r"row 1: expected \['segmentation', 'keypoints'\], as the fi"),
    ],
)
def test_broken_archives_are_named(table, values, message, tmp_path):
    content, results = compose(5, pictures=6)
    annotations = write(tmp_path / "gt.json", content)
    folder = write_archive(tmp_path / "found", content, results)
    change(folder / f"{table}-00000.jsonl", 0, **values)
    with pytest.raises(ValueError, match=message):
        evaluate_coco_files(annotations, folder)


def test_folders_that_are_no_archive_of_these_pictures(tmp_path):
    content, results = compose(5, pictures=6)
    annotations = write(tmp_path / "gt.json", content)
    folder = write_archive(tmp_path / "found", content, results)

    def refuses(message, path=annotations):
        with pytest.raises(ValueError, match=message):
            evaluate_coco_files(path, folder)

    names = [{**image, "file_name": "a.jpg"} for image in content["images"]]
    refuses("a file_name of its own", write(tmp_path / "names.json", {**content, "images": names}))
    categories = [*content["categories"], {"id": 50, "name": "dog"}]
    other = write(tmp_path / "other.json", {**content, "categories": categories})
    refuses(r"expected the classes of .*found.*\['dog'\]", other)
    (folder / "objects-00001.jsonl").write_text("{")
    refuses(r"objects-00001\.jsonl, line 1")
    (folder / "objects-00001.jsonl").write_text("[1]\n")
    refuses(r"objects-00001\.jsonl, line 1: expected a JSON object")
    (folder / "pictures-00000.parquet").write_bytes(b"PAR1")
    refuses("expected the parts of one archive")
    for file in folder.glob("pictures-*"):
        file.unlink()
    refuses("expected the parts of one archive.*none")
    (folder / "job.json").unlink()
    refuses("job.json")
