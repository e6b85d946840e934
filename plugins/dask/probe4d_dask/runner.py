"""Carries out units by a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from probe4d.contracts import Outcome, Unit
from probe4d.cores import usable_cores
from probe4d.errors import UsageError
from probe4d_dask.carrying import Carrying
from probe4d_dask.cluster import embedded, existing
from probe4d_runners.runner_options import at_least, seconds_or_none
from probe4d_runners.unit_graph import UnitGraph

__all__ = ["DaskRunner"]


class DaskRunner:
    """A Dask cluster: by default one of its own on this machine, which ends with the run.

    Args:
        workers: worker processes of the cluster on this machine; by default as many as it has cores.
        scheduler: address of a cluster that is there (`tcp://host:8786`), instead.
        retries: how often a unit is tried again after its process or worker died or its time ran out.
            A unit that raises is not tried again: it would raise again.
        timeout: seconds that one try of a unit may take.
        ask: what units ask of a worker, by their sort: `{"extract": {"GPU": 1}}`; added to `Unit.resources`.
        resources: what each worker of the cluster on this machine offers; workers of another state it themselves
            (`dask worker … --resources GPU=1`).
        lost_after: seconds without a sign of life after which a worker counts as lost. A cluster that is there
            has its own such setting (`distributed.scheduler.worker-ttl`).
        patience: seconds to wait for a worker that offers what a unit asks for.
    """

    def __init__(
        self,
        workers: int | None = None,
        scheduler: str | None = None,
        retries: int = 2,
        timeout: float | None = None,
        ask: Mapping[str, Mapping[str, float]] | None = None,
        resources: Mapping[str, float] | None = None,
        lost_after: float = 60.0,
        patience: float = 300.0,
    ) -> None:
        if scheduler is not None and (workers is not None or resources):
            raise UsageError(
                "DaskRunner: expected a scheduler, or workers and their resources, got both. Leave one out."
            )
        if scheduler is not None and "://" not in str(scheduler):
            raise UsageError(f"DaskRunner.scheduler: expected an address like tcp://host:8786, got {scheduler!r}.")
        self.scheduler = scheduler
        self.workers = at_least("DaskRunner.workers", 1, usable_cores() if workers is None else workers)
        self.retries = at_least("DaskRunner.retries", 0, retries)
        self.timeout = seconds_or_none("DaskRunner.timeout", timeout)
        self.ask = {sort: _amounts(f"ask.{sort}", amounts) for sort, amounts in _table("ask", ask).items()}
        self.resources = _amounts("resources", resources)
        self.lost_after = seconds_or_none("DaskRunner.lost_after", lost_after) or 60.0
        self.patience = seconds_or_none("DaskRunner.patience", patience) or 300.0

    def run(self, units: Sequence[Unit], *, on_start: Callable[[str], None] | None = None) -> Iterator[Outcome]:
        """Yield one outcome per unit, as they end; units stand in any order.

        Raises:
            UsageError: an id stands twice, a need names no unit, or needs form a circle.
            Probe4dError: no scheduler answers.
        """
        return self._outcomes(UnitGraph(units), on_start or (lambda _: None))

    def _outcomes(self, graph: UnitGraph, on_start: Callable[[str], None]) -> Iterator[Outcome]:
        if not graph.open:
            return
        with self._connected() as client:
            yield from Carrying(self, client, graph, on_start).outcomes()

    def demand(self, unit: Unit) -> tuple[tuple[str, float], ...]:
        """Return what a unit asks of a worker."""
        sort = unit.id.partition("-")[0]
        return tuple(sorted({**unit.resources, **self.ask.get(sort, {})}.items()))

    def _connected(self) -> AbstractContextManager[Any]:
        if self.scheduler is not None:
            return existing(self.scheduler)
        return embedded(self.workers, self.resources, self.lost_after)


def _table(field: str, value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UsageError(f"DaskRunner.{field}: expected a table of names and amounts, got {value!r}.")
    return value


def _amounts(field: str, value: Any) -> dict[str, float]:
    amounts = _table(field, value)
    for name, amount in amounts.items():
        if isinstance(amount, bool) or not isinstance(amount, (int, float)) or not amount > 0:
            raise UsageError(f"DaskRunner.{field}.{name}: expected an amount above 0, got {amount!r}.")
    return dict(amounts)
