"""Reads the members of zip files (`.npz`, PyTorch's `.pth`) whose sizes are believable."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
from collections.abc import Iterator, KeysView
from pathlib import Path

from keras_maskrcnn.weights.limits import Budget, UnsafeFileError, WeightsFileError, reading, shown

# How numpy and PyTorch pack. Python unpacks the other methods without a limit.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

# The last record of a zip file: mark, disks, members (of all disks last), list, and the comment.
_END = struct.Struct("<4s2H2H2LH")
_MORE = 0xFFFF  # counted elsewhere


def is_archive(path: Path) -> bool:
    """Whether a file starts as a zip file does, be it whole or not."""
    with open(path, "rb") as file:
        return file.read(2) == b"PK"


class Archive:
    """An open zip file.

    Args:
        file: the open file.
        budget: of it.

    Raises:
        WeightsFileError: when the list of its members contradicts itself.
    """

    def __init__(self, file: zipfile.ZipFile, budget: Budget) -> None:
        self._file, self._budget = file, budget
        self._members = {member.filename: member for member in file.infolist()}
        if len(self._members) < len(file.infolist()):
            raise WeightsFileError(f"{budget.path} is damaged: two of its members have one name")
        # Python does not look at the count; a member may be lost in the comment of another.
        count = _count_members(budget.path, len(file.comment))
        if count not in (len(self._members), _MORE):
            raise WeightsFileError(
                f"{budget.path} is damaged: expected {count} members. "
                f"Received: {len(self._members)}"
            )

    @property
    def names(self) -> KeysView[str]:
        return self._members.keys()

    def read(self, name: str) -> bytes:
        """A member's bytes, whose checksum is right.

        Raises:
            UnsafeFileError: when it is packed in an unknown way, or becomes too large.
            WeightsFileError: when it is damaged.
        """
        member, path = self._members[name], self._budget.path
        if member.compress_type not in _METHODS or member.flag_bits & 1:
            raise UnsafeFileError(
                f"{path} is refused: {shown(name)} is encrypted, or packed in another way than "
                "stored or deflated"
            )
        packed, size = member.compress_size, member.file_size
        is_stored = member.compress_type == zipfile.ZIP_STORED
        if packed > self._budget.file_size or (is_stored and packed != size):
            raise WeightsFileError(
                f"{path} is damaged: {shown(name)} of {packed} bytes, {size} unpacked, does not "
                "fit into it"
            )
        self._budget.take(size, name)
        with self._file.open(member) as stream:
            # With its size: without, what the stream unpacks to would be unpacked, whatever it is.
            data = stream.read(size)
        if len(data) != size:
            raise WeightsFileError(
                f"{path} is damaged: expected {size} bytes in {shown(name)}. Received: {len(data)}"
            )
        return data


def _count_members(path: Path, comment: int) -> int:
    """How many members the last record tells of."""
    with open(path, "rb") as file:
        file.seek(-_END.size - comment, io.SEEK_END)
        return _END.unpack(file.read(_END.size))[4]


@contextlib.contextmanager
def open_archive(path: Path, budget: Budget) -> Iterator[Archive]:
    """Opens a zip file; what goes wrong inside becomes a `WeightsFileError`."""
    with reading(path, "a zip file"), zipfile.ZipFile(path) as file:
        yield Archive(file, budget)
