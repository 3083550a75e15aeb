"""Archives by workers of Ray Data, some of which are killed: `make test-scale` installs Ray.

Every table is held against that of one process, which has as many threads as a worker: sums of
another order differ in their last digits.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from helpers import tiny_model
from picture_archive import BROKEN, DeadlyModel, make_archive

from keras_maskrcnn.inference.many import predict_many
from keras_maskrcnn.inference.many.on_ray import threads_each

ray = pytest.importorskip("ray", reason="ray is not installed")
pytest.importorskip("ray.data", reason="ray[data] is not installed")

COUNT = 23
OPTIONS = {"batch_size": 2, "part_size": 3, "threshold": 0.0}
WORDS = ["--part-size", "3", "--batch-size", "2", "--threshold", "0"]
COMMAND = "import sys; from keras_maskrcnn.cli import main; sys.exit(main())"
SUPPORT = Path(__file__).resolve().parents[1] / "support"


@pytest.fixture(scope="module")
def environment():
    """Of Ray's processes, which begin with that of this one."""
    paths = [str(SUPPORT), str(SUPPORT.parents[1]), os.environ.get("PYTHONPATH", "")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
        yield


@pytest.fixture(scope="module")
def cluster(environment):
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100_000_000,
        log_to_driver=False,
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def model():
    # Workers know the backbones of the package alone.
    return tiny_model(**{"backbone.name": "resnet18", "box.score_threshold": 0.0})


@pytest.fixture(scope="module")
def archive(environment, model, tmp_path_factory):
    """A folder with an archive, the model, and their tables by one process."""
    folder = tmp_path_factory.mktemp("archive")
    make_archive(folder / "pictures", COUNT)
    model.save(folder / "model.keras")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_NUM_INTRAOP_THREADS", str(threads_each(os.cpu_count(), 2, 1)))
        process = start(folder, "whole")
    output = process.communicate()[0]
    assert process.returncode == 1, output  # A picture cannot be read.
    return folder


def start(folder, output, *words):
    """The command at work on the archive."""
    words = ["predict", "model.keras", "--input", "pictures", "--output", output, *WORDS, *words]
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def here(archive, monkeypatch):
    """Paths are meant from the archive's folder."""
    monkeypatch.chdir(archive)
    return archive


def rows(folder):
    """All rows of all tables by the tables' names, of any format."""
    found = {}
    for file in sorted(Path(folder).glob("*-*")):
        if file.suffix == ".parquet":
            import pyarrow.parquet as pq

            found[file.stem] = pq.read_table(file).to_pylist()
        else:
            found[file.stem] = [json.loads(line) for line in file.read_text().splitlines()]
    return found


def assert_same(folder, expected):
    """Every part, once, with the same rows."""
    found, expected = rows(folder), rows(expected)
    assert list(found) == list(expected) and len(found) == 2 * 8
    ids = [row["id"] for name in found if name.startswith("pictures") for row in found[name]]
    assert ids == list(range(1, COUNT + 1))
    for name in found:
        # Lines have no keypoints where there are none, columns have.
        assert [{**row, "keypoints": None} for row in found[name]] == [
            {**row, "keypoints": None} for row in expected[name]
        ], name


def workers_at_work():
    """Process ids of Ray's workers that are in the middle of a part, by their titles."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            title = (process / "cmdline").read_bytes().decode(errors="replace")
        except OSError:  # It has ended.
            continue
        if title.startswith("ray::") and "MapWorker" in title and "submit" in title:
            yield int(process.name)


def test_the_same_tables(cluster, model, here):
    told = []
    summary = predict_many(
        model, "pictures", "ray", ray_workers=2, tell=lambda *at: told.append(at), **OPTIONS
    )
    assert_same("ray", "whole")
    assert (summary.pictures, summary.there) == (COUNT, 0)
    ((broken, error),) = summary.unread.items()
    assert broken.endswith(f"{BROKEN:04d}.png") and "Cannot decode" in error
    assert summary.objects == sum(len(v) for k, v in rows("whole").items() if "objects" in k)
    assert told[-1] == (COUNT, COUNT) and told == sorted(told) and len(told) == 9
    assert Path("ray/job.json").read_bytes() == Path("whole/job.json").read_bytes()


def test_a_worker_that_is_killed(cluster, model, here):
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    killed = []

    def kill_the_first():
        while not killed and not is_over.is_set():
            for worker in workers_at_work():
                os.kill(worker, signal.SIGKILL)
                killed.append(worker)
                return
            time.sleep(0.005)

    is_over = threading.Event()
    watching = threading.Thread(target=kill_the_first)
    watching.start()
    try:
        summary = predict_many(
            model, "pictures", "killed", ray_workers=2, format="parquet", **OPTIONS
        )
    finally:
        is_over.set()
        watching.join()
    assert len(killed) == 1
    assert summary.pictures == COUNT
    assert_same("killed", "whole")


def test_a_part_that_ends_every_worker(cluster, here):
    with pytest.raises(OSError, match=r"does not end its worker.*part 0 .*, in .* 4 were lost"):
        predict_many(DeadlyModel(), "pictures", "deadly", ray_workers=2, part_size=COUNT)
    assert list(Path("deadly").glob("*-*")) == []


def test_a_job_that_is_killed_and_begun_again(here):
    process = start(here, "job", "--ray", "2")
    while not list(here.glob("job/pictures-*")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    done = {file: file.stat().st_mtime_ns for file in here.glob("job/pictures-*")}
    assert 0 < len(done) < 8
    again = start(here, "job", "--ray", "2")
    output = again.communicate()[0]
    # 1, where the picture that cannot be read was still to be looked at.
    assert again.returncode == (here / "job" / "pictures-00002.jsonl" not in done), output
    assert " more were there): job" in output
    assert_same("job", "whole")
    assert {file: file.stat().st_mtime_ns for file in done} == done
