"""Small comparisons made by hand, and pycocotools' own evaluation of composed files."""

import contextlib
import io

from evaluation_reference import only, write
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from keras_maskrcnn.evaluation.compared import Compared
from keras_maskrcnn.evaluation.files import compare_files

FIELDS = {"bbox": "bbox", "segm": "segmentation"}


def crowd(*arguments):
    return (*arguments, True)


def scene(truth, found, names=("a", "b"), images=1, max_detections=100):
    """Boxes of pictures 1, 2, ...: `(image, class, x, y, w, h[, crowd])` and results with a score.

    Args:
        truth: as above.
        found: `(image, class, x, y, w, h, score)`.
    """
    ids = [7 * (len(names) - k) for k in range(len(names))]  # Not in class order.
    annotations = [
        {
            "image_id": image,
            "category_id": ids[category],
            "bbox": [float(v) for v in box],
            "area": float(box[2] * box[3]),
            "iscrowd": int(bool(is_crowd)),
        }
        for image, category, *box, is_crowd in (t if len(t) == 7 else (*t, False) for t in truth)
    ]
    results = [
        {
            "id": number,
            "image_id": image,
            "category_id": ids[category],
            "bbox": [float(v) for v in box],
            "area": float(box[2] * box[3]),
            "iscrowd": 0,
            "score": score,
        }
        for number, (image, category, *box, score) in enumerate(found, 1)
    ]
    sizes = {image: (200, 300) for image in range(1, images + 1)}
    return Compared(
        names, ids, sizes, {"bbox": annotations}, {"bbox": results}, max_detections=max_detections
    )


def composed(folder, content, results, iou_type, max_detections=100):
    """Composed files side by side, and pycocotools' evaluation of them."""
    annotations = write(folder / "gt.json", content)
    file = write(folder / "results.json", only(results, FIELDS[iou_type]))
    compared = compare_files(annotations, file, iou_types=[iou_type], max_detections=max_detections)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        evaluation = COCOeval(truth, truth.loadRes(str(file)), iou_type)
        evaluation.params.maxDets = [max_detections]
        evaluation.evaluate()
        evaluation.accumulate()
    return compared, evaluation
