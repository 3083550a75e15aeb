"""The paper in miniature: its comparisons, on composed scenes, beside its own numbers.

    python benchmarks/ablations.py --output ablations.jsonl --plot ablations.png
    python benchmarks/ablations.py --output ablations.jsonl --only "pooler, stride 32" --seeds 1

Each comparison changes one part of a compact model and nothing else: the same scenes, the same
seeds, the same steps. Runs that are in the output are not run again, and a model that several
comparisons have is trained once. The table gives mean and range over the seeds, and the paper's
numbers for the same comparison (He et al. 2017), whose models and pictures are two hundred times
larger: signs and orders are to be compared, not sizes.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from experiments import Run, mean_and_range, run_series
from workers.describe import describe_machine

# First features and proposals, then heads on what they have learnt: each all steps.
ONE_BY_ONE = "one by one"
SHOWN = ("mask_ap", "mask_ap50", "mask_ap75", "box_ap", "box_ap50", "box_ap75")
BATCH = 8
# RoIs a picture that losses see, half of the demo's: most of the heads' time.
SAMPLES = 32
_ONE_MAP = {
    "rpn.anchor_sizes": ((16, 32, 64, 96, 128),),
    "rpn.channels": 128,
    "mask.dim": 64,
}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What one part does.

    Args:
        variants: changes of the model by the name of each; see `models.settings.merge_arguments`.
            `ONE_BY_ONE` is of the training.
        paper: mask AP, AP50, AP75 of each, or box AP where `shown` says so.
        source: where the paper has them.
        base: changes of all variants.
        shown: of `SHOWN`.
    """

    variants: Mapping[str, Mapping[str, Any]]
    paper: Mapping[str, tuple[float, ...]]
    source: str
    base: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    shown: tuple[str, ...] = SHOWN[:3]

    def trained(self, variant: str) -> str:
        """What tells a model from others, whatever comparisons it is in."""
        return json.dumps({**self.base, **self.variants[variant]}, sort_keys=True)


# The map of stride 16 as the last of the same backbone, whose next stage is left out.
_STRIDE_16 = {"neck": "c4_map", **_ONE_MAP}
_STRIDE_32 = {"neck": "c5", **_ONE_MAP}


def _poolers(*names: str) -> dict[str, dict[str, Any]]:
    return {name: {"pooler": name} for name in names}


COMPARISONS = {
    "pooler, stride 16": Comparison(
        _poolers("roi_align", "roi_warp", "roi_pool"),
        {
            "roi_align": (30.3, 51.2, 31.5),
            "roi_warp": (27.1, 48.9, 27.1),
            "roi_pool": (26.9, 48.8, 26.4),
        },
        "table 2c",
        _STRIDE_16,
    ),
    "pooler, stride 32": Comparison(
        _poolers("roi_align", "roi_pool"),
        {"roi_align": (30.9, 51.8, 32.1), "roi_pool": (23.6, 46.5, 21.6)},
        "table 2d",
        _STRIDE_32,
    ),
    "features": Comparison(
        {
            "pyramid": {},
            "stride 16 alone": {**_STRIDE_16, "pooler": "roi_align"},
            "stride 32 alone": {**_STRIDE_32, "pooler": "roi_align"},
        },
        {
            "pyramid": (33.6, 55.2, 35.3),
            "stride 16 alone": (30.3, 51.2, 31.5),
            "stride 32 alone": (30.9, 51.8, 32.1),
        },
        "tables 2a and 2d (FPN, C4, C5 of ResNet-50; its C4 has a last stage for each RoI)",
    ),
    "mask loss": Comparison(
        {
            "sigmoid per class": {},
            "softmax over classes": {"mask.output": "softmax"},
            "class-agnostic": {"mask.output": "class_agnostic"},
        },
        {
            "sigmoid per class": (30.3, 51.2, 31.5),
            "softmax over classes": (24.8, 44.1, 25.1),
            "class-agnostic": (29.7,),
        },
        "table 2b; section 4.2 (AP alone)",
    ),
    "mask head": Comparison(
        {
            "FCN": {},
            "MLP": {"heads": ({"name": "mask_mlp", "dim": 256},)},
        },
        {"FCN": (33.6, 55.2, 35.3), "MLP": (31.5, 53.7, 32.8)},
        "table 2e",
    ),
    "multi-task": Comparison(
        {"boxes and masks": {}, "boxes alone": {"heads": ()}},
        {"boxes and masks": (38.2, 60.3, 41.7), "boxes alone": (37.3, 59.6, 40.3)},
        "table 3 (box AP)",
        shown=SHOWN[3:],
    ),
    "end to end": Comparison(
        {"all together": {}, "heads after proposals": {ONE_BY_ONE: True}},
        {"all together": (37.6,), "heads after proposals": (37.0,)},
        "table 8 (e2e training, ResNeXt-101; its proposals came from a network of their own)",
    ),
    "box stages": Comparison(
        {"one": {}, "cascade": {"box": {"name": "cascade", "samples": SAMPLES, "dim": 256}}},
        {"one": (41.0, float("nan"), float("nan")), "cascade": (44.3,)},
        "detectron2's zoo, R50-FPN 3x (box AP alone)",
        shown=SHOWN[3:],
    ),
}


