"""Where a module may come from: a dotted path, a hub folder, a file of a program; with weights that run nothing."""

from __future__ import annotations

import logging
import pickle
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: it is what is bridged")
safetensors = pytest.importorskip("safetensors.torch", reason="needs safetensors: weights are stored by it")

from probe4d import load_backbone  # noqa: E402
from probe4d.errors import DataError, UsageError  # noqa: E402
from probe4d.testing import Given, check_backbone  # noqa: E402
from probe4d_torch import TorchBackbone  # noqa: E402
from probe4d_torch.example import TinyViT  # noqa: E402
from probe4d_torch.plugin import PROBE4D_CONFORMANCE, probe4d_backbones  # noqa: E402

READ = {"frames": 4, "size": 8, "tokens": [2, 4, 12]}
BLOCKS = {**READ, "blocks": "blocks.{i}", "depth": 2, "norm": "norm", "prefix": 1}
OUTPUT = {**READ, "output": "tokens", "prefix": 1}
MODEL = "probe4d_torch.example:TinyViT"
HUB = PROBE4D_CONFORMANCE["small"]["torch-hub"]["options"]


@pytest.fixture(scope="module")
def vit():
    torch.manual_seed(5)
    return TinyViT().eval()


@pytest.fixture(scope="module")
def video():
    return np.random.default_rng(1).random((2, 4, 8, 8, 3), dtype=np.float32)


@pytest.fixture(scope="module")
def want(vit, video):
    return TorchBackbone(vit, **OUTPUT).encode(video, (1.0,))[0]


@pytest.fixture(scope="module")
def weights(vit, tmp_path_factory):
    file = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    safetensors.save_file(vit.state_dict(), file)
    return file


@pytest.mark.parametrize("spec", list(probe4d_backbones()), ids=lambda spec: spec.name)
def test_each_name_conforms(spec):
    expected = PROBE4D_CONFORMANCE["expected_failed_checks"].get(f"backbones/{spec.name}")
    given = Given(small=PROBE4D_CONFORMANCE["small"])
    results = check_backbone(spec, given=given, expected_failed_checks=expected)
    assert [result for result in results if result.status == "failed"] == []
    if spec.name in ("torch-module", "torch-hub"):
        assert sum(result.status == "passed" for result in results) >= 13


@pytest.mark.parametrize("name", ["torch-module", "torch-hub"])
def test_weights_of_a_safetensors_file_are_filled_in(name, weights, video, want):
    options = {**HUB, **BLOCKS} if name == "torch-hub" else {"model": MODEL, **BLOCKS}
    (got,) = load_backbone(name, weights=weights, **options).encode(video, (1.0,))
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_weights_of_a_torch_file_are_found_below_a_key_and_a_prefix(vit, video, want, tmp_path):
    state = {f"module.{key}": value for key, value in vit.state_dict().items()}
    torch.save({"model": {**state, "module.head.weight": torch.ones(2), "epoch": torch.ones(1)}}, tmp_path / "a.pth")
    options = {"model": MODEL, **OUTPUT, "weights_key": "model", "strip": "module.", "ignore": ["head"]}
    (got,) = load_backbone("torch-module", weights=tmp_path / "a.pth", **options).encode(video, (1.0,))
    np.testing.assert_allclose(got, want, atol=1e-6)
    with pytest.raises(
        DataError, match=r"expected only keys of the module, got 'head\.weight'\. Name them in `ignore`"
    ):
        load_backbone("torch-module", weights=tmp_path / "a.pth", **{**options, "ignore": []})
    with pytest.raises(DataError, match=r"expected tensors by name, got model\. Name the table by `weights_key`"):
        load_backbone("torch-module", weights=tmp_path / "a.pth", **{**options, "weights_key": ""})
    with pytest.raises(DataError, match=r"expected also 'blocks\.0\..*Is `strip` what stands before them"):
        load_backbone("torch-module", weights=tmp_path / "a.pth", **{**options, "strip": ""})


def test_weights_of_another_size_name_the_tensor(vit, tmp_path):
    safetensors.save_file(TinyViT(tokens=9).state_dict(), tmp_path / "b.safetensors")
    with pytest.raises(DataError, match=r"'position': expected shape \(1, 9, 12\), got \(1, 10, 12\)"):
        load_backbone("torch-module", weights=tmp_path / "b.safetensors", model=MODEL, **OUTPUT)


