"""The forward pass of ViT-S and ViT-B against transformers, and attention against its definition.

    make bench                          # skips what needs torch where it is not installed
    P4D_BENCH_PYTHON=…/bin/python       # another environment that has torch and transformers
    P4D_BENCH_CORES=1                   # cores to use; the targets are for 2, the default

Both sides run in processes of their own on the same cores, in turns, at equal shapes and equal
work (a VideoMAE encoder: 1568 tokens, 16 x 224 x 224), CPU seconds where one core is used and wall
seconds on more. Medians of the turns are compared; only the ratio counts.
"""

from __future__ import annotations

import pytest

from benchmarks.timed_workers import CORES, TORCH_PYTHON, Worker, has_torch, interleaved, require_ratio

pytestmark = pytest.mark.bench

SIZES = {"S": (384, 12, 6, 1536), "B": (768, 12, 12, 3072)}

OURS = """
import numpy as np
if CORES > 1:
    os.environ["JAX_NUM_CPU_DEVICES"] = str(CORES)
from probe4d_vit.backbone import VitBackbone
from probe4d_vit.config import VitConfig
from probe4d_vit.table import map_table, param_table
width, depth, heads, mlp = SIZE
config = VitConfig(width=width, depth=depth, heads=heads, mlp=mlp, patch=(2, 16, 16), grid=(8, 14, 14),
                   position="sinusoid", bias="qv")
rng = np.random.default_rng(0)
params = map_table(lambda param: (0.02 * rng.standard_normal(param.shape, np.float32)), param_table(config))
video = rng.random((BATCH, 16, 224, 224, 3), dtype=np.float32)
ours = VitBackbone(config, lambda blocks: params)
serve({"ours": lambda: ours.encode(video, (1.0,))})
"""

TORCH = """
import torch
from transformers import VideoMAEConfig, VideoMAEModel
torch.set_num_threads(CORES)
width, depth, heads, mlp = SIZE
config = VideoMAEConfig(hidden_size=width, num_hidden_layers=depth, num_attention_heads=heads, intermediate_size=mlp,
                        use_mean_pooling=False, attn_implementation="sdpa")
model = VideoMAEModel(config).eval()
video = torch.rand(BATCH, 16, 3, 224, 224)
def forward(precision, autocast=False):
    def run():
        torch.set_float32_matmul_precision(precision)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            return model(video).last_hidden_state
    return run
exact = forward("highest")()
error = float((forward("medium")() - exact).abs().max() / exact.abs().max())
runs = {"float32": forward("highest"), "bfloat16": forward("medium", True)}
if error < 1e-5:  # "medium" may mean bfloat16 products: only where it is still float32 does it compete
    runs["medium"] = forward("medium")
serve(runs)
"""

ATTENTION = """
import jax, jax.numpy as jnp, numpy as np
from probe4d_vit import attention
rng = np.random.default_rng(0)
q, k, v, g = (jnp.asarray(rng.standard_normal((1, 1568, 6, 64), np.float32)) for _ in range(4))
def forward(kind):
    run = jax.jit(lambda q, k, v: attention.attend(q, k, v, kind))
    return lambda: jax.block_until_ready(run(q, k, v))
def backward(kind):
    run = jax.jit(jax.grad(lambda q, k, v: (attention.attend(q, k, v, kind) * g).sum(), (0, 1, 2)))
    return lambda: jax.block_until_ready(run(q, k, v))
square = jnp.asarray(rng.standard_normal((1536, 1536), np.float32))
product = jax.jit(lambda a: a @ a)
serve({"tiled": forward("tiled"), "einsum": forward("einsum"), "fused": forward("fused"),
       "tiled gradient": backward("tiled"), "einsum gradient": backward("einsum"),
       "matmul": lambda: jax.block_until_ready(product(square))})
"""


def gigaflops(size: tuple[int, ...]) -> float:
    """Return model GF of one clip: twice the multiply-adds of the products."""
    d, layers, _, m = size
    n = 1568
    return (layers * (8 * n * d * d + 4 * n * d * m + 4 * n * n * d) + 2 * n * 1536 * d) / 1e9


@pytest.mark.parametrize("name", SIZES)
def test_the_forward_pass_beats_the_fastest_float32_accurate_torch(name, capsys):
    if not has_torch():
        pytest.skip(f"needs torch and transformers; {TORCH_PYTHON} has none (pip install torch transformers)")
    shape = {"SIZE": SIZES[name], "BATCH": CORES}
    with Worker(OURS, **shape) as ours, Worker(TORCH, TORCH_PYTHON, **shape) as torch, Worker(ATTENTION) as peak:
        times = interleaved(ours, torch)
        peak.runs = ["matmul"]
        rate = 2 * 1536**3 / interleaved(peak)["matmul"] / 1e9
    with capsys.disabled():
        print(f"\nViT-{name}, {CORES} core(s), clips/s:", {run: round(CORES / t, 3) for run, t in times.items()})
        achieved = CORES * gigaflops(SIZES[name]) / times["ours"]
        print(f"  {achieved:.0f} GF/s of {rate:.0f} of one large product: {achieved / rate:.0%}")
    fastest = min(seconds for run, seconds in times.items() if run in ("float32", "medium"))
    assert achieved / rate >= 0.8
    require_ratio(fastest / times["ours"], 1.15, achieved / rate)


def test_tiled_attention_beats_the_definition_and_jaxs_own(capsys):
    with Worker(ATTENTION) as worker:
        times = interleaved(worker)
    work = 4 * 1568**2 * 64 * 6 / 1e9
    backward = times["tiled gradient"] - times["tiled"]
    rates = {run: round(work / times[run], 1) for run in ("tiled", "einsum", "fused")}
    with capsys.disabled():
        peak = 2 * 1536**3 / times["matmul"] / 1e9
        print(f"\nattention, GF/s: {rates}, backward {2.5 * work / backward:.1f}, one large product {peak:.0f}")
    assert times["einsum"] / times["tiled"] >= 1.3
    assert times["fused"] / times["tiled"] >= 1.8
    assert times["einsum gradient"] / times["tiled gradient"] >= 1.2
