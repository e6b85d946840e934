"""A training configuration is strict, and the paper's numbers stand where nothing else is said."""

from __future__ import annotations

import json
import re

import pytest

from probe4d.errors import UsageError
from probe4d_fourds.training import _claim
from probe4d_fourds.training_config import load_config


def test_a_size_alone_has_the_numbers_of_the_papers_table_4():
    small, large = load_config("4ds-e"), load_config("4ds-j")
    for config, steps, rate, warmup in ((small, 488_282, 1e-4, 10_000), (large, 1_000_000, 2e-4, 100_000)):
        optimizer = config.optimizer
        assert (optimizer.steps, optimizer.learning_rate, optimizer.warmup_steps) == (steps, rate, warmup)
        assert (tuple(optimizer.betas), optimizer.weight_decay) == ((0.9, 0.95), 0.05)
        assert (config.data.batch_size, config.data.frames, config.data.stride) == (2048, 16, 2)
        assert (config.data.margin, config.data.flip, config.model.masking) == (1.15, True, 0.95)
        assert (config.model.keep_rounding, optimizer.decay_biases) == ("floor", False)
        assert (optimizer.schedule, optimizer.end_learning_rate) == ("cosine", 0.0)
    assert (small.data.size, large.data.size) == ((224, 224), (256, 256))
    assert (small.model.objective().decode_layers, large.model.objective().decode_layers) == (4, 2)
    assert (small.model.objective().output_patch, large.model.objective().output_patch) == ((2, 16, 16), (4, 32, 32))


def test_a_file_names_what_differs_and_set_changes_it_again(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('base = "4ds-micro"\nseed = 3\n[data]\nsource = "clips"\n[optimizer]\nsteps = 50\n')
    config = load_config(
        str(file), ["optimizer.steps=70", "model.masking=0.75", "mesh.fsdp=4", "optimizer.schedule=linear"]
    )
    assert config.recipe().schedule == "linear"
    assert (config.name, config.seed, config.data.source) == ("mine", 3, "clips")
    assert (config.optimizer.steps, config.model.objective().keep, config.mesh.fsdp) == (70, 128, 4)
    assert config.tables()["optimizer"]["steps"] == 70


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('base = "4ds-mikro"', "config base: expected 4ds-s"),
        ("seed = 1", "config base: expected"),
        ('base = "4ds-micro"\noptimiser = {}', "got 'optimiser'. Did you mean 'optimizer'?"),
        ('base = "4ds-micro"\n[optimizer]\nstep = 3', "got 'step'. Did you mean 'steps'?"),
        ('base = "4ds-micro"\n[optimizer]\nsteps = 0', "steps"),
        ('base = "4ds-micro"\n[model]\nmasking = 2.0', "model.masking: expected a fraction"),
        ('base = "4ds-micro"\n[optimizer]\nschedule = "sine"', "schedule: expected"),
        ('base = "4ds-micro"\n[run]\non_nonfinite = "ignore"', "on_nonfinite"),
        ('base = "4ds-micro"\n[data]\nsize = 32', "expected clips of (frames, height, width) = (16, 64, 64)"),
        ("base = ", "expected TOML"),
    ],
)
def test_what_a_configuration_cannot_be_is_refused_with_the_field(tmp_path, text, words):
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=re.escape(words)):
        load_config(str(file))


def test_a_name_that_is_neither_size_nor_file_is_refused():
    with pytest.raises(UsageError, match=r"expected a \.toml file or 4ds-s.*Did you mean '4ds-mini'"):
        load_config("4ds-mimi")
    with pytest.raises(UsageError, match="cannot be read"):
        load_config("nowhere.toml")


def test_a_run_that_an_earlier_version_began_goes_on_as_it_began(tmp_path):
    tables = load_config("4ds-micro").tables()
    for section, name in (("model", "keep_rounding"), ("optimizer", "schedule"), ("optimizer", "decay_biases")):
        del tables[section][name]
    (tmp_path / "config.json").write_text(json.dumps(tables))
    _claim(tmp_path, load_config("4ds-micro"), lead=True)
    with pytest.raises(UsageError, match=r"expected optimizer\.schedule = 'cosine'.*got 'linear'"):
        _claim(tmp_path, load_config("4ds-micro", ["optimizer.schedule=linear"]), lead=True)