class Bomb:
    def __reduce__(self):
        return (print, ("executed",))


def test_a_pickle_is_never_executed(tmp_path, capsys):
    torch.save({"model": Bomb()}, tmp_path / "bomb.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Bomb()))
    for name in ("bomb.pth", "plain.pth"):
        with pytest.raises(DataError, match="No pickle is executed here"):
            load_backbone("torch-module", weights=tmp_path / name, model=MODEL, **OUTPUT)
    assert "executed" not in capsys.readouterr().out


def test_whose_code_runs_is_said_before_it_runs(caplog, tmp_path, monkeypatch):
    (tmp_path / "theirs.py").write_text("import logging\nlogging.getLogger('probe4d').warning('theirs ran')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with caplog.at_level(logging.WARNING, "probe4d"), pytest.raises(UsageError, match="expected 'Net' in theirs"):
        load_backbone("torch-module", model="theirs:Net", **OUTPUT)
    assert [record.message for record in caplog.records] == ["probe4d runs your code: theirs:Net.", "theirs ran"]


def test_random_values_hang_on_the_seed_alone(video):
    first, again, other = (
        load_backbone("torch-module", model=MODEL, seed=seed, **OUTPUT).encode(video, (1.0,))[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_a_torchscript_file_is_a_backbone(vit, video, want, tmp_path, caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates the writer, not the files that there are
        traced = torch.jit.trace(vit, torch.zeros(2, 3, 4, 8, 8), strict=False)
        torch.jit.save(traced, tmp_path / "tiny.pt")
    backbone = load_backbone("torch-file", weights=tmp_path / "tiny.pt", **OUTPUT)
    np.testing.assert_allclose(backbone.encode(video, (1.0,))[0], want, atol=1e-5)
    assert "probe4d runs your code: the program in" in caplog.text


def test_an_exported_program_is_a_backbone_at_its_batch_size(vit, video, want, tmp_path):
    torch.export.save(torch.export.export(vit, (torch.zeros(2, 3, 4, 8, 8),)), tmp_path / "tiny.pt2")
    backbone = load_backbone("torch-file", weights=tmp_path / "tiny.pt2", **OUTPUT, batch_size=2)
    (three,) = backbone.encode(np.concatenate([video, video[:1]]), (1.0,))  # the last call is filled up
    np.testing.assert_allclose(three, np.concatenate([want, want[:1]]), atol=1e-5)


@pytest.mark.parametrize("name", ["broken.pt", "broken.pt2"])
def test_a_file_that_is_no_program_is_refused(name, tmp_path):
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match=f"{name}: expected a"):
        load_backbone("torch-file", weights=tmp_path / name, **OUTPUT)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("torch-module", {"modell": MODEL}, r"got 'modell'\. Did you mean 'model'"),
        ("torch-module", {}, r"torch-module: expected 'model' to be stated"),
        ("torch-module", {"model": "nowhere:Net"}, r"expected a module that Python finds, got 'nowhere'"),
        ("torch-module", {"model": "probe4d_torch.example:TinyVit"}, r"Did you mean 'TinyViT'"),
        ("torch-module", {"model": MODEL, "model_options": {"deep": 3}}, r"does not take \{'deep': 3\}"),
        ("torch-module", {"model": "math:sqrt", "model_options": {}}, r"model_options: math:sqrt does not take"),
        ("torch-module", {"model": "builtins:dict"}, r"expected builtins:dict to make a torch\.nn\.Module, got dict"),
        ("torch-module", {"model": MODEL, "repo": "x"}, r"expected options among .*got 'repo'"),
        ("torch-hub", {"repo": "nowhere", "model": "a"}, r"repo: expected a folder with hubconf\.py"),
        ("torch-hub", {"repo": HUB["repo"], "model": "big_vit"}, r"expected an entry of .*hubconf\.py, got 'big_vit'"),
        ("torch-file", {}, r"torch-file: expected weights=FILE"),
    ],
)
def test_a_wrong_source_is_named(name, options, said):
    with pytest.raises(UsageError, match=said):
        load_backbone(name, **OUTPUT, **options)
