"""Published files are read whole, in every layout, without executing anything; what is not the model is refused."""

from __future__ import annotations

import io
import json
import logging
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from typing import ClassVar

import fsspec
import numpy as np
import pytest
from attrs import evolve
from fsspec.implementations.memory import MemoryFileSystem

from baselines.conftest import GOLDENS, golden, loaded, video_of, worst
from probe4d import load_backbone
from probe4d.errors import DataError, UsageError
from probe4d_baselines.backbone import load
from probe4d_vit.checkpoints import open_checkpoint
from probe4d_vit.torch_file import TorchCheckpoint

PTH = GOLDENS / "orig_dinov2_mlp" / "dinov2_pretrain.pth"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PROBE4D_CACHE_DIR", str(tmp_path / "cache"))


def encoded(backbone, file):
    io_ = np.load(file)
    return worst(backbone.encode(video_of(io_), (1.0,))[0], io_["features_TKC"])


def test_torch_files_are_read_as_torch_reads_them():
    torch = pytest.importorskip("torch")
    for file in (PTH, GOLDENS / "orig_videomaev2_finetune" / "checkpoint.pth", GOLDENS / "orig_vjepa1" / "vit.pth.tar"):
        ours, want = TorchCheckpoint(file), torch.load(file, weights_only=True)
        flat = {}

        def walk(node, path, flat=flat):
            for key, value in node.items():
                if isinstance(value, torch.Tensor):
                    flat[f"{path}{key}"] = value
                elif isinstance(value, dict):
                    walk(value, f"{path}{key}/")

        walk(want, "")
        assert set(ours.keys()) == set(flat)
        for key, value in flat.items():
            assert ours.shape(key) == tuple(value.shape)
            np.testing.assert_array_equal(ours.read(key), value.numpy())


