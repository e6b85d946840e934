"""Whether a record says what every table needs; one that does not is a damaged one, and costs itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from probe4d.errors import DataError
from probe4d.records import Record

__all__ = ["check_record"]

OBJECTS = ("backbone", "data", "protocol", "samples", "task", "timings")


def check_record(record: Record) -> None:
    """Refuse a record that no table can show.

    Raises:
        DataError: names the field, what was expected and what was found.
    """
    where = f"{record.folder / 'record.json'}"
    content = record.content
    for name in OBJECTS:
        if not isinstance(content.get(name, {}), Mapping):
            raise DataError(f"{where}: {name}: expected an object, got {content[name]!r}.")
    primary = content.get("primary")
    if not isinstance(primary, Mapping) or not {"name", "value", "higher_is_better"} <= set(primary):
        raise DataError(f"{where}: primary: expected an object with name, value and higher_is_better, got {primary!r}.")
    if not _finite(primary["value"]):
        raise DataError(f"{where}: primary.value: expected a finite number, got {primary['value']!r}.")
    if not isinstance(primary["higher_is_better"], bool):
        raise DataError(f"{where}: primary.higher_is_better: expected a boolean, got {primary['higher_is_better']!r}.")
    ends = primary.get("ci95")
    if ends is not None and not (isinstance(ends, list) and len(ends) == 2 and all(map(_finite, ends))):
        raise DataError(f"{where}: primary.ci95: expected two finite numbers or null, got {ends!r}.")
    params = content.get("backbone", {}).get("params")
    if params is not None and (isinstance(params, bool) or not isinstance(params, int) or not 0 <= params < 10**18):
        raise DataError(f"{where}: backbone.params: expected a number of parameters or null, got {params!r}.")


def _finite(value: Any) -> bool:
    # Past 1e100 a figure's arithmetic would overflow, and no metric gets there.
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and abs(value) < 1e100
    )
