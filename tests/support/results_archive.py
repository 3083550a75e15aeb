"""Results as `predict_many` leaves them in a folder, whatever has found them."""

from pathlib import Path

from keras_maskrcnn.inference.many.parts import Parts


def write_archive(
    folder: Path, content: dict, results: list, *, format="jsonl", part_size=4, **job
):
    """Parts of results in COCO's format, with the archive's own numbers of pictures and classes.

    Args:
        folder: is created.
        content: of the annotation file; pictures are in its order.
        results: of its pictures and categories.
        format, part_size: of the parts.
    """
    names = {category["id"]: category["name"] for category in content["categories"]}
    classes = [*names.values(), "another"]
    parts = Parts(folder, format, {"classes": classes})
    images = content["images"]
    for number, start in enumerate(range(0, len(images), part_size)):
        pictures, objects = [], []
        for place, image in enumerate(images[start : start + part_size], start + 1):
            path = f"somewhere/archive/{image['file_name']}"
            own = [result for result in results if result["image_id"] == image["id"]]
            size = {"height": image["height"], "width": image["width"]}
            pictures.append(
                {"id": place, "file_name": path, **size, "objects": len(own), "error": None}
            )
            for result in own:
                name = names[result["category_id"]]
                ids = {"image_id": place, "category_id": 1 + classes.index(name)}
                objects.append({**result, **ids, "file_name": path, "category_name": name})
        parts.write(number, pictures, objects)
    return folder
