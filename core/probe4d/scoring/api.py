"""The Python door: `score(kind, predictions, targets, …) -> Score`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, TypeAlias

from attrs import frozen

from probe4d import __version__
from probe4d.contracts import Kind, LeftOut, Role
from probe4d.errors import DataError, UsageError
from probe4d.scoring.answer import Comparison, Score
from probe4d.scoring.compared import Draws, Names, intervals, paired
from probe4d.scoring.conventions import resolve, stated_for
from probe4d.scoring.engine import Pairing, Tally, check_sample_ids, tally
from probe4d.scoring.formats import open_source
from probe4d.scoring.source import Limits, MemorySource, Source
from probe4d.scoring.subject import Subject, find_subject, make_kind, make_metrics

__all__ = ["score"]

Samples: TypeAlias = "str | Mapping[str, Mapping[str, Any]]"  # a path or URL, or {id: {field: array}}


@frozen(kw_only=True)
class _Request:
    """What was asked for, beside the files."""

    meta: Mapping[str, Any]
    formats: Mapping[Role, str]
    missing: str
    data_root: str | None
    limits: Limits
    seed: int
    resamples: int


def score(
    kind: str,
    predictions: Samples,
    targets: Samples | None = None,
    *,
    meta: Mapping[str, Any] | None = None,
    formats: str | Mapping[Role, str] | None = None,
    match: str | None = None,
    align: str | None = None,
    align_per: str | None = None,
    missing: str = "error",
    against: Samples | None = None,
    metrics: tuple[str, ...] = (),
    data_root: str | None = None,
    seed: int = 0,
    resamples: int = 1000,
    max_array_bytes: int = Limits().array_bytes,
) -> Score:
    """Return the benchmark's numbers for predictions that any program made.

    Args:
        kind: a prediction kind (`"points"`), or a task, whose dataset then has the targets.
        predictions: a file, folder or URL, or a mapping `{sample id: {field: array}}`.
        targets: the same; None for a task.
        meta: conventions that the files do not state, keys as for `--meta` (`"order"`,
            `"predictions.order"`).
        formats: the format of files whose ending does not say it, for both or by role.
        match, align, align_per: as `probe4d score` has them, for kinds that take them.
        missing: what to do about targets without a prediction: `error`, `worst` or `skip`.
        against: a second set of predictions, compared sample by sample.
        metrics: only these; none means all of the kind.
        data_root: where the task's dataset lies.
        seed, resamples: of the bootstrap; 0 resamples for no intervals.
        max_array_bytes: what one array of one sample may take in memory.

    Raises:
        UsageError: the call is wrong, or a convention is stated nowhere.
        DataError: a file is not what it should be; names file, sample, field, expected and found.

    >>> tracks = [[[1.0, 2.0], [3.0, 4.0]]]
    >>> seen = [[True, True]]
    >>> target = {"tracks": tracks, "visible": seen, "query_points": [[0, 2.0, 1.0]]}
    >>> convention = {"order": "xy", "coords": "pixels", "frame_size": [256, 256], "query_mode": "first"}
    >>> answer = score("points", {"a": {"tracks": tracks, "visible": seen}}, {"a": target}, meta=convention)
    >>> answer.values["average_jaccard"]
    1.0
    """
    _check_numbers(seed, resamples, max_array_bytes)
    subject = find_subject(kind, metrics)
    made, chosen = make_kind(subject.kind, {"match": match, "align": align, "align_per": align_per})
    request = _Request(
        meta=dict(meta or {}),
        formats={"predictions": formats, "targets": formats} if isinstance(formats, str) else dict(formats or {}),
        missing=missing,
        data_root=data_root,
        limits=Limits(array_bytes=max_array_bytes),
        seed=seed,
        resamples=resamples,
    )
    return _scored(subject, made, chosen, (predictions, targets, against), request)


def _check_numbers(seed: int, resamples: int, max_array_bytes: int) -> None:
    for name, value, low in (("seed", seed, 0), ("resamples", resamples, 0), ("max_array_bytes", max_array_bytes, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise UsageError(f"{name}: expected an integer of at least {low}, got {value!r}.")
    if resamples > 1_000_000:
        raise UsageError(f"resamples: expected at most 1,000,000, got {resamples:,}.")


def _scored(
    subject: Subject,
    kind: Kind,
    chosen: Mapping[str, str],
    given: tuple[Samples, Samples | None, Samples | None],
    request: _Request,
) -> Score:
    """Return the answer for what is given: predictions, targets, and what they are compared against."""
    predictions, targets, against = given
    with ExitStack() as stack:
        truth = stack.enter_context(_open_targets(subject, kind, targets, request))
        pairings = []
        for samples in (predictions, against):
            if samples is not None:
                source = stack.enter_context(_open(kind, samples, "predictions", request))
                pairings.append(_pair(subject, kind, source, truth, request))
        return _answer(subject, pairings, chosen, request)


def _open_targets(subject: Subject, kind: Kind, targets: Samples | None, request: _Request) -> Source:
    if targets is not None:
        if request.data_root is not None:
            raise UsageError("--data-root: expected either targets or a data root, got both.")
        return _open(kind, targets, "targets", request)
    if subject.task is None:
        raise UsageError(f"--targets: expected the targets of {subject.label}, got none. Only a task brings its own.")
    from probe4d.scoring.datasets import open_task

    return open_task(subject.task, kind, request.data_root)


def _open(kind: Kind, samples: Samples, role: Role, request: _Request) -> Source:
    if isinstance(samples, Mapping):
        return MemorySource(role, samples, {})
    foreign: Mapping[str, str] = kind.formats() if hasattr(kind, "formats") else {}
    return open_source(
        str(samples),
        role,
        file_format=request.formats.get(role),
        foreign=foreign,
        meta=stated_for(role, request.meta),
        limits=request.limits,
    )


def _pair(subject: Subject, kind: Kind, predictions: Source, targets: Source, request: _Request) -> Pairing:
    sources: dict[Role, Source] = {"predictions": predictions, "targets": targets}
    files = {role: (source.name, source.meta) for role, source in sources.items()}
    meta = resolve(kind, subject.kind.spec.schema, files, request.meta)
    pairing = Pairing(kind=kind, sources=sources, meta=meta, missing=request.missing)
    check_sample_ids(pairing)
    return pairing


def _answer(subject: Subject, pairings: list[Pairing], chosen: Mapping[str, str], request: _Request) -> Score:
    first = pairings[0]
    named = Names(subject, first.kind, first.meta)
    options = first.kind.metric_options(first.meta) if hasattr(first.kind, "metric_options") else {}
    tallies = [tally(pairing, make_metrics(subject, options)) for pairing in pairings]
    values = named.merge(tallies[0].states, lambda state: state.compute())
    per_sample = _per_sample(named, tallies[0])
    defined = _defined(values, per_sample, tallies[0], first)
    draws = Draws(resamples=request.resamples, seed=request.seed)
    settings: dict[str, Any] = {**chosen, "missing": request.missing}
    return Score(
        kind=subject.label,
        task=subject.task.name if subject.task else None,
        samples=tallies[0].compared,
        values=defined,
        ci95=intervals(named, tallies[0].states, defined, draws) if len(per_sample) > 1 else {},
        left_out=_left_out(tallies[0]),
        counts=_counts(named, tallies[0]),
        settings=settings | {"seed": request.seed, "resamples": request.resamples},
        inputs=_inputs(pairings),
        version=__version__,
        per_sample=per_sample,
        units=named.units(),
        against=_against(named, tallies, pairings, draws) if len(pairings) > 1 else None,
    )


def _per_sample(named: Names, found: Tally) -> dict[str, dict[str, float]]:
    """Return each sample's finite values; a sample without any is not there."""
    merged: dict[str, dict[str, float]] = {}
    for metric, state in found.states.items():
        for sample_id, values in state.per_sample().items():
            finite = {named(metric, name): value for name, value in values.items() if math.isfinite(value)}
            if finite:
                merged.setdefault(sample_id, {}).update(finite)
    return merged


