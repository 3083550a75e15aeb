"""The classes of COCO, and how published models number them."""

from __future__ import annotations

_NAMES = """
    person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light,
    fire hydrant, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant,
    bear, zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard,
    sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket,
    bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli,
    carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet,
    tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink,
    refrigerator, book, clock, vase, scissors, teddy bear, hair drier, toothbrush
"""

# COCO numbers its 80 classes within 1..90; ten numbers are not in use.
_UNUSED_IDS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)

COCO_NAMES: tuple[str, ...] = tuple(name.strip() for name in _NAMES.split(","))
COCO_IDS: tuple[int, ...] = tuple(i for i in range(1, 91) if i not in _UNUSED_IDS)

# torchvision's models number foreground classes as COCO does: their class k (from 0) is category
# k + 1, and ten of them never occur.
COCO_NAMES_BY_ID: tuple[str, ...] = tuple(
    dict(zip(COCO_IDS, COCO_NAMES, strict=True)).get(i, "N/A") for i in range(1, 91)
)
