"""One run in one folder."""

import fcntl
import os
import signal
import subprocess
import sys
import threading

import pytest

from keras_maskrcnn.training import RunFolder, lock
from keras_maskrcnn.training.lock import locked

OWNER = """
import runpy, sys, time
from pathlib import Path

# Without the package, which takes its time to import TensorFlow.
locked = runpy.run_path(sys.argv[1])["locked"]
with locked(Path(sys.argv[2])):
    print("locked", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def owner(tmp_path):
    """Another process that holds the lock of `tmp_path`."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, lock.__file__, str(tmp_path / "lock")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_run_is_refused_until_the_first_is_dead(tmp_path, owner):
    run = RunFolder(tmp_path)
    message = rf"no other run writes to. Received: {tmp_path}, in use by process {owner.pid} on "
    with pytest.raises(ValueError, match=message), run.lock():
        pass
    assert run.lock_file.exists()
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    assert f"process {owner.pid}" in run.lock_file.read_text()
    with run.lock():
        assert f"process {os.getpid()} on" in run.lock_file.read_text()
    assert not run.lock_file.exists()


def test_a_living_process_with_the_dead_owners_id_stops_nobody(tmp_path):
    (tmp_path / "lock").write_text(f"process {os.getppid()} on here, and more than we write\n")
    with locked(tmp_path / "lock"):
        assert (tmp_path / "lock").read_text().startswith(f"process {os.getpid()} on")
        assert (tmp_path / "lock").read_text().count("\n") == 1


def test_locks_nest_in_one_run_only(tmp_path):
    run = RunFolder(tmp_path / "run")
    with run.lock():
        with run.lock():
            pass
        assert run.lock_file.exists()
        other = RunFolder(run.path)
        with pytest.raises(ValueError, match=f"process {os.getpid()}"), other.lock():
            pass
        run.log_file.touch()
    assert os.listdir(run.path) == ["log.txt"]


def test_an_unused_folder_goes_with_its_lock(tmp_path):
    with RunFolder(tmp_path / "run").lock():
        assert (tmp_path / "run").is_dir()
    assert not (tmp_path / "run").exists()
    with RunFolder(tmp_path).lock():
        pass
    assert tmp_path.is_dir()


def test_never_two_owners(tmp_path):
    """Also while each removes the file that others are about to lock."""
    inside, most, rounds = [0], [0], [0]

    def work():
        while rounds[0] < 300:
            try:
                with locked(tmp_path / "lock"):
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                    rounds[0] += 1
                    inside[0] -= 1
            except ValueError:
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch, caplog):
    def no_locks(*arguments):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with locked(tmp_path / "lock"):
        assert "Operation not supported" in caplog.text
