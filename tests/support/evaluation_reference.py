"""pycocotools' own numbers, and files to score that are full of awkward parts."""

import contextlib
import io
import json

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from keras_maskrcnn.outlines import decode_counts

HEIGHT, WIDTH = 150, 200
PREFIXES = {"bbox": "box", "segm": "mask", "keypoints": "keypoint"}
DETECTION = ("ap", "ap50", "ap75", "aps", "apm", "apl", "ar_1", "ar_10", "ar", "ars", "arm", "arl")
KEYPOINTS = ("ap", "ap50", "ap75", "apm", "apl", "ar", "ar50", "ar75", "arm", "arl")


def pycocotools_numbers(annotations, results, iou_type):
    """What COCO's own tool says about two files; -1 for what cannot be measured."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        evaluation = COCOeval(truth, truth.loadRes(str(results)), iou_type)
        if iou_type == "keypoints":
            joints = {len(a["keypoints"]) // 3 for a in truth.anns.values() if a["keypoints"]}
            if joints != {17}:
                evaluation.params.kpt_oks_sigmas = np.full(max(joints), 0.05)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    names = KEYPOINTS if iou_type == "keypoints" else DETECTION
    stats = evaluation.stats.tolist()
    return {f"{PREFIXES[iou_type]}_{n}": v for n, v in zip(names, stats, strict=True)}


def assert_same(received, expected):
    """All of `expected` to 1e-9, and nothing else of its kind."""
    prefix = next(iter(expected)).split("_")[0]
    received = {k: -1 if np.isnan(v) else v for k, v in received.items() if k.startswith(prefix)}
    assert list(received) == list(expected)
    np.testing.assert_allclose(
        list(received.values()), list(expected.values()), rtol=0, atol=1e-9, err_msg=str(expected)
    )


# Compressed run lengths of a mask without a pixel.
NOTHING = coco_mask.encode(np.zeros((HEIGHT, WIDTH), "uint8", order="F"))["counts"].decode()


def encode(polygons):
    rle = coco_mask.merge(coco_mask.frPyObjects(polygons, HEIGHT, WIDTH))
    return {"size": [HEIGHT, WIDTH], "counts": rle["counts"].decode()}


def run_lengths(rle):
    """The same mask as plain run lengths."""
    return {**rle, "counts": decode_counts(rle["counts"]).tolist()}


def _outline(random, x, y, w, h):
    """Two overlapping polygons of a box, which may reach out of the picture."""
    angles = np.sort(random.uniform(0, 2 * np.pi, 7))
    circle = 0.5 + 0.5 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    whole = (np.array([x, y]) + np.array([w, h]) * circle).ravel().tolist()
    return [whole, [x, y, x + w / 2, y, x + w / 3, y + h]]


def _points(random, x, y, w, h, joints):
    points = np.stack([random.uniform(x, x + w, joints), random.uniform(y, y + h, joints)], 1)
    return np.concatenate([points, random.integers(0, 3, (joints, 1))], axis=1)


def compose(seed, *, pictures=6, objects=8, crowds=0.1, copies=2, found=0.8, ties=False, joints=3):
    """An annotation file's content, and results with boxes, masks and keypoints.

    Ids are in no order and have gaps; some pictures are empty, one category has no objects; sides
    of 32 and 96 pixels give areas on the very limits between small, medium and large. With `ties`,
    scores have one decimal.
    """
    random = np.random.default_rng(seed)
    image_ids = (3 * random.permutation(pictures) + 5).tolist()
    category_ids = [40, 7, 9]
    annotations, results = [], []
    for image_id in image_ids:
        for _ in range(random.integers(0, objects + 1)):
            w, h = (
                random.uniform(4, 110, 2) if random.random() < 0.7 else random.choice((32, 96), 2)
            )
            corner = random.uniform(-2, 1, 2) + random.uniform(0, 1, 2) * (WIDTH - w, HEIGHT - h)
            box = [*corner.tolist(), float(w), float(h)]
            outline, category = _outline(random, *box), int(random.choice(category_ids[:2]))
            points = _points(random, *box, joints)
            if random.random() < 0.2:
                points[:] = 0
            is_crowd = random.random() < crowds
            inside = float(coco_mask.area(encode(outline)))
            annotations.append(
                {
                    "id": 1000 - 3 * len(annotations),
                    "image_id": image_id,
                    "category_id": category,
                    "bbox": box,
                    "area": inside if random.random() < 0.5 else box[2] * box[3],
                    "iscrowd": int(is_crowd),
                    "segmentation": run_lengths(encode(outline)) if is_crowd else outline,
                    "keypoints": points.ravel().tolist(),
                    "num_keypoints": int((points[:, 2] > 0).sum()),
                }
            )
            for _ in range(copies if random.random() < found else 0):
                shift = random.normal(0, 0.06, 4) * np.tile(box[2:], 2) * (random.random() < 0.8)
                near = np.array(box) + shift
                near[2:] = np.maximum(near[2:], 0)
                rle = encode(_outline(random, *near) if random.random() < 0.5 else outline)
                if random.random() < 0.05:
                    rle = {"size": [HEIGHT, WIDTH], "counts": NOTHING}
                moved = points + random.normal(0, 2, points.shape) * (1, 1, 0)
                score = float(random.random())
                other = random.random() < 0.1
                results.append(
                    {
                        "image_id": image_id,
                        "category_id": int(random.choice(category_ids)) if other else category,
                        "bbox": near.tolist(),
                        "segmentation": rle,
                        "keypoints": moved.ravel().tolist(),
                        "score": round(score, 1) if ties else score,
                    }
                )
    content = {
        "images": [
            {"id": i, "file_name": f"{i}.jpg", "height": HEIGHT, "width": WIDTH} for i in image_ids
        ],
        "categories": [{"id": i, "name": f"class {i}"} for i in category_ids],
        "annotations": annotations,
    }
    return content, results


def only(results, *fields):
    """Results with some of their fields."""
    return [{k: r[k] for k in ("image_id", "category_id", "score", *fields)} for r in results]


def write(path, content):
    path.write_text(json.dumps(content))
    return path
