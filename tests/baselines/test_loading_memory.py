"""Weights are in memory once while they are loaded: in a file of each format, sparse so that it takes no disk."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from probe4d_baselines.families import FAMILIES
from probe4d_baselines.layouts import LAYOUTS
from probe4d_vit.config import VitConfig
from probe4d_vit.table import count

LOAD = """
import json, resource, sys
import jax
from probe4d_baselines.backbone import load
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
file, options, way = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
small = load(sys.argv[4], **{**options, "heads": 2})  # what importing and a first model cost
jax.block_until_ready(small.init(jax.random.key(0)) if way == "init" else small._load(small.config.depth))
before = peak()
backbone = load(file, **options)
params = backbone.init(jax.random.key(0)) if way == "init" else backbone._load(backbone.config.depth)
jax.block_until_ready(params)
print(json.dumps({"grown": peak() - before, "bytes": sum(leaf.nbytes for leaf in jax.tree.leaves(params))}))
"""


def config_of(width, depth, mlp, heads):
    fields = {"width": width, "depth": depth, "mlp": mlp, "heads": heads, "patch": (2, 16, 16)}
    return VitConfig(**FAMILIES["vjepa2"].fields, **fields, grid=(8, 16, 16))


def shapes_of(config, prefix):
    """Return the arrays of a V-JEPA 2 encoder in the authors' layout."""
    d, m = config.width, config.mlp
    shapes = {"patch_embed.proj.weight": (d, 3, 2, 16, 16), "patch_embed.proj.bias": (d,)}
    for block in range(config.depth):
        for name, shape in {
            "norm1.weight": (d,), "norm1.bias": (d,), "norm2.weight": (d,), "norm2.bias": (d,),
            "attn.qkv.weight": (3 * d, d), "attn.qkv.bias": (3 * d,), "attn.proj.weight": (d, d),
            "attn.proj.bias": (d,), "mlp.fc1.weight": (m, d), "mlp.fc1.bias": (m,), "mlp.fc2.weight": (d, m),
            "mlp.fc2.bias": (d,),
        }.items():  # fmt: skip
            shapes[f"blocks.{block}.{name}"] = shape
    shapes |= {"norm.weight": (d,), "norm.bias": (d,)}
    return {prefix + name: shape for name, shape in shapes.items()}


def sparse_safetensors(path: Path, shapes) -> None:
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


def stacked_npz(path: Path, config) -> None:
    """Write a scanned SigLIP as big_vision does: every block's arrays in one, compressed to nothing."""
    d, m, h, layers = config.width, config.mlp, config.heads, config.depth
    block = "params/img/Transformer/encoderblock"
    attention = f"{block}/MultiHeadDotProductAttention_0"
    shapes = {"params/img/embedding/kernel": (14, 14, 3, d), "params/img/embedding/bias": (d,)}
    shapes["params/img/pos_embedding"] = (1, 256, d)
    for name in ("query", "key", "value"):
        shapes |= {
            f"{attention}/{name}/kernel": (layers, d, h, d // h),
            f"{attention}/{name}/bias": (layers, h, d // h),
        }
    shapes |= {f"{attention}/out/kernel": (layers, h, d // h, d), f"{attention}/out/bias": (layers, d)}
    shapes |= {f"{block}/MlpBlock_0/Dense_0/kernel": (layers, d, m), f"{block}/MlpBlock_0/Dense_0/bias": (layers, m)}
    shapes |= {f"{block}/MlpBlock_0/Dense_1/kernel": (layers, m, d), f"{block}/MlpBlock_0/Dense_1/bias": (layers, d)}
    for part in ("scale", "bias"):
        shapes |= {f"{block}/LayerNorm_{index}/{part}": (layers, d) for index in (0, 1)}
        shapes[f"params/img/Transformer/encoder_norm/{part}"] = (d,)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name, shape in shapes.items():
            with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, {"descr": "<f4", "fortran_order": False, "shape": shape})
                left, piece = 4 * int(np.prod(shape)), bytes(1 << 20)
                while left > 0:
                    member.write(piece[: min(left, len(piece))])
                    left -= len(piece)


def grown(file, small, options, way):
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(file), json.dumps(options), way, str(small)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.strip().splitlines()[-1])
    return said["grown"], said["bytes"]


@pytest.mark.parametrize("way", ["encode", "init"])
def test_weights_are_in_memory_once_while_they_are_loaded(tmp_path, way):
    assert LAYOUTS["vjepa2"][0].name == "V-JEPA 2"
    config, tiny = config_of(1024, 6, 4096, 16), config_of(16, 1, 16, 2)
    for name, one in (("large", config), ("tiny", tiny)):
        sparse_safetensors(tmp_path / f"{name}.safetensors", shapes_of(one, ""))
    more, weights = grown(
        tmp_path / "large.safetensors", tmp_path / "tiny.safetensors", {"family": "vjepa2", "heads": 16}, way
    )
    assert weights == 4 * count(config)
    assert more <= 1.2 * weights


def test_a_stacked_compressed_npz_is_unpacked_block_by_block(tmp_path):
    config, tiny = config_of(768, 6, 3072, 12), config_of(16, 1, 16, 2)
    for name, one in (("large", config), ("tiny", tiny)):
        stacked_npz(tmp_path / f"{name}.npz", one)
    more, weights = grown(tmp_path / "large.npz", tmp_path / "tiny.npz", {"family": "siglip"}, "encode")
    assert more <= 1.2 * weights


@pytest.mark.slow
def test_four_gigabytes_of_weights_are_in_memory_once(tmp_path):
    config, tiny = config_of(1408, 40, 6144, 22), config_of(16, 1, 16, 2)
    for name, one in (("large", config), ("tiny", tiny)):
        sparse_safetensors(tmp_path / f"{name}.safetensors", shapes_of(one, ""))
    assert (tmp_path / "large.safetensors").stat().st_size > 4_000_000_000
    more, weights = grown(
        tmp_path / "large.safetensors", tmp_path / "tiny.safetensors", {"family": "vjepa2", "heads": 22}, "encode"
    )
    assert more <= 1.2 * weights