def test_reading_a_torch_file_imports_no_torch():
    code = (
        "import sys; from probe4d_vit.checkpoints import open_checkpoint as o; c = o(sys.argv[1]);"
        "c.read('norm.weight'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(PTH)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


class Bomb:
    """Unpickled by anyone but us, it ends the process."""

    def __reduce__(self):
        return (os._exit, (3,))


def rewritten(source, target, change):
    """Copy a zip with its data.pkl changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, change(content) if name.endswith("data.pkl") else content)
    return target


def test_a_hostile_pickle_is_inert(tmp_path):
    bomb = pickle.dumps({"model": {"weight": Bomb()}, "args": Bomb()}, protocol=2)
    assert list(TorchCheckpoint(rewritten(PTH, tmp_path / "a.pth", lambda _: bomb)).keys()) == []
    system = b"cposix\nsystem\n(S'touch " + str(tmp_path / "executed").encode() + b"'\ntR."
    assert list(TorchCheckpoint(rewritten(PTH, tmp_path / "b.pth", lambda _: system)).keys()) == []
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"not a pickle",
        b"\x80\x02]q\x00(K\x01",  # ends in the middle
        b"\x80\x02X\x03\x00\x00\x00abcQ.",  # a persistent id that is no storage
        b"ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x02K\x03K\x04tR.",
        b"ctorch\nFloatStorage\n}S'dtype'\nS'x'\nsb.",  # changes the type of a storage
        b"\x80\x02" + b"]q\x00" + b"h\x00a" * 3 + b"h\x00h\x00a.",  # a list that holds itself
    ],
)
def test_a_broken_pickle_is_refused_or_empty(tmp_path, content):
    file = rewritten(PTH, tmp_path / "a.pth", lambda _: content)
    with pytest.raises(DataError, match=r"a\.pth: expected a pickle of tensors"):
        TorchCheckpoint(file)


def test_a_tensor_larger_than_its_storage_is_refused(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"a": torch.arange(6.0).reshape(2, 3)}, tmp_path / "a.pth")

    def longer(content):
        return content.replace(b"K\x02K\x03\x86", b"K\x09K\x03\x86")

    checkpoint = TorchCheckpoint(rewritten(tmp_path / "a.pth", tmp_path / "b.pth", longer))
    assert checkpoint.shape("a") == (9, 3)
    with pytest.raises(DataError, match="values for 'a'"):
        checkpoint.read("a")


def test_views_and_strides_of_a_torch_file_are_kept(tmp_path):
    torch = pytest.importorskip("torch")
    base = torch.arange(24.0).reshape(4, 6)
    torch.save({"t": base.T, "part": base[1:3, 2:4], "bf16": base.bfloat16(), "none": base[:0]}, tmp_path / "a.pth")
    checkpoint = TorchCheckpoint(tmp_path / "a.pth")
    for key, value in {"t": base.T, "part": base[1:3, 2:4], "bf16": base, "none": base[:0]}.items():
        np.testing.assert_array_equal(checkpoint.read(key).astype(np.float32), value.numpy())


def test_the_format_before_torch_1_6_is_refused_by_name(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"a": torch.zeros(2)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(DataError, match=r"old\.pth: expected the zip format that torch saves since 1\.6"):
        open_checkpoint(tmp_path / "old.pth")


def test_a_folder_brings_its_architecture_and_a_bare_file_takes_it_from_its_shapes():
    native = "io_98x98.npz"
    assert encoded(load(str(GOLDENS / "hf_dinov2_mlp"), family="dinov2"), GOLDENS / "hf_dinov2_mlp" / native) < 5e-5
    bare = load(str(PTH), family="dinov2", heads=3)
    config = bare.config
    assert (config.width, config.depth, config.mlp, config.patch, config.grid) == (48, 2, 192, (1, 14, 14), (16, 7, 7))
    assert encoded(bare, GOLDENS / "orig_dinov2_mlp" / native) < 5e-5
    with pytest.raises(UsageError, match=r"dinov2: expected heads.*Give it: --set heads="):
        load(str(PTH), family="dinov2")
    whole = load(str(PTH), family="dinov2", heads=3, width=48, depth=2, mlp=192, patch=14, registers=0)
    assert encoded(whole, GOLDENS / "orig_dinov2_mlp" / native) < 5e-5
    assert load(str(GOLDENS / "orig_bigvision_siglip"), family="siglip").config.heads == 4
    assert load(str(GOLDENS / "orig_videoprism"), family="videoprism").config.heads == 4


def test_a_name_holds_its_file_to_its_sizes():
    with pytest.raises(DataError, match=r"width: expected 1024 as dinov2-l says, got 48\. Load it as 'dinov2'"):
        load(str(PTH), variant="dinov2-l")
    with pytest.raises(DataError, match=r"expected a model_type of siglip, got 'dinov2'.*backbone 'dinov2'"):
        load(str(GOLDENS / "hf_dinov2_mlp" / "model.safetensors"), family="siglip")
    with pytest.raises(DataError, match=r"expected weights of siglip, with a key that ends in"):
        load(str(PTH), family="siglip")


def test_a_config_that_its_arrays_contradict_is_refused(tmp_path):
    shutil.copytree(GOLDENS / "hf_dinov2_mlp", tmp_path / "hub")
    config = json.loads((tmp_path / "hub" / "config.json").read_text())
    (tmp_path / "hub" / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(DataError, match=r"depth: expected 3 as config\.json says, got 2"):
        load(str(tmp_path / "hub"), family="dinov2")
    (tmp_path / "hub" / "config.json").write_text(json.dumps({**config, "hidden_act": "relu"}))
    with pytest.raises(DataError, match=r"hidden_act: expected one of gelu.*got 'relu'"):
        load(str(tmp_path / "hub"), family="dinov2")
    (tmp_path / "hub" / "config.json").write_text(json.dumps({**config, "hidden_size": "48"}))
    with pytest.raises(DataError, match="hidden_size: expected a int, got '48'"):
        load(str(tmp_path / "hub"), family="dinov2")
    (tmp_path / "hub" / "config.json").write_text("[]")
    with pytest.raises(DataError, match="expected a JSON object"):
        load(str(tmp_path / "hub"), family="dinov2")


def test_a_sparse_config_means_the_defaults_of_its_class():
    config = loaded("hf_siglip").config
    written = json.loads((GOLDENS / "hf_siglip" / "config.json").read_text())["vision_config"]
    assert "hidden_act" not in written
    assert "layer_norm_eps" not in written
    assert (config.activation, config.eps) == ("gelu_tanh", 1e-6)
    assert loaded("hf_videomae_pretrained").config.eps == 1e-12  # as its config says
    assert loaded("orig_videomae_pretrain").config.eps == 1e-6
    assert loaded("orig_vjepa1").config.eps == 1e-6
    both = [
        json.loads((GOLDENS / "hf_videomae_pretrained" / name).read_text())
        for name in ("config.json", "config.v5.json")
    ]
    assert [("qkv_bias" in one, "qv_bias" in one) for one in both] == [(True, False), (False, True)]


@pytest.mark.parametrize("name", ["hf_dinov2_mlp", "hf_siglip", "hf_videomae_pretrained", "hf_videoprism", "hf_vjepa2"])
def test_configs_of_transformers_4_and_5_mean_the_same_model(tmp_path, name):
    shutil.copytree(GOLDENS / name, tmp_path / "hub", ignore=shutil.ignore_patterns("io*", "grad*"))
    shutil.move(tmp_path / "hub" / "config.v5.json", tmp_path / "hub" / "config.json")
    assert golden(name).load(tmp_path / "hub").config == loaded(name).config


def test_the_preprocessor_of_a_folder_gives_mean_and_standard_deviation(tmp_path):
    shutil.copytree(GOLDENS / "hf_siglip", tmp_path / "hub", ignore=shutil.ignore_patterns("io*"))
    stated = tmp_path / "hub" / "preprocessor_config.json"
    stated.write_text(json.dumps({"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}))
    backbone = load(str(tmp_path / "hub"), family="siglip")
    assert (backbone.mean, backbone.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert load(str(tmp_path / "hub"), family="siglip", mean=(0, 0, 0)).mean == (0, 0, 0)
    stated.write_text(json.dumps({"do_normalize": False}))
    assert load(str(tmp_path / "hub"), family="siglip").std == (1.0, 1.0, 1.0)
    stated.write_text(json.dumps({"image_mean": [0.1]}))
    with pytest.raises(DataError, match="image_mean: expected three numbers"):
        load(str(tmp_path / "hub"), family="siglip")


def changed(source, target, change):
    """Copy an .npz with its arrays changed."""
    np.savez(target, **change(dict(np.load(source))))
    return str(target)


def test_encoder_keys_that_no_rule_maps_are_refused_by_name(tmp_path):
    source = GOLDENS / "orig_bigvision_siglip" / "siglip_tiny.npz"
    for key in ("params/img/Transformer/encoderblock_0/extra", "params/img/cls", "params/other/kernel"):
        file = changed(source, tmp_path / "w.npz", lambda arrays, key=key: {**arrays, key: np.zeros(2)})
        with pytest.raises(DataError, match=f"expected only keys of this model, got '{key}'"):
            load(file, family="siglip")
    missing = "params/img/Transformer/encoderblock_1/LayerNorm_1/bias"
    file = changed(source, tmp_path / "w.npz", lambda a: {key: value for key, value in a.items() if key != missing})
    with pytest.raises(DataError, match=f"expected also the keys '{missing}'"):
        load(file, family="siglip")


def test_only_a_finetuned_videomae_may_lack_its_norm(tmp_path):
    assert not loaded("orig_videomae_finetune").config.final_norm
    assert loaded("orig_videomae_pretrain").config.final_norm
    source = GOLDENS / "orig_bigvision_siglip" / "siglip_tiny.npz"
    file = changed(source, tmp_path / "w.npz", lambda a: {key: a[key] for key in a if "encoder_norm" not in key})
    with pytest.raises(DataError, match=r"expected also the keys 'params/img/Transformer/encoder_norm/bias'"):
        load(file, family="siglip")


@pytest.mark.parametrize(
    ("name", "ignored"),
    [
        ("orig_vjepa1", "encoder/module.backbone.norm.bias"),
        ("orig_vjepa2", "encoder/module.backbone.pos_embed"),
        ("orig_videomae_pretrain", "model/encoder_to_decoder.weight"),
        ("orig_videomae_finetune", "module/fc_norm.bias"),
        ("hf_siglip", "text_model.head.weight"),
        ("hf_vjepa2", "predictor.proj.weight"),
        ("orig_bigvision_siglip", "params/img/MAPHead_0/probe"),
        ("hf_dinov2_mlp", "embeddings.mask_token"),
    ],
)
def test_ignored_keys_are_named_in_the_log(name, ignored, caplog):
    with caplog.at_level(logging.INFO, logger="probe4d"):
        golden(name).load()._read(1)
    assert ignored in caplog.text
    assert "keys ignored" in caplog.text


def test_the_target_encoder_is_taken_and_another_only_when_it_is_named():
    io_ = np.load(GOLDENS / "orig_vjepa1" / "io_T8_48x48.npz")
    other = golden("orig_vjepa1").load(weights_key="encoder")
    assert worst(other.encode(video_of(io_), (1.0,))[0], io_["features_TKC"]) > 0.4
    with pytest.raises(DataError, match=r"expected the weights in 'ema', got them in 'encoder', 'target_encoder'"):
        golden("orig_vjepa1").load(weights_key="ema")


def test_a_truncated_checkpoint_and_a_wrong_path_are_refused(tmp_path):
    for name in ("hf_vjepa2/model.safetensors", "orig_vjepa2/vit.pt", "orig_videoprism/flax_tiny_repeated.npz"):
        broken = tmp_path / name.rpartition("/")[2]
        broken.write_bytes((GOLDENS / name).read_bytes()[:-2000])
        with pytest.raises(DataError, match=broken.name):
            load(str(broken), family=golden(name.partition("/")[0]).family)
    with pytest.raises(DataError, match=r"expected weights there, got nothing\. Did you mean 'dinov2_pretrain\.pth'"):
        load(str(PTH.with_name("dinov2_pretrained.pth")), family="dinov2")
    with pytest.raises(DataError, match="expected one file of siglip weights, got none"):
        load(str(tmp_path.parent), family="siglip")


def test_npz_blocks_are_read_one_by_one_in_any_order(tmp_path):
    stack = np.arange(24.0, dtype=np.float32).reshape(4, 2, 3)
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", stack=stack, fortran=np.asfortranarray(stack), half=stack.view("V2")[..., :2])
        checkpoint = open_checkpoint(tmp_path / "a.npz")
        for block in (0, 2, 1, 3, 3):
            np.testing.assert_array_equal(checkpoint.read("stack", block), stack[block])
            np.testing.assert_array_equal(checkpoint.read("fortran", block), stack[block])
        assert checkpoint.read("half").dtype.name == "bfloat16"  # numpy stores it as two bytes without a name
        with pytest.raises(DataError, match="expected more than 4 blocks"):
            checkpoint.read("stack", 4)


class Hub(MemoryFileSystem):
    """The hub's file system: large files state their digest."""

    protocol = "hubtest"
    store: ClassVar = {}
    pseudo_dirs: ClassVar = [""]
    lie = False

    def info(self, path, **kwargs):
        import hashlib

        found = super().info(path, **kwargs)
        if found["type"] == "file":
            digest = hashlib.sha256(self.store[self._strip_protocol(path)].getvalue()).hexdigest()
            found["lfs"] = {"sha256": "0" * 64 if type(self).lie else digest}
        return found

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("hubtest://", "memory://"))