def _defined(
    values: Mapping[str, float], per_sample: Mapping[str, Mapping[str, float]], found: Tally, pairing: Pairing
) -> dict[str, float]:
    """Return the values that the predictions define.

    Raises:
        DataError: no sample has a value, or a value is infinite.
    """
    where = f"{pairing.sources['predictions'].name} against {pairing.sources['targets'].name}"
    predicted = [own for sample_id, own in per_sample.items() if sample_id not in found.filled]
    if not predicted:
        reasons = "; ".join(f"{item.id}: {item.reason}" for item in _left_out(found)[:3]) or "no prediction at all"
        raise DataError(f"{where}: expected at least one sample with a value, got none ({reasons}).")
    known = {name for own in predicted for name in own}
    for name, value in values.items():
        if math.isinf(value):
            raise DataError(f"{where}: expected numbers of moderate size, got an infinite {name}.")
    return {name: float(value) for name, value in values.items() if name in known and math.isfinite(value)}


def _counts(named: Names, found: Tally) -> dict[str, float]:
    """Return what the metrics counted besides; a state need not count anything."""
    counted = named.merge(found.states, lambda state: state.counts() if hasattr(state, "counts") else {})
    return {name: count for name, count in counted.items() if math.isfinite(count)}


def _left_out(found: Tally) -> tuple[LeftOut, ...]:
    reasons: dict[str, str] = {}
    for sample_id, reason in [*found.skipped, *(pair for state in found.states.values() for pair in state.left_out)]:
        reasons.setdefault(sample_id, reason)
    return tuple(LeftOut(sample_id, reasons[sample_id]) for sample_id in sorted(reasons))


def _inputs(pairings: list[Pairing]) -> dict[str, dict[str, Any]]:
    roles: tuple[Role, ...] = ("predictions", "targets")
    inputs: dict[str, dict[str, Any]] = {str(role): _input(pairings[0], role) for role in roles}
    if len(pairings) > 1:
        inputs["against"] = _input(pairings[1], "predictions")
    return inputs


def _input(pairing: Pairing, role: Role) -> dict[str, Any]:
    meta = {key: list(value) if isinstance(value, tuple) else value for key, value in pairing.meta[role].items()}
    return {"sha256": pairing.sources[role].digest(), "meta": meta}


def _against(named: Names, tallies: list[Tally], pairings: list[Pairing], draws: Draws) -> Comparison:
    """Return the second predictions' values, and first minus second over the samples that both have."""
    first, second = tallies
    values = named.merge(second.states, lambda state: state.compute())
    found = paired(named, first.states, second.states, draws)
    certain = {name: facts for name, facts in found.items() if facts["ci95"] is not None}
    return Comparison(
        values=_defined(values, _per_sample(named, second), second, pairings[1]),
        samples=max((int(facts["samples"]) for facts in found.values()), default=0),
        difference={name: float(facts["difference"]) for name, facts in found.items()},
        ci95={name: facts["ci95"] for name, facts in certain.items()},
        p={name: float(facts["p"]) for name, facts in certain.items()},
        verdict={name: str(facts["verdict"]) for name, facts in certain.items()},
    )
