"""Average precision on cases that can be worked by hand, and against pycocotools' own summary."""

import contextlib
import dataclasses
import io
import json
import math

import numpy as np
import pytest
from evaluation_reference import DETECTION
from evaluation_stubs import StubModel, instance, make_data, perfect, rectangle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from keras_maskrcnn.data.formats.coco import load_coco
from keras_maskrcnn.evaluation import coco_metrics, evaluate_coco
from keras_maskrcnn.outlines import Polygons
from keras_maskrcnn.results import Detections

CAT = (10.0, 10.0, 60.0, 50.0)  # Area 2000: medium.
DOG = (70.0, 20.0, 150.0, 100.0)  # Area 6400: medium.
SMALL = (5.0, 90.0, 25.0, 110.0)  # Area 400: small.


@pytest.fixture
def data(tmp_path):
    """Three pictures: two cats and a dog, one cat, and nothing."""
    return make_data(
        tmp_path, [[instance(CAT), instance(SMALL), instance(DOG, 1)], [instance(CAT)], []]
    )


def score(data, answer, **options):
    return evaluate_coco(StubModel(data, answer), data, progress=False, **options)


def result(box, image_id=1, category_id=14, score=0.9, **fields):
    x1, y1, x2, y2 = box
    bbox = [x1, y1, x2 - x1, y2 - y1]
    return dict(image_id=image_id, category_id=category_id, bbox=bbox, score=score, **fields)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_perfect_detections(data, batch_size):
    metrics = score(data, perfect, batch_size=batch_size)
    for name in ("ap", "ap50", "ap75", "aps", "apm", "ar"):
        assert metrics[f"box_{name}"] == pytest.approx(1.0)
        assert metrics[f"mask_{name}"] == pytest.approx(1.0)
    assert math.isnan(metrics["box_apl"])  # No object of that size.
    assert list(metrics.per_class) == ["cat", "dog"]
    assert metrics.per_class["dog"]["mask_ap"] == pytest.approx(1.0)
    assert math.isnan(metrics.per_class["dog"]["box_aps"])


def test_nothing_found(data):
    metrics = score(data, lambda record: [])
    assert metrics["box_ap"] == metrics["mask_ap"] == metrics["box_ar"] == 0.0


def test_half_of_the_objects(tmp_path):
    # Two of four cats found: precision 1 up to recall .5, so 51 of COCO's 101 recall points.
    data = make_data(tmp_path, [[instance(CAT), instance(SMALL)]] * 2)
    metrics = score(data, lambda record: perfect(record)[:1])
    assert metrics["box_ap"] == pytest.approx(51 / 101)
    assert metrics["mask_ap50"] == pytest.approx(51 / 101)
    assert metrics["box_ar"] == pytest.approx(0.5)
    assert metrics["box_apm"] == pytest.approx(1.0)
    assert metrics["box_aps"] == 0.0


def test_false_positive_on_an_empty_picture_counts(data):
    def answer(record):
        wrong = [] if record.instances else [(DOG, 1, 0.99, rectangle(*DOG))]
        return perfect(record) + wrong

    metrics = score(data, answer)
    # The dog comes second: precision 1/2 at every recall.
    assert metrics.per_class["dog"]["box_ap"] == pytest.approx(0.5)
    assert metrics.per_class["cat"]["box_ap"] == pytest.approx(1.0)
    assert metrics["mask_ap"] == pytest.approx(0.75)


def test_wrong_class_finds_nothing(data):
    swapped = [(box, 1 - k, s, outline) for box, k, s, outline in perfect(data.records[0])]
    metrics = score(data, lambda record: swapped if record.image_id == 1 else [])
    assert metrics["box_ap"] == 0.0


