"""Parts of a job's results on disk: each there as a whole, or not at all.

A part is two tables, as COCO has them: `objects-00003.jsonl` in COCO's results format, and
`pictures-00003.jsonl`, with a line for each picture, of which one without objects is found nowhere
else. That of the pictures comes last: where it is, the part is done.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Sequence
from pathlib import Path

from keras_maskrcnn.checks import one_of
from keras_maskrcnn.inference.many.tables import ENCODERS, Row

_JOB = "job.json"


class Parts:
    """The parts of a job in a folder.

    Args:
        folder: is created.
        format: `"jsonl"`, lines of JSON; or `"parquet"`, which needs the package `pyarrow`.
        job: all that the results depend on, but for the pictures' content.

    Raises:
        ValueError: for another `format`; and where the folder holds parts of another job, which
            tells what differs.
        ImportError: without `pyarrow`, where it is needed.
    """

    def __init__(self, folder: str | os.PathLike[str], format: str, job: Row) -> None:
        one_of("format", format, tuple(ENCODERS))
        self.folder = Path(folder).absolute()
        self.format = format
        self._encode = ENCODERS[format]()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._check_job({**job, "format": format})

    def _check_job(self, job: Row) -> None:
        file = self.folder / _JOB
        if not file.exists():
            self._write(file, json.dumps(job, indent=1).encode() + b"\n")
            return
        before = json.loads(file.read_text(encoding="utf-8"))
        unlike = [
            f"{name}: {before.get(name)} there, {job.get(name)} here"
            for name in sorted({*before, *job})
            if before.get(name) != job.get(name)
        ]
        if unlike:
            raise ValueError(
                f"{self.folder} holds results of another job: take another folder, or remove it. "
                f"Received: {'; '.join(unlike)}"
            )

    def check_there(self) -> None:
        """Whether another process sees the folder that this was made with.

        Raises:
            OSError: when it does not, as on a machine with disks of its own.
        """
        if not (self.folder / _JOB).exists():
            raise OSError(
                "Expected an output folder that all workers see under the same path. "
                f"Received: {self.folder}, without {_JOB} here"
            )

    def is_done(self, number: int) -> bool:
        """Whether a part is there."""
        return self._file("pictures", number).exists()

    def write(self, number: int, pictures: Sequence[Row], objects: Sequence[Row]) -> None:
        """Writes a part; the process may end at any moment."""
        self._write(self._file("objects", number), self._encode("objects", objects))
        self._write(self._file("pictures", number), self._encode("pictures", pictures))

    def _file(self, table: str, number: int) -> Path:
        return self.folder / f"{table}-{number:05d}.{self.format}"

    def _write(self, file: Path, content: bytes) -> None:
        """As a whole: under another name first."""
        # Of a name that no process has, on another machine neither.
        draft = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
        with open(draft, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(draft, file)


def digest(*texts: str | bytes) -> str:
    """16 hexadecimal digits that tell contents apart."""
    found = hashlib.sha256()
    for text in texts:
        content = text.encode() if isinstance(text, str) else text
        found.update(len(content).to_bytes(8, "big"))
        found.update(content)
    return found.hexdigest()[:16]