def train(options: argparse.Namespace, model: str, seed: int) -> Run:
    """One run: its numbers after the last step, its time and memory."""
    import keras
    from workers.describe import status_megabytes

    from keras_maskrcnn import MaskRCNN
    from keras_maskrcnn.data import load_coco
    from keras_maskrcnn.demo.model import compact_settings
    from keras_maskrcnn.evaluation import evaluate_coco
    from keras_maskrcnn.models.settings import merge_arguments

    train_data, val_data = (
        load_coco(options.scenes / f"instances_{split}.json", options.scenes / split)
        for split in ("train", "val")
    )
    keras.utils.set_random_seed(seed)
    changes = json.loads(model)
    one_by_one = changes.pop(ONE_BY_ONE, False)
    register_neck()
    # A neck of another kind takes the place of the pyramid.
    detector = MaskRCNN(
        num_classes=len(train_data.class_names),
        class_names=train_data.class_names,
        seed=seed,
        **merge_arguments(compact_settings(options.size), {"box.samples": SAMPLES, **changes}),
    )
    batches = train_data.batches(
        BATCH, model=detector, shuffle=True, augment="flip", seed=seed, drop_remainder=True,
        cache=True,
    )  # fmt: skip
    start = time.monotonic()
    for part in ("features and proposals", "heads") if one_by_one else ("all",):
        history = fit_part(options, detector, batches, part)
    seconds = time.monotonic() - start
    metrics = evaluate_coco(detector, val_data, batch_size=BATCH, progress=False)
    return {
        "loss": history.history["loss"][-1],
        "seconds": seconds,
        "peak_mb": status_megabytes("VmHWM"),
        "parameters": detector.count_params(),
        **{name: metrics[name] for name in SHOWN if name in metrics},
    }


def register_neck() -> None:
    """Makes the stage before the last a neck: `"c4_map"`."""
    from keras_maskrcnn.necks.base import NECKS
    from keras_maskrcnn.necks.c5 import DC5

    @NECKS.register("c4_map")
    class C4Map(DC5):
        """Of the same stride, but without the dilated stage."""

        def build_backbone(self, backbone: Any, dtype: Any) -> Any:
            return backbone.build_maps(("C4",), dtype)


