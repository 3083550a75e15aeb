"""One data set, written in every format that holds polygons as its tools write it."""

import json

import numpy as np
from format_files import save_picture, write_json

# Height, width and objects (class and outline) of each picture.
SCENES = {
    "a.jpg": (
        60,
        80,
        [
            ("fig", [10.25, 10.5, 30.5, 12.25, 20.0, 40.75]),
            ("pear", [40.0, 20.0, 70.5, 20.0, 70.5, 50.0, 40.0, 50.0]),
        ],
    ),
    "b.jpg": (33, 47, [("pear", [0.0, 0.0, 46.5, 1.25, 3.5, 32.75, 20.0, 10.0])]),
    "c.jpg": (20, 30, []),
}
CLASSES = ["fig", "pear"]


def pairs(outline):
    return np.reshape(outline, (-1, 2)).tolist()


def write_coco(folder):
    images, annotations = [], []
    for number, (name, (height, width, objects)) in enumerate(SCENES.items(), 1):
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        for label, outline in objects:
            low, high = np.min(pairs(outline), axis=0), np.max(pairs(outline), axis=0)
            entry = {"id": len(annotations) + 1, "image_id": number, "segmentation": [outline]}
            entry |= {"bbox": [*low, *(high - low)], "category_id": CLASSES.index(label) + 1}
            annotations.append(entry)
    categories = [{"id": k, "name": name} for k, name in enumerate(CLASSES, 1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    write_json(folder / "instances.json", content)


def write_labelme(folder):
    for name, (height, width, objects) in SCENES.items():
        shapes = [{"label": label, "points": pairs(outline)} for label, outline in objects]
        content = {"shapes": shapes, "imagePath": name, "imageHeight": height, "imageWidth": width}
        write_json(folder / f"{name[0]}.json", content)


def write_via(folder):
    content = {}
    for name, (_, _, objects) in SCENES.items():
        regions = [
            {
                "shape_attributes": {"name": "polygon"}
                | {f"all_points_{axis}": outline[k::2] for k, axis in enumerate("xy")},
                "region_attributes": {"kind": label},
            }
            for label, outline in objects
        ]
        content[f"{name}99"] = {"filename": name, "size": 99, "regions": regions}
    write_json(folder / "via_region_data.json", content)


def write_via3(folder):
    numbered = list(enumerate(SCENES.items(), 1))
    options = {str(k): label for k, label in enumerate(CLASSES)}
    metadata = {
        f"{k}_{n}": {"vid": str(k), "z": [], "xy": [7, *outline]}
        | {"av": {"1": str(CLASSES.index(label))}}
        for k, (_, (_, _, objects)) in numbered
        for n, (label, outline) in enumerate(objects)
    }
    content = {
        "attribute": {"1": {"aname": "kind", "type": 4, "options": options}},
        "file": {str(k): {"fid": k, "fname": name} for k, (name, _) in numbered},
        "view": {str(k): {"fid_list": [str(k)]} for k, _ in numbered},
        "metadata": metadata,
    }
    write_json(folder / "via_project.json", content)


def write_yolo(folder):
    for name, (height, width, objects) in SCENES.items():
        lines = [
            " ".join(
                map(repr, [CLASSES.index(label), *(np.array(pairs(o)) / (width, height)).flat])
            )
            for label, o in objects
        ]
        text = "\n".join(lines).replace("np.float64(", "").replace(")", "")
        (folder / f"{name[0]}.txt").write_text(text)
    (folder / "data.yaml").write_text(json.dumps({"names": CLASSES}))


def write_cvat(folder):
    labels = "".join(f"<label><name>{name}</name></label>" for name in CLASSES)
    text = f"<annotations><meta><task><labels>{labels}</labels></task></meta>"
    for number, (name, (height, width, objects)) in enumerate(SCENES.items()):
        text += f'<image id="{number}" name="{name}" width="{width}" height="{height}">'
        for label, outline in objects:
            points = ";".join(f"{x:.2f},{y:.2f}" for x, y in pairs(outline))
            text += f'<polygon label="{label}" points="{points}"/>'
        text += "</image>"
    (folder / "annotations.xml").write_text(f"{text}</annotations>")


def write_supervisely(folder):
    classes = [{"title": name, "shape": "polygon"} for name in CLASSES]
    write_json(folder / "meta.json", {"classes": classes})
    for name, (height, width, objects) in SCENES.items():
        figures = [
            {"classTitle": label, "geometryType": "polygon"}
            | {"points": {"exterior": pairs(outline), "interior": []}}
            for label, outline in objects
        ]
        size = {"height": height, "width": width}
        write_json(folder / "ds" / "ann" / f"{name}.json", {"size": size, "objects": figures})


def write_label_studio(folder):
    tasks = []
    for number, (name, (height, width, objects)) in enumerate(SCENES.items(), 1):
        results = [
            {
                "type": "polygonlabels",
                "original_width": width,
                "original_height": height,
                "value": {
                    "points": (np.array(pairs(outline)) * 100 / (width, height)).tolist(),
                    "polygonlabels": [label],
                },
            }
            for label, outline in objects
        ]
        annotations = [{"result": results}]
        tasks.append({"id": number, "data": {"image": f"/x/{name}"}, "annotations": annotations})
    write_json(folder / "export.json", tasks)


WRITERS = {
    "coco": write_coco,
    "cvat": write_cvat,
    "label_studio": write_label_studio,
    "labelme": write_labelme,
    "supervisely": write_supervisely,
    "via": write_via,
    "via3": write_via3,
    "yolo": write_yolo,
}


def write(folder, name):
    """The pictures and their annotations in a new folder."""
    folder.mkdir()
    for picture, (height, width, _) in SCENES.items():
        save_picture(folder / picture, height, width)
    WRITERS[name](folder)
