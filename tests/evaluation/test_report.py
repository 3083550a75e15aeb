"""The page and its JSON: what they hold, whatever the data, and pictures with right and wrong."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from analysis_scenes import crowd, scene
from evaluation_reference import compose, only, write
from evaluation_stubs import StubModel, instance, make_data, perfect, rectangle
from PIL import Image

from keras_maskrcnn.cli import evaluate, main
from keras_maskrcnn.data import load_coco
from keras_maskrcnn.drawing import CROWD_COLOR
from keras_maskrcnn.evaluation import analyse, analyse_files, coco_metrics, coco_results
from keras_maskrcnn.evaluation.analysis import analyse_compared
from keras_maskrcnn.evaluation.drawn import RIGHT_COLOR, WRONG_COLOR, draw_pair

HOSTILE = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;"
BOX = (0, 0, 40, 40)


class Tags(HTMLParser):
    """Tags with their attributes, and all text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def saved(analysis, folder, **options):
    analysis.save(folder, **options)
    content = (folder / "report.json").read_text()
    assert "NaN" not in content and "Infinity" not in content
    text = (folder / "report.html").read_text()
    assert "nan" not in re.sub(r"<title>.*?</title>|base64,[^\"]*", "", text)
    return json.loads(content), Tags(text), text


AWKWARD = {
    "nothing at all": ([], []),
    "no objects": ([], [(1, 0, *BOX, 0.9)]),
    "no results": ([(1, 0, *BOX), (2, 1, *BOX)], []),
    "a class without objects": ([(1, 0, *BOX)], [(1, 0, *BOX, 0.9), (1, 1, *BOX, 0.8)]),
    "only crowds": ([crowd(1, 0, *BOX)], [(1, 0, *BOX, 0.9)]),
    "a size of nothing": ([(1, 0, 5, 5, 0, 0)], [(1, 0, 5, 5, 0, 0, 0.9)]),
    "odd scores": ([(1, 0, *BOX)], [(1, 0, *BOX, -3.5), (1, 0, 90, 90, 9, 9, 1e9)]),
}


@pytest.mark.parametrize("case", AWKWARD)
@pytest.mark.parametrize("images", [2, 3])
def test_awkward_data_have_a_report(case, images, tmp_path):
    truth, found = AWKWARD[case]
    analysis = analyse_compared(scene(truth, found, images=images))
    content, page, _ = saved(analysis, tmp_path)
    comparison = content["comparisons"]["bbox"]
    objects = sum(len(row) == 6 for row in truth)
    assert comparison["objects"] == objects and comparison["results"] == len(found)
    matrix = np.array(comparison["confusion"]["counts"])
    assert matrix[:-1].sum() == objects
    assert len(comparison["pictures"]) == images
    if not objects:
        assert comparison["errors"]["ap50"] is None
        assert set(comparison["errors"]["dap"].values()) == {None}
    assert "pictures, 2 classes" in page.text
    assert ("maskrcnn predict" in page.text) == bool(comparison["thresholds"]["best"])


def test_a_single_picture_of_one_class(tmp_path):
    compared = scene([(1, 0, *BOX)], [(1, 0, *BOX, 0.9)], names=("cat",))
    content, page, _ = saved(analyse_compared(compared), tmp_path, model="runs/my cats")
    assert content["metrics"]["box_ap"] == 1
    assert content["comparisons"]["bbox"]["thresholds"]["best"] == {"cat": 0.9}
    assert "maskrcnn predict 'runs/my cats' PICTURES --threshold=cat=0.9" in page.text
    assert "detections.above({'cat': 0.9})" in page.text
    assert "1 of 1 objects are found" in page.text