@pytest.fixture
def hub():
    fsspec.register_implementation("hubtest", Hub, clobber=True)
    system = Hub()
    for file in (GOLDENS / "hf_siglip_sharded").iterdir():
        system.pipe(f"/org/siglip/{file.name}", file.read_bytes())
    system.pipe("/org/siglip/README.md", b"text")
    system.pipe("/org/dino.pth", PTH.read_bytes())
    yield "hubtest://org"
    Hub.store.clear()
    Hub.lie = False


def test_folders_and_files_come_from_urls_once_whole_and_checked(hub, tmp_path):
    case = GOLDENS / "hf_siglip" / "io_56x56.npz"
    assert encoded(load_backbone("siglip", weights=f"{hub}/siglip"), case) < 5e-5
    (kept,) = (tmp_path / "cache" / "weights").iterdir()
    assert {file.name for file in kept.iterdir()} == {
        "config.json", "model.safetensors.index.json", "whole.json",
        *(f"model-0000{n}-of-00004.safetensors" for n in range(1, 5)),
    }  # fmt: skip
    Hub.store.clear()  # the cache is enough
    assert encoded(load_backbone("siglip", weights=f"{hub}/siglip"), case) < 5e-5
    with pytest.raises(DataError, match=r"expected a file at hubtest://org/none\.npz"):
        load_backbone("siglip", weights=f"{hub}/none.npz")