def fit_part(options: argparse.Namespace, model: Any, batches: Any, part: str) -> Any:
    """Trains `"all"`, or what one by one comes before or after."""
    import keras

    from keras_maskrcnn.models.objective import loss_names
    from keras_maskrcnn.schedules import WarmupSchedule
    from keras_maskrcnn.training.freezing import Freeze

    rpn = model.network.rpn.loss_names
    others = [name for name in loss_names(model.network) if name not in rpn]
    without = {"all": [], "features and proposals": others, "heads": rpn}[part]
    steps = options.epochs * (options.train_scenes // BATCH)
    rate = WarmupSchedule(1e-3, steps, steps // 20, "cosine")
    model.compile(
        keras.optimizers.Adam(rate, global_clipnorm=10.0),
        loss_weights=dict.fromkeys(without, 0.0),
    )
    if part == "heads":
        Freeze(model, "all_but_heads").begin(0)
    return model.fit(batches, epochs=options.epochs, verbose=2)


def runs_of(case: Comparison, runs: list[Run]) -> dict[str, list[Run]]:
    """The runs of each variant."""
    return {
        variant: [run for run in runs if run["model"] == case.trained(variant)]
        for variant in case.variants
    }


def table(runs: list[Run]) -> str:
    """Mean and range over the seeds beside the paper's numbers, a block per comparison."""
    lines = []
    for name, case in COMPARISONS.items():
        by_variant = runs_of(case, runs)
        if not any(by_variant.values()):
            continue
        columns = [key.replace("_", " ").replace("ap", "AP") for key in case.shown]
        lines += [
            "",
            f"**{name}** (paper: {case.source})",
            "",
            f"| | seeds | {' | '.join(columns)} | paper | s | MB |",
            "|---|--:|" + "--:|" * (len(columns) + 3),
        ]
        for variant, found in by_variant.items():
            if not found:
                continue
            cells = [mean_and_range(run[key] for run in found) for key in case.shown]
            paper = " / ".join(f"{x:.1f}" for x in case.paper.get(variant, ()) if not np.isnan(x))
            means = [np.mean([run[key] for run in found]) for key in ("seconds", "peak_mb")]
            cells += [paper or "-", *(f"{value:.0f}" for value in means)]
            lines.append(f"| {variant} | {len(found)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(runs: list[Run], file: Path) -> None:
    """A panel per comparison: each seed a point, their mean a bar."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    present = [name for name, case in COMPARISONS.items() if any(runs_of(case, runs).values())]
    rows = -(-len(present) // 4)
    figure, axes = plt.subplots(rows, 4, figsize=(14, 3.8 * rows), squeeze=False)
    for axis in axes.flat[len(present) :]:
        axis.set_axis_off()
    for axis, name in zip(axes.flat, present, strict=False):
        case = COMPARISONS[name]
        for group, key in enumerate(case.shown):
            for i, (variant, found) in enumerate(runs_of(case, runs).items()):
                values = [100 * run[key] for run in found]
                if not values:
                    continue
                place = group * (len(case.variants) + 1) + i
                axis.bar(place, np.mean(values), color=f"C{i}", alpha=0.6)
                axis.plot([place] * len(values), values, "k.", markersize=4)
                if group == 0:
                    axis.bar(place, 0, color=f"C{i}", alpha=0.6, label=variant)
        middles = [
            g * (len(case.variants) + 1) + (len(case.variants) - 1) / 2
            for g in range(len(case.shown))
        ]
        axis.set_xticks(middles, [k.replace("_ap", " AP") for k in case.shown])
        axis.set_title(name, fontsize=10)
        # Above what is drawn, which fills the rest.
        axis.set_ylim(0, 1.35 * axis.get_ylim()[1])
        axis.legend(fontsize=8, loc="upper left")
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="a line of JSON for each run")
    parser.add_argument("--plot", type=Path, help="a picture of the numbers")
    parser.add_argument("--scenes", type=Path, default=Path("ablation_scenes"))
    parser.add_argument("--size", type=int, default=128, help="of scenes, in pixels")
    parser.add_argument("--train-scenes", type=int, default=800)
    parser.add_argument("--val-scenes", type=int, default=120)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--only", nargs="+", choices=COMPARISONS, default=list(COMPARISONS))
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run is None:
        from keras_maskrcnn.demo.scenes import build_scenes

        print(describe_machine(), flush=True)
        if not (options.scenes / "instances_val.json").exists():
            counts = {"train": options.train_scenes, "val": options.val_scenes}
            build_scenes(options.scenes, **counts, size=options.size, seed=7)
    # Seed by seed, so that what is there when it is stopped can be compared.
    models = dict.fromkeys(
        COMPARISONS[name].trained(variant)
        for name in options.only
        for variant in COMPARISONS[name].variants
    )
    runs = [{"model": model, "seed": seed} for seed in range(options.seeds) for model in models]

    def shown(found: list[Run]) -> str:
        if options.plot and found:
            plot(found, options.plot)
        return table(found)

    run_series(
        __file__, runs, options.output, lambda run: train(options, **run), shown, jobs=options.jobs
    )


if __name__ == "__main__":
    main()