def test_numbers_are_those_of_the_parts(tmp_path):
    content, results = compose(4, pictures=8)
    annotations = write(tmp_path / "gt.json", content)
    file = write(tmp_path / "results.json", only(results, "bbox", "segmentation"))
    analysis = analyse_files(annotations, file)
    received, page, text = saved(analysis, tmp_path)
    metrics = analysis.metrics
    for name, value in metrics.items():
        assert received["metrics"][name] == pytest.approx(value, rel=1e-5)
    assert set(received["comparisons"]) == {"bbox", "segm"}
    for iou_type, prefix in (("bbox", "box"), ("segm", "mask")):
        part, own = received["comparisons"][iou_type], analysis.comparisons[iou_type]
        assert part["errors"]["ap50"] == pytest.approx(metrics[f"{prefix}_ap50"], rel=1e-5)
        assert part["confusion"]["counts"] == own.confusion.counts.tolist()
        for k in np.flatnonzero(own.matching.objects):
            curves = part["curves"]["classes"][own.curves.class_names[k]]["precision"]
            np.testing.assert_allclose(curves, own.curves.precision[..., k], rtol=1e-5)
    assert page.text.index("Masks") < page.text.index("Boxes")
    assert "No pictures are drawn" in page.text
    assert text.count("<svg") == 2 * (2 + 3)  # Of two classes with objects, and of all.


def test_what_is_told_of_keypoints(tmp_path):
    content, results = compose(4, pictures=8)
    annotations = write(tmp_path / "gt.json", content)
    file = write(tmp_path / "results.json", only(results, "keypoints"))
    analysis = analyse_files(annotations, file, iou_types=["bbox", "keypoints"])
    received, page, text = saved(analysis, tmp_path)
    metrics, keypoints = analysis.metrics, received["keypoints"]
    ap = dict(zip(keypoints["similarities"], keypoints["mean_ap"], strict=True))
    assert list(ap) == pytest.approx(np.arange(0.5, 1, 0.05))
    assert ap[0.5] == pytest.approx(metrics["keypoint_ap50"], rel=1e-5)
    assert ap[0.75] == pytest.approx(metrics["keypoint_ap75"], rel=1e-5)
    assert np.mean(list(ap.values())) == pytest.approx(metrics["keypoint_ap"], rel=1e-5)
    for name, numbers in metrics.per_class.items():
        of_class = keypoints["classes"][name]["ap"]
        if np.isnan(numbers["keypoint_ap"]):
            assert of_class == [None] * 10
        else:
            assert np.mean(of_class) == pytest.approx(numbers["keypoint_ap"], rel=1e-5)
    assert page.text.index("Boxes") < page.text.index("Keypoints are analysed no further")
    shown = [f"{100 * value:.1f}" for value in ap.values()]
    row = re.search(r"<td>all classes</td>(.*?)</tr>", text).group(1)
    assert re.findall(r"<td>([\d.]+)</td>", row) == shown
    _, page, _ = saved(analyse_files(annotations, file, iou_types=["bbox"]), tmp_path)
    assert "analysed no further" not in page.text


def test_keypoints_alone_have_a_report(tmp_path):
    content, results = compose(4, pictures=8)
    for annotation in content["annotations"]:
        annotation["num_keypoints"] = 0
    annotations = write(tmp_path / "gt.json", content)
    file = write(tmp_path / "results.json", only(results, "keypoints"))
    analysis = analyse_files(annotations, file, iou_types=["keypoints"])
    received, page, text = saved(analysis, tmp_path)
    assert received["comparisons"] == {} and received["keypoints"]["mean_ap"] == [None] * 10
    assert "Keypoints are analysed no further" in page.text and "<svg" not in text


def test_hostile_names_stay_text(tmp_path):
    names = (HOSTILE, "b")
    compared = scene([(1, 0, *BOX), (1, 1, *BOX)], [(1, 0, *BOX, 0.9)], names=names)
    _, page, text = saved(analyse_compared(compared), tmp_path, model=HOSTILE)
    assert not {"script", "iframe", "link", "img"} & {tag for tag, _ in page.tags}
    assert not [a for _, attrs in page.tags for a in attrs if a.startswith("on")]
    assert page.text.count(HOSTILE) >= 7
    assert "http://" not in text and "https://" not in text
    assert "default-src 'none'" in text


