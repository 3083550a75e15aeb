"""Copies of remote files: brought once, whole, and gone where there is no room."""

import os
import shutil
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import pytest
import tensorflow as tf

from keras_maskrcnn.data import remote_files
from keras_maskrcnn.data.remote_files import is_remote, local_copy, remote_names


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(remote_files.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(remote_files, "_copies", {})
    return tmp_path / "cache"


def put(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    return f"file://{tmp_path}/{name}"


def test_a_copy_is_made_once(cache, tmp_path, monkeypatch):
    address = put(tmp_path, "a.bin", b"first")
    opened = []
    monkeypatch.setattr(remote_files, "_CHUNK", 2)
    before = tf.io.gfile.GFile
    monkeypatch.setattr(tf.io.gfile, "GFile", lambda *a: opened.append(a[0]) or before(*a))
    with ThreadPoolExecutor(8) as threads:
        copies = set(threads.map(local_copy, [address] * 20))
    (copy,) = copies
    assert opened == [address] and copy.read_bytes() == b"first" and copy.parent == cache
    # Another process finds it too, and another file of the same name is another.
    monkeypatch.setattr(remote_files, "_copies", {})
    assert local_copy(address) == copy and opened == [address]
    put(tmp_path, "a.bin", b"another")
    assert local_copy(address) == copy
    other = local_copy(address, is_fresh=True)
    assert other != copy and other.read_bytes() == b"another"


def test_a_copy_that_is_gone_is_made_again(cache, tmp_path):
    address = put(tmp_path, "a.bin", b"first")
    local_copy(address).unlink()
    assert local_copy(address).read_bytes() == b"first"


def test_room_is_made(cache, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    capacity = 1000
    spare = int(remote_files._SPARE * capacity)

    def disk_usage(folder):
        used = sum(file.stat().st_size for file in cache.iterdir())
        return usage(capacity, used, capacity - used)

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    addresses = [put(tmp_path, f"{k}.bin", bytes(300)) for k in range(5)]
    for k, address in enumerate(addresses[:3]):
        os.utime(local_copy(address), (k, k))
    assert capacity - 900 >= spare
    os.utime(local_copy(addresses[0]), (10, 10))  # The second was not used for longest.
    local_copy(addresses[3])
    names = {file.name.partition("-")[2] for file in cache.iterdir()}
    assert names == {"0.bin", "2.bin", "3.bin"}
    assert local_copy(addresses[1]).read_bytes() == bytes(300)


def test_what_fails_leaves_nothing(cache, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"Cannot read file://.*/none.bin: "):
        local_copy(f"file://{tmp_path}/none.bin")
    address = put(tmp_path, "a.bin", b"first")
    status = tf.io.gfile.stat(address)
    longer = namedtuple("status", "length mtime_nsec")(9, status.mtime_nsec)
    monkeypatch.setattr(tf.io.gfile, "stat", lambda path: longer)
    with pytest.raises(ValueError, match=rf"Expected 9 bytes of {address}. Received: 5"):
        local_copy(address)
    assert not list(cache.iterdir())


def test_without_the_variable_copies_go_with_the_process(tmp_path, monkeypatch):
    monkeypatch.delenv(remote_files.CACHE_VARIABLE, raising=False)
    folder = local_copy(put(tmp_path, "a.bin", b"first")).parent
    assert folder.name.startswith("maskrcnn-shards-")
    remote_files._temporary().cleanup()
    remote_files._temporary.cache_clear()
    assert not folder.exists()


def test_names(tmp_path):
    put(tmp_path, "b.bin", b"")
    (tmp_path / "a").mkdir()
    assert remote_names(f"file://{tmp_path}") == ["a", "b.bin"]
    with pytest.raises(ValueError, match=r"Cannot list file:///nowhere: "):
        remote_names("file:///nowhere")
    assert is_remote("gs://a/b") and not is_remote("/a/b") and not is_remote(tmp_path)