def test_what_is_fetched_must_have_the_digest_that_is_published(hub, tmp_path):
    Hub.lie = True
    with pytest.raises(DataError, match="expected the published sha256 0000"):
        load_backbone("dinov2", weights=f"{hub}/dino.pth", heads=3)
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]
    Hub.lie = False
    assert load_backbone("dinov2", weights=f"{hub}/dino.pth", heads=3).config.width == 48


def test_a_file_of_the_published_name_must_be_the_published_file(tmp_path, monkeypatch):
    from probe4d import backbones
    from probe4d.registry import find

    entry = find("backbones", "dinov2-l")
    known = evolve(entry, spec=evolve(entry.spec, weights=evolve(entry.spec.weights, sha256="ab" * 32)))
    shutil.copy(PTH, tmp_path / "dinov2_vitl14_pretrain.pth")
    with pytest.raises(DataError, match=r"expected the published sha256 abab.*rename the file"):
        backbones.weights_of(known, tmp_path / "dinov2_vitl14_pretrain.pth")
    assert backbones.weights_of(known, PTH) == PTH


def test_a_backbone_of_a_file_can_be_sent_to_a_worker():
    case = np.load(GOLDENS / "hf_vjepa2" / "io_T8.npz")
    backbone = loaded("hf_vjepa2")
    sent = pickle.dumps(backbone)
    assert len(sent) < 60_000
    want = backbone.encode(video_of(case), (1.0,))[0]
    np.testing.assert_array_equal(pickle.load(io.BytesIO(sent)).encode(video_of(case), (1.0,))[0], want)