def test_many_classes_are_a_list_of_what_is_confused(tmp_path):
    names = tuple(f"class {k}" for k in range(30))
    truth = [(1, k, 10 * k, 0, 9, 9) for k in range(30)]
    found = [(1, (k + 1) % 30 if k == 7 else k, 10 * k, 0, 9, 9, 0.9) for k in range(30)]
    _, page, text = saved(analyse_compared(scene(truth, found, names)), tmp_path)
    rows = re.findall(r"<tr><td>class 7</td><td>class 8</td><td>1</td></tr>", text)
    assert len(rows) == 1 and "class=matrix" not in text
    assert "and 18 more classes: see report.json" in page.text


def colors(picture, color, tolerance=12):
    """Where a colour is drawn at full strength."""
    return np.abs(np.asarray(picture, int) - color).max(axis=-1) < tolerance


@pytest.fixture
def pictures(tmp_path):
    """One found, one missed and a crowd; one right, one wrong, and one in the crowd."""
    crowd_box = (100.0, 60.0, 160.0, 120.0)
    data = make_data(
        tmp_path,
        [
            [
                instance((10.0, 10.0, 50.0, 50.0), number=1),
                instance((60.0, 10.0, 90.0, 40.0), 1, number=2),
                instance(crowd_box, number=3, is_crowd=True),
            ],
            [instance((10.0, 10.0, 50.0, 50.0), number=4)],
        ],
    )

    def answer(record):
        if record.image_id == 2:
            return perfect(record)
        boxes = [(10.0, 10.0, 50.0, 50.0), (10.0, 70.0, 40.0, 110.0), (110.0, 70.0, 150.0, 110.0)]
        rows = zip(boxes, (0.9, 0.8, 0.95), strict=True)
        return [(box, 0, score, rectangle(*box)) for box, score in rows]

    return data, StubModel(data, answer)


def test_pictures_show_right_and_wrong(pictures):
    data, model = pictures
    results = coco_results(model, data, progress=False)
    analysis = analyse(data, results)
    comparison = analysis.comparisons["segm"]
    # The threshold of the cats lies above the wrong one's score: with less, it counts.
    assert comparison.thresholds.by_name() == {"cat": 0.85}
    assert comparison.pictures.wrong.tolist() == [0, 0]
    from keras_maskrcnn.evaluation.analysis import picture_scores

    low = type(comparison)(**{**vars(comparison), "pictures": picture_scores(comparison.matching)})
    annotated, found = draw_pair(analysis.compared, low, 0, side=320)  # Twice as large.
    assert annotated.size == found.size == (320, 240)
    for picture, color, (x1, y1, x2, y2) in (
        (annotated, RIGHT_COLOR, (10, 10, 50, 50)),
        (annotated, WRONG_COLOR, (60, 10, 90, 40)),
        (annotated, CROWD_COLOR, (100, 60, 160, 120)),
        (found, RIGHT_COLOR, (10, 10, 50, 50)),
        (found, WRONG_COLOR, (10, 70, 40, 110)),
        (found, CROWD_COLOR, (110, 70, 150, 110)),
    ):
        where = colors(picture, color)
        # The outline's sides, away from labels.
        assert where[2 * y1 + 20 : 2 * y2 - 20, 2 * x1 : 2 * x1 + 3].any()
        assert where[2 * y1 + 20 : 2 * y2 - 20, 2 * x2 - 3 : 2 * x2].any()
    assert not colors(found, WRONG_COLOR)[:, 220:].any()