def test_iou_threshold(tmp_path):
    # A box of 80 % of the object: a hit at IoU .5 to .8, seven of ten thresholds.
    data = make_data(tmp_path, [[instance((0.0, 0.0, 100.0, 50.0))]])
    box = (0.0, 0.0, 80.001, 50.0)
    metrics = score(data, lambda record: [(box, 0, 0.9, rectangle(*box))])
    assert metrics["box_ap"] == pytest.approx(0.7)
    assert metrics["box_ap75"] == pytest.approx(1.0)


def test_crowds_are_ignored(tmp_path):
    crowd = instance((60.0, 60.0, 160.0, 120.0), is_crowd=True)
    data = make_data(tmp_path, [[instance(CAT), crowd]])
    inside = (100.0, 80.0, 130.0, 110.0)

    def answer(record):
        return [*perfect(record), (inside, 0, 0.99, rectangle(*inside))]

    metrics = score(data, answer)
    assert metrics["box_ap"] == metrics["mask_ap"] == pytest.approx(1.0)
    # Without the crowd region the same detection is wrong.
    plain = make_data(tmp_path, [[instance(CAT)]])
    assert score(plain, answer)["box_ap"] == pytest.approx(0.5)


def test_crowds_without_an_outline_are_their_box(tmp_path):
    crowd = dataclasses.replace(instance((60.0, 60.0, 160.0, 120.0), is_crowd=True), outline=None)
    data = make_data(tmp_path, [[instance(CAT), crowd]])
    inside = (100.0, 80.0, 130.0, 110.0)
    answer = [*perfect(data.records[0]), (inside, 0, 0.99, rectangle(*inside))]
    assert score(data, lambda record: answer)["mask_ap"] == pytest.approx(1.0)


def test_recall_of_the_best(tmp_path):
    # Four cats, of which the second best result is wrong.
    boxes = [(40.0 * i, 0.0, 40.0 * i + 30, 40.0) for i in range(4)]
    data = make_data(tmp_path, [[instance(box) for box in boxes]])
    wrong = (0.0, 60.0, 30.0, 110.0)

    def answer(record):
        scores = (0.9, 0.7, 0.6, 0.5)
        found = [(b, 0, s, rectangle(*b)) for b, s in zip(boxes, scores, strict=True)]
        return [*found, (wrong, 0, 0.8, rectangle(*wrong))]

    metrics = score(data, answer)
    for name in ("box", "mask"):
        assert metrics[f"{name}_ar_1"] == pytest.approx(0.25)
        assert metrics[f"{name}_ar_10"] == metrics[f"{name}_ar"] == pytest.approx(1.0)
        assert metrics[f"{name}_arm"] == pytest.approx(1.0)
        assert math.isnan(metrics[f"{name}_ars"]) and math.isnan(metrics[f"{name}_arl"])
    metrics = score(data, answer, max_detections=2)
    assert metrics["box_ar_10"] == metrics["box_ar"] == pytest.approx(0.25)


def test_size_of_a_detection_is_that_of_its_mask(tmp_path):
    # An unmatched thin object in a large box is small by its mask: it must not hurt `apm`.
    data = make_data(tmp_path, [[instance(CAT)]])
    thin = Polygons([[0.0, 0.0, 160.0, 110.0, 160.0, 114.0, 0.0, 4.0]])
    box = (0.0, 0.0, 160.0, 114.0)
    metrics = score(data, lambda record: [*perfect(record), (box, 0, 0.99, thin)])
    assert metrics["mask_ap"] == pytest.approx(0.5)
    assert metrics["mask_apm"] == pytest.approx(1.0)


def test_more_objects_than_scored(tmp_path):
    boxes = [(20.0 * i, 0.0, 20.0 * i + 16, 16.0) for i in range(8)]
    data = make_data(tmp_path, [[instance(box) for box in boxes]])
    assert score(data, perfect)["box_ar"] == pytest.approx(1.0)
    assert score(data, perfect, max_detections=2)["box_ar"] == pytest.approx(2 / 8)


