"""Which pictures there are: in a folder, a list, a bucket, or after a pattern."""

from __future__ import annotations

import glob
import os
import posixpath
from collections.abc import Iterable, Iterator
from pathlib import Path

from keras_maskrcnn.data.remote_files import is_remote
from keras_maskrcnn.images.formats import is_picture_name


def list_pictures(source: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[str]:
    """Paths of pictures, each once.

    Args:
        source: a folder, of which all pictures count, those of folders within too, in the order of
            their paths; a text file (.txt) with a path a line, from its own folder on; a pattern
            of `glob` such as `"2024/**/*.jpg"`; or paths. Folders, text files and patterns may lie
            in a bucket, `gs://...`, that the installed TensorFlow reads.

    Raises:
        ValueError: when there is none.
    """
    if not isinstance(source, str | os.PathLike):
        found = [os.fspath(path) for path in source]
    else:
        found = list(_listed(os.fspath(source)))
    if not found:
        raise ValueError(
            "Expected pictures: a folder that has some, a text file with a path a line, a pattern, "
            f"or paths. Received: {source!r}"
        )
    return list(dict.fromkeys(found))


def _listed(source: str) -> Iterator[str]:
    remote = is_remote(source)
    if source.lower().endswith(".txt"):
        yield from _lines(source, remote)
    # What is there may have brackets in its name.
    elif glob.has_magic(source) and (remote or not Path(source).exists()):
        yield from sorted(_matching(source, remote))
    elif remote:
        yield from _within_remote(source)
    elif Path(source).is_file():
        yield source
    else:
        within = (path for path in Path(source).rglob("*") if is_picture_name(path))
        yield from sorted(str(path) for path in within if path.is_file())


def _lines(file: str, remote: bool) -> Iterator[str]:
    folder = posixpath.dirname(file) if remote else os.path.dirname(file)
    for line in _text(file, remote).splitlines():
        path = line.strip()
        if path and not is_remote(path):
            path = posixpath.join(folder, path) if remote else os.path.join(folder, path)
        if path:
            yield path


def _text(file: str, remote: bool) -> str:
    if not remote:
        return Path(file).read_text(encoding="utf-8")
    import tensorflow as tf

    with tf.io.gfile.GFile(file) as opened:
        return opened.read()


def _matching(pattern: str, remote: bool) -> Iterator[str]:
    if not remote:
        matching = glob.iglob(pattern, recursive=True)
        return (path for path in matching if os.path.isfile(path))
    import tensorflow as tf

    return iter(tf.io.gfile.glob(pattern))


def _within_remote(folder: str) -> Iterator[str]:
    import tensorflow as tf

    found = (
        posixpath.join(place, name)
        for place, _, names in tf.io.gfile.walk(folder)
        for name in names
        if is_picture_name(name)
    )
    yield from sorted(found)