def test_pictures_stand_in_the_page(pictures, tmp_path):
    data, model = pictures
    analysis = analyse(data, coco_results(model, data, progress=False))
    _, page, text = saved(analysis, tmp_path / "out")
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(images) == 8  # Masks and boxes, worst and best, both sides.
    assert all(i["src"].startswith("data:image/jpeg;base64,") for i in images)
    assert images[0]["alt"] == "annotated: 0.png: 1 found, 1 missed, 0 wrong"
    assert text.index("Worst pictures") < text.index("0.png") < text.index("Best pictures")


def test_pictures_that_cannot_be_read_are_told(pictures, tmp_path):
    data, model = pictures
    results = coco_results(model, data, progress=False)
    (tmp_path / "0.png").unlink()
    Image.new("RGB", (9, 9)).save(tmp_path / "1.png")
    _, page, _ = saved(analyse(data, results), tmp_path / "out")
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert page.text.count("The picture cannot be read, or is of another size") == 4


def test_results_of_a_model_are_handed_over(pictures):
    data, model = pictures
    results = coco_results(model, data, progress=False)
    assert len(model.batches) == 2 and results.iou_types == {"bbox", "segm"}
    assert len(results) == 4
    metrics = coco_metrics(data, results)
    assert metrics == analyse(data, results).metrics
    # Without results it is known what the model predicts.
    nothing = coco_results(StubModel(data, lambda r: [], masks=False), data, progress=False)
    assert list(nothing) == [] and list(analyse(data, nothing).comparisons) == ["bbox"]


def test_command_with_a_model(pictures, tmp_path, monkeypatch, capsys):
    """The model looks at each picture once."""
    data, model = pictures
    monkeypatch.setattr(evaluate, "load_model", lambda path, weights_file: model)
    monkeypatch.setattr(evaluate, "read_coco", lambda annotations, images, args: data)
    out = tmp_path / "out"
    words = ["m.keras", "--annotations", "gt.json", "--images", "here", "--report", str(out)]
    assert main(["evaluate", *words]) == 0
    assert len(model.batches) == len(data)
    assert capsys.readouterr().out.splitlines()[-1] == str(out / "report.html")
    content = json.loads((out / "report.json").read_text())
    assert content["comparisons"]["segm"]["thresholds"]["best"] == {"cat": 0.85}
    text = (out / "report.html").read_text()
    assert "maskrcnn predict m.keras PICTURES --threshold=cat=0.85" in text


def test_command_with_results(shared, tmp_path, capsys):
    """On real pictures with crowds: every object found as it is, but for the smallest."""
    folder = shared / "data" / "coco_ccby"
    annotations, images = folder / "annotations" / "instances_val2017.json", folder / "val2017"
    data = load_coco(annotations, images)
    results = []
    for record in data.records:
        for i in record.instances:
            x1, y1, x2, y2 = i.box
            if i.area > 32**2:
                results.append(
                    {
                        "image_id": record.image_id,
                        "category_id": data.category_ids[i.category],
                        "bbox": [x1, y1, x2 - x1, y2 - y1],
                        "score": 0.7,
                    }
                )
    file = write(tmp_path / "found.json", results)
    words = ["--results", str(file), "--annotations", str(annotations)]
    out = tmp_path / "out"
    for more in ([], ["--images", str(images)]):
        assert main(["evaluate", *words, *more, "--report", str(out)]) == 0
        text = (out / "report.html").read_text()
        assert ("data:image/jpeg" in text) == bool(more)
    content = json.loads((out / "report.json").read_text())["comparisons"]["bbox"]
    small, medium, large = content["sizes"]
    assert (small["ap"], medium["ap50"], large["ap50"]) == (0, 1, 1)
    objects = sum(len(record.objects) for record in data.records)
    assert content["objects"] == objects
    counts = content["errors"]["counts"]
    assert counts == {**dict.fromkeys(counts, 0), "missed": small["objects"]}
    assert np.trace(content["confusion"]["counts"]) == objects - small["objects"]
    capsys.readouterr()
    assert main(["evaluate", *words, "--images", str(images)]) == 2
    assert "--images only with a MODEL or --report" in capsys.readouterr().err
