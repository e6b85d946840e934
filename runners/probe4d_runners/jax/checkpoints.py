"""Checkpoints of a training: Orbax, written in the background, whole or not at all.

A checkpoint holds the state and, as JSON, whatever else a run needs to go on to the bit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import orbax.checkpoint as ocp

from probe4d.errors import DataError

__all__ = ["Checkpoints"]


class Checkpoints:
    """The checkpoints in a folder.

    Args:
        folder: made if it is not there; shared by all processes of a run.
        keep_last: how many stay.
        keep_every: those of every so many steps stay too; 0 for none.
    """

    def __init__(self, folder: Path, *, keep_last: int = 2, keep_every: int = 0) -> None:
        self.folder = folder.absolute()
        self._manager = ocp.CheckpointManager(
            self.folder,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=keep_last, keep_period=keep_every or None, cleanup_tmp_directories=True
            ),
            item_names=("state", "extra"),
        )

    def latest(self) -> int | None:
        """Return the step of the newest whole checkpoint; a half-written one counts as none."""
        return self._manager.latest_step()  # type: ignore[no-any-return]

    def save(self, step: int, state: Any, extra: Mapping[str, Any], *, wait: bool = False) -> None:
        """Write a checkpoint, in the background unless told to wait. A step that is there stays as it is."""
        if step not in self._manager.all_steps():
            items = ocp.args.Composite(state=ocp.args.StandardSave(state), extra=ocp.args.JsonSave(dict(extra)))
            self._manager.save(step, args=items, force=True)
        if wait:
            self._manager.wait_until_finished()

    def restore(self, abstract_state: Any, step: int | None = None) -> tuple[Any, dict[str, Any]] | None:
        """Return state and extra of the newest checkpoint, or of a step; None where there is none.

        Args:
            abstract_state: shapes, dtypes and shardings to restore to, of this run's mesh.

        Raises:
            DataError: the checkpoint is of another model, or damaged.
        """
        step = self.latest() if step is None else step
        if step is None:
            return None
        items = ocp.args.Composite(state=ocp.args.StandardRestore(abstract_state), extra=ocp.args.JsonRestore())
        try:
            found = self._manager.restore(step, args=items)
        except (ValueError, KeyError, OSError, TypeError, json.JSONDecodeError) as error:
            first = str(error).strip().splitlines()[0]
            raise DataError(
                f"{self.folder}/{step}: expected a checkpoint of this model, got: {first} "
                "Train into another folder, or remove this step."
            ) from error
        return found["state"], found["extra"]

    def close(self) -> None:
        """Wait for what is being written."""
        self._manager.close()

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
