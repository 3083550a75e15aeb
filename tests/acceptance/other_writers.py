"""Writes a data set by other libraries, and what they read of it, for `test_other_writers.py`.

    PYTHON tests/acceptance/other_writers.py FOLDER

PYTHON has datumaro and supervision, and need not have this package. For each format FOLDER gets a
folder `LIBRARY_FORMAT`, and `LIBRARY_FORMAT.json` with what is in it by others' reading: for each
picture the labels and the polygons or masks of its objects.
"""

import json
import sys
from pathlib import Path

import numpy as np
import supervision as sv
from datumaro.components.annotation import AnnotationType, LabelCategories, Mask, Polygon
from datumaro.components.dataset import Dataset
from datumaro.components.dataset_base import DatasetItem
from datumaro.components.media import Image
from PIL import Image as Pillow
from PIL import ImageDraw

CLASSES = ("apple", "pear", "nut")
SIZES = ((90, 120), (140, 100), (64, 64))
# Formats of datumaro, and whether it writes polygons or masks.
FROM_DATUMARO = {
    "coco_instances": "polygons",
    "cvat": "polygons",
    "voc": "masks",
    "open_images": "masks",
}


def stars(rng, height, width, count):
    """Polygons `[V, 2]` of two decimals: datumaro keeps no more."""
    for number in range(count):
        angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        radius = rng.uniform(6, 14) * rng.uniform(0.6, 1, 12)
        x, y = (number % 3 + 0.5) * width / 3, (number // 3 + 0.5) * height / 2
        yield np.round(
            np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1), 2
        )


def drawn(polygon, height, width):
    picture = Pillow.new("1", (width, height))
    ImageDraw.Draw(picture).polygon([tuple(p) for p in polygon.tolist()], fill=1)
    return np.asarray(picture)


def scene():
    """Names, pictures, and class and polygon of each object."""
    rng = np.random.default_rng(7)
    for number, (height, width) in enumerate(SIZES):
        pixels = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
        objects = [
            (int(rng.integers(len(CLASSES))), polygon)
            for polygon in stars(rng, height, width, 5 - number)
        ]
        yield f"picture_{number}", pixels, objects


def write_datumaro(folder):
    labels = LabelCategories.from_iterable(CLASSES)
    categories = {AnnotationType.label: labels}
    for format, kind in FROM_DATUMARO.items():
        place = folder / f"datumaro_{format}"
        # Open Images has JPEGs only.
        suffix = ".jpg" if format == "open_images" else ".png"
        data = Dataset.from_iterable(list(items(kind, suffix)), categories=categories)
        data.export(str(place), format, save_media=True)
        # Of Open Images it writes masks, which it then does not find.
        found = drawn_masks() if format == "open_images" else read_datumaro(place, format)
        save_truth(folder / f"datumaro_{format}.json", found)


def drawn_masks():
    return {
        name: [
            {
                "label": CLASSES[k],
                "mask": np.argwhere(drawn(polygon, *pixels.shape[:2])).tolist(),
                "size": pixels.shape[:2],
            }
            for k, polygon in objects
        ]
        for name, pixels, objects in scene()
    }


def items(kind, suffix):
    number = 0
    for name, pixels, objects in scene():
        annotations = []
        for category, polygon in objects:
            number += 1
            ids = {"label": category, "id": number, "group": number}
            if kind == "polygons":
                annotations.append(Polygon(polygon.ravel().tolist(), **ids))
            else:
                annotations.append(Mask(drawn(polygon, *pixels.shape[:2]), **ids))
        media = Image.from_numpy(pixels, ext=suffix)
        yield DatasetItem(name, subset="train", media=media, annotations=annotations)


def read_datumaro(place, format):
    data = Dataset.import_from(str(place), format)
    names = [label.name for label in data.categories()[AnnotationType.label]]
    found = {}
    for item in data:
        height, width = item.media.size
        found[Path(item.id).name] = [
            described(names[a.label], a, height, width)
            for a in item.annotations
            if a.type in (AnnotationType.polygon, AnnotationType.mask)
        ]
    return found


def described(label, annotation, height, width):
    if annotation.type == AnnotationType.polygon:
        return {"label": label, "polygon": list(map(float, annotation.points))}
    mask = np.asarray(annotation.image) > 0
    return {"label": label, "mask": np.argwhere(mask).tolist(), "size": [height, width]}


def write_supervision(folder):
    images, annotations = {}, {}
    source = folder / "pictures"
    source.mkdir()
    for name, pixels, objects in scene():
        path = str(source / f"{name}.png")
        Pillow.fromarray(pixels).save(path)
        images[path] = pixels[..., ::-1]
        masks = np.stack([drawn(polygon, *pixels.shape[:2]) for _, polygon in objects])
        annotations[path] = sv.Detections(
            xyxy=sv.mask_to_xyxy(masks).astype(float),
            mask=masks,
            class_id=np.array([k for k, _ in objects]),
        )
    data = sv.DetectionDataset(list(CLASSES), images, annotations)
    places = {name: folder / f"supervision_{name}" for name in ("coco", "yolo", "labelme")}
    pictures = {name: str(place / "images") for name, place in places.items()}
    coco = str(places["coco"] / "annotations.json")
    data.as_coco(pictures["coco"], coco)
    labels, yaml = str(places["yolo"] / "labels"), str(places["yolo"] / "data.yaml")
    data.as_yolo(pictures["yolo"], labels, yaml)
    data.as_labelme(pictures["labelme"], str(places["labelme"] / "images"))
    # What supervision reads again are masks that hold the pixels under their edges, too; so its
    # files are read here as they are.
    save_truth(folder / "supervision_coco.json", coco_polygons(Path(coco)))
    save_truth(folder / "supervision_yolo.json", yolo_polygons(places["yolo"]))
    save_truth(folder / "supervision_labelme.json", labelme_polygons(places["labelme"]))


def coco_polygons(path):
    document = json.loads(path.read_text())
    names = {c["id"]: c["name"] for c in document["categories"]}
    found = {}
    for image in document["images"]:
        found[Path(image["file_name"]).stem] = [
            {"label": names[a["category_id"]], "polygon": a["segmentation"][0]}
            for a in document["annotations"]
            if a["image_id"] == image["id"]
        ]
    return found


def yolo_polygons(place):
    found = {}
    for path in (place / "labels").glob("*.txt"):
        size = Pillow.open(place / "images" / f"{path.stem}.png").size
        lines = [line.split() for line in path.read_text().splitlines()]
        found[path.stem] = [
            {
                "label": CLASSES[int(line[0])],
                "polygon": [float(v) * size[i % 2] for i, v in enumerate(line[1:])],
            }
            for line in lines
        ]
    return found


def labelme_polygons(place):
    return {
        path.stem: [
            {"label": shape["label"], "polygon": np.ravel(shape["points"]).tolist()}
            for shape in json.loads(path.read_text())["shapes"]
        ]
        for path in (place / "images").glob("*.json")
    }


def save_truth(path, found):
    path.write_text(json.dumps(found))


if __name__ == "__main__":
    target = Path(sys.argv[1])
    write_supervision(target)
    write_datumaro(target)
