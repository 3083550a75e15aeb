"""`joint_training.train` by two workers of Ray Train on this machine.

    python benchmarks/workers/ray_training.py SCENES FOLDER --norm frozen

Needs `pip install "ray[train]"`. Ray starts the workers and sets `TF_CONFIG`; each writes
`worker0.npz` or `worker1.npz` into the folder.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[2]


def loop(config: dict[str, Any]) -> None:
    """What each worker runs."""
    import ray.train
    from joint_training import train

    rank = ray.train.get_context().get_world_rank()
    result = Path(config["folder"], f"worker{rank}.npz")
    train(Path(config["scenes"]), result, config["norm"])
    ray.train.report({"rank": rank})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--norm", default="frozen")
    args = parser.parse_args()

    import ray
    from ray.train import RunConfig, ScalingConfig
    from ray.train.tensorflow import TensorflowTrainer

    folder = args.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    paths = [str(PACKAGE), str(Path(__file__).resolve().parent)]
    variables = {
        "PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")]),
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100_000_000,
        runtime_env={"env_vars": variables},
    )
    try:
        TensorflowTrainer(
            loop,
            train_loop_config={
                "scenes": str(args.scenes.resolve()),
                "folder": str(folder),
                "norm": args.norm,
            },
            scaling_config=ScalingConfig(num_workers=2),
            run_config=RunConfig(storage_path=str(folder / "ray")),
        ).fit()
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