def test_sizes_reach_the_model(data):
    model = StubModel(data, min_size=60, max_size=70)
    evaluate_coco(model, data, progress=False)
    assert [max(sizes[0]) for _, sizes in model.batches] == [70] * 3
    model = StubModel(data)
    evaluate_coco(model, data, progress=False, min_size=120, max_size=500)
    # Padded to the model's own divisor, 64.
    assert model.batches == [((1, 128, 192, 3), [[120, 160]])] * 3


class AugmentedStub(StubModel):
    """Finds the objects only where it is asked to augment."""

    def predict(self, path, batch_size, *, verbose, augment, tile, overlap):
        assert (batch_size, verbose, augment, tile, overlap) == (1, 0, "twice", None, None)
        (record,) = [r for r in self.data.records if r.path == path]
        self.position = self.data.records.index(record)
        size = record.height, record.width
        outputs = self.predict_on_batch({"images": np.zeros((1, *size)), "image_sizes": [size]})
        return [Detections.from_padded(outputs, 0, image_size=size, original_size=size)]


def test_augmented(data):
    model = AugmentedStub(data)
    metrics = evaluate_coco(model, data, progress=False, augment="twice")
    assert metrics["box_ap"] == metrics["mask_ap"] == pytest.approx(1.0)
    assert model.batches == [((1, 120, 160), [[120, 160]])] * 3
    with pytest.raises(ValueError, match="sizes of its own.*min_size=60, max_size=None"):
        evaluate_coco(model, data, progress=False, augment="twice", min_size=60)
    with pytest.raises(ValueError, match="batch_size must be 1.*augment=twice with batch_size=2"):
        evaluate_coco(model, data, progress=False, augment="twice", batch_size=2)
    assert len(model.batches) == 3


def test_model_without_masks(data):
    metrics = evaluate_coco(StubModel(data, masks=False), data, progress=False)
    assert metrics["box_ap"] == pytest.approx(1.0)
    assert not any(name.startswith("mask") for name in metrics)


def test_progress_and_silence(data, capsys):
    score(data, perfect)
    assert capsys.readouterr().out == ""
    evaluate_coco(StubModel(data), data)
    assert "3/3" in capsys.readouterr().out


def test_table(data):
    text = score(data, perfect).table().splitlines()
    assert text[0].split()[:2] == ["box_ap", "box_ap50"]
    assert text[1].startswith("all classes") and text[1].split()[2] == "100.0"
    assert text[3].startswith("dog") and "-" in text[3]
    assert len({len(line) for line in text}) == 1


def test_refuses_foreign_results(data):
    with pytest.raises(ValueError, match="image_id=99"):
        coco_metrics(data, [result(CAT, image_id=99)])
    with pytest.raises(ValueError, match="category_id=3"):
        coco_metrics(data, [result(CAT, category_id=3)])
    with pytest.raises(ValueError, match="needs 'segmentation'"):
        coco_metrics(data, [result(CAT)], iou_types=("segm",))
    with pytest.raises(ValueError, match="Received: iou_types=\\('mask',\\)"):
        coco_metrics(data, [], iou_types=("mask",))
    with pytest.raises(ValueError, match="needs that annotation"):
        coco_metrics(data, [], iou_types=("keypoints",))


def test_refuses_results_that_cannot_be_scored(data):
    with pytest.raises(ValueError, match=r"results\[0\]: expected a finite number as score"):
        coco_metrics(data, [result(CAT, score=math.nan)])
    with pytest.raises(ValueError, match=r"results\[0\]: expected four finite numbers as bbox"):
        coco_metrics(data, [{**result(CAT), "bbox": [0, 0, 1]}])
    with pytest.raises(ValueError, match=r"hold one of \['bbox', 'segmentation'\]"):
        coco_metrics(data, [{"image_id": 1, "category_id": 14, "score": 1.0}])
    # COCO's own tools would compare run lengths that end too early for ever.
    short = {"size": [120, 160], "counts": [100, 50]}
    with pytest.raises(ValueError, match=r"results\[0\]: expected run lengths of 19200 pixels"):
        coco_metrics(data, [result(CAT, segmentation=short)])


