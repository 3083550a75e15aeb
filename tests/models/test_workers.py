"""Two processes that `TF_CONFIG` tells of each other must do what one does."""

from pathlib import Path

import numpy as np
import pytest
from worker_processes import WorkerProcesses

from keras_maskrcnn.data import load_coco, save_dataset
from keras_maskrcnn.demo.scenes import build_scenes

PROGRAM = Path(__file__).resolve().parents[2] / "benchmarks" / "workers" / "joint_training.py"
SECONDS = 1800


def run(scenes, folder, count, norm, way):
    """The results of so many processes."""
    results = [folder / f"worker{index}" / "result.npz" for index in range(count)]
    words = [PROGRAM, scenes, "result.npz", "--norm", norm, "--way", way]
    WorkerProcesses(words, folder, count).succeed(SECONDS)
    found = []
    for path in results:
        with np.load(path) as file:
            found.append(dict(file))
    return found


@pytest.mark.slow  # Three processes.
@pytest.mark.parametrize(
    ("norm", "way"),
    [("frozen", "files"), ("sync_batch", "files"), ("frozen", "shards"), ("frozen", "tiles")],
)
def test_two_workers_train_as_one_process(norm, way, tmp_path):
    scenes = folder = build_scenes(tmp_path / "scenes", train=9, val=1, size=96)
    if way == "shards":
        scenes = tmp_path / "shards"
        data = load_coco(folder / "instances_train.json", folder / "train")
        save_dataset(data, scenes, "tfrecord", shards=3)
    (one,) = run(scenes, tmp_path / "one", 1, norm, way)
    workers = run(scenes, tmp_path / "two", 2, norm, way)
    variables = [name for name in one if name.startswith("variable")]
    assert len(variables) > 50 and one["moved"] > 1e-2 and len(one["losses"]) == 4
    for worker in workers:
        np.testing.assert_allclose(worker["losses"], one["losses"], rtol=1e-4)
        for name in variables:
            np.testing.assert_allclose(worker[name], one[name], atol=1e-4, err_msg=name)
    if way != "files":
        return
    # Two batches of four are the first eight pictures of nine: of each, half.
    names = [sorted(path.name for path in (scenes / "train").iterdir())[k] for k in range(8)]
    shares = [set(worker["read"]) for worker in workers]
    assert shares == [{names[k] for k in own} for own in ((0, 1, 4, 5), (2, 3, 6, 7))]
