"""What the specs say is what the models are: sizes, inputs, licences, places of weights."""

from __future__ import annotations

import csv

import jax
import numpy as np
import pytest

from probe4d import load_backbone
from probe4d.errors import UsageError
from probe4d_baselines.families import FAMILIES
from probe4d_baselines.models import MODELS
from probe4d_baselines.plugin import PROBE4D_CONFORMANCE, probe4d_backbones
from probe4d_vit.table import count

SPECS = {spec.name: spec for spec in probe4d_backbones()}
# Millions of parameters of the encoders, counted in the authors' own code; with a stored or computed table.
ENCODERS = {
    "siglip-2b": 1663.302,
    "siglip-so400m": 412.442,
    "siglip2-g-opt": 1134.838,
    "dinov2-l": 304.368,
    "dinov2-g": 1136.479,
    "videoprism-b": 114.365,
    "videoprism-g": 1112.755,
    "vjepa-l": 305.491,
    "vjepa-h": 633.655,
    "videomae-b": 87.431,
    "videomae-l": 305.466,
    "videomae-h": 633.614,
    "videomaev2-g": 1014.494,
}
# The same on 16 x 16 positions, or without a table that is never trained.
WITHOUT = {
    "dinov2-l": 303.228,
    "dinov2-g": 1134.770,
    "vjepa-l": 303.885,
    "vjepa-h": 631.648,
    "videomae-b": 86.227,
    "videomae-l": 303.861,
    "videomae-h": 631.607,
    "videomaev2-g": 1011.611,
}
WITH_HEAD = {"siglip-2b": 1697.926, "siglip-so400m": 427.681, "siglip2-g-opt": 1163.168}
TABLE_2 = {
    "siglip-2b": 1705, "dinov2-l": 303, "dinov2-g": 1135, "videoprism-b": 114, "videoprism-g": 1113, "vjepa-l": 307,
    "vjepa-h": 635, "videomae-b": 87, "videomae-l": 305, "videomae-h": 633, "videomaev2-g": 1013,
}  # fmt: skip
TOKENS = {  # T x K x C of 16 frames
    "siglip-2b": (16, 256, 1536), "dinov2-l": (16, 256, 1024), "dinov2-g": (16, 256, 1536),
    "videoprism-b": (16, 256, 768), "videoprism-g": (16, 256, 1408), "vjepa-l": (8, 196, 1024),
    "vjepa-h": (8, 196, 1280), "videomae-b": (8, 196, 768), "videomae-l": (8, 196, 1024),
    "videomae-h": (8, 196, 1280), "videomaev2-g": (8, 256, 1408),
}  # fmt: skip


def millions(number):
    return round(number / 1e6, 3)


@pytest.mark.parametrize("name", ENCODERS)
def test_the_number_of_parameters_is_exact(name):
    model = MODELS[name]
    assert millions(SPECS[name].params) == ENCODERS[name]
    if name in WITHOUT and model.family == "dinov2":
        assert millions(count(model.config(model.grid))) == WITHOUT[name]
    elif name in WITHOUT:
        assert millions(count(model.config(), trainable_only=True)) == WITHOUT[name]
    if name in WITH_HEAD:
        assert millions(model.total_params) == WITH_HEAD[name]


@pytest.mark.parametrize("name", TABLE_2)
def test_the_papers_number_is_met_within_0_6_percent(name):
    assert MODELS[name].paper_millions == TABLE_2[name]
    assert MODELS[name].total_params / 1e6 == pytest.approx(TABLE_2[name], rel=0.006)


def test_every_baseline_of_the_papers_results_is_here(repository):
    (file,) = repository.glob("plugins/report/probe4d_report/**/results.csv")
    with file.open() as rows:
        named = {row["model"]: int(row["params_millions"]) for row in csv.DictReader(rows)}
    baselines = {name: millions for name, millions in named.items() if not name.startswith("4ds")}
    assert baselines == TABLE_2


@pytest.mark.parametrize("name", TOKENS)
def test_the_features_have_the_papers_tokens(name):
    tokens = SPECS[name].tokens
    assert (tokens.time, tokens.space, tokens.channels) == TOKENS[name]


def test_inputs_are_those_of_each_family():
    sides = {"siglip2-g-opt": 256, "vjepa2-l": 256, "vjepa2-h": 256, "vjepa2-g": 256}
    sides |= {name: 288 for name in MODELS if name.startswith("videoprism")}
    for name, model in MODELS.items():
        given = SPECS[name].input
        assert (given.frames, given.height, given.width) == (16, sides.get(name, 224), sides.get(name, 224))
        first = {"siglip": 0.5, "videoprism": 0.0}.get(model.family, 0.485)
        assert given.mean[0] == first
        assert SPECS[name].layers == (1.0,)
        assert SPECS[name].modality == ("image" if model.family in ("siglip", "dinov2") else "video")


def test_licences_and_places_are_stated_and_what_is_not_public_names_the_nearest():
    closed = {name for name, model in MODELS.items() if not model.weights.public}
    assert closed == {"siglip-2b", "videoprism-g"}
    for name, model in MODELS.items():
        assert SPECS[name].licence
        if name in closed:
            assert MODELS[model.weights.nearest].weights.public
            assert SPECS[name].weights.url is None
            assert "weights not public" in SPECS[name].summary
        else:
            assert model.weights.url.startswith(("https://", "gs://", "hf://"))
            assert model.weights.format in ("npz", "pth", "pth.tar", "pt", "safetensors")
        if model.family in ("vjepa", "videomae", "videomaev2"):
            assert model.licence == "CC-BY-NC-4.0"


def test_a_name_without_weights_says_where_they_are():
    with pytest.raises(UsageError, match=r"They are at https://dl\.fbaipublicfiles\.com/dinov2/dinov2_vitl14/"):
        load_backbone("dinov2-l")
    with pytest.raises(UsageError, match="nearest public ones are those of siglip2-g-opt"):
        load_backbone("siglip-2b")


def test_finetuning_starts_from_tables_of_the_input_it_is_run_on():
    small = PROBE4D_CONFORMANCE["small"]["dinov2-l"]["options"]
    backbone = load_backbone_of(small)
    params = backbone.init(jax.random.key(0))
    axes = backbone.param_axes()
    assert jax.tree.structure(axes, is_leaf=lambda node: isinstance(node, tuple)) == jax.tree.structure(params)
    assert np.shape(params["position"]) == (1, 2, 2, 12)


def load_backbone_of(options):
    from probe4d_baselines.backbone import load

    return load(**options)


def test_each_family_is_a_name_of_its_own():
    assert set(FAMILIES) <= set(SPECS)
    for name, family in FAMILIES.items():
        assert SPECS[name].options["family"] == name
        assert SPECS[name].params == SPECS[family.example].params


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_has_a_page_that_says_what_the_specs_say(family, repository):
    page = (repository / "docs" / "baselines" / f"{family}.md").read_text("utf-8")
    for name, model in MODELS.items():
        if model.family != family or name.endswith("-reg"):
            continue
        assert f"`{name}`" in page
        sizes = {f"{millions(model.params):.3f} M", f"{millions(count(model.config(), trainable_only=True)):.3f} M"}
        assert any(size in page for size in sizes)
        if model.weights.url:
            assert model.weights.url.rpartition("/")[2] in page
    licence = SPECS[FAMILIES[family].example].licence.rpartition(" ")[2]
    assert licence.replace("-4.0", "") in page.replace("CC-BY 4.0", "CC-BY").replace("CC-BY-NC 4.0", "CC-BY-NC")
    assert f"probe4d features --backbone {family}" in page