def test_outlines_that_cannot_be_drawn_are_named(tmp_path):
    cat = dataclasses.replace(instance(CAT, number=8), outline=Polygons([[1, 2, 3, 4]]))
    data = make_data(tmp_path, [[cat]])
    with pytest.raises(ValueError, match=r"annotation id 8 \(image id 1\): .*3 points"):
        coco_metrics(data, [], iou_types=["segm"])


def test_saved_results(data, tmp_path):
    (tmp_path / "results.json").write_text(json.dumps([result(CAT)]))
    metrics = coco_metrics(data, json.loads((tmp_path / "results.json").read_text()))
    # One of three cats: 34 of 101 recall points; of the dogs none.
    assert metrics["box_ap"] == pytest.approx(34 / 101 / 2)
    assert "mask_ap" not in metrics  # The results have none.
    assert "mask_ap" in coco_metrics(data, [])


@pytest.mark.parametrize("joints", [17, 3])
def test_keypoints(tmp_path, joints):
    points = np.stack(
        [np.linspace(20, 50, joints), np.linspace(15, 45, joints), np.full(joints, 2.0)], 1
    )
    data = make_data(tmp_path, [[instance(CAT, keypoints=points), instance(DOG, 1)]])

    def found(offset):
        return Detections(
            [CAT], [0], [0.9], None, (120, 160), keypoints=[points + np.array([offset, 0, 0])]
        ).to_coco(1, data.category_ids)

    assert coco_metrics(data, found(0))["keypoint_ap"] == pytest.approx(1.0)
    assert coco_metrics(data, found(40))["keypoint_ap"] == 0.0
    metrics = coco_metrics(data, found(2))
    assert 0 < metrics["keypoint_ap"] <= 1 and "keypoint_aps" not in metrics
    if joints == 3:
        # OKS = exp(-d^2 / (2 area (2 sigma)^2)) = exp(-4 / (4000 * .01)) = .905: nine thresholds.
        assert metrics["keypoint_ap"] == pytest.approx(0.9)


def test_equals_pycocotools_on_real_data(shared):
    """Noisy results on real pictures with crowds: same numbers as the tool's own summary."""
    folder = shared / "data" / "coco_ccby"
    file = folder / "annotations" / "instances_val2017.json"
    data = load_coco(str(file), str(folder / "val2017"))
    rng = np.random.default_rng(0)
    results = []
    for record in data.records:
        kept = [i for i in record.objects if rng.random() < 0.7]
        if not kept:
            continue
        boxes = np.array([i.box for i in kept])
        size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
        classes = np.array([i.category for i in kept])
        wrong = rng.random(len(kept)) < 0.1
        results += Detections(
            boxes=boxes + rng.normal(0, 0.05, boxes.shape) * size,
            classes=np.where(wrong, rng.integers(len(data.class_names), size=len(kept)), classes),
            scores=rng.random(len(kept)),
            mask_probabilities=[i.outline.draw(i.box, 28) / 255.0 for i in kept],
            image_size=(record.height, record.width),
        ).to_coco(record.image_id, data.category_ids)
    metrics = coco_metrics(data, results)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(file))
        for prefix, iou_type in (("box", "bbox"), ("mask", "segm")):
            plain = [
                {k: v for k, v in r.items() if iou_type == "bbox" or k != "bbox"} for r in results
            ]
            reference = COCOeval(truth, truth.loadRes(plain), iou_type)
            reference.evaluate()
            reference.accumulate()
            reference.summarize()
            received = [metrics[f"{prefix}_{name}"] for name in DETECTION]
            np.testing.assert_allclose(received, reference.stats, atol=1e-12)
            assert 0.1 < received[0] < 0.9
