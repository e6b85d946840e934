"""Tells plugins of a record, through `probe4d_on_record`; a listener that fails stops nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from probe4d.registry import registry

__all__ = ["announce"]

log = logging.getLogger("probe4d")


def announce(record: Mapping[str, Any]) -> list[str]:
    """Call every plugin's `probe4d_on_record` with the record, as plain JSON values.

    Returns:
        A line per listener that failed; each is also logged as a warning.
    """
    failed = []
    for implementation in registry().manager.hook.probe4d_on_record.get_hookimpls():
        arguments = {"record": record} if implementation.argnames else {}
        try:
            implementation.function(**arguments)
        except Exception as error:  # noqa: BLE001 - somebody else's code; the record is already written
            line = f"plugin {implementation.plugin_name}: probe4d_on_record: {type(error).__name__}: {error}"
            log.warning(line)
            failed.append(line)
    return failed
