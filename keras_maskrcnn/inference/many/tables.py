"""Rows of a table as the bytes of a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from keras_maskrcnn.optional import needed_for

Row = Mapping[str, Any]
# From the name of a table and its rows to the file's content.
Encode = Callable[[str, Sequence[Row]], bytes]


def json_lines() -> Encode:
    """A JSON object a line."""
    return lambda table, rows: "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def parquet() -> Encode:
    """Parquet, the columns and types of which are the same in every part, an empty one too.

    Raises:
        ImportError: without the package `pyarrow`.
    """
    with needed_for("Parquet", "maskrcnn-keras[parquet]"):
        import pyarrow as pa
        import pyarrow.parquet as pq

    numbers = pa.list_(pa.float64())
    mask = pa.struct({"size": pa.list_(pa.int32()), "counts": pa.string()})
    schemas = {
        "objects": pa.schema(
            {
                "image_id": pa.int64(),
                "category_id": pa.int64(),
                "bbox": numbers,
                "score": pa.float64(),
                "segmentation": mask,
                "keypoints": numbers,
                "file_name": pa.string(),
                "category_name": pa.string(),
            }
        ),
        "pictures": pa.schema(
            {
                "id": pa.int64(),
                "file_name": pa.string(),
                "height": pa.int32(),
                "width": pa.int32(),
                "objects": pa.int32(),
                "error": pa.string(),
            }
        ),
    }

    def encode(table: str, rows: Sequence[Row]) -> bytes:
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schemas[table]), sink)
        return sink.getvalue().to_pybytes()

    return encode


ENCODERS: Mapping[str, Callable[[], Encode]] = {"jsonl": json_lines, "parquet": parquet}
