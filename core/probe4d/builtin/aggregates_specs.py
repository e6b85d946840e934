"""The aggregates of probe4d: one number per backbone from a whole results table."""

from __future__ import annotations

from probe4d.specs import AggregateSpec

AGGREGATES = (
    AggregateSpec(
        name="mean_rank",
        target="probe4d_metrics.aggregates:mean_rank",
        higher_is_better=False,
        summary="mean over tasks of the backbone's rank; 1 is best, ties share their mean rank",
    ),
    AggregateSpec(
        name="relative_to_baseline",
        target="probe4d_metrics.aggregates:relative_to_baseline",
        summary="mean over tasks of the ratio to a baseline backbone; 1 is the baseline, more is better",
    ),
    AggregateSpec(
        name="worst_task",
        target="probe4d_metrics.aggregates:worst_task",
        summary="lowest ratio, over tasks, to the best backbone of the task (or to a baseline)",
    ),
)
