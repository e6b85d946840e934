"""Videos by a list of their URLs: JSON lines or Parquet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from attrs import field, frozen

from probe4d.errors import DataError, MissingExtraError
from probe4d.scoring.strict_json import parse_json
from probe4d.spec_fields import text
from probe4d_datasets.files import open_binary
from probe4d_datasets.own.options import settings
from probe4d_datasets.pretraining.config import ClipData
from probe4d_datasets.pretraining.listing import Stated, inner_link, without_query
from probe4d_datasets.pretraining.videos import VideoClips, VideoOptions

__all__ = ["ManifestOptions", "open_manifest"]

MAX_LINE = 1 << 20  # bytes


@frozen(kw_only=True)
class ManifestOptions(VideoOptions):
    """What `ClipData.options` may hold for a manifest.

    Attributes:
        column: of the URL, or of the path, relative to the manifest's folder.
    """

    column: str = field(default="url", validator=text)


def open_manifest(data: ClipData) -> VideoClips:
    """Return the clips of the videos that a manifest lists, one a row.

    Raises:
        DataError: it is no manifest, or lists nothing; the message names the row.
    """
    options = settings(ManifestOptions, data.options, "options of the manifest")
    rows = _parquet if without_query(data.source).endswith(".parquet") else _jsonl
    names = [_checked(where, url) for where, url in rows(data.source, options.column)]
    if not names:
        raise DataError(f"{data.source}: expected a row for each video, got none.")
    return VideoClips(data, options, Stated(names, [_resolved(data.source, name) for name in names]))


def _jsonl(source: str, column: str) -> Iterator[tuple[str, Any]]:
    with open_binary(source) as file:
        number = 0
        while line := file.readline(MAX_LINE + 1):
            number += 1
            where = f"{source}, line {number}"
            if len(line) > MAX_LINE:
                raise DataError(f"{where}: expected at most {MAX_LINE:,} bytes, got more. Is it JSON lines?")
            if not line.strip():
                continue
            row = parse_json(where, line)
            if not isinstance(row, dict) or column not in row:
                raise DataError(f"{where}: expected an object with {column!r}, got {line[:60]!r}. Name the column.")
            yield where, row[column]


def _parquet(source: str, column: str) -> Iterator[tuple[str, Any]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError(f"{source}: .parquet needs pyarrow. Run: pip install 'probe4d[parquet]'") from error
    with open_binary(source) as opened:
        try:
            file = pq.ParquetFile(opened)
            if column not in file.schema_arrow.names:
                some = file.schema_arrow.names[:6]
                raise DataError(f"{source}: expected a column {column!r}, got {some}. Name it by the option 'column'.")
            number = 0
            for batch in file.iter_batches(columns=[column]):
                for value in batch.column(0).to_pylist():
                    yield f"{source}, row {number}", value
                    number += 1
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{source}: expected a parquet file, got a truncated or foreign one ({error}).") from error


def _checked(where: str, url: Any) -> str:
    if not isinstance(url, str) or not url.strip():
        raise DataError(f"{where}: expected a URL or path, got {url!r}.")
    return url


def _resolved(source: str, name: str) -> str:
    """Return a path that is relative to the manifest's folder as one that is not."""
    if "://" in name or "::" in name or os.path.isabs(name):
        return name
    inner = inner_link(source)
    folder, slash, _ = inner.rpartition("/")
    return source.replace(inner, f"{folder}{slash}{name}", 1)
