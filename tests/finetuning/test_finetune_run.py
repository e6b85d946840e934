"""Finetuning on playroom: records beside the frozen ones, the backbone moved, interrupted and gone on with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs jax: finetuning is done with it")
pytest.importorskip("orbax.checkpoint", reason="needs orbax-checkpoint")

from probe4d.registry import load_target
from probe4d_datasets.playroom import Playroom
from probe4d_runners import finetune as units
from probe4d_runners.finetuning import training
from toy_plans import planned, playroom_suite

SUITE = playroom_suite(
    """
name = "tiny"
backbones = [{name = "4ds-micro", label = "micro"}]
tasks = ["playroom-pose"]
protocols = ["frozen-quick", "finetune-quick"]
""",
    train=6,
    val=2,
    more="""
[overrides.frozen-quick]
steps = 2
batch_size = 2
eval_batch_size = 2
extract_batch_size = 2
learning_rates = [1e-3]
readout = {width = 16, heads = 2}
[overrides.finetune-quick]
steps = 4
warmup_steps = 1
batch_size = 2
eval_batch_size = 2
checkpoint_every = 1
select_on = "holdout"
holdout = 0.34
learning_rates = [1e-3, 1e-2]
readout = {width = 16, heads = 2}
""",
)


def plan_of(folder: Path):
    return planned(folder, SUITE)


def carry_out(unit) -> dict:
    return load_target(unit.target)(**unit.arguments)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the folder of a run that nothing happened to, and the parameters of its trained members."""
    folder = tmp_path_factory.mktemp("finetuned")
    trained = []
    patch = pytest.MonkeyPatch()
    patch.setattr(
        units, "finetune_member", lambda *given: trained.append(training.finetune_member(*given)) or trained[-1]
    )
    with patch.context():
        for unit in plan_of(folder).todo:
            carry_out(unit)
    patch.undo()
    return folder, trained


def records(folder: Path) -> dict[str, dict]:
    found = {record.cell.protocol: dict(record.content) for record in plan_of(folder).run.records()}
    return {name.rpartition("/")[2]: content for name, content in found.items()}


def test_a_cell_has_a_record_frozen_and_one_finetuned(whole):
    found = records(whole[0])
    tuned, frozen = found["finetune-quick"], found["frozen-quick"]
    assert tuned["primary"]["name"] == frozen["primary"]["name"] == "epe"
    assert tuned["targets_sha256"] == frozen["targets_sha256"]  # the same clips, whatever the protocol
    assert len(tuned["members"]) == 2
    assert {one["weight_decay"] for one in tuned["members"]} == {1e-4}
    assert tuned["protocol"]["settings"]["backbone_rate"] == 0.03
    assert tuned["select_on"] == "holdout"
    assert all(np.isfinite(one["chosen_by"]) for one in tuned["members"])
    assert tuned["data"]["train"]["views"] == 0
    assert tuned["samples"]["train"] == 4


def test_the_run_is_done_and_leaves_no_checkpoints(whole):
    assert plan_of(whole[0]).todo == ()
    assert not list((whole[0] / "run").rglob("checkpoints"))


def test_the_whole_backbone_is_trained_from_its_weights(whole):
    from probe4d import load_backbone

    first = load_backbone("4ds-micro").init(None, layers=(0.95,))
    tuned = whole[1][1].params["backbone"]
    assert tuned.keys() == first.keys()
    changed = {name: np.abs(np.asarray(a) - b).max() for name, a, b in _leaves(first, tuned)}
    assert min(changed.values()) > 0, [name for name, most in changed.items() if not most]
    assert max(changed.values()) < 4 * 0.03 * 1e-2 * 1.5  # four steps of at most the backbone's share of the rate


def _leaves(first, second):
    import jax

    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(first), jax.tree.leaves(second), strict=True):
        yield jax.tree_util.keystr(path), a, np.asarray(b)


def test_an_interrupted_training_goes_on_from_its_checkpoint_and_ends_in_the_same_bits(whole, tmp_path, monkeypatch):
    unit = next(one for one in plan_of(tmp_path).units if one.id.startswith("finetune-"))
    load, asked = Playroom.load, []

    def interrupted(self, sample_id, frames=None):
        asked.append(sample_id)
        if len(asked) > 2 + 7:  # the batch for shapes, then three batches and a half
            raise KeyboardInterrupt
        return load(self, sample_id, frames)

    monkeypatch.setattr(Playroom, "load", interrupted)
    with pytest.raises(KeyboardInterrupt):
        carry_out(unit)
    assert not list((tmp_path / "run").rglob("member.json"))
    assert list((tmp_path / "run").rglob("checkpoints/*"))
    monkeypatch.setattr(Playroom, "load", load)
    assert carry_out(unit)["resumed"] >= 1
    again, before = (_member(folder, unit.arguments["member"]["name"]) for folder in (tmp_path, whole[0]))
    assert again["losses"] == before["losses"]
    assert again["files"] == before["files"]  # digests of the predictions


def _member(folder: Path, name: str) -> dict:
    return json.loads(next((folder / "run").rglob(f"{name}/member.json")).read_text())


def test_the_report_shows_frozen_and_finetuned_side_by_side(whole):
    report = pytest.importorskip("probe4d_report.panels.finetuning", reason="needs the report plugin")
    view = pytest.importorskip("probe4d_report.view").RunView(whole[0] / "run")
    page = str(report.panel(view))
    found = records(whole[0])
    assert "finetune-quick" in page
    assert "frozen-quick" in page
    for record in found.values():
        assert f"{record['primary']['value']:.4g}" in page
    (record,) = [one for one in view.records if one.cell.protocol.endswith("finetune-quick")]
    curves = view.training(record)
    assert [len(curve.points) for curve in curves] == [4, 4]
    assert sum(curve.selected for curve in curves) == 1
